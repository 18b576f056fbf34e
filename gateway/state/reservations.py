"""What the calls of one request have taken from limits, until it is known that they were delivered.

A call counts from the moment it is judged, so that two cannot share one place; what then never leaves (the book cannot be written, the
provider breaks off, the client is gone before the first byte) is given back. What may have left stays taken.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from gateway.errors import GatewayError
from gateway.policy.limits import Charge
from gateway.state.limits import Limits, Taken

log = logging.getLogger("gateway.state.reservations")


class Reservations:
    """The meter of one request."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken: list[Taken] = []

    def take(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        taking = self._limits.take(charges, now_us)
        self._taken += taking.taken
        return taking.spent

    def look(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        return self._limits.look(charges, now_us)

    @property
    def holds(self) -> bool:
        """Whether there is anything to give back."""
        return bool(self._taken)

    def settle(self) -> None:
        """From here on what was taken may have been used."""
        self._taken.clear()

    def give_back(self) -> None:
        """What was taken and not settled. When the store cannot be reached it stays taken: the safe side."""
        taken, self._taken = self._taken, []
        if not taken:
            return
        try:
            self._limits.give_back(taken)
        except GatewayError as e:
            log.error("calls that were not delivered stay counted: %s", e.message)  # noqa: TRY400 - no traceback wanted
