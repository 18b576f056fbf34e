"""Fenced blocks of Markdown in a text: where code stands, and what it is said to be."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_LINE: Final = re.compile(r"[^\n]*\n?")
_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})[ \t]*([^\s`]*)[^`\n]*\n?")


class Fenced(NamedTuple):
    language: str
    """In lower case; empty where the fence names none."""
    code: str
    start: int
    """Of the code in the text."""
    end: int
    closed: bool = True


def fenced(text: str) -> Iterator[Fenced]:
    """The blocks in order; the last one may be open (CommonMark 4.5: it then reaches to the end). Linear in the text."""
    mark, language, start = "", "", 0
    for line in _LINE.finditer(text):
        found = _FENCE.fullmatch(line[0])
        if not mark and found:
            mark, language, start = found[1], found[2].lower(), line.end()
        elif mark and _closes(line[0], mark):
            yield Fenced(language, text[start : line.start()], start, line.start())
            mark = ""
    if mark:
        yield Fenced(language, text[start:], start, len(text), closed=False)


def _closes(line: str, mark: str) -> bool:
    bare = line.strip()
    return len(bare) >= len(mark) and bare == mark[0] * len(bare) and not line.startswith("    ")
