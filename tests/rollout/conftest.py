"""An installation without a gateway: a folder of prompts with an experiment, a ledger, and sessions put into it as records."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from gateway import prompt_folder
from gateway.moving_labels import Labels
from gateway.prompt.library import Library
from gateway.prompt.trial import Trial
from gateway.rollout.ruling import Rulings
from gateway.rollout.watching import Watch
from gateway.state.sqlite_prompts import SqlitePrompts
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.people_rows import FeedbackRow
from gateway.trace.record import Ended, FeedbackGiven, Record
from gateway.trace.segments import Segment

AT = 1_790_000_000_000_000
OLD, NEW = "---\n---\nOld words.", "---\nlabels: {production: HASH}\n---\nNew words."
PLAN = """prompt: support
label: production
control: 1
arms:
  canary: {version: this, weight: 1}
metrics:
  success: {measure: feedback, of: task_success, matters: 0.05, missing: 0}
  price: {measure: cost, matters: 0.5}
guards: [success, price]
sessions: {min: 100, max: 400}
looks: 3
quiet_minutes: 30
promote: true
"""


class Installation:
    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.now = folder / "prompts", folder / "data", AT
        (self.folder / "experiments").mkdir(parents=True)
        self.shared = SqlitePrompts(folder / "state.sqlite")
        (self.folder / "support.md").write_text(OLD)
        self.old = prompt_folder.load_folder(self.folder, self.data, self.shared).heads["support"].version
        (self.folder / "support.md").write_text(NEW.replace("HASH", self.old))
        self.plan(PLAN)
        self.new = self.prompts().heads["support"].version
        self.ledger = Ledger(folder / "ledger.duckdb")
        self.written: list[Record] = []
        self._offset = self._count = 0
        self.restart()

    def restart(self) -> None:
        """As a book that knows only what is on record."""
        self.labels = Labels(self.folder, self.data, self.shared, self.write, lambda: self.now, self.new_id)
        self.rulings = Rulings(self.shared, self.labels, self.write, lambda: self.now, self.new_id)
        self.watch = Watch(self.labels, self.ledger.fetch, self.rulings, lambda: self.now)

    def forget(self) -> None:
        """The state store is lost."""
        self.shared.close()
        self.shared = SqlitePrompts(self.folder.parent / "another.sqlite")

    def plan(self, text: str) -> None:
        (self.folder / "experiments" / "tone.yaml").write_text(text)

    def prompts(self) -> Library:
        return prompt_folder.load_folder(self.folder, self.data, self.shared)

    def trial(self) -> Trial:
        return self.prompts().trials["tone"]

    def new_id(self) -> str:
        self._count += 1
        return f"id-{self._count:06}"

    async def write(self, record: Record) -> None:
        self.written.append(record)
        self.put(record)

    def put(self, *records: Record) -> None:
        if records:
            at = [(self._offset + n, record) for n, record in enumerate(records)]
            self._offset += len(records) + 1
            self.ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), at, self._offset, b"h" * 32)])

    def sessions(self, arm: str, count: int, *, succeed: float = 1.0, cost: str = "0.01", ago_min: float = 60, **more) -> None:
        """So many sessions of one exchange; of each that succeeds somebody says so, of the others nobody says anything."""
        edition = self.trial().edition
        records: list[Record] = []
        for n in range(count):
            name, at = self.new_id(), self.now - int(ago_min * 60e6)
            price = format(Decimal(cost) + Decimal(n % 7) / 1000, "f")
            row = {"agent": "bot", "session": f"s-{name}", "state": "complete", "cost": price, "duration_us": 1000 * (n % 5)}
            row |= {"experiment": "tone", "arm": arm, "edition": edition} | more
            records.append(Ended(ExchangeRow(name, at, "openai.chat", "openai", "chat", "/v1", **row)))
            if n < succeed * count:
                told = FeedbackRow(f"fb-{name}", at, "bot", "caller", "task_success", "bot", exchange_id=name, score=1.0)
                records.append(FeedbackGiven(told))
        self.put(*records)

    def round(self, times: int = 1) -> None:
        for _ in range(times):
            asyncio.run(self.watch.round())

    def rows(self, sql: str) -> list[tuple]:
        return [tuple(row.values()) for row in self.ledger.fetch(sql, {})]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    made = Installation(tmp_path)
    yield made
    made.ledger.close()
