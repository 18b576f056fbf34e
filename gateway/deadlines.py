"""Deadlines that cost nothing while nobody waits.

`asyncio.timeout` arms and disarms a timer each time, also around work that is done at once: a write into a socket that takes it, a read
of bytes that are there. That is nearly all of the waiting here, several times per request and once per piece of a stream. So the work takes
its first step first, and only if it then has to wait, it waits under a timer. Not for work that is long before it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, Self, TypeVar

Result = TypeVar("Result")


async def within(seconds: float | None, work: Awaitable[Result]) -> Result:
    """What the work gives. Raises TimeoutError when it has to wait for longer; None waits for ever."""
    steps = work.__await__()
    try:
        waits_for = next(steps)
    except StopIteration as done:
        result: Result = done.value
        return result
    if seconds is None:
        return await _Rest(steps, waits_for)
    async with asyncio.timeout(seconds):
        return await _Rest(steps, waits_for)


class _Rest(Generic[Result]):
    """Work after its first step."""

    def __init__(self, steps: Generator[Any, Any, Result], waits_for: Any) -> None:
        self._steps, self._waits_for = steps, waits_for

    def __await__(self) -> Generator[Any, Any, Result]:
        steps, waits_for = self._steps, self._waits_for
        try:
            while True:
                try:
                    told = yield waits_for
                except BaseException as error:  # noqa: BLE001 - a cancellation is for the work to hear
                    waits_for = steps.throw(error)
                else:
                    waits_for = steps.send(told)
        except StopIteration as done:
            result: Result = done.value
            return result


class InTime:
    """Pieces of a stream, of which the next one can be waited for so long and no longer: who stops waiting loses nothing."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self._coming: asyncio.Future[bytes] | None = None

    async def within(self, seconds: float) -> bytes | None:
        """The next piece, empty at the end; None where it has not come, and is still on its way."""
        coming = self._coming = self._coming or self._begin()
        try:
            if not (await asyncio.wait({coming}, timeout=max(0.0, seconds)))[0]:
                return None
        except BaseException:
            coming.cancel()
            raise
        self._coming = None
        return coming.result()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._coming is None:
            return await anext(self._pieces)
        coming, self._coming = self._coming, None
        if piece := await coming:
            return piece
        raise StopAsyncIteration

    def _begin(self) -> asyncio.Future[bytes]:
        coming = asyncio.ensure_future(anext(self._pieces, b""))
        coming.add_done_callback(_heard)
        return coming


def _heard(work: asyncio.Future[bytes]) -> None:
    """An error of work that nobody waits for any longer is no news."""
    if not work.cancelled():
        work.exception()


class Alarm:
    """A deadline that is set and put off again and again, on one timer: when that rings too early it is set to what is left."""

    __slots__ = ("_due", "_loop", "_ring", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None

    def set(self, seconds: float) -> None:
        """Rings once, so long from now, instead of when it would have."""
        due = self._due = self._loop.time() + seconds
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def off(self) -> None:
        self._due = None

    def end(self) -> None:
        """For good: nothing refers to whom it would have rung any longer."""
        self._due = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._loop.time() < self._due:
            self._timer = self._loop.call_at(self._due, self._look)
        else:
            self._due = None
            self._ring()
