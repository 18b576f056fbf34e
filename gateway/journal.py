"""The journal: append-only segment files, the truth that the ledger is derived from. One writer per worker process.

1. `append` returns when its records are durable under the mode, or raises `JournalUnavailable`; there is no third outcome.
   `commit`: written and fdatasync'ed, in groups (`group_commit`): one write and one sync for all who append at a time.
   `interval`: written to the file (survives kill -9, not a power cut); the thread syncs every 200 ms.
2. Records lie in the file in the order of the append calls. A record that was not acknowledged is not in the file, as far as the disk
   lets us take it back: after a short write the file is cut to its last acknowledged length.
3. After a failed sync the kernel may have dropped the dirty pages and called them clean, so a second sync proves nothing: that file is
   left for good and the next append starts a new segment. A full disk leaves the file in use. Each append tries anew, so that the
   journal recovers by itself when space is back.
4. What waits is bounded: over `max_queued_bytes` an append is refused at once.
5. A segment is closed when it is big, or old (`turn_over` sees to that where nothing is written), so that its records can age and go.
6. Every segment begins with the record that `first` makes, and its chain of hashes goes on from the last acknowledged one. The segment
   before is synced first, so that a power cut takes records from the end of a chain only.

This is not a general log: there is no reader here (`stores/intake.py`), no compression, no deletion.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from gateway.errors import JournalUnavailable, RecordTooLong
from gateway.group_commit import GroupCommit
from gateway.trace import frames, record
from gateway.trace.frames import Parts
from gateway.trace.record import Record
from gateway.trace.segments import Segment

Durability = Literal["commit", "interval"]

SYNC_EVERY_S = 0.2
GATHER_S = 0.004
"""While several appends come at a time, a group is begun no sooner after the one before it. A sync costs some 80 µs of CPU whatever it
syncs."""
SIZE_CHECK_EVERY_S = 1.0
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class _OpenSegment:
    """A segment file and how far it is acknowledged."""

    def __init__(self, path: Path) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self.fd = os.open(path, flags, 0o600)
        self.path = path
        self.size = self.first = 0
        self.began = time.monotonic()
        self.trusted = True
        self.dirty = False

    def write(self, data: bytes) -> None:
        """All or nothing: whatever was written of a failed write is cut off again."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self.fd, view) :]
        except OSError as error:
            self._cut(trust=error.errno in _FULL)
            raise
        self.dirty = True

    def sync(self) -> None:
        self.dirty = False
        try:
            os.fdatasync(self.fd)
        except OSError:
            self._cut(trust=False)
            raise

    def close(self) -> None:
        os.close(self.fd)

    def _cut(self, *, trust: bool) -> None:
        try:
            os.ftruncate(self.fd, self.size)
        except OSError:
            trust = False
        self.trusted = self.trusted and trust


class _Chained(NamedTuple):
    """Records framed, behind the one whose hash is `before`."""

    before: bytes
    raw: bytes
    head: bytes


class Journal:
    """Writes one worker's records. `first` makes the record that heads each segment; sizes are in bytes; `max_total_bytes` caps
    all segments of the directory together (None: no cap). A segment is written for `max_segment_s` at most. `clean` takes known
    secrets out of a record's bytes, in whatever field."""

    def __init__(
        self,
        directory: Path,
        *,
        run: str,
        slot: int,
        boot: str,
        durability: Durability,
        first: Callable[[], Record],
        clean: Callable[[bytes], bytes] = bytes,
        max_segment_bytes: int = 64 * 1024 * 1024,
        max_segment_s: float = 86_400.0,
        max_total_bytes: int | None = None,
        max_queued_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self.problem: str | None = None
        self.durability: Durability = durability
        self._directory = directory
        self._next = Segment(run, slot, boot, 0)
        self._first, self._clean = first, clean
        self._max_segment, self._max_total = max_segment_bytes, max_total_bytes
        self._max_segment_s = max_segment_s
        self._head = frames.GENESIS
        self._segment: _OpenSegment | None = None
        self._left: deque[_OpenSegment] = deque()
        self._groups = GroupCommit(self._chained, self._commit, gather=GATHER_S, most=max_queued_bytes)
        self._checked_at = -SIZE_CHECK_EVERY_S
        self._total = 0
        self._closing = threading.Event()
        self._files = threading.Lock()
        self._syncing: threading.Thread | None = None
        with contextlib.suppress(JournalUnavailable):  # a full disk at the start is the first append's problem, said in `problem`
            self._start_segment()

    @property
    def healthy(self) -> bool:
        return self.problem is None

    async def append(self, *records: Record) -> None:
        """Returns when all records are durable, together and in this order. Raises JournalUnavailable when they are not."""
        payloads = [self._cleaned(record.encode(each)) for each in records]
        sizes = [payload.size for payload in payloads]
        if max(sizes, default=0) > frames.MAX_PAYLOAD:
            raise RecordTooLong(f"a record is over {frames.MAX_PAYLOAD} bytes; lower the limit for request bodies")
        if self._closing.is_set():
            raise JournalUnavailable("the journal is closed; the gateway is stopping")
        if self.durability == "interval":
            with self._files:
                self._write(payloads, self._chained(payloads))
            self._sync_in_time()
            return
        await self._groups.add(payloads, sum(sizes))

    async def turn_over(self) -> None:
        """Closes a segment that is old and holds records, and begins the next. A failure is said in `problem`, as an append's is."""
        if self._closing.is_set():
            return
        with contextlib.suppress(JournalUnavailable):
            await asyncio.to_thread(self._turn_over)

    async def close(self) -> None:
        """Waits until everything queued is written, syncs and lets go of the file."""
        self._closing.set()
        await self._groups.close()
        if self._syncing is not None:
            await asyncio.to_thread(self._syncing.join)
        with self._files:
            self._leave_segment()
            self._let_go()

    def _cleaned(self, parts: Parts) -> Parts:
        return Parts(self._clean(parts.facts), self._clean(parts.bodies) if parts.bodies else b"")

    def _turn_over(self) -> None:
        with self._files:
            segment = self._segment
            if segment is not None and segment.size > segment.first and self._old(segment):
                self._start_segment()

    def _old(self, segment: _OpenSegment) -> bool:
        return time.monotonic() - segment.began >= self._max_segment_s

    def _chained(self, payloads: Sequence[Parts]) -> _Chained:
        before = head = self._head
        parts: list[bytes] = []
        for payload in payloads:
            raw, head = frames.frame(head, payload)
            parts.append(raw)
        return _Chained(before, b"".join(parts), head)

    def _commit(self, payloads: Sequence[Parts], chained: _Chained) -> None:
        with self._files:
            self._write(payloads, chained)

    def _sync_in_time(self) -> None:
        if self._syncing is None:
            self._syncing = threading.Thread(target=self._sync_now_and_then, name="journal", daemon=True)
            self._syncing.start()

    def _sync_now_and_then(self) -> None:
        while not self._closing.wait(SYNC_EVERY_S):
            self._let_go()
            segment = self._segment
            if segment is not None:
                self._sync_later(segment)

    def _sync_later(self, segment: _OpenSegment) -> None:
        """The sync of `interval` mode. The file holds acknowledged records, so a failure does not cut it; it is only never written
        again."""
        if not segment.dirty or not segment.trusted:
            return
        segment.dirty = False
        try:
            os.fdatasync(segment.fd)
        except OSError as error:
            segment.trusted = False
            self.problem = _say("sync the journal", segment.path, error)

    def _let_go(self) -> None:
        """Syncs and closes the segments that were left. Never while another thread may sync them."""
        while self._left:
            segment = self._left.popleft()
            self._sync_later(segment)
            segment.close()

    def _write(self, payloads: Sequence[Parts], chained: _Chained) -> None:
        """Writes, in `commit` mode syncs too; what is no longer chained to the last record is chained anew. Acknowledged exactly when it
        returns."""
        self._refuse_over_cap()
        segment = self._segment
        if segment is None or not segment.trusted or segment.size >= self._max_segment or self._old(segment):
            self._start_segment()
        segment = self._segment
        if segment is None:  # _start_segment raises otherwise; said for the type checker
            raise JournalUnavailable("no journal segment is open")
        if chained.before != self._head:  # another segment has begun meanwhile
            chained = self._chained(payloads)
        self._put(segment, chained.raw)
        self._head = chained.head
        self.problem = None

    def _put(self, segment: _OpenSegment, raw: bytes) -> None:
        try:
            segment.write(raw)
            if self.durability == "commit":
                segment.sync()
        except OSError as error:
            raise self._unavailable("write the journal", segment.path, error) from error
        segment.size += len(raw)
        self._total += len(raw)

    def _start_segment(self) -> None:
        self._leave_segment()
        path = self._directory / self._next.name
        self._next = self._next._replace(seq=self._next.seq + 1)
        first = self._chained([record.encode(self._first())])
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            segment = _OpenSegment(path)
        except OSError as error:
            raise self._unavailable("start a journal segment", path, error) from error
        try:
            self._put(segment, first.raw)
            _sync_directory(self._directory)
        except (OSError, JournalUnavailable) as error:
            segment.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise self._unavailable("start a journal segment", path, error) from error
        segment.first = segment.size
        self._segment, self._head, self.problem = segment, first.head, None

    def _leave_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            if self.durability == "interval":  # or a power cut could take its end and leave the next segment's beginning
                segment.dirty = True
                self._sync_later(segment)
            self._left.append(segment)
        if self._syncing is None or self.durability == "commit":
            self._let_go()

    def _refuse_over_cap(self) -> None:
        if self._max_total is None:
            return
        now = time.monotonic()
        if now - self._checked_at >= SIZE_CHECK_EVERY_S:
            self._checked_at, self._total = now, _total_bytes(self._directory)
        if self._total >= self._max_total:
            self.problem = (
                f"the journal holds {self._total} bytes, its cap is {self._max_total}; raise journal.max_bytes, or keep records "
                "for a shorter time (retention)"
            )
            raise JournalUnavailable(self.problem)

    def _unavailable(self, doing: str, path: Path, error: Exception) -> JournalUnavailable:
        self.problem = _say(doing, path, error)
        return JournalUnavailable(self.problem)


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _total_bytes(directory: Path) -> int:
    try:
        with os.scandir(directory) as entries:
            return sum(entry.stat().st_size for entry in entries if entry.name.endswith(".log"))
    except OSError:  # a segment went away meanwhile, or the disk is gone: the write itself will say
        return 0


def _say(doing: str, path: Path, error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot {doing} {path.name}: {error.strerror}; free or repair the disk that holds {path.parent}"
    return str(error)
