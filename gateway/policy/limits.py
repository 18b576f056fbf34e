"""What a call takes from a limit, in exact numbers, and who is asked whether it is left.

Amounts are whole millionths, so that sums have no rounding: a finer rest counts as one millionth more, never less. Judging stays pure: it
is handed a `Meter`, which answers and remembers; where that keeps its numbers is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from typing import Final, Protocol

from msgspec import Struct

from gateway.exchange import Json

UNIT: Final = 1_000_000
"""Millionths in one: what a call counts where nothing is summed."""
LARGEST: Final = (2**63 - 1) // UNIT
"""What a limit may allow at most: stores hold numbers of 64 bits."""


class Charge(Struct, frozen=True):
    """What one call would take from one limit of one subject."""

    policy: str
    limit: str
    what: str
    """What is counted: `calls`, or the argument that is summed. Another one begins at zero."""
    whose: tuple[str | None, ...]
    amount: int
    most: int
    window_us: int
    """How long it stays taken; 0: as long as the session of `whose`."""
    shadow: bool = False
    """Counted apart, so that a limit that only records takes nothing from one that is enforced."""

    def fits(self, spent: int) -> bool:
        return spent + self.amount <= self.most


class Meter(Protocol):
    """Answers in the order of the charges how much was spent before. Raises when it cannot tell."""

    def take(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        """Takes all of them when every one fits, otherwise nothing: at once, whoever else asks meanwhile."""

    def look(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        """Takes nothing."""


def millionths(value: Json) -> int | None:
    """None for what is no number or below zero: it would give back what others took."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return None
    if isinstance(value, int):
        return value * UNIT
    number = Decimal(repr(value))
    return int(number.scaleb(6).to_integral_value(ROUND_CEILING)) if number.is_finite() else None


def shown(amount: int) -> str:
    """Millionths as people write numbers."""
    whole, rest = divmod(amount, UNIT)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)
