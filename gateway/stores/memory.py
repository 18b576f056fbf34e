"""A ledger in plain Python: for tests, and as the second opinion on what the DuckDB one does. Nothing survives the process; no SQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway.stores import EMBEDDED_PACE, Answer, Applied, Batch, Offset, Refused
from gateway.stores.bodies import CONTENT, contents
from gateway.stores.fold import COLUMNS, Row, Step, fold
from gateway.stores.lending import Loan, Need, Shape
from gateway.trace.segments import BOOK_SLOT, Segment

_TABLES = COLUMNS | CONTENT


class MemoryStore:
    """Rows are dicts by column name, times as microseconds. `tables` may be read by anyone."""

    version = "memory"
    whole, worn = True, False
    pace = EMBEDDED_PACE

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {name: [] for name in _TABLES}
        self._offsets: dict[str, Offset] = {}

    def offsets(self) -> Mapping[str, Offset]:
        return dict(self._offsets)

    def apply(self, batches: Sequence[Batch]) -> Applied:
        fresh = [batch for batch in map(self._unseen, batches) if batch is not None]
        steps = fold((batch.segment, [record for _, record in batch.records]) for batch in fresh)
        interrupted = [lost for step in steps for lost in self._write(step)]
        for table, _, row in (each for batch in fresh for _, record in batch.records for each in contents(record)):
            self._insert(table, [row])
        for batch in fresh:
            before = self._offsets.get(batch.segment.name, Offset())
            records = before.records + len(batch.records)
            self._offsets[batch.segment.name] = Offset(batch.next, batch.head, records, before.damage)
        return Applied(
            sum(len(batch.records) for batch in fresh),
            [row for step in steps for row in step.ended_rows],
            [row for step in steps for row in step.calls],
            interrupted,
        )

    def quarantine(self, segment: Segment, damage: str) -> None:
        before = self._offsets.get(segment.name, Offset())
        self._offsets[segment.name] = before._replace(damage=damage)

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        raise Refused("no_sql", "the in-memory store answers no SQL; use the DuckDB ledger")

    def views(self) -> Mapping[str, Mapping[str, str]]:
        return {}

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> list[dict[str, Any]]:
        raise Refused("no_sql", "the in-memory store answers no SQL; use the DuckDB ledger")

    def shape(self) -> Shape:
        raise Refused("no_sql", "the in-memory store answers no SQL; use the DuckDB ledger")

    def loan(self, needs: Sequence[Need], teams: frozenset[str] | None = None) -> Loan:
        raise Refused("no_sql", "the in-memory store lends no rows; use the DuckDB ledger")

    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        raise Refused("no_sql", "the in-memory store answers no SQL; use the DuckDB ledger")

    def tend(self) -> None:
        """Nothing of it wears."""

    def close(self) -> None:
        """Keeps everything, so that a test can look."""

    def _unseen(self, batch: Batch) -> Batch | None:
        at = self._offsets.get(batch.segment.name, Offset()).next
        if batch.next <= at:
            return None
        return batch._replace(records=[each for each in batch.records if each[0] >= at])

    def _write(self, step: Step) -> list[str]:
        lost = self._interrupt(step) if step.booted else []
        self._remove("exchanges_open", set(step.ended))
        self.tables["exchanges_ended"] = [
            row for row in self.tables["exchanges_ended"] if not (row["state"] == "interrupted" and row["id"] in step.ended)
        ]
        self._insert("exchanges_ended", list(step.ended.values()))
        self._insert("exchanges_open", list(step.opened.values()))
        for table, rows in step.rows.items():
            self._insert(table, rows)
        return lost

    def _interrupt(self, step: Step) -> list[str]:
        booted = step.booted
        if booted is None or booted.slot == BOOK_SLOT:
            return []
        left = [
            row
            for row in self.tables["exchanges_open"]
            if row["run"] != booted.run or (row["slot"] == booted.slot and row["boot"] != booted.boot)
        ]
        for row in left:
            calls = [call for call in self.tables["calls"] if call["exchange_id"] == row["id"]]
            denied = sum(not call["released"] for call in calls)
            self.tables["exchanges_ended"].append({**row, "state": "interrupted", "calls": len(calls), "denied": denied})
        lost = [row["id"] for row in left]
        self._remove("exchanges_open", set(lost))
        return lost

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        self.tables[table].extend(dict(zip(_TABLES[table], row, strict=True)) for row in rows)

    def _remove(self, table: str, ids: set[str]) -> None:
        self.tables[table] = [row for row in self.tables[table] if row["id"] not in ids]
