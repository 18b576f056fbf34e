"""What the ledger's writer knows without asking: how far it is, which exchanges are open, who is at work, which policies have their files.

Always loaded from the file, and loaded anew after a batch that failed. It grows with what is open at one time and with the number of
segments and policy versions, never with the number of exchanges.
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from gateway.stores import Offset
from gateway.stores.fold import Row, Step
from gateway.trace.segments import BOOK_SLOT, Segment

Origin = tuple[str, int, str]
"""run, slot, boot"""


class Standing:
    """What the writer would otherwise have to look up for every batch. Always rebuilt from the file after a failed one."""

    def __init__(self) -> None:
        self.offsets: dict[str, Offset] = {}
        self.open: dict[str, Origin] = {}
        self._run = ""
        self._boots: dict[int, str] = {}
        self._policies: set[str] = set()

    def load(self, con: duckdb.DuckDBPyConnection, catalogue: str = "ledger") -> None:
        """From the tables of this name in a catalogue of one writer's own."""
        offsets = con.execute(f"SELECT segment, next_offset, head, records, damage FROM {catalogue}.journal_offsets").fetchall()
        self.offsets = {segment: Offset(*rest) for segment, *rest in offsets}
        still_open = con.execute(f"SELECT id, run, slot, boot FROM {catalogue}.exchanges_open").fetchall()
        self.open = {key: (run, slot, boot) for key, run, slot, boot in still_open}
        for run, slot, boot in con.execute(f"SELECT run, slot, boot FROM {catalogue}.boots ORDER BY rowid").fetchall():
            self._boot(run, slot, boot)
        self._policies = {key for (key,) in con.execute(f"SELECT DISTINCT hash FROM {catalogue}.policy_files").fetchall()}

    def offset(self, segment: Segment) -> Offset:
        return self.offsets.get(segment.name, Offset())

    def left_open_before(self, run: str, slot: int, boot: str) -> list[str]:
        """Exchanges of any other run, or of another boot of this slot; none when it is the book that has booted."""
        if slot == BOOK_SLOT:
            return []
        return [key for key, at in self.open.items() if at[0] != run or (at[1] == slot and at[2] != boot)]

    def late(self, step: Step) -> list[str]:
        """Exchanges that ended although a later boot had said they never would: they may be on record as interrupted."""
        return [key for key, row in step.ended.items() if key not in self.open and self._gone(row[-3:])]

    def new_policies(self, rows: Sequence[Row]) -> list[Row]:
        """Files and rules of versions that are not on record yet; `take` says when they are."""
        return [row for row in rows if row[0] not in self._policies]

    def take(self, step: Step, lost: Sequence[str]) -> None:
        for key in (*lost, *step.ended):
            self.open.pop(key, None)
        self.open.update({key: row[-3:] for key, row in step.opened.items()})
        self._policies.update(row[0] for row in step.rows.get("policy_files", ()))
        if step.booted:
            self._boot(step.booted.run, step.booted.slot, step.booted.boot)

    def _boot(self, run: str, slot: int, boot: str) -> None:
        if slot == BOOK_SLOT:
            return
        if run != self._run:
            self._run = run
            self._boots.clear()
        self._boots[slot] = boot

    def _gone(self, origin: Row) -> bool:
        run, slot, boot = origin
        return bool(self._run) and (run != self._run or self._boots.get(slot, boot) != boot)
