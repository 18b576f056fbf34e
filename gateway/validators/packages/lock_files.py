"""Names that a lock file holds, as the index of its ecosystem gives them.

What a lock file takes from elsewhere (a repository, a path, the project itself) is left out: installed by name, it would come from the
index, where it may belong to somebody else.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.validators.packages.wanted import Wanted, wanted

Reader = Callable[[str], Iterator[tuple[str, str]]]


def reader_of(name: str) -> Reader | None:
    """By the file's name, its folders left out."""
    return _READERS.get(name.rpartition("/")[2].lower())


def is_one(name: str) -> bool:
    return reader_of(name) is not None


def names(name: str, text: str) -> frozenset[str]:
    """`<ecosystem>:<name>` of all packages. Raises ValueError when the file cannot be read."""
    reader = reader_of(name)
    if reader is None:
        raise ValueError(f"'{name}' is no lock file that is known here; known are {', '.join(sorted(_READERS))}")
    try:
        found = [wanted(ecosystem, said) for ecosystem, said in reader(text)]
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        said = f"'{name}' cannot be read as what its name says ({type(error).__name__}); write it again with its own tool"
        raise ValueError(said) from None
    return frozenset(str(one) for one in found if isinstance(one, Wanted) and one.kind == "name")


def _toml_packages(text: str, ecosystem: str, from_index: Callable[[Any], bool]) -> Iterator[tuple[str, str]]:
    for package in tomllib.loads(text).get("package", ()):
        if from_index(package.get("source")):
            yield ecosystem, package["name"]


def _uv(text: str) -> Iterator[tuple[str, str]]:
    return _toml_packages(text, "pip", lambda source: isinstance(source, Mapping) and "registry" in source)


def _poetry(text: str) -> Iterator[tuple[str, str]]:
    return _toml_packages(text, "pip", lambda source: source is None or source.get("type") == "legacy")


def _pdm(text: str) -> Iterator[tuple[str, str]]:
    for package in tomllib.loads(text).get("package", ()):
        if not package.keys() & {"git", "url", "path", "editable"}:
            yield "pip", package["name"]


def _cargo(text: str) -> Iterator[tuple[str, str]]:
    return _toml_packages(text, "cargo", lambda source: str(source).startswith(("registry+", "sparse+")))


def _pipfile(text: str) -> Iterator[tuple[str, str]]:
    lock = msgspec.json.decode(text)
    for group in ("default", "develop"):
        yield from (("pip", name) for name, pin in lock.get(group, {}).items() if "version" in pin)


def _npm(text: str) -> Iterator[tuple[str, str]]:
    lock = msgspec.json.decode(text)
    for path, package in lock.get("packages", {}).items():
        if "node_modules/" in path and str(package.get("resolved", "https:")).startswith("https:") and not package.get("link"):
            yield "npm", package.get("name") or path.rpartition("node_modules/")[2]
    waiting = [lock.get("dependencies", {})]
    while waiting:
        for name, package in waiting.pop().items():
            waiting.append(package.get("dependencies", {}))
            if re.fullmatch(r"\d[\w.+-]*", str(package.get("version"))):
                yield "npm", name


_YARN = re.compile(r'^"?((?:@[^@/\s"]+/)?[^@\s",#]+)@(npm:)?([^",:\s]+)?', re.MULTILINE)


def _yarn(text: str) -> Iterator[tuple[str, str]]:
    for found in _YARN.finditer(text):
        if found[2] or re.match(r"[\d^~<>=*vx]|latest", found[3] or ""):
            yield "npm", found[1]


_PNPM = re.compile(r"^  ['\"]?/?((?:@[^@/\s'\"]+/)?[^@/\s'\":]+)[@/]\d[^'\"\s]*['\"]?:(?:\s|$)", re.MULTILINE)


def _pnpm(text: str) -> Iterator[tuple[str, str]]:
    _, _, packages = f"\n{text}".partition("\npackages:")
    return (("npm", found[1]) for found in _PNPM.finditer(packages.partition("\nsnapshots:")[0]))


def _gemfile(text: str) -> Iterator[tuple[str, str]]:
    for section in re.split(r"\n\s*\n", text):
        if section.lstrip().startswith("GEM\n"):
            yield from (("gem", name) for name in re.findall(r"^    ([\w.-]+) \(", section, re.MULTILINE))


def _go(text: str) -> Iterator[tuple[str, str]]:
    return (("go", line.split()[0]) for line in text.splitlines() if len(line.split()) == 3)


def _composer(text: str) -> Iterator[tuple[str, str]]:
    lock = msgspec.json.decode(text)
    for group in ("packages", "packages-dev"):
        yield from (("composer", package["name"]) for package in lock.get(group, ()))


def _nuget(text: str) -> Iterator[tuple[str, str]]:
    for framework in msgspec.json.decode(text)["dependencies"].values():
        yield from (("nuget", name) for name, pin in framework.items() if pin.get("type") != "Project")


_READERS: Final[Mapping[str, Reader]] = {
    "uv.lock": _uv,
    "poetry.lock": _poetry,
    "pdm.lock": _pdm,
    "pipfile.lock": _pipfile,
    "cargo.lock": _cargo,
    "package-lock.json": _npm,
    "npm-shrinkwrap.json": _npm,
    "yarn.lock": _yarn,
    "pnpm-lock.yaml": _pnpm,
    "gemfile.lock": _gemfile,
    "go.sum": _go,
    "composer.lock": _composer,
    "packages.lock.json": _nuget,
}
