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
import pyarrow as pa
from msgspec import Struct

from gateway.stores import Refused
from gateway.stores.bodies import CONTENT

BATCH_ROWS = 8192
MOST_NEEDS = 32
_ELSEWHERE = re.compile(r'"?content"?\.main\.')
"""Where the book has content; whoever answers has it with the rest."""


class Shape(Struct, frozen=True):
    """The ledger without its rows."""

    tables: Mapping[str, Mapping[str, str]]
    """Base table → column → DuckDB type, in order."""
    views: Sequence[str]
    """CREATE VIEW statements, in an order in which they can be run."""


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

    def __init__(self, con: duckdb.DuckDBPyConnection, shape: Shape, needs: Iterable[Need]) -> None:
        """Nobody may commit meanwhile. Raises Refused."""
        self._wanted = {need.table: _select(need, shape) for need in list(needs)[:MOST_NEEDS]}
        self._cursors: dict[str, duckdb.DuckDBPyConnection] = {}
        try:
            for table in self._wanted:
                self._cursors[table] = cursor = con.cursor()
                cursor.execute("USE ledger")
                cursor.execute("BEGIN TRANSACTION READ ONLY")
                cursor.execute("SELECT 1 FROM boots LIMIT 0").fetchall()  # a snapshot is taken with the first look
        except duckdb.Error as error:
            self.close()
            raise Refused("unavailable", "the ledger is being closed or opened anew; ask again in a moment") from error

    def rows(self, table: str) -> pa.RecordBatchReader:
        """Raises Refused for a table that is not of this loan."""
        if table not in self._wanted:
            raise Refused("sql_refused", "rows of a table were wanted that the question does not read")
        sql, values = self._wanted[table]
        try:
            return self._cursors[table].execute(sql, values).to_arrow_reader(BATCH_ROWS)
        except duckdb.Error as error:
            raise Refused("sql_error", f"the rows of {table} cannot be read: {error}") from error

    def stop(self) -> None:
        """Ends what is being read, from any thread."""
        for cursor in self._cursors.values():
            with contextlib.suppress(duckdb.Error):
                cursor.interrupt()

    def close(self) -> None:
        for cursor in self._cursors.values():
            with contextlib.suppress(duckdb.Error):
                cursor.close()


def read_shape(con: duckdb.DuckDBPyConnection) -> Shape:
    """Of the database attached as `ledger`, and of the content beside it (`contents`), which is lent as if it were the ledger's."""
    columns = con.execute(
        "SELECT table_name, column_name, data_type"
        " FROM duckdb_columns() JOIN duckdb_tables() USING (database_name, schema_name, table_name)"
        " WHERE database_name = 'ledger' OR (database_name = 'content' AND schema_name = 'nothing' AND list_contains($lent, table_name))"
        " ORDER BY table_name, column_index",
        {"lent": list(CONTENT)},
    ).fetchall()
    tables: dict[str, dict[str, str]] = {}
    for table, column, kind in columns:
        tables.setdefault(table, {})[column] = kind
    views = con.execute("SELECT view_name, sql FROM duckdb_views() WHERE database_name = 'ledger' AND NOT internal").fetchall()
    return Shape(tables, _in_order({name: _ELSEWHERE.sub("", sql) for name, sql in views}))


def _in_order(views: Mapping[str, str]) -> list[str]:
    """Each after those it names."""
    waiting, ordered = dict(views), list[str]()
    while waiting:
        ready = [name for name, sql in waiting.items() if not any(_names(sql, other) for other in waiting if other != name)]
        for name in ready or list(waiting):
            ordered.append(waiting.pop(name))
    return ordered


def _names(sql: str, view: str) -> bool:
    """As a table: a column may have the name of a view."""
    return re.search(rf"\b(?:FROM|JOIN)\s+\(*(?:ledger\.)?(?:main\.)?\"?{view}\"?(?![\w.])", sql, re.IGNORECASE) is not None


def _select(need: Need, shape: Shape) -> tuple[str, dict[str, Any]]:
    kinds = shape.tables.get(need.table)
    used = {*need.columns, *(condition.column for way in need.any_of for condition in way)}
    if kinds is None or not need.columns or not kinds.keys() >= used:
        raise Refused("sql_refused", "rows were wanted that the ledger does not have")
    values: dict[str, Any] = {}
    ways = [_all_of(way, kinds, values) for way in need.any_of]
    where = f" WHERE {' OR '.join(ways)}" if ways and all(ways) else ""
    columns = ", ".join(f'"{name}"' for name in need.columns)
    source = f"content.main.{need.table}" if need.table in CONTENT else f"ledger.{need.table}"
    return f"SELECT {columns} FROM {source}{where}", values  # noqa: S608 - names are the ledger's, values are bound


def _all_of(way: Sequence[Condition], kinds: Mapping[str, str], values: dict[str, Any]) -> str:
    return " AND ".join(_compared(condition, kinds[condition.column], values) for condition in way)


def _compared(condition: Condition, kind: str, values: dict[str, Any]) -> str:
    if condition.value is None:
        return f'"{condition.column}" {condition.op}' if condition.op.startswith("is") else "false"
    name = f"v{len(values)}"
    values[name] = condition.value
    return f'"{condition.column}" {condition.op} ${name}::{kind}'
