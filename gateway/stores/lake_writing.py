"""What one book adds to the lake: rows, and how far its segments are, in one transaction; nothing is changed or deleted.

Rows of several steps are written together: each statement makes a file of its own, and few large files are what a lake is good at. Only a
boot that ends what an earlier one left open has to look at what was written before it.
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import duckdb

from gateway.stores import Applied, Batch, Offset, sums
from gateway.stores.bodies import CONTENT, contents
from gateway.stores.fold import COLUMNS, Row, Step, fold
from gateway.stores.inserting import LISTED, as_list, insert
from gateway.stores.lake_layout import INTERRUPTED, NODE, OF_ONE_NODE, OFFSETS, OPENED, Pattern, lake_tables
from gateway.stores.seen import SEEN_BODIES, SeenBodies
from gateway.stores.standing import Standing
from gateway.trace.segments import Segment

_COLUMNS = COLUMNS | CONTENT | {
    OPENED: COLUMNS["exchanges_open"],
    OFFSETS: ("segment", "next_offset", "head", "records", "damage"),
}
_ONCE = frozenset({"policy_files", "policy_rules_loaded"})
"""Tables whose rows are written once per policy version; once per book where several begin at one time."""


class OtherName(Exception):  # noqa: N818 - names a state, not a mistake
    """The journal's records are in the lake already, under the name of another book."""


class LakeWriter:
    """Of the book `node`, for one connection. After an error nothing of it may be used: what was committed is only known by asking."""

    def __init__(self, con: duckdb.DuckDBPyConnection, node: str, found: Pattern) -> None:
        self._con, self._tables, self._node = con, lake_tables(found), node
        self._waiting: dict[str, list[Row]] = {}
        self._seen = SeenBodies()
        self._memory = Standing()
        self._memory.load(con, "own")
        self._recall()

    @property
    def offsets(self) -> Mapping[str, Offset]:
        return self._memory.offsets

    def commit(self, batches: Sequence[Batch]) -> Applied:
        fresh = [batch for batch in map(self._unseen, batches) if batch is not None]
        if not fresh:
            return Applied(0, (), (), ())
        steps = fold((batch.segment, [record for _, record in batch.records]) for batch in fresh)
        self._con.execute("BEGIN TRANSACTION")
        self._refuse_other_name([batch.segment.name for batch in fresh if batch.segment.name not in self._memory.offsets])
        interrupted = [lost for step in steps for lost in self._take(step)]
        self._take_content(fresh)
        self._put_offsets({batch.segment: self._after(batch) for batch in fresh})
        self._write()
        self._con.execute("COMMIT")
        return Applied(
            sum(len(batch.records) for batch in fresh),
            [row for step in steps for row in step.ended_rows],
            [row for step in steps for row in step.calls],
            interrupted,
        )

    def quarantine(self, segment: Segment, damage: str) -> None:
        self._put_offsets({segment: self._memory.offset(segment)._replace(damage=damage)})
        self._write()

    def _unseen(self, batch: Batch) -> Batch | None:
        """The part of a batch beyond what is applied; None when there is none."""
        at = self._memory.offset(batch.segment).next
        if batch.next <= at:
            return None
        return batch._replace(records=[each for each in batch.records if each[0] >= at])

    def _refuse_other_name(self, new: Sequence[str]) -> None:
        """A segment has one book, by whose name it is known how far it is. Whoever begins one under a second name would write it twice."""
        found = self._con.execute(_BEGUN, [as_list(new)]).fetchall() if new else []
        if found:
            segment, node = found[0]
            raise OtherName(
                f"{segment} is in the lake already, written by the book {node}, and this one is {self._node}: write {node} into the file "
                "'node' in the data folder and start again; or take the segment away where this folder is a copy of another machine's"
            )

    def _after(self, batch: Batch) -> Offset:
        before = self._memory.offset(batch.segment)
        return Offset(batch.next, batch.head, before.records + len(batch.records), before.damage)

    def _take(self, step: Step) -> list[str]:
        memory, booted = self._memory, step.booted
        lost = memory.left_open_before(booted.run, booted.slot, booted.boot) if booted else []
        if lost:
            self._interrupt(lost)
        late = memory.late(step)
        if late:
            self._add_up_interrupted(late, -1)
        self._add("exchanges_ended", step.ended.values())
        self._add(OPENED, step.opened.values())
        for table, rows in step.rows.items():
            self._add(table, memory.new_policies(rows) if table in _ONCE else rows)
        memory.take(step, lost)
        return lost

    def _interrupt(self, lost: Sequence[str]) -> None:
        self._write()
        names = ", ".join(f'"{name}"' for name in COLUMNS["exchanges_ended"])
        self._con.execute(_INTERRUPT.format(names), [as_list(lost)])
        self._add_up_interrupted(lost, 1)

    def _add_up_interrupted(self, ids: Sequence[str], sign: int) -> None:
        """Those of them that are on record as interrupted."""
        rows = f"(SELECT * FROM lake.{INTERRUPTED} WHERE id IN (SELECT {LISTED}))"
        found = sums.EXCHANGES
        self._con.execute(f"INSERT INTO lake.{found.table} BY NAME {found.select(rows, sign)}", [as_list(ids)])

    def _take_content(self, batches: Sequence[Batch]) -> None:
        found: dict[str, list[Row]] = {}
        for batch in batches:
            for _, record in batch.records:
                for table, _, row in contents(record):
                    found.setdefault(table, []).append(row)
        for table, rows in found.items():
            self._add(table, self._seen.fresh(table, rows))

    def _put_offsets(self, offsets: Mapping[Segment, Offset]) -> None:
        self._add(OFFSETS, ((segment.name, *offset) for segment, offset in offsets.items()))
        self._memory.offsets.update({segment.name: offset for segment, offset in offsets.items()})

    def _add(self, table: str, rows: Iterable[Row]) -> None:
        self._waiting.setdefault(table, []).extend((self._node, *row) if table in OF_ONE_NODE else row for row in rows)

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for table, rows in waiting.items():
            names = (NODE, *_COLUMNS[table]) if table in OF_ONE_NODE else _COLUMNS[table]
            insert(self._con, f"lake.{table}", names, self._tables[table], rows, sums.added(table, "lake"))

    def _recall(self) -> None:
        """What was stored on the last day, so that a new start does not store it again."""
        rows = self._con.execute(_LAST_DAY).fetchall()
        for found, first_seen_us in rows:
            self._seen.recall(found, first_seen_us)


_BEGUN = f"SELECT segment, {NODE} FROM lake.{OFFSETS} WHERE segment IN (SELECT {LISTED}) LIMIT 1"
_LAST_DAY = f"""
SELECT hash, epoch_us(first_seen) FROM lake.message_bodies
WHERE first_seen >= (SELECT max(first_seen)::DATE FROM lake.message_bodies) LIMIT {SEEN_BODIES // 4}
"""
_INTERRUPT = f"""
INSERT INTO lake.{INTERRUPTED} ({{0}})
SELECT {{0}} FROM (
  SELECT * REPLACE (
    'interrupted' AS state,
    (SELECT count(*) FROM lake.calls AS c WHERE c.exchange_id = o.id) AS calls,
    (SELECT count(*) FROM lake.calls AS c WHERE c.exchange_id = o.id AND NOT c.released) AS denied)
  FROM lake.{OPENED} AS o WHERE id IN (SELECT {LISTED}))
"""
