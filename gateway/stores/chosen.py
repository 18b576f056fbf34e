"""The ledger that the settings name. What is imported is what is used: a file needs nothing of a lake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gateway.ledger_place import lake_place
from gateway.retention import Cutoffs
from gateway.stores import Store


def opener(ledger: str, data: Path, on_stuck: Callable[[], None], cutoffs: Callable[[], Cutoffs]) -> Callable[[], Store]:
    """Opens it, as often as it is called. Raises StartError for a book without a name."""
    place = lake_place(ledger)
    if place is None:
        from gateway.stores.duckdb import Ledger

        return lambda: Ledger(data / "ledger.duckdb", on_stuck=on_stuck, cutoffs=cutoffs)
    from gateway.stores.ducklake import Lake, node_of

    node = node_of(data)
    return lambda: Lake(place, node, on_stuck=on_stuck, cutoffs=cutoffs)
