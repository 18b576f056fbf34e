"""The waiting room of one worker: answers held until a person decides about a call.

One look into the store serves all who wait, four times a second and only while somebody does; it runs in a thread, because the store may be
busy. The room has a limited number of seats, for each held answer keeps two connections open. It decides nothing: whoever is woken asks
the store what stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from gateway.errors import GatewayError
from gateway.state.approvals import Approval

log = logging.getLogger("gateway.waiting")

LOOK_EVERY_S = 0.25


class WaitingRoom:
    """`decided` says which of the named approvals wait no longer."""

    def __init__(self, decided: Callable[[Sequence[str]], Sequence[Approval]], seats: int) -> None:
        self._decided = decided
        self._seats = seats
        self._taken = 0
        self._closed = False
        self._bells: dict[str, set[asyncio.Event]] = {}
        self._looking: asyncio.Task[None] | None = None

    @contextmanager
    def seat(self) -> Iterator[bool]:
        """Whether there is room to wait."""
        free = not self._closed and self._taken < self._seats
        self._taken += free
        try:
            yield free
        finally:
            self._taken -= free

    @property
    def closed(self) -> bool:
        return self._closed

    async def wait(self, name: str, seconds: float) -> bool:
        """Returns when the approval is decided or the room closes, at most after `seconds`; whether it came to that."""
        bell = asyncio.Event()
        if self._closed:
            return True
        self._bells.setdefault(name, set()).add(bell)
        self._look()
        try:
            async with asyncio.timeout(seconds):
                await bell.wait()
        except TimeoutError:
            return False
        finally:
            self._leave(name, bell)
        return True

    def close(self) -> None:
        """Nobody waits any longer: the worker stops."""
        self._closed = True
        for bells in self._bells.values():
            _ring(bells)

    def _leave(self, name: str, bell: asyncio.Event) -> None:
        bells = self._bells[name]
        bells.discard(bell)
        if not bells:
            del self._bells[name]

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_again_and_again())

    async def _look_again_and_again(self) -> None:
        while self._bells:
            try:
                for each in await asyncio.to_thread(self._decided, list(self._bells)):
                    _ring(self._bells.get(each.id, set()))
            except GatewayError as error:
                log.error("cannot see what people decided: %s", error)  # noqa: TRY400 - the cause is in the message
            await asyncio.sleep(LOOK_EVERY_S)


def _ring(bells: set[asyncio.Event]) -> None:
    for bell in bells:
        bell.set()
