"""What a worker asks mirrors beside its requests: so many at once and no more; others are left out, so that no request waits for one."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

MOST = 64


class Mirrors:
    """Those of one worker."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def room(self) -> bool:
        return not self._closed and len(self._running) < self._most

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Ends what is under way and waits until it is on record; nothing is begun any more."""
        self._closed = True
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
