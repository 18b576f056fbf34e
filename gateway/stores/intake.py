"""Reads the journal's segments for a store, from where the store stands. Never writes to them.

1. A segment that may still grow is read to its last whole frame; what is torn there is a write under way, and waited for.
2. A complete segment's torn tail was never acknowledged: it is left out. If it hides a whole frame, it is damage (see `frames`).
3. Damage is believed when it is seen twice at the same place: the first time a writer may have been cutting back a failed write.
   From then on the segment is not read any further; `damage` says where and why.
4. The first frame of a segment must follow the last frame of the same boot's segment before it. Where it does not, records may have been
   taken away; that is reported (`warning`), but what follows is whole and is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from gateway.stores import Batch, Offset
from gateway.trace import frames, record
from gateway.trace.record import Record
from gateway.trace.segments import Segment, parse

CHUNK = 4 * 1024 * 1024
"""Bytes read at a time. A longer frame is read whole nevertheless."""


class SegmentReader:
    """Where one segment is read, and what is wrong with it."""

    def __init__(self, directory: Path, segment: Segment, offset: Offset) -> None:
        self.segment = segment
        self.path = directory / segment.name
        self.next, self.head, self.damage = offset.next, offset.head, offset.damage
        self.warning: str | None = None
        self.linked = False
        self._torn_size: int | None = None
        self._cut_at: int | None = None
        self._suspect: int | None = None

    @property
    def lag(self) -> int:
        """Bytes not yet read."""
        size = self._size()
        return 0 if size == self._cut_at else max(0, size - self.next)

    @property
    def shorter(self) -> bool:
        """Whether the file ends before what was read of it: its end was cut off, or its bodies were shed."""
        return self._size() < self.next

    def read(self, *, complete: bool) -> Batch | None:
        """The next records, at most about CHUNK bytes of them; None when there are none (or not yet, or never again)."""
        if self.damage is not None or not self.lag:
            return None
        data, rest_follows = self._bytes()
        found = frames.scan(data, 0, self.head)
        if found.damage == "corrupt" or (found.damage == "torn" and not rest_follows and self._hides(data, found, complete)):
            self._believe(self.next + found.next)
        elif found.damage == "torn" and not rest_follows and complete:
            self._cut_at = self.next + len(data)
        return self._batch(data, found) if found.payloads else None

    def follow(self, before: bytes | None) -> None:
        """Checks the start against the last hash of the segment before; None when that is not known."""
        self.linked = True
        if before is None:
            return
        named = self._first_previous()
        if named is not None and named != before:
            self.warning = f"{self.segment.name} does not follow the segment before it: records between them may be missing"

    def _batch(self, data: bytes, found: frames.Scan) -> Batch | None:
        records: list[tuple[int, Record]] = []
        end, head = found.next, found.head
        for at, payload in found.payloads:
            try:
                records.append((self.next + at, record.decode(payload)))
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                self.damage = f"offset {self.next + at}: a whole frame holds no record this version knows: {error}"
                end, head = at, data[at + 8 : at + frames.HEADER_BYTES]
                break
        if not records:
            return None
        self.next, self.head = self.next + end, head
        return Batch(self.segment, records, self.next, head)

    def _hides(self, data: bytes, found: frames.Scan, complete: bool) -> bool:
        size = self.next + len(data)
        grown = self._torn_size is not None and size != self._torn_size and not found.payloads
        self._torn_size = size
        return (complete or grown) and frames.hides_frame(data, found.next)

    def _believe(self, at: int) -> None:
        if self._suspect == at:
            self.damage = f"offset {at}: the bytes are not the frame that was written there"
        self._suspect = at

    def _bytes(self) -> tuple[bytes, bool]:
        """(bytes from `next`, whether the file holds more than that). At least one whole frame, if the file has it."""
        with self.path.open("rb") as file:
            data = os.pread(file.fileno(), CHUNK, self.next)
            if len(data) == CHUNK:
                length = frames.length_at(data)
                if CHUNK - frames.HEADER_BYTES < length <= frames.MAX_PAYLOAD:
                    data = os.pread(file.fileno(), length + frames.HEADER_BYTES, self.next)
            return data, os.fstat(file.fileno()).st_size > self.next + len(data)

    def _first_previous(self) -> bytes | None:
        with self.path.open("rb") as file:
            header = file.read(frames.HEADER_BYTES)
        return header[8:] if len(header) == frames.HEADER_BYTES else None

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:  # applied and removed
            return 0


def segments(directory: Path) -> list[Segment]:
    """The segments of a journal folder in the order in which they are applied."""
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names are all that is needed, many times a second
    except FileNotFoundError:
        return []
    return sorted(segment for segment in map(parse, names) if segment is not None)


def head_before(segment: Segment, offsets: Mapping[str, Offset], known: Iterable[Segment]) -> bytes | None:
    """The hash a segment must start from: zeros for a boot's first, else the last of the segment before; None if not known."""
    earlier = [other for other in known if other[:3] == segment[:3] and other.seq < segment.seq]
    if not earlier:
        return frames.GENESIS if segment.seq == 0 else None
    before = offsets.get(max(earlier).name)
    return before.head if before is not None and before.damage is None else None
