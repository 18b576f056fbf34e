"""Waiting for what other threads and processes do: as long as a busy machine may take for it, and no longer than it does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import TypeVar

T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]

PATIENCE_S = 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.005, 0.1


def until(
    ask: Callable[[], T], *, seconds: float = PATIENCE_S, what: str | Callable[[], object] = "", despite: Errors = ()
) -> T:
    """The first true answer. Without one in so many seconds the test fails, with `what` was waited for (a function is asked then) and the
    last answer. An error of the kinds `despite` which it goes on is an answer that is not true."""
    __tracebackhide__ = True
    looks = _looks(ask, seconds, what, despite)
    while True:
        try:
            time.sleep(next(looks))
        except StopIteration as found:
            return found.value


async def until_meanwhile(
    ask: Callable[[], T], *, seconds: float = PATIENCE_S, what: str | Callable[[], object] = "", despite: Errors = ()
) -> T:
    """The same on an event loop, which goes on with other things between two looks."""
    __tracebackhide__ = True
    looks = _looks(ask, seconds, what, despite)
    while True:
        try:
            await asyncio.sleep(next(looks))
        except StopIteration as found:
            return found.value


def _looks(
    ask: Callable[[], T], seconds: float, what: str | Callable[[], object], despite: Errors
) -> Generator[float, None, T]:
    """Gives how long to pause before the next look, a little longer each time; the last look is no sooner than the time is over."""
    __tracebackhide__ = True
    over, pause = time.monotonic() + seconds, FIRST_PAUSE_S
    while True:
        last = time.monotonic() >= over
        error: Exception | None = None
        try:
            if answer := ask():
                return answer
        except despite as raised:
            error = raised
        if last:
            wanted = what() if callable(what) else what
            raise AssertionError(
                f"not in {seconds:g} s: {wanted or 'what was waited for'}; the last answer: {error or repr(answer)}"
            ) from error
        yield pause
        pause = min(LONGEST_PAUSE_S, pause * 1.3)
