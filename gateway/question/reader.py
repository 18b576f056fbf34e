"""The process that answers one question and ends. It has no network, no files, little memory, and only the rows it is lent.

1. The fence goes up before any SQL is seen; the tree of the SQL is judged before it is planned, and it is planned on empty tables.
2. Each base table becomes a view over a stream of lent rows. Columns that the plan does not read are `error(…)` in it: should another
   plan be run than was looked at, the question fails and is not answered wrongly.
3. A stream flows while the question runs and is read once. When a table turns out to be read twice, all is lent again, now kept whole.
4. DuckDB here is in memory, without external access, temporary files or extensions, and its settings are locked before the question runs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import duckdb
import msgspec
import nanoarrow as na

from gateway.question import bound as bounds
from gateway.question import fence, forms, plan
from gateway.question.wire import (
    BROKEN,
    Done,
    Failed,
    Fetch,
    Lent,
    Needs,
    Question,
    Ready,
    Start,
    read_by_reader,
    receive,
    receive_with,
    send,
)
from gateway.stores import Refused, sql_guard
from gateway.stores.arrow import CArrayStream, CSchema, Scanned, batches, read_stream, stream_of
from gateway.stores.catalogue import PLAIN, computing_functions, read_catalogue
from gateway.stores.lending import Need, Shape
from gateway.stores.refusals import as_refusal, pointed

_CONFIG: dict[str, Any] = {
    **PLAIN,
    "memory_limit": "600MB",
    "threads": 2,
    "temp_directory": "",
}
_PLANNING = frozenset({"expression_rewriter", "filter_pullup", "filter_pushdown", "cte_filter_pusher", "unused_columns", "column_lifetime"})
"""The optimisers that say what is read. The others know that the tables are empty, or do not matter here."""
_EVERY_KIND = """
SELECT now(), 1.5::DECIMAL(18,9), uuid(), DATE '2026-01-01', TIMESTAMP '2026-01-01', INTERVAL 1 DAY, TIME '01:00', [1], {'a': 'b'},
       '\\x00'::BLOB
"""
"""Values whose making imports something."""
_NOTHING = na.c_schema(na.struct({"nothing": na.int64()}))
_PIPE_BUFFER = 1 << 18


def warm() -> frozenset[str]:
    """Imports what is imported when first used: later no file can be opened. The functions that a question may call."""
    outlet = forms.Outlet()
    con = _open(outlet)
    con.execute(_EVERY_KIND).fetchall()
    con.register("warm", Scanned(lambda: stream_of([], _NOTHING), _NOTHING))
    con.execute("SELECT count(*) FROM warm WHERE nothing > 1").fetchall()
    forms.warm(con, outlet)
    functions = computing_functions(con)
    con.close()
    outlet.close()
    return functions


def answer(connection: socket.socket, functions: frozenset[str], *, apart: bool) -> None:
    """Answers what the office asks over `connection`, or says why not."""
    fence.bound()
    outlet = forms.Outlet()
    con = _open(outlet)
    send(connection, Ready(os.getpid(), apart, fence.leave_files()))
    start = read_by_reader(receive(connection))
    if not isinstance(start, Start):
        raise TypeError("the office begins with Start")
    fence.ring()
    try:
        body, rows, truncated = _Reading(connection, con, outlet, start.shape, functions).answer(start.question)
    except Refused as refused:
        send(connection, Failed(refused.code, refused.message, refused.position))
    except (duckdb.OutOfMemoryException, MemoryError) as error:  # before the question ran
        said = as_refusal(error)
        send(connection, Failed(said.code, said.message))
    except Exception as error:  # noqa: BLE001 - nobody else is here to say it; its text may be hostile, the places it came from are not
        where = "".join(traceback.format_tb(error.__traceback__))
        send(connection, Failed(BROKEN, f"{type(error).__name__}\n{where}"))
    else:
        send(connection, Done(rows, truncated, len(body)))
        connection.sendall(body)


def _open(outlet: forms.Outlet) -> duckdb.DuckDBPyConnection:
    """An empty DuckDB, which may write to the outlet alone. It looks at files when it is opened and attaches, and never later."""
    con = duckdb.connect(":memory:", config=_CONFIG)
    con.execute(f"SET allowed_paths = ['{outlet.path}']")
    con.execute("SET enable_external_access = false")
    con.execute("ATTACH ':memory:' AS ledger")
    con.execute("ATTACH ':memory:' AS content")
    con.execute("USE ledger")
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    return con


class _ReadTwice(Exception):  # noqa: N818 - names a state, not a mistake
    """A table is read oftener than it was planned."""


class _First(NamedTuple):
    """The question for a bound, and what it reads."""

    asked: Question
    bound: bounds.Bound
    wanted: list[Need]


class _Reading:
    """One question: planned, lent for, run."""

    def __init__(
        self, connection: socket.socket, con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, shape: Shape, functions: frozenset[str]
    ) -> None:
        self._office, self._outlet = connection, outlet
        self._shape = shape
        self._functions = functions
        self._fetching = threading.Lock()
        self._streamed: set[str] = set()
        self._read_twice = False
        self._laid = "TABLE"
        self._con = con
        for table, columns in shape.tables.items():
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            self._con.execute(f"CREATE TABLE {shape.place(table)} ({listed})")
        for view in shape.views:
            self._con.execute(view)

    def answer(self, question: Question) -> tuple[bytes, int, bool]:
        """(the answer in its form, rows, whether something was left out). Raises Refused."""
        tree = self._judge(question.sql)
        wanted = self._plan(question)
        first = self._first(question, tree, wanted)
        self._say(Needs(first.wanted if first else wanted))
        self._con.execute("SET lock_configuration = true")
        if first:
            wanted = self._narrowed(first, wanted)
            self._say(Needs(wanted))
        try:
            return self._run(question, wanted, whole=False)
        except _ReadTwice:
            return self._run(question, wanted, whole=True)

    def _first(self, question: Question, tree: dict[str, Any], wanted: Sequence[Need]) -> _First | None:
        """What to ask before, where that saves the most of what the question would read."""
        bound = bounds.find(tree, self._shape.tables)
        if bound is None:
            return None
        (sql,) = self._con.execute("SELECT json_deserialize_sql(?::JSON)", [msgspec.json.encode(bound.tree).decode()]).fetchall()[0]
        asked = msgspec.structs.replace(question, sql=sql)
        first = _First(asked, bound, self._plan(asked))
        return first if bounds.is_worth_it(wanted, bound, first.wanted) else None

    def _narrowed(self, first: _First, wanted: Sequence[Need]) -> list[Need]:
        self._lay(first.wanted, whole=False)
        try:
            rows = self._con.execute(first.asked.sql, dict(first.asked.params)).fetchall()
        except (duckdb.Error, RuntimeError, MemoryError) as error:
            raise as_refusal(error) from error
        value = rows[0][0] if rows and not self._read_twice else None
        return list(wanted) if value is None else bounds.narrowed(wanted, first.bound, str(value))

    def _judge(self, sql: str) -> dict[str, Any]:
        found = self._con.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
        try:
            tree = sql_guard.tree_of(found[0][0])
            sql_guard.check(tree, read_catalogue(self._con, self._functions))
        except Refused as refused:
            raise pointed(refused, sql) from refused
        return tree

    def _plan(self, question: Question) -> list[Need]:
        every = self._con.execute("SELECT name FROM duckdb_optimizers()").fetchall()
        self._con.execute(f"SET disabled_optimizers = '{','.join(name for (name,) in every if name not in _PLANNING)}'")
        try:
            told = self._con.execute(f"EXPLAIN (FORMAT JSON)\n{question.sql}", dict(question.params)).fetchall()
        except (duckdb.Error, RuntimeError, MemoryError) as error:
            raise self._as_it_stands(question, error) from error
        finally:
            self._con.execute("SET disabled_optimizers = ''")
        return plan.needs(msgspec.json.decode(told[0][1]), self._shape.tables)

    def _as_it_stands(self, question: Question, error: Exception) -> Refused:
        """The refusal with lines and columns of the question itself, without our EXPLAIN before it."""
        try:
            self._con.execute(question.sql, dict(question.params))
        except (duckdb.Error, RuntimeError, MemoryError) as better:
            return as_refusal(better)
        return as_refusal(error)

    def _run(self, question: Question, wanted: Sequence[Need], *, whole: bool) -> tuple[bytes, int, bool]:
        self._lay(wanted, whole=whole)
        try:
            found = self._con.execute(question.sql, dict(question.params))
            made = forms.make(question.form, found, question.limit, self._outlet)
        except (duckdb.Error, RuntimeError, MemoryError) as error:
            if self._read_twice and not whole:
                raise _ReadTwice from error
            raise as_refusal(error) from error
        if self._read_twice:
            if not whole:
                raise _ReadTwice
            raise Refused("sql_error", "this question reads more than its plan says; ask it in another way, or of a snapshot")
        return made

    def _lay(self, wanted: Sequence[Need], *, whole: bool) -> None:
        """Puts views over lent rows in the place of what is there."""
        self._streamed, self._read_twice = set(), False
        by_table = {need.table: need for need in wanted}
        self._con.register("unplanned", Scanned(lambda: self._once("", None, _NOTHING), _NOTHING))
        views = [self._view(table, by_table.get(table), whole=whole) for table in self._shape.tables]
        self._con.execute(";".join(f"DROP {self._laid} {self._shape.place(table)}" for table in self._shape.tables))
        self._laid = "VIEW"
        self._con.execute(";".join(views))

    def _view(self, table: str, need: Need | None, *, whole: bool) -> str:
        """The view over lent rows that takes the place of an empty table."""
        fetched = set(need.columns) if need else set[str]()
        columns = ", ".join(_laid(name, kind, name in fetched) for name, kind in self._shape.tables[table].items())
        place = self._shape.place(table)
        if need is None:
            return f"CREATE VIEW {place} AS SELECT {columns} FROM unplanned"  # noqa: S608 - names are the ledger's
        schema = self._arrow_schema(table, need.columns)
        begin = self._kept(need, schema) if whole or need.scans > 1 else lambda: self._once(table, need, schema)
        self._con.register(f"lent_{table}", Scanned(begin, schema))
        return f"CREATE VIEW {place} AS SELECT {columns} FROM lent_{table}"  # noqa: S608

    def _arrow_schema(self, table: str, columns: Sequence[str]) -> CSchema:
        kinds = self._shape.tables[table]
        nulls = ", ".join(f'NULL::{kinds[name]} AS "{name}"' for name in columns)
        with contextlib.closing(batches(self._con.execute(f"SELECT {nulls} LIMIT 0"), 1)) as none:
            return none.schema  # a table reserves half a gigabyte for its rows

    def _once(self, table: str, need: Need | None, schema: CSchema) -> CArrayStream:
        if need is None or table in self._streamed:
            self._read_twice = True
            return stream_of([], schema)
        self._streamed.add(table)
        return self._fetch(table)

    def _kept(self, need: Need, schema: CSchema) -> Callable[[], CArrayStream]:
        try:
            rows = list(self._fetch(need.table))
        except (MemoryError, RuntimeError) as error:
            raise as_refusal(error) from error
        return lambda: stream_of(rows, schema)

    def _fetch(self, table: str) -> CArrayStream:
        with self._fetching:
            send(self._office, Fetch(table))
            descriptor = self._lent()
        return read_stream(os.fdopen(descriptor, "rb", buffering=_PIPE_BUFFER))

    def _say(self, needs: Needs) -> None:
        send(self._office, needs)
        if not isinstance(read_by_reader(receive(self._office)), Lent):
            raise TypeError("the office answers Needs with Lent")

    def _lent(self) -> int:
        message, descriptors = receive_with(self._office, 1)
        if not isinstance(read_by_reader(message), Lent) or len(descriptors) != 1:
            raise TypeError("the office answers Fetch with Lent and a pipe")
        return descriptors[0]


def _laid(name: str, kind: str, fetched: bool) -> str:
    value = f'"{name}"' if fetched else "error('a column that was not planned for')"
    return f'{value}::{kind} AS "{name}"'
