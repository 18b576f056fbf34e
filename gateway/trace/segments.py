"""Names of journal segments: `<run>-<slot>-<boot>-<seq>.log`, where run and boot are UUIDv7 in hex.

Name order is time order for one slot, and everything of an earlier run sorts before a later one. Workers have the slots from 0, the book
has `BOOK_SLOT`. Pure: no directory is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_NAME = re.compile(r"([0-9a-f]{32})-(-01|\d{3,})-([0-9a-f]{32})-(\d{8,})\.log")


BOOK_SLOT = -1
"""What the book writes itself: facts of the admin plane."""


class Segment(NamedTuple):
    """One file of one boot of one slot. Tuples compare as their names do."""

    run: str
    slot: int
    boot: str
    seq: int

    @property
    def name(self) -> str:
        return f"{self.run}-{self.slot:03d}-{self.boot}-{self.seq:08d}.log"

    @property
    def before(self) -> Segment | None:
        """The segment whose last hash this one starts from; None for the first of a boot."""
        return self._replace(seq=self.seq - 1) if self.seq else None


def parse(name: str) -> Segment | None:
    """None for a file that is not a segment."""
    found = _NAME.fullmatch(name)
    return Segment(found[1], int(found[2]), found[3], int(found[4])) if found else None


def growing(segments: Iterable[Segment]) -> frozenset[Segment]:
    """Those that somebody may still be writing: the last segment of the last boot of each slot of the last run. All others are
    complete, because a slot's new boot and a new run start only after the old process is gone."""
    last: dict[int, Segment] = {}
    for segment in sorted(segments):
        if last and segment.run != next(iter(last.values())).run:
            last.clear()
        last[segment.slot] = segment
    return frozenset(last.values())
