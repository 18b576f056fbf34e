"""Many appends, one write and one sync: whoever appends waits for the group that its records are in.

1. A group is formed on the event loop, by whoever appends first and all who append in the same turn of the loop; while several do at a
   time, the next one begins no sooner than `gather` seconds after the one before it. Whoever appends alone waits for the disk and nothing
   else.
2. One group is under way at a time, so that its records can be made ready (`prepare`) on the event loop, behind those of the one before.
3. The thread does nothing but write, sync and wake: each time it needs the interpreter the event loop has to stop, or it has to wait for
   the event loop. Chaining records there, between two waits for the disk, cost more in these hand-overs than in work.

What is appended from several event loops comes to one line, too; a loop that ended leaves nobody waiting in another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Generic, NamedTuple, TypeVar

from gateway.errors import JournalUnavailable

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Ready = TypeVar("Ready")


class _Waiter(Generic[Item]):
    """What one append brings, and who waits for it."""

    __slots__ = ("future", "items", "loop", "size")

    def __init__(self, items: Sequence[Item], size: int, loop: asyncio.AbstractEventLoop) -> None:
        self.items, self.size, self.loop = items, size, loop
        self.future: asyncio.Future[None] = loop.create_future()


class _Group(NamedTuple, Generic[Item, Ready]):
    waiters: Sequence[_Waiter[Item]]
    items: Sequence[Item]
    ready: Ready


class GroupCommit(Generic[Item, Ready]):
    """`prepare` is called on an event loop, `commit` in the thread; it raises JournalUnavailable for a group that is not durable. What
    waits is bounded by `most` bytes."""

    def __init__(
        self, prepare: Callable[[Sequence[Item]], Ready], commit: Callable[[Sequence[Item], Ready], None], *, gather: float, most: int
    ) -> None:
        self._prepare, self._commit, self._gather, self._most = prepare, commit, gather, most
        self._line: list[_Waiter[Item]] = []
        self._bytes = 0
        self._changing = threading.Lock()
        self._closing = self._under_way = False
        self._planned: asyncio.AbstractEventLoop | None = None
        """The loop that will begin the next group."""
        self._began = 0.0
        self._work: SimpleQueue[_Group[Item, Ready] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def add(self, items: Sequence[Item], size: int) -> None:
        """Returns when all items are durable, together and in their order. Raises JournalUnavailable when they are not."""
        if self._bytes + size > self._most:
            raise JournalUnavailable(f"{self._bytes} bytes wait for a slow disk; retry, or give the journal a faster one")
        loop = asyncio.get_running_loop()
        waiter = _Waiter(items, size, loop)
        with self._changing:
            self._line.append(waiter)
            self._bytes += size
            mine = not self._under_way and self._planned is not loop
            if mine:
                self._planned = loop
        if mine:
            loop.call_soon(self._begin, loop)
        await waiter.future

    async def close(self) -> None:
        """Waits until all that waits is written. Nothing may be added any more."""
        self._closing = True
        if self._line or self._thread is not None:
            thread = self._running()
            self._work.put(None)
            await asyncio.to_thread(thread.join)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hands what waits to the thread."""
        with self._changing:
            self._planned = None
            if self._closing or self._under_way or not self._line:
                return
            self._under_way = True
            self._began = loop.time()
            group = self._taken()
        self._running()
        self._work.put(group)

    def _running(self) -> threading.Thread:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()
        return self._thread

    def _taken(self) -> _Group[Item, Ready]:
        waiters, self._line = self._line, []
        items = [item for waiter in waiters for item in waiter.items]
        return _Group(waiters, items, self._prepare(items))

    def _run(self) -> None:
        while (group := self._work.get()) is not None:
            self._carry_out(group)
        while True:
            with self._changing:
                if not self._line:
                    return
                group = self._taken()
            self._carry_out(group)

    def _carry_out(self, group: _Group[Item, Ready]) -> None:
        problem = None
        try:
            self._commit(group.items, group.ready)
        except JournalUnavailable as unavailable:
            problem = str(unavailable)
        except Exception as error:  # or nobody who waits would ever be told
            problem = f"the journal failed ({type(error).__name__}: {error}); see the log"
            log.exception("a group of records could not be written")
        with self._changing:
            self._bytes -= sum(waiter.size for waiter in group.waiters)
            self._under_way = False
            waits_in = self._line[0].loop if self._line else None
        loops = dict.fromkeys(waiter.loop for waiter in group.waiters)
        if waits_in is not None:
            loops.setdefault(waits_in)
        for loop in loops:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(self._done, loop, group.waiters, problem)

    def _done(self, loop: asyncio.AbstractEventLoop, waiters: Sequence[_Waiter[Item]], problem: str | None) -> None:
        """Tells those who wait in this loop, and plans the next group."""
        for waiter in waiters:
            if waiter.loop is loop and not waiter.future.done():  # done: its request was cancelled
                waiter.future.set_result(None) if problem is None else waiter.future.set_exception(JournalUnavailable(problem))
        with self._changing:
            if self._planned is not None or self._under_way or not (len(waiters) > 1 or self._line):
                return
            self._planned = loop
        loop.call_later(max(0.0, self._gather - (loop.time() - self._began)), self._begin, loop)
