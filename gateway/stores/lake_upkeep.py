"""What wears in a lake, and what is older than retention says: tended by one book at a time, now and then.

1. Of all books the one that gets an advisory lock of PostgreSQL's does it, and only when nobody did for `EVERY`. The lock is a transaction
   that ends with its connection; before each step it is asked for again, so that whoever lost it stops.
2. Only this deletes or changes rows, and only rows that no book writes any more: what is resolved or superseded, and days that are over.
   Merging and deleting are never at work at the same time.
3. Superseded rows go: exchanges that opened and have ended, steps of segments, partial sums. Days older than retention says go as whole
   files; what quotes texts in facts is blanked. Then small files become large ones.
4. A deleted row is gone from the storage when no snapshot speaks of its file any more: `SNAPSHOTS_KEPT` later. What is being read meanwhile
   is read from those.

Not here: how long what is kept (`gateway/retention.py`), the journals (`gateway/ageing.py`).
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import duckdb

from gateway.retention import DAY_US, Cutoffs
from gateway.stores.bodies import CONTENT
from gateway.stores.cursors import cursor_of
from gateway.stores.forgetting import TEXTS, TIMES
from gateway.stores.inserting import INCOMING
from gateway.stores.lake_connecting import ask_postgres, in_a_line, in_conflict
from gateway.stores.lake_layout import DAYS, INTERRUPTED, NODE, OFFSETS, OPENED, UPKEEP
from gateway.stores.sums import SUMS

log = logging.getLogger(__name__)

LEADING = 7_055_241_002
"""Key of the advisory lock of whoever tends the lake."""
EVERY = timedelta(minutes=10)
FIRST_AFTER_S = 30.0
CLOSED_AFTER = timedelta(days=2)
"""An exchange that opened longer ago and has ended is shown by its end alone."""
SNAPSHOTS_KEPT = timedelta(hours=2)
ORPHANS_AFTER = timedelta(days=1)
"""A file that no commit speaks of: its book was killed before."""
TRIES = 5
MERGED_AT_ONCE = 200
"""Files that are made one in a transaction; the rest waits for the next time."""


class Upkeep:
    """One per session of a book. `begin` starts a thread when it is time, and returns at once."""

    def __init__(self, con: duckdb.DuckDBPyConnection, node: str, cutoffs: Callable[[], Cutoffs]) -> None:
        self._con, self._node, self._cutoffs = con, node, cutoffs
        self._thread: threading.Thread | None = None
        self._at_work: duckdb.DuckDBPyConnection | None = None
        self._stopping = threading.Event()

    def begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._now_and_then, name="upkeep", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """A step that is interrupted was not made."""
        self._stopping.set()
        while self._thread is not None and self._thread.is_alive():
            con = self._at_work
            if con is not None:
                with contextlib.suppress(duckdb.Error):  # it was closed meanwhile
                    con.interrupt()
            self._thread.join(0.2)

    def run(self) -> bool:
        """Whether it was ours to do, and is done. Raises duckdb.Error."""
        with cursor_of(self._con) as lock, cursor_of(self._con) as con:
            lock.execute("BEGIN TRANSACTION")
            if not _leads(lock) or not _due(con):
                return False
            self._at_work = con
            for statements in self._steps():
                if self._stopping.is_set() or not _leads(lock):
                    return False
                _made(con, statements)
            con.execute(f"INSERT INTO lake.{UPKEEP} VALUES (?, now()::TIMESTAMP)", [self._node])
            return True

    def _now_and_then(self) -> None:
        pause = FIRST_AFTER_S
        while not self._stopping.wait(pause):
            pause = EVERY.total_seconds()
            try:
                if self.run():
                    log.info("the lake was tended")
            except duckdb.Error as error:
                if not self._stopping.is_set():
                    log.warning("the lake could not be tended, it is tried again in %s: %s", EVERY, in_a_line(error))

    def _steps(self) -> Iterator[list[str]]:
        """Statements; those of one list are one transaction."""
        yield [_RESOLVED, _SUPERSEDED]
        for found in SUMS.values():
            yield _compacted(found.table, found.compacted("lake"))
        yield from _forgotten(self._cutoffs())
        for table in _TABLES:
            yield [f"CALL ducklake_rewrite_data_files('lake', '{table}', delete_threshold => 0)"]
            yield [f"CALL ducklake_merge_adjacent_files('lake', '{table}', max_compacted_files => {MERGED_AT_ONCE})"]
        yield [f"CALL ducklake_expire_snapshots('lake', older_than => {_ago(SNAPSHOTS_KEPT)})"]
        yield [f"CALL ducklake_cleanup_old_files('lake', older_than => {_ago(SNAPSHOTS_KEPT)})"]
        yield [f"CALL ducklake_delete_orphaned_files('lake', older_than => {_ago(ORPHANS_AFTER)})"]


_RARE = {
    *("access_changes_told", "boots", "policy_loads", "policy_files", "policy_rules_loaded", "prompts_loaded", "prompt_moves", "questions"),
    *("session_changes", "experiment_changes", "experiment_looks_told"),
}
_TABLES = sorted({*DAYS, *TIMES, *_RARE, *(each.table for each in SUMS.values()), OFFSETS, UPKEEP})
"""Those of which rows go, or files are many."""


def _leads(lock: duckdb.DuckDBPyConnection) -> bool:
    """Who has the lock gets it again. Raises duckdb.Error when the connection that had it is gone."""
    return bool(ask_postgres(lock, f"SELECT pg_try_advisory_xact_lock({LEADING}) AS got")[0][0])


def _due(con: duckdb.DuckDBPyConnection) -> bool:
    return bool(con.execute(f"SELECT count(*) = 0 FROM lake.{UPKEEP} WHERE ended_at > {_ago(EVERY)}::TIMESTAMP").fetchall()[0][0])


def _made(con: duckdb.DuckDBPyConnection, statements: list[str]) -> None:
    """A step that books always come in the way of is left for the next time: they go first."""
    for _ in range(TRIES):
        try:
            con.execute("BEGIN TRANSACTION")
            for statement in statements:
                con.execute(statement).fetchall()
            con.execute("COMMIT")
            return
        except duckdb.TransactionException as error:
            if not in_conflict(error):
                raise
    log.info("a step of tending the lake is left for the next time, so much is written: %s", statements[0].split("(")[0].strip())


def _ago(span: timedelta) -> str:
    return f"(now() - to_seconds({span.total_seconds():.0f}))"


_RESOLVED = f"""
DELETE FROM lake.{OPENED} WHERE started_at < {_ago(CLOSED_AFTER)}::TIMESTAMP
AND id IN (SELECT id FROM lake.exchanges_ended UNION ALL SELECT id FROM lake.{INTERRUPTED})
"""
_SUPERSEDED = f"""
DELETE FROM lake.{OFFSETS} WHERE rowid NOT IN (
  SELECT rowid FROM lake.{OFFSETS}
  QUALIFY row_number() OVER (PARTITION BY {NODE}, segment ORDER BY next_offset DESC, damage IS NULL) = 1)
"""


def _compacted(table: str, select: str) -> list[str]:
    """Rows that a book adds meanwhile are not among those that are deleted."""
    name = f"temp.{INCOMING}_{table}"
    return [
        f"CREATE OR REPLACE TEMP TABLE {INCOMING}_{table} AS {select}",
        f"DELETE FROM lake.{table}",
        f"INSERT INTO lake.{table} BY NAME FROM {name}",
        f"DROP TABLE {name}",
    ]


def _forgotten(cutoffs: Cutoffs) -> Iterator[list[str]]:
    """By whole days: what is older than its day begins is kept until the day is over."""
    if cutoffs.decisions_us is not None:
        before = _day(cutoffs.decisions_us)
        times = TIMES | {OPENED: "started_at", INTERRUPTED: "started_at"}
        yield [f"DELETE FROM lake.{table} WHERE {at} < {before}" for table, at in times.items()]
    if cutoffs.bodies_us is not None:
        before = _day(cutoffs.bodies_us)
        yield [f"DELETE FROM lake.{table} WHERE first_seen < {before}" for table in CONTENT]
        for table, texts in _QUOTING.items():
            blank = ", ".join(f"{each} = CASE WHEN {each} IS NOT NULL THEN '' END" for each in texts)
            told = " OR ".join(f"{each} <> ''" for each in texts)
            at = TIMES.get(table, "started_at")
            yield [f"UPDATE lake.{table} SET {blank} WHERE {at} < {before} AND ({told})"]


_QUOTING = TEXTS | {OPENED: TEXTS["exchanges_ended"], INTERRUPTED: TEXTS["exchanges_ended"]}


def _day(us: int) -> str:
    return f"make_timestamp({us // DAY_US * DAY_US})"
