"""What a provider says that it charged for an answer: exact, and the only way to know where it charges by more than tokens.

Sources: OpenRouter `usage.cost` (USD; where a key of the customer's own was used, OpenRouter's share alone, with the provider's beside it),
Perplexity `usage.cost.total_cost`, xAI `usage.cost_in_usd_ticks` (10^10 of them are one USD; all discounts and tools within).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from gateway.strict_json import Json

STATED: Final = "stated"
"""Stands for the key of the price table where the provider's own word counts."""
_PLACES: Final = frozenset({"cost", "cost_in_usd_ticks"})
PARTS: Final = (*_PLACES, "is_byok", "cost_details")
"""The keys of a usage block that tell of it."""


def charged(usage: Mapping[str, Json]) -> Decimal | None:
    """USD, or None where a usage block says nothing of it, or nothing that can be."""
    if _PLACES.isdisjoint(usage):
        return None
    ticks, cost = usage.get("cost_in_usd_ticks"), usage.get("cost")
    if ticks is not None:
        return _amount(ticks, Decimal("1e-10"))
    if isinstance(cost, dict):
        return _amount(cost.get("total_cost"))
    share, rest = _amount(cost), usage.get("cost_details")
    if not usage.get("is_byok") or share is None:
        return share
    beside = _amount(rest.get("upstream_inference_cost")) if isinstance(rest, dict) else None
    return None if beside is None else share + beside


def _amount(said: Json, unit: Decimal = Decimal(1)) -> Decimal | None:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < 1e15:
        return None
    return Decimal(str(said)) * unit
