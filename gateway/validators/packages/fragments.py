"""What a part of a manifest asks for: the new text of an edit, the added lines of a patch.

A part does not say where it belongs, so it is read line by line, and a line that could be a dependency is one. Where the part shows its
section or list (`[tool.ruff]`, `"scripts": {`, `classifiers = [`), that decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from gateway.validators.packages import manifests
from gateway.validators.packages.installers import mentions
from gateway.validators.packages.other_files import composer_package
from gateway.validators.packages.python_files import requirements
from gateway.validators.packages.scripts import few, script, together
from gateway.validators.packages.wanted import Wanted, npm_pinned, wanted


class Line(NamedTuple):
    text: str
    added: bool = True
    """Or there before, and shown around what is added."""


def part(path: str, lines: Sequence[Line]) -> Iterator[Wanted]:
    """Raises ValueError where a line names an installer and cannot be read."""
    found = manifests.manifest(path)
    if manifests.is_lock_file(path):
        yield from manifests.whole(path, "")
    elif found is not None:
        added = [line.text for line in lines if line.added]
        match found.grammar:
            case "lines":
                yield from _lines(found, added)
            case "script":
                yield from _script(found, added)
            case "yaml":
                yield from _yaml(lines)
            case "json":
                yield from _json(found.ecosystem, lines)
            case _:
                yield from _toml(found.ecosystem, lines)


_SETTING: Final = re.compile(r"\s*([\w.-]+)\s*[=:]\s*(?!=)(.*)$")


def _lines(found: manifests.Manifest, added: Sequence[str]) -> Iterator[Wanted]:
    if found.pattern.endswith(r"go\.mod"):
        added = [line if re.match(r"\s*[a-z]+(?:\s|$)", line) else f"require {line.strip()}" for line in added if line.strip()]
    if "setup" in found.pattern:
        added = [_without_key(line) for line in added]
        yield from requirements("\n".join(line for line in added if not line.lstrip().startswith("[")))
        return
    try:
        yield from list(found.read("\n".join(added)))
    except ValueError:
        yield Wanted(found.ecosystem, "index", "settings that cannot be read")


def _without_key(line: str) -> str:
    setting = _SETTING.match(line)
    if setting is None:
        return line
    return setting[2] if setting[1].endswith(("requires", "require", "deps")) else ""


_STEP: Final = re.compile(r"^\s*(?:-\s*)?(?:(?:run|script|command|cmd|entry|sh)\s*:\s*)?[|>]?[+-]?\s*(?:-\s+)?")
_RUN: Final = re.compile(r"^\s*(?:RUN|CMD|ENTRYPOINT)\s+(?:--[\w-]+=\S+\s+)*", re.IGNORECASE)


def _script(found: manifests.Manifest, added: Sequence[str]) -> Iterator[Wanted]:
    """Each line by itself and its continuations: what is around it may not be shown."""
    text = re.sub(r"\$\{\{[^{}]{0,500}\}\}", "${EXPRESSION}", "\n".join(added))
    for line in few(line for line in together(text) if mentions(line)):
        said = _RUN.sub("", _STEP.sub("", line, count=1), count=1).strip().strip("&|;\\").strip()
        said = said[1:-1] if len(said) > 1 and said[0] == said[-1] and said[0] in "\"'" else said
        yield from script(said)


def _yaml(lines: Sequence[Line]) -> Iterator[Wanted]:
    """Conda's environments: `- name=1`, and pip's requirements below `- pip:`."""
    below_pip, section = -1, "dependencies"
    for line in lines:
        text = re.sub(r"(?:^|\s)#.*$", "", line.text)
        indent = len(text) - len(text.lstrip())
        top = re.match(r"(\w+)\s*:", text)
        section = top[1] if top else section
        item = re.match(r"\s*-\s*[\"']?(.+?)[\"']?\s*$", text)
        if item is None:
            continue
        below_pip = indent if item[1] == "pip:" else -1 if indent <= below_pip else below_pip
        if line.added and item[1] != "pip:":
            yield from _environment_item(item[1], section, in_pip=0 <= below_pip < indent)


def _environment_item(said: str, section: str, *, in_pip: bool) -> Iterator[Wanted]:
    if section == "channels":
        yield Wanted("conda", "index", said)
    elif section == "dependencies":
        pip = in_pip or re.search(r"==|~=|\[|@|^-", said)
        yield from requirements(said) if pip else [wanted("conda", said)]


_PAIR: Final = re.compile(r'"((?:[^"\\]|\\.)+)"\s*:\s*"((?:[^"\\]|\\.)*)"')
_OPENED: Final = re.compile(r'"([^"]+)"\s*:\s*\{')
_SPEC: Final = re.compile(r"(?:[\^~<>=*\d]|v\d|x\b)[\w.*^~<>=|+,\s-]*|latest|next|\*|.*[:/].*")
_NO_NAMES: Final = frozenset({
    *("version", "node", "npm", "php", "homepage", "url", "main", "module", "types", "typings", "bin", "browser", "license", "$schema"),
    *("description", "name", "import", "default", "packageManager", "repository", "bugs", "type"),
})  # fmt: skip
_DEPENDENCIES: Final = re.compile(r"(?i)(?:.*dependencies|require(?:-dev)?|resolutions|overrides|catalog)")


def _json(ecosystem: str, lines: Sequence[Line]) -> Iterator[Wanted]:
    section = ""
    for line in lines:
        opened = _OPENED.search(line.text)
        section = opened[1] if opened else section
        for name, said in _PAIR.findall(line.text) if line.added else ():
            if section == "scripts" or (not section and mentions(said)):
                yield from script(said.replace('\\"', '"'))
            elif _DEPENDENCIES.fullmatch(section) or (not section and name not in _NO_NAMES and _SPEC.fullmatch(said)):
                yield from composer_package(name) if ecosystem == "composer" else [npm_pinned(name, said)]
        if "}" in line.text and "{" not in line.text:
            section = ""


_HEADER: Final = re.compile(r"^\s*\[+([^\[\]\"',]+)\]+\s*$")
_KEY: Final = re.compile(r"""^\s*["']?([\w.-]+)["']?\s*=\s*(.*)$""")
_STRING: Final = re.compile(r""""((?:[^"\\]|\\.)*)"|'([^']*)'""")
_PACKAGES_IN: Final = re.compile(
    r"(?:.*\.)?(?:.*dependencies.*|requires|packages|dev-packages|dependency-groups|.*_require.*|deps)(?:\..*)?"
)
_METADATA: Final = frozenset({
    *("name", "version", "description", "readme", "requires-python", "python", "license", "authors", "maintainers", "keywords"),
    *("urls", "include", "exclude", "package-dir", "where", "edition", "rust-version", "repository", "homepage", "documentation"),
    *("default", "members", "license-files", "dynamic", "build-backend", "scripts", "entry-points", "addopts", "testpaths", "select"),
    *("resolver", "publish", "categories", "author", "author_email", "url", "long_description", "package_dir", "python_requires"),
    *("classifiers", "features", "ignore", "markers"),
})  # fmt: skip


def _toml(ecosystem: str, lines: Sequence[Line]) -> Iterator[Wanted]:
    """Also setup.py, whose lists look alike."""
    section, listed = "", ""
    for line in lines:
        text = re.sub(r"\s#.*$", "", line.text)
        header, key = _HEADER.match(text), _KEY.match(text)
        if header:
            section, listed = header[1], ""
            continue
        listed = key[1] if key and key[2].startswith(("[", "{")) and not key[2].rstrip(", )").endswith(("]", "}")) else listed
        if line.added:
            yield from _toml_line(ecosystem, text, key, section, listed)
        listed = "" if text.strip(" ,)").endswith("]") else listed


def _toml_line(ecosystem: str, text: str, key: re.Match[str] | None, section: str, listed: str) -> Iterator[Wanted]:
    elsewhere = section and not _PACKAGES_IN.fullmatch(section) and section not in ("project", "build-system", "tool.uv")
    if key and not key[2].startswith("["):
        if not elsewhere and section not in ("project", "build-system", "tool.uv") and key[1] not in _METADATA:
            yield from _keyed(ecosystem, key[1], key[2])
    elif ecosystem == "pip" and not elsewhere and (key[1] if key else listed) not in _METADATA:
        for double, single in _STRING.findall(key[2] if key else text):
            found = wanted("pip", double or single)
            if found.kind != "dynamic":
                yield found


def _keyed(ecosystem: str, name: str, said: str) -> Iterator[Wanted]:
    source = re.search(r"\b(?:git|path|url|file)\s*=\s*[\"']([^\"']*)", said)
    renamed = re.search(r"\bpackage\s*=\s*[\"']([^\"']*)", said)
    if source:
        yield Wanted(ecosystem, "direct", f"{name} {source[1]}")
    elif said.startswith(("'", '"', "{")):
        yield wanted(ecosystem, renamed[1] if renamed else name)
