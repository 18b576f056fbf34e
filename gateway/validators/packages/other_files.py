"""What the manifests of other ecosystems ask for: package.json, Cargo.toml, Gemfile, go.mod, composer.json, project files of .NET."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.validators.packages.scripts import script
from gateway.validators.packages.wanted import Wanted, npm_pinned, wanted


def _json(text: str) -> Mapping[str, Any]:
    try:
        top = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise ValueError("not JSON") from None
    if not isinstance(top, Mapping):
        raise ValueError("not a JSON object")  # noqa: TRY004 - what a text holds, not what a caller passed
    return top


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


# -- npm --------------------------------------------------------------------------------------------------

_NPM_TABLES: Final = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "catalog")


def package_json(text: str) -> Iterator[Wanted]:
    top = _json(text)
    for key in _NPM_TABLES:
        for name, version in _mapping(top.get(key)).items():
            yield npm_pinned(name, str(version))
    for key in ("overrides", "resolutions"):
        yield from _overridden(_mapping(top.get(key)))
    yield from _overridden(_mapping(_mapping(top.get("pnpm")).get("overrides")))
    for command in _mapping(top.get("scripts")).values():
        yield from script(str(command))


def _overridden(table: Mapping[str, Any]) -> Iterator[Wanted]:
    """`{"a": "1", "a/b": "1", "b": {".": "1", "c": "npm:d@1"}}`: the last part is the name."""
    for path, version in table.items():
        if isinstance(version, Mapping):
            yield from _overridden(version)
        elif not str(version).startswith("$"):
            name = path.rpartition(">")[2].removeprefix("**/")
            found = re.search(r"(?:@[^/@]+/)?[^/@]+(?:@[^/]*)?$", name)
            if path != ".":
                yield npm_pinned(re.sub(r"(?<=.)@.*", "", found[0]) if found else name, str(version))


_REGISTRY: Final = re.compile(
    r"^[ \t]*[\"']?((?:@[^:\n]+:)?registry|npmRegistryServer|(?:https?-)?proxy)[\"']?[ \t]*[=: ][ \t]*(.+)$", re.MULTILINE
)
_OWN_REGISTRY: Final = re.compile(r"https://registry\.(?:npmjs\.org|yarnpkg\.com)/?")


def npm_settings(text: str) -> Iterator[Wanted]:
    """.npmrc, .yarnrc, .yarnrc.yml, bunfig.toml: where packages come from."""
    for found in _REGISTRY.finditer(text):
        url = found[2].strip().strip("\"'")
        if not _OWN_REGISTRY.fullmatch(url):
            yield Wanted("npm", "index", url)


# -- Rust -------------------------------------------------------------------------------------------------

_CARGO_TABLES: Final = ("dependencies", "dev-dependencies", "build-dependencies")


def cargo_toml(text: str) -> Iterator[Wanted]:
    top = tomllib.loads(text)
    yield from _crates(top)
    yield from _crates(_mapping(top.get("workspace")))
    for target in _mapping(top.get("target")).values():
        yield from _crates(_mapping(target))
    for table in ("patch", "replace"):
        for name, below in _mapping(top.get(table)).items():
            yield from _crates({"dependencies": below if table == "patch" else {name: below}})


def _crates(table: Mapping[str, Any]) -> Iterator[Wanted]:
    for key in _CARGO_TABLES:
        for name, pin in _mapping(table.get(key)).items():
            yield from _crate(name, _mapping(pin))


def _crate(name: str, pin: Mapping[str, Any]) -> Iterator[Wanted]:
    elsewhere = sorted(pin.keys() & {"git", "path"})
    yield from (Wanted("cargo", "direct", f"{name} {pin[key]}") for key in elsewhere)
    yield from (Wanted("cargo", "index", str(pin[key])) for key in sorted(pin.keys() & {"registry", "registry-index"}))
    if not elsewhere and not pin.get("workspace"):
        yield wanted("cargo", str(pin.get("package", name)))


def cargo_settings(text: str) -> Iterator[Wanted]:
    """.cargo/config.toml."""
    top = tomllib.loads(text)
    for table, key in (("source", "registry"), ("source", "local-registry"), ("source", "directory"), ("registries", "index")):
        for source in _mapping(top.get(table)).values():
            if key in _mapping(source):
                yield Wanted("cargo", "index", str(source[key]))


# -- Ruby -------------------------------------------------------------------------------------------------

_GEM: Final = re.compile(
    r"(?:(?:^|[;{|(&]|\b(?:do|then|else|begin)\b)\s*gem|\w\.add_(?:\w+_)?dependency)(?:\s*\(|\s+(?=[\w'\"%(@$:]))\s*([^;]+)"
)
_QUOTED: Final = re.compile(r"""(?:%q)?["'(]([^"'#)]+)["')]""")
_GEM_SOURCE: Final = re.compile(r"(?:^|[;{]|\bdo\b)\s*(source|git|git_source|path)[\s(]+(.+)$")
_GEM_GOES_ON: Final = re.compile(r"\\\n|(?<=\()\s*\n")
_GEM_ELSEWHERE: Final = re.compile(r"(?::|\b)(git|github|gist|bitbucket|path|source)\b\s*(?::|=>)")


def gemfile(text: str) -> Iterator[Wanted]:
    for line in _GEM_GOES_ON.sub(" ", text).splitlines():
        said = re.sub(r"(?:^|\s)#(?!\{).*$", "", line)
        yield from (_gem(gem[1].strip()) for gem in _GEM.finditer(said))
        source = _GEM_SOURCE.search(said)
        if source and not re.search(r"[\"']https://rubygems\.org/?[\"']", source[2]):
            yield Wanted("gem", "index" if source[1] == "source" else "direct", source[2].strip())


def _gem(said: str) -> Wanted:
    name = _QUOTED.match(said)
    if name is None:
        return Wanted("gem", "dynamic", said)
    return Wanted("gem", "direct", said) if _GEM_ELSEWHERE.search(said[name.end() :]) else wanted("gem", name[1])


# -- Go ---------------------------------------------------------------------------------------------------

_GO_LINE: Final = re.compile(r"^\s*(?:(require|tool|replace|exclude|retract|module|go|toolchain|godebug|ignore)\b\s*)?(.*)$")


def go_mod(text: str) -> Iterator[Wanted]:
    block = ""
    for line in re.sub(r"//.*", "", text).splitlines():
        if line.strip() == ")":
            block = ""
            continue
        found = re.match(r"\s*(\w+)\s*\(\s*$", line)
        if found:
            block = found[1]
            continue
        word, rest = (block, line.strip()) if block else (_GO_LINE.sub(r"\1", line), _GO_LINE.sub(r"\2", line).strip())
        if word == "replace" and "=>" in rest:
            yield wanted("go", rest.partition("=>")[2].split()[0])
        elif word in ("require", "tool") and rest:
            yield wanted("go", rest.split()[0].strip('"`'))


# -- PHP, .NET --------------------------------------------------------------------------------------------


def composer_package(name: str) -> Iterator[Wanted]:
    """None where the name is one of the platform's."""
    if not re.fullmatch(r"(?:php(?:-\w+)?|(?:ext|lib)-.*|composer(?:-\w+)*|hhvm)", name):
        yield wanted("composer", name)


def composer_json(text: str) -> Iterator[Wanted]:
    top = _json(text)
    for key in ("require", "require-dev"):
        for name in _mapping(top.get(key)):
            yield from composer_package(name)
    repositories = top.get("repositories") or ()
    for one in repositories.values() if isinstance(repositories, Mapping) else repositories:
        url = str(_mapping(one).get("url", ""))
        if url and url != "https://repo.packagist.org":
            yield Wanted("composer", "index", url)


_REFERENCE: Final = re.compile(
    r"<(?:Package(?:Reference|Version|Download)|DotNetCliToolReference)\b[^<>]{0,400}?\b(?:Include|Update)\s*=\s*[\"']([^\"']+)[\"']"
)
_NUGET_PACKAGE: Final = re.compile(r"<package\s[^<>]{0,400}?\bid\s*=\s*[\"']([^\"']+)[\"']", re.IGNORECASE)
_NUGET_SOURCE: Final = re.compile(
    r"<(?:RestoreSources|RestoreAdditionalProjectSources)>([^<]+)<"
    r"|<add\s[^<>]{0,400}?\bvalue\s*=\s*[\"'](http[^\"']+)[\"']", re.IGNORECASE
)


def project_file(text: str) -> Iterator[Wanted]:
    """*.csproj and its like, packages.config, nuget.config."""
    for found in (*_REFERENCE.finditer(text), *_NUGET_PACKAGE.finditer(text)):
        for name in found[1].split(";"):
            yield wanted("nuget", name)
    for found in _NUGET_SOURCE.finditer(text):
        url = (found[1] or found[2]).strip()
        if not url.startswith("https://api.nuget.org/"):
            yield Wanted("nuget", "index", url)
