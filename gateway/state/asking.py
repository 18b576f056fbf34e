"""How state is asked for on the way of a request: at once where it is in this machine, in a thread where it is across a network.

The stores are synchronous. A look into SQLite takes microseconds, less than a thread would; a round trip to a server takes as long as that
server likes, and no stream may wait for it. Threads keep judging what it is: a pure function that is handed a meter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
THREADS = 64


class Asking(Protocol):
    async def __call__(self, question: Callable[..., T], *values: Any, **named: Any) -> T: ...


async def at_once(question: Callable[..., T], *values: Any, **named: Any) -> T:
    return question(*values, **named)


class InThreads:
    """Threads of its own, so that a server that hangs keeps nobody else from having one."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "state")

    async def __call__(self, question: Callable[..., T], *values: Any, **named: Any) -> T:
        """A question that was begun is seen to its end also when its request is cancelled: what it took is known to whoever gives it
        back."""
        asked = asyncio.get_running_loop().run_in_executor(self._threads, lambda: question(*values, **named))
        try:
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            while not asked.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([asked])
            asked.exception()
            raise
