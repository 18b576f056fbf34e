"""Which files say what is installed, by their path, and what a whole one asks for. `fragments` reads parts of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal, NamedTuple

from gateway.validators.packages import lock_files, other_files, python_files, scripts
from gateway.validators.packages.wanted import Wanted

Grammar = Literal["lines", "toml", "json", "yaml", "script"]
"""What a part of the file is made of."""


class Manifest(NamedTuple):
    pattern: str
    """Of the path, in lower case, `/` between its folders and before the first."""
    ecosystem: str
    read: Callable[[str], Iterator[Wanted]]
    grammar: Grammar


MANIFESTS: Final = (
    Manifest(r"/(?:[^/]*[-_.])?(?:requirements|constraints)[^/]*\.(?:txt|in)", "pip", python_files.requirements, "lines"),
    Manifest(r"/requirements/[^/]+\.(?:txt|in)", "pip", python_files.requirements, "lines"),
    Manifest(r"/pyproject\.toml", "pip", python_files.pyproject, "toml"),
    Manifest(r"/pipfile", "pip", python_files.pipfile, "toml"),
    Manifest(r"/setup\.py", "pip", python_files.setup_script, "toml"),
    Manifest(r"/(?:setup\.cfg|tox\.ini)", "pip", python_files.settings, "lines"),
    Manifest(r"/(?:pip\.(?:conf|ini)|uv\.toml|\.pypirc|\.pydistutils\.cfg)", "pip", python_files.pip_settings, "lines"),
    Manifest(r"/(?:conda[-_.])?(?:environment|env)[^/]*\.ya?ml", "conda", python_files.environment, "yaml"),
    Manifest(r"/package\.json", "npm", other_files.package_json, "json"),
    Manifest(r"/(?:\.npmrc|\.yarnrc(?:\.yml)?|bunfig\.toml|npmrc)", "npm", other_files.npm_settings, "lines"),
    Manifest(r"/cargo\.toml", "cargo", other_files.cargo_toml, "toml"),
    Manifest(r"/\.cargo/config(?:\.toml)?", "cargo", other_files.cargo_settings, "lines"),
    Manifest(r"/(?:gemfile|gems\.rb|[^/]*\.gemspec)", "gem", other_files.gemfile, "lines"),
    Manifest(r"/go\.mod", "go", other_files.go_mod, "lines"),
    Manifest(r"/composer\.json", "composer", other_files.composer_json, "json"),
    Manifest(r"/[^/]*(?:\.(?:cs|fs|vb)proj|\.props|\.targets|packages\.config|nuget\.config)", "nuget", other_files.project_file, "lines"),
    Manifest(r"/(?:[^/]*\.)?(?:dockerfile|containerfile)(?:\.[^/]*)?", "", scripts.dockerfile, "script"),
    Manifest(r"/\.github/(?:workflows/[^/]+|.*action)\.ya?ml|/action\.ya?ml", "", scripts.pipeline, "script"),
    Manifest(r"/(?:\.gitlab-ci|\.travis|appveyor|azure-pipelines|bitbucket-pipelines)[^/]*\.ya?ml", "", scripts.pipeline, "script"),
    Manifest(r"/(?:cloudbuild|taskfile)[^/]*\.ya?ml", "", scripts.pipeline, "script"),
    Manifest(r"/(?:\.circleci/config|\.pre-commit-config|(?:docker-)?compose[^/]*)\.ya?ml", "", scripts.pipeline, "script"),
    Manifest(r"/\.?devcontainer\.json", "", scripts.pipeline, "script"),
    Manifest(r"/(?:[^/]*\.(?:sh|bash|zsh|mk)|(?:gnu)?makefile|justfile|procfile|\.envrc)", "", scripts.recipes, "script"),
)  # fmt: skip


def manifest(path: str) -> Manifest | None:
    """The kind of manifest that lies at the path; None of any other file."""
    name = "/" + path.replace("\\", "/").strip().lower()
    return next((one for one in MANIFESTS if re.search(f"(?:{one.pattern})$", name)), None)


def is_lock_file(path: str) -> bool:
    return lock_files.is_one(path.replace("\\", "/"))


def whole(path: str, text: str) -> Iterator[Wanted]:
    """What a file with this text asks for. Raises ValueError when it cannot be read; a file that is no manifest asks for nothing."""
    if is_lock_file(path):
        yield Wanted(_LOCKED.get(path.rpartition("/")[2].lower(), "pip"), "file", path)
        return
    found = manifest(path)
    if found is None:
        return
    try:
        yield from list(found.read(text))
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise ValueError(f"the file {path.rpartition('/')[2][:60]!r} cannot be read as what its name says ({_said(error)})") from None


def _said(error: Exception) -> str:
    return str(error)[:120] if type(error) is ValueError else type(error).__name__


_LOCKED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"), "npm"),
    "cargo.lock": "cargo",
    "gemfile.lock": "gem",
    "go.sum": "go",
    "composer.lock": "composer",
    "packages.lock.json": "nuget",
}
