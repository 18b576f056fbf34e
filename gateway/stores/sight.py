"""What people who are bound to teams may see of the ledger: one condition per base table, and nothing of a table that has none.

Somebody's own question is answered elsewhere, over rows that are lent (`Narrowed`). The gateway's own questions, which make pages, are
asked in the catalogue `of_teams`: it holds a view under the name of each table and view of the ledger, over nothing but the rows of the
teams that the connection's variable names. Over 100,000 exchanges a page's question takes 30 to 60 ms there, by a process of its own 400.

1. A row belongs to a team of an organisation (`people.bound`) by its own columns, or by the exchange it is about: a column `team` alone
   does not say whose it is. A table with neither (texts by content address, policies, sums over everybody, who asked what) gives no row:
   also when a text was said was said by somebody.
2. The condition stands where rows are lent, in the book's process. Who answers their question elsewhere never has another row.
3. In `of_teams`, sums over everybody are added up anew from the rows of the teams; without the variable nothing is seen; a question that
   names another catalogue is refused (`sql_guard.refuse_elsewhere`).
4. While no exchange names an organisation, a team alone says whose an exchange is, what was revised of it and what it added to the sums:
   `of_teams` asks for no more. Otherwise the catalogue is `of_orgs`, in which these sums, too, are added up anew: they do not know of
   organisations (15 ms more over 25,000 exchanges of a team).
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.people import bound
from gateway.stores.sums import EXCHANGES as SUMMED
from gateway.stores.sums import SUMS

if TYPE_CHECKING:
    import duckdb

    from gateway.stores.lending import Loan, Need, Shape

TEAMS = "teams"
"""Name of the bound value, which `value` makes."""
OWN = frozenset({"org", "team"})
"""Columns that say whose a row is."""
EXCHANGES = ("exchanges_ended", "exchanges_open")
OF_TEAMS, OF_ORGS = "of_teams", "of_orgs"
"""The catalogues."""
_VARIABLE = f"getvariable('{TEAMS}')"
_BY_TEAM = frozenset({*EXCHANGES, "cost_revisions", SUMMED.table})
_ADDED_UP = {each.table: each.select(facts) for facts, each in SUMS.items()}
"""Sums by table, over the facts of the same catalogue."""
_ELSEWHERE = re.compile(r'"?\b(?:ledger|content)"?\.main\.')


def condition(columns: Collection[str], place: Callable[[str], str], teams: str = f"${TEAMS}", *, by_team: bool = False) -> str | None:
    """In SQL, with the bound value `TEAMS` or what else `teams` says; None for a table of which nothing may be seen. `place` says where a
    table is read; `by_team`: where no exchange names an organisation."""
    about, has_own = "exchange_id" in columns, OWN.issubset(columns)
    theirs = _of_team(teams) if by_team else _own(teams)
    own = f"(coalesce(org, '') = '' AND {theirs})" if by_team else theirs
    mine = " UNION ALL ".join(f"SELECT id FROM {place(table)} WHERE {theirs}" for table in EXCHANGES)
    if about and has_own:
        return f"(exchange_id IN ({mine}) OR (exchange_id IS NULL AND {own}))"
    if about:
        return f"exchange_id IN ({mine})"
    return own if has_own else None


def _of_team(teams: str) -> str:
    return f"team IN (SELECT unnest({teams}::VARCHAR[]))"


def _own(teams: str) -> str:
    """As `bound.sees`."""
    whole = f"list_transform(list_filter({teams}::VARCHAR[][], lambda b: b[1] <> '' AND b[2] = '{bound.WHOLE}'), lambda b: b[1])"
    team = f"CASE WHEN org IS NULL THEN team WHEN list_contains({whole}, org) THEN '{bound.WHOLE}' ELSE team END"
    return f"(coalesce(org, ''), {team}) IN (SELECT b[1], b[2] FROM (SELECT unnest({teams}::VARCHAR[][]) AS b))"


def value(teams: Collection[str], *, by_team: bool = False) -> list[str] | list[list[str]]:
    """What is bound to `TEAMS`."""
    named = sorted([*bound.parts(each)] for each in teams)
    return [team for _, team in named] if by_team else named


def by_team(con: duckdb.DuckDBPyConnection, teams: Collection[str], place: Callable[[str], str]) -> bool:
    """Whether a team alone says whose an exchange is, in the snapshot of the question: no exchange names an organisation, nor do they."""
    named = " UNION ALL ".join(f"SELECT 1 FROM {place(table)} WHERE org IS NOT NULL" for table in EXCHANGES)
    return not any(org for org, _ in map(bound.parts, teams)) and not con.execute(f"{named} LIMIT 1").fetchall()


def rows(table: str, columns: Collection[str], place: Callable[[str], str], *, by_team: bool) -> str:
    """SELECT of what they may see of a table, with the bound value `TEAMS`."""
    if table == SUMMED.table and not by_team:
        return SUMMED.select(f"({rows(SUMMED.facts, OWN, place, by_team=False)})")
    return f"SELECT * FROM {place(table)} WHERE {_mine(table, columns, place, f'${TEAMS}', by_team=by_team) or 'false'}"


def _mine(table: str, columns: Collection[str], place: Callable[[str], str], teams: str, *, by_team: bool) -> str | None:
    return _of_team(teams) if by_team and table in _BY_TEAM else condition(columns, place, teams, by_team=by_team)


def lay_out(con: duckdb.DuckDBPyConnection, shape: Shape, catalogue: str) -> None:
    """Makes it, in memory, over the one attached as `ledger`, and has the connection use it. All of it or nothing."""
    con.execute(f"ATTACH IF NOT EXISTS ':memory:' AS {catalogue}")
    con.execute(f"USE {catalogue}")
    con.execute("BEGIN TRANSACTION")
    for table in sorted(shape.tables, key=lambda name: name in _ADDED_UP):
        con.execute(f"CREATE VIEW {table} AS {_seen(table, shape.tables[table], shape, catalogue)}")
    for view in shape.views:
        con.execute(_ELSEWHERE.sub("", view))
    con.execute("COMMIT")


def _seen(table: str, columns: Mapping[str, str], shape: Shape, catalogue: str) -> str:
    mine = _mine(table, columns, shape.place, _VARIABLE, by_team=catalogue == OF_TEAMS)
    if mine is not None:
        return f"SELECT * FROM {shape.place(table)} WHERE {mine}"
    if (added_up := _ADDED_UP.get(table)) is not None:
        return added_up
    nothing = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items())
    return f"SELECT {nothing} WHERE false"


def narrow(con: duckdb.DuckDBPyConnection, catalogue: str, teams: Collection[str]) -> None:
    """From here on a cursor sees what these may see."""
    by_team = catalogue == OF_TEAMS
    kind = '["VARCHAR"]' if by_team else '[["VARCHAR"]]'
    con.execute(f"USE {catalogue}")
    con.execute(f"SET VARIABLE {TEAMS} = from_json(?, '{kind}')", [msgspec.json.encode(value(teams, by_team=by_team)).decode()])


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

