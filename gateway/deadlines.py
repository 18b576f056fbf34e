"""Deadlines that cost nothing while nobody waits.

`asyncio.timeout` arms and disarms a timer each time, also around work that is done at once: a write into a socket that takes it, a read
of bytes that are there. That is nearly all of the waiting here, several times per request and once per piece of a stream. So the work takes
its first step first, and only if it then has to wait, it waits under a timer. Not for work that is long before it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

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
