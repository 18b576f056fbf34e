"""What differs between two texts, line by line, as a page shows it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["same", "gone", "new", "skipped"]
AROUND = 3
"""Lines that are the same are shown before and after each difference."""
MOST_LINES = 4000
"""Of either text: comparing takes time that grows with the square."""


class Line(NamedTuple):
    kind: Kind
    text: str


def lines(before: str, after: str) -> list[Line]:
    """Empty where nothing differs."""
    if before == after:
        return []
    old, new = (text.splitlines()[:MOST_LINES] for text in (before, after))
    found = list(_told(old, new))
    cut = max(len(before.splitlines()), len(after.splitlines())) - MOST_LINES
    return found + ([Line("skipped", f"{cut} further lines are not compared")] if cut > 0 else [])


def of_json(before: str, after: str) -> list[Line]:
    """Of texts that may be JSON: then a value stands on a line, and how it was spaced does not matter."""
    return lines(spread(before), spread(after))


def spread(text: str) -> str:
    try:
        return msgspec.json.format(msgspec.json.encode(msgspec.json.decode(text)), indent=2).decode()
    except msgspec.DecodeError:
        return text


def _told(old: list[str], new: list[str]) -> Iterator[Line]:
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    at = 0
    for group in matcher.get_grouped_opcodes(AROUND):
        first = group[0][1]
        if first > at:
            yield Line("skipped", f"{first - at} lines that are the same")
        for tag, a, b, c, d in group:
            if tag == "equal":
                yield from (Line("same", text) for text in old[a:b])
            else:
                yield from (Line("gone", text) for text in old[a:b])
                yield from (Line("new", text) for text in new[c:d])
            at = b
    if 0 < at < len(old):
        yield Line("skipped", f"{len(old) - at} lines that are the same")
