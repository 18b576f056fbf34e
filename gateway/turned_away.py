"""Requests that the HTTP server refuses before they are requests: no record of their own without bound, but on record.

Whoever can connect can send rubbish as fast as the line allows, so that one record each would be a way to fill the disk. The first is on
record at once; what comes within the next second shares a record per status, which says how many there were. Nothing of what was sent is
kept: nobody has read it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from gateway.bookkeeping import Bookkeeping
from gateway.errors import JournalUnavailable
from gateway.exchange import Caller, Exchange
from gateway.visit import Gateway

log = logging.getLogger("gateway.turned_away")

PAUSE_S = 1.0
"""Between two rounds of records."""
WHY = {
    400: "could not be read in exactly one way, or was not HTTP",
    408: "took too long to send its head",
    414: "had an address that is too long",
    417: "expected something that this server does not do",
    431: "had headers that are too many or too large",
    503: "came while there were too many connections, or too many requests waiting on one",
}


class TurnedAway:
    """Of one worker. Called with the status of each refusal."""

    def __init__(self, gateway: Callable[[], Gateway]) -> None:
        self._gateway = gateway
        self._counts: Counter[int] = Counter()
        self._writing: asyncio.Task[None] | None = None

    def __call__(self, status: int) -> None:
        self._counts[status] += 1
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def close(self) -> None:
        """Writes down what nobody has yet."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        await self._round()

    async def _write(self) -> None:
        while self._counts:
            await self._round()
            await asyncio.sleep(PAUSE_S)

    async def _round(self) -> None:
        counts, self._counts = self._counts, Counter()
        for status, count in counts.items():
            try:
                await self._record(status, count)
            except JournalUnavailable as error:
                log.error("%s refusals with status %s could not be recorded: %s", count, status, error)  # noqa: TRY400 - no traceback wanted

    async def _record(self, status: int, count: int) -> None:
        gateway = self._gateway()
        clock = gateway.clock
        x = Exchange(
            id=clock.new_id(),
            started_us=clock.now_us(),
            dialect="http",
            route="",
            caller=Caller(agent=""),
            policy_hash=gateway.policies.hash,
            policy_git=gateway.policies.git,
            storing=gateway.settings.storing,
            status=status,
            state="rejected",
            error_code=f"http_{status}",
            error_message=f"{count} {'request' if count == 1 else 'requests'} that {WHY.get(status, 'could not be served')}",
        )
        await Bookkeeping(x, gateway.journal, gateway.scribe, gateway.prices, clock, provider="").end()
