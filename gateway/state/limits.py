"""What is taken of limits, and on which leases, and what a store does that counts it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.policy.limits import Charge


class Taken(Struct, frozen=True):
    """What one charge took, to give it back by."""

    account: str
    amount: int
    at_us: int = 0
    id: int | None = None
    """None where nothing expires by itself."""


class Taking(Struct, frozen=True):
    """The answer to charges."""

    spent: tuple[int, ...]
    """How much was spent of each before."""
    taken: tuple[Taken, ...] = ()
    """Empty when one of them did not fit: then nothing was taken."""


class Lease(Struct, frozen=True):
    """Until when somebody says that what they took is in use; after that it is given back by whoever comes next."""

    id: int
    until_us: int


class Limits(Protocol):
    """What limits have counted. Raises GatewayError('unavailable') when that cannot be read or written. Times of leases are `steady_us`."""

    def take(self, charges: Sequence[Charge], now_us: int, lease: Lease | None = None) -> Taking:
        """Takes all of them when every one fits, otherwise nothing; atomic over all workers. On a lease, each account once."""

    def look(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]: ...
    def reserved(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        """How much of what `look` tells is taken on leases: kept free for what still runs. Leases that nobody renewed end first."""

    def give_back(self, taken: Sequence[Taken]) -> None: ...
    def renew(self, leases: Sequence[int], until_us: int) -> None:
        """Those that are still there last until then."""

    def settle(self, lease: int, taken: Sequence[tuple[Charge, Taken]], amounts: Sequence[int], now_us: int) -> None:
        """Puts what was really used in the place of what was taken on the lease, whether that fits or not, and ends it. What the end of
        the lease has given back already is taken now."""

    def frees_us(self, charge: Charge, now_us: int) -> int | None:
        """When so much of a window will have passed that the charge fits, if nobody takes more; None when it never will."""

    def clear(self, charges: Sequence[Charge]) -> None:
        """Forgets what was taken, leases included."""

    def steady_us(self) -> int:
        """A time that is the same for all workers and that no setting of a clock moves. Near to the wall clock's when it was begun."""

    def close(self) -> None: ...
