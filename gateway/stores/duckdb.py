"""The ledger: one DuckDB file, derived from the journal, owned by one process.

1. Rows and the place in the journal are committed in one transaction, so a kill at any moment neither loses nor doubles a record.
2. One writer (this object's connection); readers get cursors of their own in read-only transactions.
3. A file that cannot be opened as a ledger is set aside as `*.corrupt-<time>` and built again from the journal. One of a newer version, or
   locked, or on a disk that says no, is not corrupt: that is a StartError.
4. `STORAGE_VERSION 'v1.5.0'` compresses text (3.7× smaller); row groups of 2048 keep checkpoints of wide text rows short.

Not here: reading the journal (`intake.py`), what a record means in rows (`fold.py`), what may be asked (`sql_guard.py`).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from gateway.stores import Answer, Applied, Batch, Offset, Refused, StoreTrouble, sql_guard
from gateway.stores.answers import collect
from gateway.stores.catalogue import read_catalogue
from gateway.stores.fold import COLUMNS, Row, Step, fold
from gateway.stores.lending import Loan, Need, Shape, read_shape
from gateway.stores.opening import SURROUNDINGS, column_types, lock_down, open_ledger, schema_version
from gateway.stores.refusals import QUERY_SECONDS, as_refusal, pointed
from gateway.stores.standing import Standing
from gateway.trace.segments import Segment

log = logging.getLogger(__name__)

STUCK_SECONDS = 10.0
"""How long a query may outlive its interruption before `on_stuck` is called."""
_BODIES = frozenset({"message_bodies", "prompt_bodies", "policy_files"})
"""Tables whose rows are written once."""


class Ledger:
    """Opens (and creates, migrates, or sets aside) the ledger at `path`; `read_only` takes it as it is.
    Raises StartError. `on_stuck` is called from a timer's thread when a query cannot be stopped."""

    def __init__(self, path: Path, *, read_only: bool = False, on_stuck: Callable[[], None] | None = None) -> None:
        self.path = path
        self._on_stuck = on_stuck or (lambda: log.critical("a query cannot be stopped"))
        self._memory = Standing()
        self._writing = threading.Lock()
        self._con = open_ledger(path, read_only=read_only)
        self.version = schema_version(self._con)
        self._types = column_types(self._con)
        self._catalogue = read_catalogue(self._con)
        self._shape = read_shape(self._con)
        lock_down(self._con)
        self._memory.load(self._con)

    def offsets(self) -> Mapping[str, Offset]:
        return dict(self._memory.offsets)

    def apply(self, batches: Sequence[Batch]) -> Applied:
        """All of it or nothing, durable when it returns. Raises StoreTrouble."""
        if not self.path.exists():
            raise StoreTrouble(f"{self.path} was taken away; it is built again from the journal", broken=True)
        fresh = [batch for batch in map(self._unseen, batches) if batch is not None]
        with self._writing:
            try:
                return self._commit(fresh)
            except (duckdb.Error, pa.ArrowException, ArithmeticError, TypeError) as error:
                raise self._trouble(error) from error

    def quarantine(self, segment: Segment, damage: str) -> None:
        with self._writing:
            try:
                self._put_offset(segment, self._memory.offset(segment)._replace(damage=damage))
            except duckdb.Error as error:
                raise self._trouble(error) from error

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        """One SELECT over the public views, in a read-only transaction, interrupted after 10 s. Raises Refused."""
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
            with contextlib.suppress(duckdb.Error):
                cursor.close()
        return Answer(columns, types, rows, truncated, round((time.monotonic() - started) * 1000, 3))

    def fetch(self, sql: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Rows for the gateway itself: over any table, uncut, with no judgement over the SQL, which is always our own."""
        cursor = self._con.cursor()
        watch = _Watch(cursor, self._on_stuck)
        try:
            cursor.execute("USE ledger")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            found = cursor.execute(sql, dict(params))
            names = [str(column[0]) for column in found.description or ()]
            return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        except duckdb.Error as error:
            raise Refused("unavailable", f"the ledger could not be read: {error}; ask again in a moment") from error
        finally:
            watch.stop()
            with contextlib.suppress(duckdb.Error):
                cursor.close()

    def shape(self) -> Shape:
        return self._shape

    def loan(self, needs: Sequence[Need]) -> Loan:
        """Rows for a reader, of one snapshot: nothing is committed while it is taken. Raises Refused."""
        with self._writing:
            return Loan(self._con, self._shape, needs)

    def close(self) -> None:
        """Checkpoints, so that the next start has nothing to replay."""
        with self._writing:
            with contextlib.suppress(duckdb.Error):
                self._con.execute("CHECKPOINT ledger")
            self._con.close()

    def _judge(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
        found = cursor.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
        try:
            sql_guard.check(msgspec.json.decode(found[0][0]), self._catalogue)
        except Refused as refused:
            raise pointed(refused, sql) from refused

    def _unseen(self, batch: Batch) -> Batch | None:
        """The part of a batch beyond what is applied; None when there is none."""
        at = self._memory.offset(batch.segment).next
        if batch.next <= at:
            return None
        return batch._replace(records=[each for each in batch.records if each[0] >= at])

    def _commit(self, batches: Sequence[Batch]) -> Applied:
        steps = fold((batch.segment, [record for _, record in batch.records]) for batch in batches)
        self._con.execute("BEGIN TRANSACTION")
        interrupted = [lost for step in steps for lost in self._write(step)]
        for batch in batches:
            before = self._memory.offset(batch.segment)
            records = before.records + len(batch.records)
            self._put_offset(batch.segment, Offset(batch.next, batch.head, records, before.damage))
        self._con.execute("COMMIT")
        return Applied(
            sum(len(batch.records) for batch in batches),
            [row for step in steps for row in step.ended_rows],
            [row for step in steps for row in step.calls],
            interrupted,
        )

    def _write(self, step: Step) -> list[str]:
        memory, con = self._memory, self._con
        lost = memory.left_open_before(step.booted.run, step.booted.slot, step.booted.boot) if step.booted else []
        if lost:
            con.execute(_INTERRUPT, [lost])
            con.execute(_DELETE_OPEN, [lost])
        closed = [key for key in step.ended if key in memory.open]
        if closed:
            con.execute(_DELETE_OPEN, [closed])
        after_all = [key for key in step.ended if key in memory.interrupted]
        if after_all:
            con.execute("DELETE FROM exchanges_ended WHERE state = 'interrupted' AND id IN (SELECT unnest(?::VARCHAR[]))", [after_all])
        self._insert("exchanges_ended", list(step.ended.values()))
        self._insert("exchanges_open", list(step.opened.values()))
        for table, rows in step.rows.items():
            self._insert(table, memory.unseen(table, rows) if table in _BODIES else rows)
        memory.take(step, lost)
        return lost

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        if not rows:
            return
        names = COLUMNS[table]
        types = self._types[table]
        columns = [_column(values, types[name]) for name, values in zip(names, zip(*rows, strict=True), strict=True)]
        quoted = ", ".join(f'"{name}"' for name in names)
        picked = ", ".join(f'TRY_CAST("{name}" AS {types[name]})' if "DECIMAL" in types[name] else f'"{name}"' for name in names)
        self._con.register("incoming", pa.Table.from_arrays(columns, names=list(names)))
        try:
            self._con.execute(f"INSERT INTO ledger.{table} ({quoted}) SELECT {picked} FROM incoming")  # noqa: S608 - names are ours
        finally:
            self._con.unregister("incoming")

    def _put_offset(self, segment: Segment, offset: Offset) -> None:
        known = segment.name in self._memory.offsets
        self._con.execute(_UPDATE_OFFSET if known else _INSERT_OFFSET, [*offset, segment.name])
        self._memory.offsets[segment.name] = offset

    def _trouble(self, error: Exception) -> StoreTrouble:
        broken = isinstance(error, (duckdb.FatalException, duckdb.InternalException)) or "invalidated" in str(error)
        try:
            self._con.execute("ROLLBACK")
        except duckdb.TransactionException:  # the failed statement had ended the transaction already
            log.debug("nothing to roll back")
        except duckdb.Error:
            broken = True
        if not broken:
            self._memory = Standing()
            self._memory.load(self._con)
        at_fault = broken and not SURROUNDINGS.search(str(error))
        return StoreTrouble(f"the ledger could not take new rows: {error}", broken=broken, file_at_fault=at_fault)


_INSERT_OFFSET = "INSERT INTO journal_offsets (next_offset, head, records, damage, segment) VALUES (?, ?, ?, ?, ?)"
_UPDATE_OFFSET = "UPDATE journal_offsets SET next_offset = ?, head = ?, records = ?, damage = ? WHERE segment = ?"
_DELETE_OPEN = "DELETE FROM exchanges_open WHERE id IN (SELECT unnest(?::VARCHAR[]))"
_INTERRUPT = """
INSERT INTO exchanges_ended
SELECT * REPLACE (
  'interrupted' AS state,
  (SELECT count(*) FROM calls AS c WHERE c.exchange_id = o.id) AS calls,
  (SELECT count(*) FROM calls AS c WHERE c.exchange_id = o.id AND NOT c.released) AS denied)
FROM exchanges_open AS o WHERE id IN (SELECT unnest(?::VARCHAR[]))
"""


class _Watch:
    """Interrupts a query that takes too long, and calls for help when that does not stop it."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, on_stuck: Callable[[], None]) -> None:
        self._timers = [threading.Timer(QUERY_SECONDS, cursor.interrupt), threading.Timer(QUERY_SECONDS + STUCK_SECONDS, on_stuck)]
        for timer in self._timers:
            timer.daemon = True
            timer.start()

    def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()


_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR[]": pa.list_(pa.string()),
}
"""Money is brought as text and cast by the ledger, exactly."""
_INT64 = 2**63 - 1


def _column(values: Sequence[Any], kind: str) -> pa.Array:
    arrow = _ARROW.get(kind, pa.string())
    try:
        return pa.array(values, arrow)
    except OverflowError:  # a provider or a client made up a number; one absurd value must not stop the book
        return pa.array([v if v is None else max(-_INT64, min(v, _INT64)) for v in values], pa.int64()).cast(arrow)
