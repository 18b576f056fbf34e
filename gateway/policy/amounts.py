"""Amounts in exact numbers: whole millionths, so that sums have no rounding. A finer rest counts as one millionth more, never less."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import Final

from gateway.strict_json import Json

UNIT: Final = 1_000_000
"""Millionths in one: what a call counts where nothing is summed."""
LARGEST: Final = (2**63 - 1) // UNIT
"""What a limit may allow at most: stores hold numbers of 64 bits."""


def millionths(value: Json) -> int | None:
    """None for what is no number or below zero: it would give back what others took."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        return None
    if isinstance(value, int):
        return value * UNIT
    number = Decimal(repr(value))
    return int(number.scaleb(6).to_integral_value(ROUND_CEILING)) if number.is_finite() else None


def exact(number: float) -> bool:
    """Whether a number has no rest below a millionth."""
    return Decimal(repr(number)).scaleb(6) % 1 == 0


def shown(amount: int) -> str:
    """Millionths as people write numbers."""
    whole, rest = divmod(amount, UNIT)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)
