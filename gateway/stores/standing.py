"""What the ledger's writer knows without asking: how far it is, which exchanges are open, which bodies it stored lately.

Always loaded from the file, and loaded anew after a batch that failed; bounded, but for what is open at one time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import duckdb

from gateway.stores import Offset
from gateway.stores.fold import Row, Step
from gateway.trace.segments import BOOK_SLOT, Segment

SEEN_BODIES = 262_144
_WHICH: dict[str, Callable[[Row], Row]] = {
    "message_bodies": lambda row: row[:1],
    "prompt_bodies": lambda row: (row[0], row[-1]),
    "policy_files": lambda row: row[:2],
}
"""What tells one body from another."""


class Standing:
    """What the writer would otherwise have to look up for every batch. Always rebuilt from the file after a failed one."""

    def __init__(self) -> None:
        self.offsets: dict[str, Offset] = {}
        self.open: dict[str, tuple[str, int, str]] = {}
        self.interrupted: set[str] = set()
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def load(self, con: duckdb.DuckDBPyConnection) -> None:
        offsets = con.execute("SELECT segment, next_offset, head, records, damage FROM ledger.journal_offsets").fetchall()
        self.offsets = {segment: Offset(*rest) for segment, *rest in offsets}
        still_open = con.execute("SELECT id, run, slot, boot FROM ledger.exchanges_open").fetchall()
        self.open = {key: (run, slot, boot) for key, run, slot, boot in still_open}
        lost = con.execute("SELECT id FROM ledger.exchanges_ended WHERE state = 'interrupted'").fetchall()
        self.interrupted = {key for (key,) in lost}
        recent = con.execute(f"SELECT hash FROM ledger.message_bodies ORDER BY rowid DESC LIMIT {SEEN_BODIES // 4}").fetchall()  # noqa: S608
        self.unseen("message_bodies", list(reversed(recent)))

    def offset(self, segment: Segment) -> Offset:
        return self.offsets.get(segment.name, Offset())

    def left_open_before(self, run: str, slot: int, boot: str) -> list[str]:
        """Exchanges of any other run, or of another boot of this slot; none when it is the book that has booted."""
        if slot == BOOK_SLOT:
            return []
        return [key for key, at in self.open.items() if at[0] != run or (at[1] == slot and at[2] != boot)]

    def unseen(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """Rows of bodies that were not stored lately. A body stored twice is harmless: the views show it once."""
        fresh = []
        for row in rows:
            key = (table, *_WHICH[table](row))
            if key not in self._seen:
                self._seen[key] = None
                fresh.append(row)
        while len(self._seen) > SEEN_BODIES:
            self._seen.popitem(last=False)
        return fresh

    def take(self, step: Step, lost: Sequence[str]) -> None:
        for key in (*lost, *step.ended):
            self.open.pop(key, None)
        self.interrupted.update(lost)
        self.interrupted.difference_update(step.ended)
        self.open.update({key: row[-3:] for key, row in step.opened.items()})
