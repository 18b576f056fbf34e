"""Patches in the forms that models write, as the files they touch: unified diffs and `*** Begin Patch`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.validators.packages.fragments import Line, part
from gateway.validators.packages.manifests import whole
from gateway.validators.packages.wanted import Wanted

_BEGINS: Final = re.compile(r"^(?:\*\*\* Begin Patch|diff --git |--- \S.*\n\+\+\+ \S)", re.MULTILINE)
_FILE: Final = re.compile(r"^(?:\*\*\* (Add|Update) File: (.+)|\*\*\* Move to: (.+)|\+\+\+ (?:b/)?([^\t\n]+).*)$")


class Touched(NamedTuple):
    path: str
    lines: list[Line]
    new: bool


def is_patch(text: str) -> bool:
    return _BEGINS.search(text) is not None


def patched(text: str) -> Iterator[Wanted]:
    """What the files ask for after the patch, as far as it changes that."""
    for one in touched(text):
        if one.new:
            yield from whole(one.path, "\n".join(line.text for line in one.lines))
        else:
            yield from part(one.path, one.lines)


def touched(text: str) -> list[Touched]:
    found: list[Touched] = []
    created = False
    for line in text.splitlines():
        file = _FILE.match(line)
        if file and file[3] and found:
            found[-1] = found[-1]._replace(path=file[3].strip())
        elif file:
            path = (file[2] or file[3] or file[4]).strip()
            found.append(Touched(path, [], new=file[1] == "Add" or (file[4] is not None and created)))
        elif found and line[:1] in ("+", " ", "") and not line.startswith("*** "):
            found[-1].lines.append(Line(line[1:], added=line.startswith("+")))
        created = line.startswith("--- /dev/null")
    return found
