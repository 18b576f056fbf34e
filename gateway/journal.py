"""The journal: append-only segment files, the truth that the ledger is derived from. One writer per worker process.

1. `append` returns when its records are durable under the mode, or raises `JournalUnavailable`; there is no third outcome.
   `commit`: written and fdatasync'ed. A thread takes everything queued, writes it at once, syncs once, then wakes all who wait.
   Whoever appends alone is synced at once; while several do, a group gathers for up to `GATHER_S`.
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
from typing import Literal

from gateway.errors import JournalUnavailable
from gateway.trace import frames, record
from gateway.trace.frames import Parts
from gateway.trace.record import Record
from gateway.trace.segments import Segment

Durability = Literal["commit", "interval"]

SYNC_EVERY_S = 0.2
GATHER_S = 0.004
"""While several appends come at a time, a group is begun no sooner after the one before it. A sync costs some 80 µs of CPU whatever it
syncs, and each time the thread runs the event loop has to stop; whoever appends alone waits for the disk and for nothing else."""
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


class _Waiter:
    """Records of one append, and who waits for them."""

    __slots__ = ("future", "payloads", "size")

    def __init__(self, payloads: Sequence[Parts], size: int, future: asyncio.Future[None]) -> None:
        self.payloads = payloads
        self.size = size
        self.future = future


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
        self._max_segment, self._max_total, self._max_queued = max_segment_bytes, max_total_bytes, max_queued_bytes
        self._max_segment_s = max_segment_s
        self._head = frames.GENESIS
        self._segment: _OpenSegment | None = None
        self._left: deque[_OpenSegment] = deque()
        self._queue: deque[_Waiter] = deque()
        self._queued_bytes = 0
        self._checked_at = -SIZE_CHECK_EVERY_S
        self._total = 0
        self._closing = self._idle = False
        self._changed = threading.Condition()
        self._files = threading.Lock()
        self._thread: threading.Thread | None = None
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
            raise JournalUnavailable(f"a record is over {frames.MAX_PAYLOAD} bytes; lower the limit for request bodies")
        if self._closing:
            raise JournalUnavailable("the journal is closed; the gateway is stopping")
        if self.durability == "interval":
            with self._files:
                self._write(payloads)
            self._run_thread(self._sync_now_and_then)
            return
        await self._enqueue(payloads, sum(sizes))

    async def turn_over(self) -> None:
        """Closes a segment that is old and holds records, and begins the next. A failure is said in `problem`, as an append's is."""
        if self._closing:
            return
        with contextlib.suppress(JournalUnavailable):
            await asyncio.to_thread(self._turn_over)

    async def close(self) -> None:
        """Waits until everything queued is written, syncs and lets go of the file."""
        self._closing = True
        with self._changed:
            self._changed.notify()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
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

    async def _enqueue(self, payloads: Sequence[Parts], size: int) -> None:
        if self._queued_bytes + size > self._max_queued:
            raise JournalUnavailable(f"{self._queued_bytes} bytes wait for a slow disk; retry, or give the journal a faster one")
        waiter = _Waiter(payloads, size, asyncio.get_running_loop().create_future())
        with self._changed:
            self._queue.append(waiter)
            self._queued_bytes += size
            if self._idle:
                self._idle = False
                self._changed.notify()
        self._run_thread(self._commit_groups)
        await waiter.future

    def _run_thread(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=work, name="journal", daemon=True)
            self._thread.start()

    def _commit_groups(self) -> None:
        while True:
            with self._changed:
                while not self._queue:
                    if self._closing:
                        return
                    self._idle = True
                    self._changed.wait()
                self._idle = False
                group = list(self._queue)
                self._queue.clear()
            began = time.monotonic()
            problem = self._commit(group)
            with self._changed:
                self._queued_bytes -= sum(waiter.size for waiter in group)
                several = len(group) > 1 or bool(self._queue)
            _wake(group, problem)
            if several and not self._closing:
                time.sleep(max(0.0, GATHER_S - (time.monotonic() - began)))

    def _commit(self, group: Sequence[_Waiter]) -> str | None:
        try:
            with self._files:
                self._write([payload for waiter in group for payload in waiter.payloads])
        except JournalUnavailable as unavailable:
            return str(unavailable)
        return None

    def _sync_now_and_then(self) -> None:
        while not self._closing:
            with self._changed:
                self._changed.wait(SYNC_EVERY_S)
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

    def _write(self, payloads: Sequence[Parts]) -> None:
        """Frames and writes, in `commit` mode syncs too. Acknowledged exactly when it returns."""
        self._refuse_over_cap()
        segment = self._segment
        if segment is None or not segment.trusted or segment.size >= self._max_segment or self._old(segment):
            self._start_segment()
        segment = self._segment
        if segment is None:  # _start_segment raises otherwise; said for the type checker
            raise JournalUnavailable("no journal segment is open")
        raw, head = _chain(self._head, payloads)
        self._put(segment, raw)
        self._head = head
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
        raw, head = _chain(self._head, [record.encode(self._first())])
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            segment = _OpenSegment(path)
        except OSError as error:
            raise self._unavailable("start a journal segment", path, error) from error
        try:
            self._put(segment, raw)
            _sync_directory(self._directory)
        except (OSError, JournalUnavailable) as error:
            segment.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise self._unavailable("start a journal segment", path, error) from error
        segment.first = segment.size
        self._segment, self._head, self.problem = segment, head, None

    def _leave_segment(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            if self.durability == "interval":  # or a power cut could take its end and leave the next segment's beginning
                segment.dirty = True
                self._sync_later(segment)
            self._left.append(segment)
        if self._thread is None or self.durability == "commit":
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


def _chain(head: bytes, payloads: Sequence[Parts]) -> tuple[bytes, bytes]:
    parts: list[bytes] = []
    for payload in payloads:
        raw, head = frames.frame(head, payload)
        parts.append(raw)
    return b"".join(parts), head


def _wake(group: Sequence[_Waiter], problem: str | None) -> None:
    """One call into each waiting event loop (there is one, but for tests), whatever the size of the group."""
    loops = {waiter.future.get_loop() for waiter in group}
    for loop in loops:
        mine = [waiter.future for waiter in group if waiter.future.get_loop() is loop]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, mine, problem)


def _resolve(futures: Sequence[asyncio.Future[None]], problem: str | None) -> None:
    for future in futures:
        if future.done():  # the request was cancelled while it waited
            continue
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(JournalUnavailable(problem))


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
