"""Signs how far the journal's chains have come: the book tells it what it has read and proven, it says so in `heads.log` and elsewhere.

1. A head is signed when its segment has ended, when 10,000 records are new, and at least every minute while there is anything new; the
   first at once. All segments with news share one line.
2. Only what is on the disk is signed: the segment is synced first, since a head for records that a power cut takes would accuse an honest
   journal.
3. Trouble with the file or the second place is said (`problem`), and the book goes on: the chain itself grows whatever happens here.

The book's own thread calls it; nothing here is on the way of a request.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.errors import StartError
from gateway.heads_log import HeadsLog, lines_of, signing_key
from gateway.heads_places import Courier, place_of
from gateway.storage_settings import Heads
from gateway.stores import Offset
from gateway.trace.heads import Head, Kind, public_text
from gateway.trace.segments import Segment

SIGN_EVERY_S = 60.0
SIGN_RECORDS = 10_000
RETRY_S = 5.0


class Notary:
    """One per book. `journal` is the folder of segments, `now_us` the clock."""

    def __init__(self, data: Path, journal: Path, settings: Heads, now_us: Callable[[], int]) -> None:
        self._data, self._journal, self._settings, self._now_us = data, journal, settings, now_us
        self._news: dict[Segment, tuple[Offset, bool]] = {}
        self._signed_at = -math.inf
        self._not_before = -RETRY_S
        self._trouble: str | None = None
        self._courier: Courier | None = None
        self.log: HeadsLog | None = None
        self._begin()

    @property
    def problem(self) -> str | None:
        return self._trouble or (self._courier.problem if self._courier else None)

    def note(self, segment: Segment, at: Offset, *, ended: bool) -> None:
        """The book stands here in this segment; whether nothing will come after."""
        if at.head is None or self.settled(segment) or (self._signed(segment) >= at.records and not ended):
            self._news.pop(segment, None)
        else:
            self._news[segment] = at, ended

    def settled(self, segment: Segment) -> bool:
        """Whether there is nothing more to say about how far it goes."""
        if self.log is None:
            return False
        last = self.log.last.get(segment.name)
        return segment.name in self.log.removed or (last is not None and last.ended)

    def sign_due(self, *, all_of_it: bool = False) -> None:
        """Signs what is due; `all_of_it` at the end of the book."""
        if self._news and (all_of_it or self._due()):
            self._signed_at = time.monotonic()
            heads = [head for segment, (at, ended) in sorted(self._news.items()) if (head := self._head(segment, at, ended))]
            if heads and self.say("heads", heads):
                self._news.clear()
            else:
                self._not_before = time.monotonic() + RETRY_S

    def say(self, kind: Kind, heads: Sequence[Head]) -> bool:
        """Whether it stands in `heads.log`, durable."""
        if self.log is None:
            self._begin()
        if self.log is None:
            return False
        try:
            line = self.log.add(kind, heads, self._now_us())
        except OSError as error:
            self._trouble = f"heads cannot be signed: {self.log.path}: {error.strerror}; free or repair the disk"
            return False
        self._trouble = None
        if self._courier is not None:
            self._courier.offer(line)
        return True

    def delivered(self, segment: str) -> bool:
        """Whether the last head of a segment is where it is to be: here, and in the second place if there is one."""
        if self.log is None or segment not in self.log.last:
            return False
        return self._courier is None or self._courier.next > self.log.said_by[segment]

    def close(self) -> None:
        self.sign_due(all_of_it=True)
        if self._courier is not None:
            self._courier.close()
        if self.log is not None:
            self.log.close()

    def _begin(self) -> None:
        try:
            key = signing_key(self._data)
            self.log = HeadsLog(self._data, key, self._now_us())
        except (StartError, OSError) as error:
            self._trouble = str(error)
            return
        place = place_of(self._settings, public_text(key.public_key()))
        if place is not None and self._settings.to is not None:
            self._courier = Courier(self._data, self._settings.to, place, lines_of(self.log.path))

    def _due(self) -> bool:
        now = time.monotonic()
        if now < self._not_before:
            return False
        if now - self._signed_at >= SIGN_EVERY_S:
            return True
        return any(ended or at.records - self._signed(segment) >= SIGN_RECORDS for segment, (at, ended) in self._news.items())

    def _signed(self, segment: Segment) -> int:
        last = self.log.last.get(segment.name) if self.log else None
        return last.records if last else 0

    def _head(self, segment: Segment, at: Offset, ended: bool) -> Head | None:
        """None where the file cannot be synced, or is gone: then nothing is said of it now."""
        try:
            fd = os.open(self._journal / segment.name, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(fd)
                written = os.fstat(fd).st_mtime_ns // 1000
            finally:
                os.close(fd)
        except OSError as error:
            self._trouble = f"{segment.name} cannot be synced and is not signed: {error.strerror}"
            return None
        return Head(segment.name, at.records, (at.head or b"").hex(), at.next, written, ended)
