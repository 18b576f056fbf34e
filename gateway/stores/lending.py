"""Rows of the ledger for whoever answers a question elsewhere: some columns of some tables, all of one snapshot, as Arrow streams.

What is asked for is checked here against the ledger's own schema, and values are bound, never written into SQL: the asker has read hostile
SQL. Views are not lent: they are computed where the question is answered.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import duckdb
from msgspec import Struct

from gateway.stores import Refused, sight
from gateway.stores.arrow import Batches, batches
from gateway.stores.bodies import CONTENT
from gateway.stores.cursors import cursor_of, let_go

BATCH_ROWS = 8192
MOST_CONDITIONS = 512


class Shape(Struct, frozen=True):
    """The ledger without its rows."""

    tables: Mapping[str, Mapping[str, str]]
    """Base table → column → DuckDB type, in order."""
    views: Sequence[str]
    """CREATE VIEW statements, in an order in which they can be run."""
    content: frozenset[str] = frozenset()
    """Those of the tables that stand in the catalogue `content`."""

    def place(self, table: str) -> str:
        """Its name, as it is found from any catalogue."""
        return f"content.main.{table}" if table in self.content else f"ledger.main.{table}"


class Condition(Struct, frozen=True, array_like=True):
    """A comparison of a column with a value. `is null` and `is not null` have none."""

    column: str
    op: Literal["=", "<", "<=", ">", ">=", "is null", "is not null"]
    value: str | int | None = None


class Need(Struct, frozen=True):
    """These columns of the rows of a table that fulfil all conditions of at least one of `any_of`. `scans`: how often they are read."""

    table: str
    columns: Sequence[str]
    any_of: Sequence[Sequence[Condition]]
    scans: int = 1


class Loan:
    """One snapshot of what was needed; `rows` may be asked for a table again when its last stream is done with. Close it."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        shape: Shape,
        needs: Iterable[Need],
        places: Mapping[str, str] | None = None,
        teams: frozenset[str] | None = None,
    ) -> None:
        """Nobody may commit meanwhile, unless `places` says from what each table is read so that it is of one snapshot. `teams`: whose rows
        are lent, and no others (`sight`). Raises Refused."""
        self._shape, self._places, self._teams = shape, places or {}, teams
        self._cursors: dict[str, duckdb.DuckDBPyConnection] = {}
        self._by_team = teams is not None and self._tells_by_team(con, teams)
        self._wanted = self._selects(list(needs))
        try:
            for table in self._wanted:
                self._cursors[table] = cursor = con.cursor()
                cursor.execute("USE ledger")
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                first_look = f"SELECT 1 FROM boots, {self._place(table)} LIMIT 0"  # noqa: S608 - the ledger's own names
                cursor.execute(first_look).fetchall()  # a snapshot is taken with it
        except duckdb.Error as error:
            self.close()
            raise Refused("unavailable", "the ledger is being closed or opened anew; ask again in a moment") from error

    def _tells_by_team(self, con: duckdb.DuckDBPyConnection, teams: frozenset[str]) -> bool:
        try:
            with cursor_of(con) as cursor:
                return sight.by_team(cursor, teams, self._place)
        except duckdb.Error as error:
            raise Refused("unavailable", "the ledger is being closed or opened anew; ask again in a moment") from error

    def again(self, needs: Sequence[Need]) -> None:
        """Other rows of the same tables and the same snapshot. Raises Refused."""
        if not {need.table for need in needs} <= self._cursors.keys():
            raise Refused("sql_refused", "rows of a table were wanted that the question does not read")
        self._wanted = self._selects(needs)

    def rows(self, table: str) -> Batches:
        """Raises Refused for a table that is not of this loan."""
        if table not in self._wanted:
            raise Refused("sql_refused", "rows of a table were wanted that the question does not read")
        sql, values = self._wanted[table]
        try:
            return batches(self._cursors[table].execute(sql, values), BATCH_ROWS)
        except duckdb.Error as error:
            raise Refused("sql_error", f"the rows of {table} cannot be read: {error}") from error

    def _selects(self, needs: Sequence[Need]) -> dict[str, tuple[str, dict[str, Any]]]:
        if len(needs) > len(self._shape.tables):
            raise Refused("sql_refused", "rows of more tables were wanted than there are")
        return {need.table: self._select(need) for need in needs}

    def _place(self, table: str) -> str:
        return self._places.get(table) or self._shape.place(table)

    def _select(self, need: Need) -> tuple[str, dict[str, Any]]:
        kinds, place = self._shape.tables.get(need.table), self._place(need.table)
        if self._teams is None:
            return _select(need, kinds, place)
        sql, values = _select(need, kinds, f"({sight.rows(need.table, kinds or (), self._place, by_team=self._by_team)})")
        return sql, values | ({sight.TEAMS: sight.value(self._teams, by_team=self._by_team)} if f"${sight.TEAMS}" in sql else {})

    def stop(self) -> None:
        """Ends what is being read, from any thread."""
        for cursor in self._cursors.values():
            with contextlib.suppress(duckdb.Error):
                cursor.interrupt()

    def close(self) -> None:
        for cursor in self._cursors.values():
            let_go(cursor)


def read_shape(con: duckdb.DuckDBPyConnection) -> Shape:
    """Of the databases attached as `ledger` and `content`."""
    columns = con.execute(
        "SELECT c.database_name = 'content', c.table_name, c.column_name, c.data_type FROM duckdb_columns() AS c"
        " JOIN duckdb_tables() USING (database_name, schema_name, table_name)"
        " WHERE c.database_name IN ('ledger', 'content') ORDER BY c.table_name, c.column_index"
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for is_content, table, column, kind in columns:
        if not is_content or table in CONTENT:
            tables.setdefault(table, {})[column] = kind
    views = con.execute("SELECT view_name, sql FROM duckdb_views() WHERE database_name = 'ledger' AND NOT internal").fetchall()
    return Shape(tables, _in_order(dict(views)), frozenset(CONTENT))


def _in_order(views: Mapping[str, str]) -> list[str]:
    """Each after those it names."""
    waiting, ordered = {name: {*_NAMED.findall(sql.lower())} - {name} for name, sql in views.items()}, list[str]()
    while waiting:
        ready = [name for name, named in waiting.items() if named.isdisjoint(waiting)]
        for name in ready or list(waiting):
            ordered.append(views[name])
            del waiting[name]
    return ordered


_NAMED = re.compile(r"\b(?:from|join)\s+\(*(?:ledger\.)?(?:main\.)?\"?(\w+)\"?(?![\w.])")
"""A table or view in a query; a column may have the same name."""


def _select(need: Need, kinds: Mapping[str, str] | None, place: str) -> tuple[str, dict[str, Any]]:
    compared = [condition.column for way in need.any_of for condition in way]
    used = {*need.columns, *compared}
    if len(compared) > MOST_CONDITIONS or len(need.any_of) > MOST_CONDITIONS:
        raise Refused("sql_refused", "rows were wanted under more conditions than a plan has")
    if kinds is None or not need.columns or not kinds.keys() >= used:
        raise Refused("sql_refused", "rows were wanted that the ledger does not have")
    values: dict[str, Any] = {}
    ways = [_all_of(way, kinds, values) for way in need.any_of]
    where = f" WHERE {' OR '.join(ways)}" if ways and all(ways) else ""
    columns = ", ".join(f'"{name}"' for name in need.columns)
    return f"SELECT {columns} FROM {place}{where}", values  # noqa: S608 - names are the ledger's, values are bound


def _all_of(way: Sequence[Condition], kinds: Mapping[str, str], values: dict[str, Any]) -> str:
    return " AND ".join(_compared(condition, kinds[condition.column], values) for condition in way)


def _compared(condition: Condition, kind: str, values: dict[str, Any]) -> str:
    if condition.value is None:
        return f'"{condition.column}" {condition.op}' if condition.op.startswith("is") else "false"
    name = f"v{len(values)}"
    values[name] = condition.value
    return f'"{condition.column}" {condition.op} ${name}::{kind}'
