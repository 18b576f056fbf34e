"""The ledger: one DuckDB file, derived from the journal, owned by one process.

1. Rows and the place in the journal are committed in one transaction, so a kill at any moment neither loses nor doubles a record.
2. One writer (this object's connection); readers get cursors of their own in read-only transactions.
3. A file that cannot be opened as a ledger is set aside as `*.corrupt-<time>` and built again from the journal. One of a newer version, or
   locked, or on a disk that says no, is not corrupt: that is a StartError. One from before the first release is set aside too.
4. Content is not in this file but in one per month beside it (`contents.py`), committed before the facts that speak of it.
5. `STORAGE_VERSION 'v1.5.0'` compresses; small row groups keep checkpoints of text short.

Not here: reading the journal (`intake.py`), what a record means in rows (`fold.py`), what may be asked (`sql_guard.py`).
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from gateway.retention import Cutoffs
from gateway.stores import EMBEDDED_PACE, Answer, Applied, Batch, Offset, Refused, StoreTrouble, contents, sums
from gateway.stores.catalogue import read_catalogue
from gateway.stores.contents import Contents, readable
from gateway.stores.fold import COLUMNS, Row, Step, fold
from gateway.stores.forgetting import forget_facts, worn
from gateway.stores.inserting import LISTED, as_list, insert
from gateway.stores.lending import Loan, Need, Shape, read_shape
from gateway.stores.opening import LAYOUT, lock_down, open_ledger
from gateway.stores.reading import Reading
from gateway.stores.rewriting import rewrite
from gateway.stores.schema import column_types, lay_out_facts, schema_version
from gateway.stores.setting_aside import SURROUNDINGS, set_aside, unusable
from gateway.stores.standing import Standing
from gateway.trace.segments import Segment

log = logging.getLogger(__name__)

FORGET_EVERY_S = 60.0
_DAMAGE = re.compile("corrupt|checksum", re.IGNORECASE)
_ONCE = frozenset({"policy_files", "policy_rules_loaded"})
"""Tables whose rows are written once per policy version."""


class Ledger:
    """Opens (and creates, brings up to date, or sets aside) the ledger at `path`; `read_only` takes it as it is.
    Raises StartError. `on_stuck` is called from a timer's thread when a query cannot be stopped; `cutoffs` says what is too old now.
    `worn`: it should be closed and opened again, which writes its files anew."""

    pace = EMBEDDED_PACE

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        on_stuck: Callable[[], None] | None = None,
        cutoffs: Callable[[], Cutoffs] | None = None,
    ) -> None:
        self.path = path
        self.worn = False
        self._suspect = False
        self._cutoffs, self._forget_at = cutoffs, 0.0
        self._on_stuck = on_stuck or (lambda: log.critical("a query cannot be stopped"))
        self._memory = Standing()
        self._writing = threading.Lock()
        try:
            self._open(read_only=read_only)
        except duckdb.Error as error:
            if read_only or SURROUNDINGS.search(str(error)):
                raise unusable(path, str(error)) from error
            set_aside(path, str(error))
            self._open(read_only=False)

    def _open(self, *, read_only: bool) -> None:
        """Raises StartError, or duckdb.Error for a file that is damaged where it was not looked at first."""
        folder = self.path.parent
        self._con = open_ledger(self.path, read_only=read_only)
        try:
            self._contents = Contents(self._con, folder, read_only=read_only)
            if not read_only and self._renewed():
                self._con = open_ledger(self.path)
                self._contents = Contents(self._con, folder)
            self.version = schema_version(self._con)
            self._types = column_types(self._con)
            self._catalogue = read_catalogue(self._con)
            self._shape = read_shape(self._con)
            self._reading = Reading(self._con, self._catalogue, self._shape, self._on_stuck)
            lock_down(self._con, folder)
            self._memory = Standing()
            self._memory.load(self._con)
            self._sums_rows, self._summed = 0, True
        except BaseException:
            self._con.close()
            raise

    def _renewed(self) -> bool:
        """Whether files were worn, and are written anew; then nothing is open any more."""
        months = self._contents.worn()
        facts = worn(self._con, "ledger")
        if not (months or facts):
            return False
        self._con.execute("CHECKPOINT ledger")
        self._contents.checkpoint()
        self._con.close()
        try:
            if facts:
                rewrite(self.path, LAYOUT, lay_out_facts)
            for month in months:
                rewrite(month, f"{contents.LAYOUT}, {contents.BLOCK}", lambda con: contents.lay_out(con, "anew"))
        except (duckdb.Error, OSError) as error:
            log.error("a file of the ledger could not be written anew, it stays as it is: %s", error)  # noqa: TRY400 - goes on
        return True

    @property
    def whole(self) -> bool:
        return not self._contents.refilling

    def offsets(self) -> Mapping[str, Offset]:
        """While content is filled again, the journal is read from where that stands, damaged segments too."""
        known = dict(self._memory.offsets)
        if not self._contents.refilling:
            return known
        behind = {name: self._contents.place(name) or 0 for name in known}
        return {name: Offset(behind[name]) if behind[name] < offset.next else offset for name, offset in known.items()}

    def apply(self, batches: Sequence[Batch]) -> Applied:
        """All of it or nothing, durable when it returns. Raises StoreTrouble."""
        if not self.path.exists():
            raise StoreTrouble(f"{self.path} was taken away; it is built again from the journal", broken=True)
        fresh = [batch for batch in map(self._unseen, batches) if batch is not None]
        with self._writing:
            try:
                self._contents.take(batches)
                return self._commit(fresh)
            except (duckdb.Error, RuntimeError, ArithmeticError, TypeError, ValueError) as error:
                raise self._trouble(error) from error

    def quarantine(self, segment: Segment, damage: str) -> None:
        with self._writing:
            try:
                self._put_offset(segment, self._memory.offset(segment)._replace(damage=damage))
            except duckdb.Error as error:
                raise self._trouble(error) from error

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        """One SELECT over the public views, in a read-only transaction, interrupted after 10 s. Raises Refused."""
        try:
            return self._reading.query(sql, limit, params)
        except Refused as refused:
            self._suspect = self._suspect or _DAMAGE.search(refused.message) is not None
            raise

    def views(self) -> Mapping[str, Mapping[str, str]]:
        """In alphabetical order."""
        return {name: self._types[name] for name in sorted(self._catalogue.public)}

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> list[dict[str, Any]]:
        return self._reading.fetch(sql, params, teams)

    def shape(self) -> Shape:
        return self._shape

    def loan(self, needs: Sequence[Need], teams: frozenset[str] | None = None) -> Loan:
        """Rows for a reader, of one snapshot: nothing is committed while it is taken. Raises Refused."""
        with self._writing:
            return Loan(self._con, self._shape, needs, teams=teams)

    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        return self._reading.arrow(sql, params)

    def tend(self) -> None:
        """Called when everything there is has been applied. Raises StoreTrouble."""
        if self._suspect:
            self._find_damage()
        with self._writing:
            try:
                self._contents.filled()
                if self._summed and sums.size(self._con) - self._sums_rows > sums.COMPACT_AT:
                    sums.compact(self._con)
                    self._sums_rows = sums.size(self._con)
                self._summed = False
                self._forget()
            except duckdb.Error as error:
                raise self._trouble(error) from error

    def _find_damage(self) -> None:
        """A question came upon a damaged block: which file is it of?"""
        self._suspect = False
        file = self._contents.damaged() or (None if readable(self._con, "ledger", COLUMNS) else self.path)
        if file is not None:
            raise StoreTrouble(f"{file.name} is damaged; it is built again from the journal", broken=True, at_fault=file, proven=True)

    def _forget(self) -> None:
        """One slice; when there was nothing to forget, not again for a minute."""
        now = time.monotonic()
        if self._cutoffs is None or now < self._forget_at:
            return
        cutoffs = self._cutoffs()
        content = cutoffs.bodies_us is not None and self._contents.forget(cutoffs.bodies_us)
        if content or forget_facts(self._con, cutoffs):
            return
        self._forget_at = now + FORGET_EVERY_S
        self.worn = worn(self._con, "ledger") or bool(self._contents.worn())

    def close(self) -> None:
        """Checkpoints, so that the next start has nothing to replay."""
        with self._writing:
            with contextlib.suppress(duckdb.Error):
                self._con.execute("CHECKPOINT ledger")
            with contextlib.suppress(duckdb.Error):
                self._contents.checkpoint()
            self._con.close()

    def _unseen(self, batch: Batch) -> Batch | None:
        """The part of a batch beyond what is applied; None when there is none."""
        at = self._memory.offset(batch.segment).next
        if batch.next <= at:
            return None
        return batch._replace(records=[each for each in batch.records if each[0] >= at])

    def _commit(self, batches: Sequence[Batch]) -> Applied:
        steps = fold((batch.segment, [record for _, record in batch.records]) for batch in batches)
        self._con.execute("BEGIN TRANSACTION")
        self._contents.tell()
        interrupted = [lost for step in steps for lost in self._write(step)]
        for batch in batches:
            before = self._memory.offset(batch.segment)
            records = before.records + len(batch.records)
            self._put_offset(batch.segment, Offset(batch.next, batch.head, records, before.damage))
        self._con.execute("COMMIT")
        self._summed = True
        self._contents.told()
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
            con.execute(_INTERRUPT, [as_list(lost)])
            con.execute(_DELETE_OPEN, [as_list(lost)])
            sums.add_interrupted(con, lost, 1)
        closed = [key for key in step.ended if key in memory.open]
        if closed:
            con.execute(_DELETE_OPEN, [as_list(closed)])
        late = memory.late(step)
        if late:
            sums.add_interrupted(con, late, -1)
            con.execute(_DELETE_INTERRUPTED, [as_list(late)])
        self._insert("exchanges_ended", list(step.ended.values()))
        self._insert("exchanges_open", list(step.opened.values()))
        for table, rows in step.rows.items():
            self._insert(table, memory.new_policies(rows) if table in _ONCE else rows)
        memory.take(step, lost)
        return lost

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        insert(self._con, f"ledger.{table}", COLUMNS[table], self._types[table], rows, sums.added(table) if rows else ())

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
        broken = broken or self._contents.taken_away
        if not broken:
            self._contents.forget_seen()
            self._memory = Standing()
            self._memory.load(self._con)
        at_fault = broken and not self._contents.taken_away and not SURROUNDINGS.search(str(error))
        file = self._contents.at_work or self.path
        return StoreTrouble(f"{file.name} could not take new rows: {error}", broken=broken, at_fault=file if at_fault else None)


_INSERT_OFFSET = "INSERT INTO journal_offsets (next_offset, head, records, damage, segment) VALUES (?, ?, ?, ?, ?)"
_UPDATE_OFFSET = "UPDATE journal_offsets SET next_offset = ?, head = ?, records = ?, damage = ? WHERE segment = ?"
_DELETE_OPEN = f"DELETE FROM exchanges_open WHERE id IN (SELECT {LISTED})"
_DELETE_INTERRUPTED = f"DELETE FROM exchanges_ended WHERE state = 'interrupted' AND id IN (SELECT {LISTED})"
_INTERRUPT = f"""
INSERT INTO exchanges_ended BY NAME
SELECT * REPLACE (
  'interrupted' AS state,
  (SELECT count(*) FROM calls AS c WHERE c.exchange_id = o.id) AS calls,
  (SELECT count(*) FROM calls AS c WHERE c.exchange_id = o.id AND NOT c.released) AS denied)
FROM exchanges_open AS o WHERE id IN (SELECT {LISTED})
"""

