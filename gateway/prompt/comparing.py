"""Variable parts that no form gives away, such as a user's name in the middle of a sentence: found by comparing what an agent came with.

Templates of as many lines, in which a line begins or ends with the same word, are laid side by side. A place in it is variable where it had
at least `VALUES` values of which some were in use at the same time, and the line around it always said the same. Values that follow one
another, each ending where the next begins, are somebody's edits (a limit that was raised twice), and stay.

Needs the history of an agent, so it is for reading the book, not for the way of a request; that is what `masking.py` is for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, TypeVar

from msgspec import Struct

from gateway.prompt.masking import MARK, masked

VALUES: Final = 3
MOST_WORDS: Final = 8
"""Of a variable part: what is longer is text."""
T = TypeVar("T")


class Seen(Struct, frozen=True):
    """A text, and from when to when it was in use."""

    text: str
    first_us: int
    last_us: int


def collapsed(seen: Sequence[Seen]) -> list[str]:
    """Each text with a mark in the place of its variable parts, in the order given: what is equal came from one template."""
    lines = [masked(each.text).split("\n") for each in seen]
    alike: dict[int, list[int]] = defaultdict(list)
    for at, each in enumerate(lines):
        alike[len(each)].append(at)
    for members in alike.values():
        for row in range(len(lines[members[0]])):
            for end in (0, -1):
                for like in _by_word([(lines[at], seen[at]) for at in members], row, end):
                    _collapse(like, row)
    return ["\n".join(each) for each in lines]


def _by_word(members: Sequence[tuple[list[str], Seen]], row: int, end: int) -> list[list[tuple[list[str], Seen]]]:
    """Those whose line begins (0) or ends (-1) with the same word: other prompts of as many lines say something else there."""
    found: dict[str, list[tuple[list[str], Seen]]] = defaultdict(list)
    for lines, each in members:
        found[lines[row].split(" ")[end]].append((lines, each))
    return list(found.values())


def _collapse(members: Sequence[tuple[list[str], Seen]], row: int) -> None:
    """Marks the variable part of one line of them all, if it has one."""
    spans: dict[str, tuple[int, int]] = {}
    for lines, each in members:
        first, last = spans.get(lines[row], (each.first_us, each.last_us))
        spans[lines[row]] = min(first, each.first_us), max(last, each.last_us)
    if len(spans) < VALUES or not _at_once(list(spans.values())):
        return
    words = [line.split(" ") for line in spans]
    before, after = _common(words), _common([each[::-1] for each in words])
    after = min(after, min(map(len, words)) - before)
    if before + after == 0 or max(map(len, words)) - before - after > MOST_WORDS:
        return
    for lines, _ in members:
        said = lines[row].split(" ")
        lines[row] = " ".join([*said[:before], MARK, *said[len(said) - after :]])


def _at_once(spans: Sequence[tuple[int, int]]) -> bool:
    return any(begins < ended for (_, ended), (begins, _) in pairwise(sorted(spans)))


def _common(words: Sequence[Sequence[T]]) -> int:
    """How many begin them all."""
    return next((at for at, column in enumerate(zip(*words, strict=False)) if len(set(column)) > 1), min(map(len, words)))
