"""Questions to a ledger through its connection: each in a cursor and a read-only transaction of its own, bounded in time.

Not here: what may be asked (`sql_guard.py`), what the rows become (`answers.py`), what is lent to those who answer elsewhere
(`lending.py`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import duckdb

from gateway.stores import Answer, Refused, sight, sql_guard
from gateway.stores.answers import arrow_stream, collect
from gateway.stores.arrow import ArrowError
from gateway.stores.cursors import cursor_of, let_go
from gateway.stores.lending import Shape
from gateway.stores.refusals import QUERY_SECONDS, as_refusal, pointed
from gateway.stores.sql_guard import Catalogue

STUCK_SECONDS = 10.0
"""How long a query may outlive its interruption before `on_stuck` is called."""
INTERRUPT_EVERY_S = 0.2


class Reading:
    """Of the database attached as `ledger`. May be used from any thread."""

    def __init__(self, con: duckdb.DuckDBPyConnection, catalogue: Catalogue, shape: Shape, on_stuck: Callable[[], None]) -> None:
        self._con, self._catalogue, self._shape, self._on_stuck = con, catalogue, shape, on_stuck
        self._laying_out, self._laid_out = threading.Lock(), set[str]()

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        """One SELECT over the public views. Raises Refused."""
        started = time.monotonic()
        try:
            cursor = self._con.cursor()
        except duckdb.Error as error:
            raise Refused("unavailable", "the ledger is being closed or opened anew; ask again in a moment") from error
        watch = _Watch(cursor, self._on_stuck)
        try:
            cursor.execute("USE ledger")
            self._judge(cursor, sql)
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            columns, types, rows, truncated = collect(cursor.execute(sql, dict(params or {})), limit)
        except (duckdb.Error, RuntimeError, MemoryError) as error:
            raise as_refusal(error) from error
        finally:
            watch.stop()
            let_go(cursor)
        return Answer(columns, types, rows, truncated, round((time.monotonic() - started) * 1000, 3))

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> list[dict[str, Any]]:
        """Rows for the gateway itself: over any table, uncut, with no judgement over the SQL, which is always our own; over what these
        teams may see, where they are named. Raises Refused."""
        try:
            cursor = self._con.cursor()
        except duckdb.Error as error:
            raise _unreadable(error) from error
        watch = _Watch(cursor, self._on_stuck)
        try:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            self._use(cursor, sql, teams)
            found = cursor.execute(sql, dict(params))
            names = [str(column[0]) for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            raise _unreadable(error) from error
        finally:
            watch.stop()
            let_go(cursor)

    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        """As `fetch`, as an Arrow stream. Its end may be far away: nothing interrupts it but who reads no further."""
        try:
            cursor = self._con.cursor()
        except duckdb.Error as error:
            raise _unreadable(error) from error
        try:
            cursor.execute("USE ledger")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            yield from arrow_stream(cursor.execute(sql, dict(params)))
        except duckdb.DataError as error:  # a parameter that is not what the question makes of it
            raise as_refusal(error) from error
        except (duckdb.Error, ArrowError) as error:
            raise _unreadable(error) from error
        finally:
            let_go(cursor)

    def _use(self, cursor: duckdb.DuckDBPyConnection, sql: str, teams: frozenset[str] | None) -> None:
        """Raises duckdb.Error, and Refused for SQL that would look past what the teams may see."""
        if teams is None:
            cursor.execute("USE ledger")
            return
        catalogue = sight.OF_TEAMS if sight.by_team(cursor, teams, self._shape.place) else sight.OF_ORGS
        self._lay_out_once(catalogue)
        sight.narrow(cursor, catalogue, teams)
        sql_guard.refuse_elsewhere(_parsed(cursor, sql))

    def _lay_out_once(self, catalogue: str) -> None:
        """When somebody asks for it: it takes a tenth of a second."""
        with self._laying_out:
            if catalogue not in self._laid_out:
                with cursor_of(self._con) as cursor:
                    sight.lay_out(cursor, self._shape, catalogue)
                self._laid_out.add(catalogue)

    def _judge(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
        try:
            sql_guard.check(_parsed(cursor, sql), self._catalogue)
        except Refused as refused:
            raise pointed(refused, sql) from refused


def _parsed(cursor: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    found = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    return sql_guard.tree_of(found[0][0])


def _unreadable(error: Exception) -> Refused:
    return Refused("unavailable", f"the ledger could not be read: {error}; ask again in a moment")


class _Watch:
    """Interrupts a query that takes too long, again and again: an interruption between two statements is lost. Calls for help, once, when
    that does not stop it."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, on_stuck: Callable[[], None]) -> None:
        self._cursor, self._on_stuck = cursor, on_stuck
        self._done = threading.Event()
        threading.Thread(target=self._watch, args=(QUERY_SECONDS, STUCK_SECONDS), name="query watch", daemon=True).start()

    def stop(self) -> None:
        self._done.set()

    def _watch(self, allowed: float, patience: float) -> None:
        if self._done.wait(allowed):
            return
        deadline = time.monotonic() + patience
        while not self._done.is_set():
            with contextlib.suppress(duckdb.Error):  # it was closed just now
                self._cursor.interrupt()
            if time.monotonic() >= deadline:
                self._on_stuck()
                deadline = float("inf")
            self._done.wait(min(INTERRUPT_EVERY_S, patience))
