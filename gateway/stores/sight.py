"""What people who are bound to teams may see of the ledger: one condition per base table, and nothing of a table that has none.

Somebody's own question is answered elsewhere, over rows that are lent (`Narrowed`). The gateway's own questions, which make pages, are
asked in the catalogue `of_teams`: it holds a view under the name of each table and view of the ledger, over nothing but the rows of the
teams that the connection's variable names. Over 100,000 exchanges a page's question takes 30 to 60 ms there, by a process of its own 400.

1. A row belongs to a team by its own column, or by the exchange it is about. A table with neither (texts by content address, policies,
   sums over everybody, who asked what) gives no row: also when a text was said was said by somebody.
2. The condition stands where rows are lent, in the book's process. Who answers their question elsewhere never has another row.
3. In `of_teams`, sums over everybody are added up anew from the rows of the teams; without the variable nothing is seen; a question that
   names another catalogue is refused (`sql_guard.refuse_elsewhere`).
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from gateway.stores.inserting import as_list
from gateway.stores.sums import SUMS

if TYPE_CHECKING:
    import duckdb

    from gateway.stores.lending import Loan, Need, Shape

TEAMS = "teams"
"""Name of the bound value."""
EXCHANGES = ("exchanges_ended", "exchanges_open")
OF_TEAMS = "of_teams"
"""The catalogue."""
_VARIABLE = f"getvariable('{TEAMS}')"
_ADDED_UP = {each.table: each.select(facts) for facts, each in SUMS.items()}
"""Sums by table, over the facts of the same catalogue."""
_ELSEWHERE = re.compile(r'"?\b(?:ledger|content)"?\.main\.')


def condition(columns: Collection[str], place: Callable[[str], str], teams: str = f"${TEAMS}") -> str | None:
    """In SQL, with the bound value `TEAMS` or what else `teams` says; None for a table of which nothing may be seen. `place` says where a
    table is read."""
    own = f"team IN (SELECT unnest({teams}::VARCHAR[]))"
    if "team" in columns:
        return own
    if "exchange_id" in columns:
        mine = " UNION ALL ".join(f"SELECT id FROM {place(table)} WHERE {own}" for table in EXCHANGES)
        return f"exchange_id IN ({mine})"
    return None


def lay_out(con: duckdb.DuckDBPyConnection, shape: Shape) -> None:
    """Makes the catalogue `of_teams`, in memory, over the one attached as `ledger`, and has the connection use it. All of it or nothing."""
    con.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {OF_TEAMS}")
    con.execute(f"USE {OF_TEAMS}")
    con.execute("BEGIN TRANSACTION")
    for table in sorted(shape.tables, key=lambda name: name in _ADDED_UP):
        con.execute(f"CREATE VIEW {table} AS {_seen(table, shape.tables[table], shape)}")
    for view in shape.views:
        con.execute(_ELSEWHERE.sub("", view))
    con.execute("COMMIT")


def _seen(table: str, columns: Mapping[str, str], shape: Shape) -> str:
    mine = condition(columns, shape.place, _VARIABLE)
    if mine is not None:
        return f"SELECT * FROM {shape.place(table)} WHERE {mine}"
    if (added_up := _ADDED_UP.get(table)) is not None:
        return added_up
    nothing = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
    return f"SELECT {nothing} WHERE false"


def narrow(con: duckdb.DuckDBPyConnection, teams: frozenset[str]) -> None:
    """From here on a cursor sees what these may see."""
    con.execute(f"USE {OF_TEAMS}")
    con.execute(f"SET VARIABLE {TEAMS} = from_json(?, '[\"VARCHAR\"]')", [as_list(sorted(teams))])


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

