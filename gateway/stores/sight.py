"""What people who are bound to teams may see of the ledger: one condition per base table, and nothing of a table that has none.

1. A row belongs to a team by its own column, or by the exchange it is about. A table with neither (texts by content address, policies,
   sums over everybody, who asked what) gives no row: also when a text was said was said by somebody.
2. The condition stands where rows are lent, in the book's process. Who answers their question elsewhere never has another row.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gateway.stores.lending import Loan, Need, Shape

TEAMS = "teams"
"""Name of the bound value."""
EXCHANGES = ("exchanges_ended", "exchanges_open")
_MINE = f"team IN (SELECT unnest(${TEAMS}::VARCHAR[]))"


def condition(columns: Collection[str], place: Callable[[str], str]) -> str | None:
    """In SQL, with the bound value `TEAMS`; None for a table of which nothing may be seen. `place` says where a table is read."""
    if "team" in columns:
        return _MINE
    if "exchange_id" in columns:
        mine = " UNION ALL ".join(f"SELECT id FROM {place(table)} WHERE {_MINE}" for table in EXCHANGES)  # noqa: S608 - our own names
        return f"exchange_id IN ({mine})"
    return None


class Lends(Protocol):
    """A ledger."""

    def shape(self) -> Shape: ...
    def loan(self, needs: Sequence[Need], teams: frozenset[str] | None = None) -> Loan: ...


class Narrowed:
    """A ledger as these teams see it."""

    def __init__(self, ledger: Lends, teams: frozenset[str]) -> None:
        self._ledger, self._teams = ledger, teams

    def shape(self) -> Shape:
        return self._ledger.shape()

    def loan(self, needs: list[Need]) -> Loan:
        return self._ledger.loan(needs, self._teams)

