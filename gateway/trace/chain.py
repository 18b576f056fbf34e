"""Walks one segment's bytes as a sceptic: what is whole, where the chain breaks, what stands at which record. Pure.

Unlike the book's reading (`frames.scan`), which stops at the first byte it cannot prove, this goes on behind a break where it can, so that
every place is found and not only the first. A break lies between two neighbours whose numbers and times are given:

- *changed bytes*: the frame's checksum does not fit. An accident, or a careless edit.
- *broken chain*: a frame is whole and names another one before it than the one that stands there: the one before was changed with
  its checksum made to fit, or frames were taken out, put in or moved.

A chain that was computed anew from some record on has no break; the signed heads show it (`proof.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from gateway.trace import frames
from gateway.trace.frames import Frame

MOST_BREAKS = 20
"""Per segment: beyond that the file is no segment any more."""
LOOK_AHEAD = 4 * 1024 * 1024
"""Bytes behind a damaged length in which its frame's true end is looked for: a search costs half a second per MiB."""
_EPOCH_US = 10**15
"""No span of time is that long, and no point in time since 2001 that short."""


class Break(NamedTuple):
    """Where the chain does not hold."""

    offset: int
    record: int
    """Counted from 0 within the segment: the first that cannot be believed, or that stands where another stood."""
    what: str
    before_us: int | None
    """When the last sound record before was written, and the first whole one after; None where there is none."""
    after_us: int | None


class Mark(NamedTuple):
    """What stands after so many records."""

    hash: bytes
    at_us: int | None


class Walked(NamedTuple):
    """One segment, looked at whole."""

    first_previous: bytes | None
    """The hash from which it starts; None where its first frame is not whole."""
    records: int
    head: bytes | None
    shed: int
    """Records whose bodies were taken away."""
    end: int
    """Bytes that are whole frames; what follows is a torn tail."""
    size: int
    last_us: int | None
    booted: tuple[str, int, str] | None
    """Who its first record says wrote it: run, slot, boot."""
    breaks: tuple[Break, ...]
    marks: Mapping[int, Mark]


def walk(data: bytes, wanted: Collection[int] = ()) -> Walked:
    """`wanted`: after how many records the hash is to be told."""
    walker = _Walker(data, wanted)
    walker.run()
    return walker.walked()


class _Walker:
    def __init__(self, data: bytes, wanted: Collection[int]) -> None:
        self._data = data
        self._wanted = iter([*sorted(wanted), -1])
        self._next = next(self._wanted)
        self._offset = self._records = self._shed = 0
        self._previous: bytes | None = None
        self._last: Frame | None = None
        self._first: bytes | None = None
        self._breaks: list[Break] = []
        self._marks: dict[int, Mark] = {}

    def run(self) -> None:
        data, size = self._data, len(self._data)
        while self._offset < size:
            found = frames.frame_at(data, self._offset, self._previous)
            if not isinstance(found, Frame):
                if not self._broken(found):
                    return
                continue
            if self._offset == 0:
                self._first = data[self._offset + 8 : self._offset + frames.HEADER_BYTES]
            self._take(found)

    def walked(self) -> Walked:
        first = frames.frame_at(self._data, 0, None) if self._data else None
        return Walked(
            self._first,
            self._records,
            self._previous if self._last else None,
            self._shed,
            self._offset,
            len(self._data),
            _time(self._last),
            _booted(first) if isinstance(first, Frame) else None,
            tuple(self._breaks),
            self._marks,
        )

    def _take(self, found: Frame) -> None:
        self._records += 1
        self._shed += found.parts.bodies is None
        self._last, self._previous, self._offset = found, found.head, found.end
        if self._records == self._next:
            self._marks[self._records] = Mark(found.head, _time(found))
            self._next = next(self._wanted)

    def _broken(self, damage: str) -> bool:
        """Notes what is wrong at this place; whether the walk can go on behind it."""
        whole = frames.frame_at(self._data, self._offset, None)
        if isinstance(whole, Frame):
            self._note(self._chain_words(), whole)
            self._previous = None
            return len(self._breaks) < MOST_BREAKS
        hidden = frames.hidden_end(self._data[self._offset : self._offset + LOOK_AHEAD], 0)
        if damage == "torn" and hidden is None:
            return False
        end = self._end_by_length() if hidden is None else self._offset + hidden
        behind = frames.frame_at(self._data, end, None) if end < len(self._data) else None
        after = behind if isinstance(behind, Frame) else None
        rest = "" if after is not None or end == len(self._data) else "; what follows cannot be read"
        self._note(f"the bytes are not those that were written{rest}", after)
        self._records += 1
        self._pass_mark()
        self._offset, self._previous = min(end, len(self._data)), None
        return not rest and len(self._breaks) < MOST_BREAKS

    def _pass_mark(self) -> None:
        """What stands after an unreadable record nobody can say."""
        while self._next == self._records:
            self._next = next(self._wanted)

    def _end_by_length(self) -> int:
        return self._offset + frames.HEADER_BYTES + frames.length_at(self._data, self._offset)

    def _chain_words(self) -> str:
        named = self._data[self._offset + 8 : self._offset + frames.HEADER_BYTES]
        if self._offset and any(head == named for head in self._heads_before()):
            return "records were put in before this one, or it was moved: it follows an earlier one than the one that stands before it"
        return "the record before was changed, or records between were taken out, put in or moved: it does not follow the one before it"

    def _heads_before(self) -> Iterator[bytes]:
        offset = 0
        while offset < self._offset:
            found = frames.frame_at(self._data, offset, None)
            if not isinstance(found, Frame):
                return
            yield found.head
            offset = found.end

    def _note(self, what: str, after: Frame | None) -> None:
        self._breaks.append(Break(self._offset, self._records, what, _time(self._last), _time(after)))


def _time(found: Frame | None) -> int | None:
    """The latest point in time that a record tells of."""
    if found is None:
        return None
    try:
        return max(_times(msgspec.json.decode(found.parts.facts)), default=None)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _times(value: Any) -> Iterator[int]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name.endswith("_us") and isinstance(inner, int) and inner > _EPOCH_US:
                yield inner
            elif isinstance(inner, (dict, list)):
                yield from _times(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _times(inner)


def _booted(first: Frame) -> tuple[str, int, str] | None:
    try:
        found = msgspec.json.decode(first.parts.facts)
        if found.get("type") != "booted":
            return None
        return str(found["run"]), int(found["slot"]), str(found["boot"])
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, KeyError, TypeError, ValueError):
        return None
