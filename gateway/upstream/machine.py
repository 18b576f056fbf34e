"""Credentials that the machine itself has (a role, a profile, a workload identity), found and renewed by their vendor's library.

1. Nobody but who waits for them waits: a search runs in a thread of its own, which no other work of the gateway needs, and one search
   serves all who want its result. Who waits longer than `PATIENCE_S` hears `upstream_auth`; the search goes on.
2. What ends soon is renewed while it is still in use; only what has ended is waited for.
3. After a search that found nothing nobody searches for `PAUSE_S`: requests go to a route's next target at once.

Which files, programs and addresses are looked at is the vendor's to say; deploy/README.md names them. Nothing is looked for unless the
settings say `credentials: machine`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from gateway.errors import GatewayError

PATIENCE_S: Final = 10.0
PAUSE_S: Final = 5.0

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
State = Literal["good", "ending", "ended"]


class Source(Protocol[T_co]):
    """Where a vendor's library finds them."""

    def state(self) -> State:
        """Of what the last `find` gave. Asked for each request: does not wait."""

    def find(self) -> T_co:
        """Finds or renews them. May take as long as the vendor's time-outs; raises anything where there are none."""


class Held(Generic[T]):
    """The latest ones. Of one event loop."""

    def __init__(self, source: Source[T], none: str) -> None:
        """`none` says that there are none, and what to do."""
        self._source, self._none = source, none
        self._latest: T | None = None
        self._search: asyncio.Future[T] | None = None
        self._paused_until = 0.0

    async def get(self) -> T:
        """Raises GatewayError (`upstream_auth`)."""
        latest, state = self._latest, self._source.state()
        if latest is not None and state == "good":
            return latest
        search = self._searched()
        if latest is not None and state == "ending":
            return latest
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.shield(search)
        except Exception as error:
            raise GatewayError("upstream", "upstream_auth", f"{self._none} ({type(error).__name__}).") from error

    def _searched(self) -> asyncio.Future[T]:
        """The search that is under way, or one that has just failed, or else another."""
        loop = asyncio.get_running_loop()
        if self._search is not None and (not self._search.done() or loop.time() < self._paused_until):
            return self._search
        self._search = search = loop.create_future()
        threading.Thread(target=self._find, args=(loop, search), name="credentials", daemon=True).start()
        return search

    def _find(self, loop: asyncio.AbstractEventLoop, search: asyncio.Future[T]) -> None:
        try:
            found = self._source.find()
        except Exception as error:  # noqa: BLE001 - whatever a vendor's library raises, there are none
            told: tuple[Any, ...] = (self._failed, search, error)
        else:
            told = (self._found, search, found)
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(*told)

    def _found(self, search: asyncio.Future[T], found: T) -> None:
        self._latest = found
        search.set_result(found)

    def _failed(self, search: asyncio.Future[T], error: Exception) -> None:
        self._paused_until = asyncio.get_running_loop().time() + PAUSE_S
        search.set_exception(error)
        search.exception()  # seen, though perhaps nobody waits
