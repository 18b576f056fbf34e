"""What running requests hold of budgets: on leases, which one timer of a worker renews for all of them.

A worker that is killed renews nothing, and what its requests held is free again when the leases end. A store that cannot be asked is tried
again at the next beat; a lease that ended meanwhile costs nothing but that others may have taken its place: what was really used is counted
when the request ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from msgspec import Struct

from gateway.errors import GatewayError
from gateway.policy.limits import Charge
from gateway.state.asking import Asking
from gateway.state.limits import Limits, Taken

log = logging.getLogger("gateway.leases")

LEASE_US = 120_000_000
BEAT_S = 30.0


class Holding(Struct):
    """What one request holds, until it is settled."""

    lease: int
    taken: list[tuple[Charge, Taken]]
    kinds: list[str]
    """What each of them counts: money, tokens, requests, calls."""
    round: int = 0
    """The question for which it is held: 0 is the first, and others ask the model again."""


class Leases:
    """Those of one worker."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[Limits, Asking]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None

    def add(self, lease: int, limits: Limits, ask: Asking) -> None:
        self._held[lease] = limits, ask
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def drop(self, lease: int) -> None:
        self._held.pop(lease, None)
        if not self._held and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self._renewing = asyncio.ensure_future(self.renew())
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    async def renew(self) -> None:
        """All of them, store by store: a reload of the settings may have brought another one."""
        stores: dict[int, tuple[Limits, Asking, list[int]]] = {}
        for lease, (limits, ask) in self._held.items():
            stores.setdefault(id(limits), (limits, ask, []))[2].append(lease)
        for limits, ask, leases in stores.values():
            try:
                await ask(_renewed, limits, leases)
            except GatewayError as error:
                log.error("what running requests hold of budgets may be given to others: %s", error.message)  # noqa: TRY400 - no traceback wanted


def _renewed(limits: Limits, leases: Sequence[int]) -> None:
    limits.renew(leases, limits.steady_us() + LEASE_US)
