"""What Python's and Conda's manifests ask for: requirements, pyproject.toml, setup.py and setup.cfg, Pipfile, environment.yml, pip.conf."""

from __future__ import annotations

import ast
import configparser
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from gateway.shell.words import Word
from gateway.validators.packages.installers import ways
from gateway.validators.packages.installs import of_words
from gateway.validators.packages.scripts import script, syntax, yaml
from gateway.validators.packages.wanted import Wanted, wanted

_COMMENT: Final = re.compile(r"(?:^|\s)#.*$")
_CODING: Final = re.compile(r"\A(?:[^\n]*\n)?#[^\n]*coding[:=]\s*([-\w.]+)")
_OWN_CHANNELS: Final = frozenset({"defaults", "conda-forge", "nodefaults"})


def requirements(text: str) -> Iterator[Wanted]:
    """pip's own format: a requirement or an option in each line. A line that goes on in the next is put together without a gap, a comment
    goes on nowhere, and one of the first two may say in which encoding the file is read."""
    coding = _CODING.search(text)
    if coding and coding[1].lower() not in ("utf-8", "utf8"):
        yield Wanted("pip", "dynamic", coding[0])
    for line in _together(text.splitlines()):
        said = _COMMENT.sub("", line).strip()
        if said.startswith("-"):
            yield from of_words([Word(word) for word in ("pip", "install", *said.split())])
        elif "${" in said:
            yield Wanted("pip", "dynamic", said)
        elif said:
            yield wanted("pip", re.split(r"\s--", said, maxsplit=1)[0])


def _together(lines: Sequence[str]) -> Iterator[str]:
    begun = ""
    for line in lines:
        if _COMMENT.search(line):  # pip and uv differ where a comment stands behind something: each of its lines is read
            yield f"{begun} {line}"
            begun = ""
        elif line.endswith("\\"):
            begun += line.rstrip("\\")
        else:
            yield begun + line
            begun = ""
    yield begun


def pyproject(text: str) -> Iterator[Wanted]:
    top = tomllib.loads(text)
    project, tool = _table(top, "project"), _table(top, "tool")
    yield from _listed(project.get("dependencies"))
    for named in (_table(project, "optional-dependencies"), _table(top, "dependency-groups")):
        for group in named.values():
            yield from _listed(group)
    yield from _listed(_table(top, "build-system").get("requires"))
    yield from _poetry(_table(tool, "poetry"))
    yield from _uv(_table(tool, "uv"))
    pdm = _table(tool, "pdm")
    for group in _table(pdm, "dev-dependencies").values():
        yield from _listed(group)
    yield from _sources(pdm.get("source"))
    for environment in _table(_table(tool, "hatch"), "envs").values():
        for key in ("dependencies", "extra-dependencies"):
            yield from _listed(_mapping(environment).get(key))


def _poetry(poetry: Mapping[str, Any]) -> Iterator[Wanted]:
    groups = [poetry, *map(_mapping, _table(poetry, "group").values())]
    for group in groups:
        for key in ("dependencies", "dev-dependencies"):
            yield from _pinned(_table(group, key))
    yield from _sources(poetry.get("source"))


def _uv(uv: Mapping[str, Any]) -> Iterator[Wanted]:
    for key in ("dev-dependencies", "constraint-dependencies", "override-dependencies", "build-constraint-dependencies"):
        yield from _listed(uv.get(key))
    for name, source in _table(uv, "sources").items():
        for one in source if isinstance(source, list) else [source]:
            place = _mapping(one).keys() & {"git", "url", "path"}
            yield from (Wanted("pip", "direct", f"{name} {_mapping(one)[key]}") for key in sorted(place))
    yield from _sources(uv.get("index"))
    for table in (uv, _table(uv, "pip")):
        for key in ("index-url", "extra-index-url", "find-links"):
            yield from (Wanted("pip", "index", str(one)) for one in _several(table.get(key)))


def pipfile(text: str) -> Iterator[Wanted]:
    top = tomllib.loads(text)
    for name, packages in top.items():
        if name not in ("source", "requires", "scripts", "pipenv"):
            yield from _pinned(_mapping(packages))
    yield from _sources(top.get("source"))


_ELSEWHERE: Final = ("git", "url", "path", "file", "hg", "svn", "bzr")


def _pinned(packages: Mapping[str, Any]) -> Iterator[Wanted]:
    """Names to versions, or to tables that say where from."""
    for name, pin in packages.items():
        if name == "python":
            continue
        for one in pin if isinstance(pin, list) else [pin]:
            elsewhere = [key for key in _ELSEWHERE if key in _mapping(one)]
            yield from (Wanted("pip", "direct", f"{name} {one[key]}") for key in elsewhere)
            if not elsewhere:
                yield wanted("pip", name)


def _sources(sources: Any) -> Iterator[Wanted]:
    for source in _several(sources):
        url = str(_mapping(source).get("url", ""))
        if url and not re.match(r"https://pypi\.(?:org|python\.org)/", url):
            yield Wanted("pip", "index", url)


def _listed(given: Any) -> Iterator[Wanted]:
    for one in _several(given):
        if isinstance(one, str):
            yield wanted("pip", one)
        elif not isinstance(one, Mapping):
            raise ValueError("a dependency is not text")  # noqa: TRY004 - what a text holds, not what a caller passed


def _table(top: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return _mapping(top.get(key))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _several(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else () if value is None else (value,)


# -- setuptools -------------------------------------------------------------------------------------------

_REQUIRES: Final = frozenset({"install_requires", "setup_requires", "tests_require", "extras_require", "requires", "deps"})


def settings(text: str) -> Iterator[Wanted]:
    """setup.cfg and tox.ini."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=", ":"))
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(f"not a settings file: {type(error).__name__}") from None
    for section in parser.sections():
        for key, value in parser.items(section):
            if key in _REQUIRES or section == "options.extras_require":
                yield from requirements(re.sub(r"(?m)^[ \t]*[\w{},!-]+:[ \t]*(?=\S)", "", value) if key == "deps" else value)
            elif key.startswith("commands"):
                yield from script(value)


def setup_script(text: str) -> Iterator[Wanted]:
    """setup.py: the lists that are written in its calls."""
    for node in ast.walk(syntax(text)):
        if isinstance(node, ast.keyword) and node.arg in _REQUIRES:
            yield from _written(node.value)


def _written(node: ast.expr) -> Iterator[Wanted]:
    if isinstance(node, (ast.List, ast.Tuple)):
        for item in node.elts:
            yield from _written(item)
    elif isinstance(node, ast.Dict):
        for item in node.values:
            yield from _written(item)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from requirements(node.value)
    else:
        yield Wanted("pip", "dynamic", ast.unparse(node)[:200])


# -- others -----------------------------------------------------------------------------------------------


def environment(text: str) -> Iterator[Wanted]:
    """Conda's environment.yml."""
    top = _mapping(yaml(text))
    for channel in _several(top.get("channels")):
        if channel not in _OWN_CHANNELS:
            yield Wanted("conda", "index", str(channel))
    for one in _several(top.get("dependencies")):
        if isinstance(one, Mapping):
            for line in _several(one.get("pip")):
                yield from requirements(str(line))
        elif one != "pip" and not re.match(r"python(?:[\s<>=!]|$)", str(one)):
            yield wanted("conda", str(one))


_SETTING: Final = re.compile(r"^[ \t]*(?:\w+\.)?(?:--)?([\w-]+)[ \t]*[=:]((?:.*)(?:\n[ \t]+[^\s#;].*)*)$", re.MULTILINE)
_BROUGHT: Final[tuple[Literal["index", "file", "direct"], ...]] = ("index", "file", "direct")
_OWN_SETTINGS: Final = {"index": "index", "url": "index"}
"""uv's, beside those that are options of the command line."""


def pip_settings(text: str) -> Iterator[Wanted]:
    """pip.conf, pip.ini, uv.toml, .pypirc: where packages come from, and what comes along with each. Names are read as pip reads them."""
    options = [way.options for name in ("pip", "uv") for way in ways(name)]
    for found in _SETTING.finditer(text):
        name = found[1].lower().replace("_", "-")
        roles = [_OWN_SETTINGS.get(name), *(one.roles.get(f"--{name}") for one in options)]
        said = [line.strip().strip("\"'") for line in found[2].splitlines()]
        yield from (Wanted("pip", kind, one) for kind in _BROUGHT if kind in roles for one in said if one)
