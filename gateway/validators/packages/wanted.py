"""One package as a command, a manifest or a lock file asks for it, in the spelling of its index.

A word asks for a package of the ecosystem's own index by name, or it is one of the ways around a name: another index, a URL or path, a
list in a file, something known only when it runs. The words differ by ecosystem; what they come to is the same five kinds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Kind = Literal["name", "index", "direct", "file", "dynamic"]

ECOSYSTEMS: Final[Mapping[str, str]] = {
    "pip": "Python",
    "conda": "Conda",
    "npm": "JavaScript",
    "cargo": "Rust",
    "gem": "Ruby",
    "go": "Go",
    "composer": "PHP",
    "nuget": ".NET",
    "system": "operating system",
}
"""Each with what it is for. `system` is apt, apk, brew and their like: one name means the same program in most of them."""


class Wanted(NamedTuple):
    ecosystem: str
    kind: Kind
    text: str
    """With `name`: the name in the index's own spelling. Else: what stands there."""

    def __str__(self) -> str:
        return f"{self.ecosystem}:{self.text}" if self.kind == "name" else f"{self.ecosystem}:!{self.kind}:{self.text}"


_DIRECT = re.compile(
    r"[a-z0-9+.-]+://|git\+|[\w.-]+@[\w.-]+:|(?:github|gitlab|bitbucket|gist|file|link|portal|patch|git|ssh|https?):|\.{0,2}/|~|\.{1,2}$",
    re.IGNORECASE,
)
_ARCHIVE = re.compile(r"\.(?:whl|tar\.gz|tgz|zip|tar\.bz2|tar\.xz|egg|gem|crate|deb|rpm|apk|nupkg)$", re.IGNORECASE)
_VERSION = re.compile(r"[\^~<>=!*vx\d\s|.,+-][\w.*^~<>=!|,+\s-]*|latest|next|beta|alpha|canary|rc|upgrade|patch|stable|lts")
_NAME = re.compile(r"@?[A-Za-z0-9_][A-Za-z0-9._~+/-]*")
_PYTHON_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_PYTHON = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[\w.,\s-]*\])?\s*(.*)", re.DOTALL)
_COMPARED = re.compile(r"\(?\s*(?:[<>=!~]=?=?|\^)|;|$")


def spelled(ecosystem: str, name: str) -> str:
    """The name as its index compares it (PEP 503 for Python), so that two spellings of one package are one."""
    if ecosystem == "pip":
        return re.sub(r"[-_.]+", "-", name).lower()
    if ecosystem == "cargo":
        return name.lower().replace("_", "-")
    return name if ecosystem in ("gem", "go", "system") else name.lower()


def wanted(ecosystem: str, text: str) -> Wanted:
    """What one word of a command or line of a list asks for, versions and extras left out."""
    text = text.strip()
    if ecosystem == "pip":
        return _python(text)
    if ecosystem == "npm":
        return _npm(text)
    if ecosystem != "go" and (_ARCHIVE.search(text) or _DIRECT.match(text)):
        return Wanted(ecosystem, "direct", text)
    if ecosystem == "go" and text.startswith((".", "/")):
        return Wanted(ecosystem, "direct", text)
    return _plain(ecosystem, _unversioned(ecosystem, text), text)


def pinned(ecosystem: str, name: str, version: str) -> Wanted:
    """A name with its version apart, as in `"lodash": "^4"`; the version may lead elsewhere instead."""
    if ecosystem == "npm":
        return _npm(f"{name}@{version}" if version else name)
    if version and not _VERSION.fullmatch(version):
        return Wanted(ecosystem, "direct", f"{name} {version}")
    return wanted(ecosystem, name)


def _plain(ecosystem: str, name: str, text: str) -> Wanted:
    pattern = _PYTHON_NAME if ecosystem == "pip" else _NAME
    if not pattern.fullmatch(name):
        return Wanted(ecosystem, "dynamic", text)
    return Wanted(ecosystem, "name", spelled(ecosystem, name))


def _unversioned(ecosystem: str, text: str) -> str:
    if ecosystem == "conda":
        return re.split(r"[\[<>=!~ ]", text.rpartition("::")[2], maxsplit=1)[0]
    cut = {"gem": r"[:@]", "composer": r"[:=@ ]", "system": r"[=@:]", "nuget": "@"}.get(ecosystem, "@")
    return re.split(cut, text, maxsplit=1)[0] if ecosystem != "system" else re.split(cut, text)[0]


def _python(text: str) -> Wanted:
    """PEP 508, and the `name@version` of uv and poetry."""
    if _ARCHIVE.search(text) or _DIRECT.match(text) or "\\" in text:
        return Wanted("pip", "direct", text)
    found = _PYTHON.fullmatch(text)
    if found is None:
        return Wanted("pip", "dynamic", text)
    name, rest = found[1], found[2]
    if rest.startswith("@"):
        behind = rest[1:].strip()
        return _plain("pip", name, text) if _VERSION.fullmatch(behind) else Wanted("pip", "direct", text)
    if "/" in rest and not _COMPARED.match(rest):
        return Wanted("pip", "direct", text)
    return _plain("pip", name, text) if _COMPARED.match(rest) else Wanted("pip", "dynamic", text)


def _npm(text: str) -> Wanted:
    """`name`, `@scope/name`, `name@version`, `alias@npm:name@version`; whatever else can stand behind the `@` leads elsewhere."""
    scoped = text.startswith("@")
    name, at, version = text[scoped:].partition("@")
    name = f"@{name}" if scoped else name
    if at and version.startswith("npm:"):
        return _npm(version[len("npm:") :])
    if text.startswith("npm:"):
        return _npm(text[len("npm:") :])
    if at and version.startswith("workspace:"):
        return Wanted("npm", "direct", f"./{text}")
    if _DIRECT.match(text) or _ARCHIVE.search(text) or name.count("/") > scoped:
        return Wanted("npm", "direct", text)
    if at and not _VERSION.fullmatch(version) and not re.fullmatch(r"[A-Za-z][\w.-]*", version):
        return Wanted("npm", "direct", text)
    return _plain("npm", name, text)
