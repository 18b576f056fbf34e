"""The lake: what two books write at once is what two embedded ledgers hold taken together, exactly once, in every view and saved query."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pytest

from gateway.ledger_place import LakePlace
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.stores.ducklake import Lake
from gateway.stores.lake_layout import pattern
from gateway.trace.record import (
    ApprovalChanged,
    ApprovalRow,
    HeardRow,
    MediaRow,
    PolicyLoaded,
    PolicyRow,
    Record,
    RuleRow,
    SessionChanged,
    SessionRow,
)
from gateway.trace.segments import Segment
from gateway.web.queries import read_all


class Life:
    """What happens on one machine: batches as a book would read them, from a seed."""

    def __init__(self, make: Any, number: int) -> None:
        self._make, self._random, self._number = make, random.Random(number), number
        self._at: dict[Any, int] = {}
        self._exchanges = number * 1000
        self._open: dict[Any, list[int]] = {}

    def batches(self, count: int) -> Iterator[Batch]:
        """Boots follow each other; now and then there is something late of one that is over."""
        for step in range(count):
            run, boot = self._number * 10 + 2 * step // count, 1 + 4 * step // count % 2
            segment = self._make.segment(run, self._random.randint(0, 1), boot)
            late = self._at and self._random.random() < 0.2
            yield self.batch(self._random.choice(list(self._at)) if late else segment)

    def batch(self, segment: Segment) -> Batch:
        records: list[Record] = [] if segment in self._at else [self._make.booted(segment)]
        for _ in range(self._random.randint(1, 8)):
            records += self._happening(self._open.setdefault(segment, []))
        batch = self._make.batch(segment, records, self._at.get(segment, 0))
        self._at[segment] = batch.next
        return batch

    def _happening(self, still_open: list[int]) -> list[Record]:
        if still_open and self._random.random() < 0.5:
            return [self._ended(still_open.pop())]
        if self._random.random() < 0.2:
            return [self._random.choice([self._policy, self._approval, self._session])()]
        self._exchanges += 1
        still_open.append(self._exchanges)
        opened = self._make.opened(self._exchanges, **self._said(self._exchanges))
        return [opened, self._make.decided(self._exchanges, self._exchanges, released=bool(self._exchanges % 3))]

    def _said(self, key: int) -> dict[str, Any]:
        return {
            "session": f"s{key % 4}", "agent": f"agent{key % 3}", "request_model": "gpt-x", "prompt_hash": f"prompt{key % 2}",
            "request_messages": (f"{key:032x}",), "unevaluated": ("answer:x",) if key % 5 == 0 else (), "stream": bool(key % 2),
        }  # fmt: skip

    def _ended(self, key: int) -> Record:
        more = {**self._said(key), "input_tokens": key, "state": "complete" if key % 4 else "upstream_error", "duration_us": key * 7}
        ended = self._make.ended(key, calls=[self._make.call(key + 500, key, released=False)] if key % 7 == 0 else (), **more)
        media = (MediaRow("image", "image/png", "ab", 12),) if key % 6 == 0 else ()
        message = msgspec.structs.replace(self._make.message(key % 20), media=media)
        heard = HeardRow(f"{key:032x}", 1_790_000_000_000_000, "request", "messages[0]", "bank", "mask", "redact", "enforce", line=3)
        tools = '[{"name": "send_money"}, {"name": "look"}]'
        prompt = msgspec.structs.replace(self._make.prompt(f"prompt{key % 2}", f"agent{key % 3}", "be good"), tools=tools)
        return msgspec.structs.replace(ended, messages=(*ended.messages, message), heard=(heard,) if key % 3 == 0 else (), prompt=prompt)

    def _policy(self) -> Record:
        rules = (RuleRow("bank", "no-strangers", "guard", "deny", "enforce", ("send_money",), "send_money", False, "bank.yaml", 7),)
        version = self._random.randint(1, 2)
        return PolicyLoaded(PolicyRow(f"v{version}", 1_790_000_000_000_000 + version, "git", (("bank.yaml", "policy: 1"),), rules))

    def _approval(self) -> Record:
        change = self._random.randint(0, 9)
        asked = 1_790_000_000_000_000
        return ApprovalChanged(ApprovalRow(f"apr_{self._number}", change, "pending", asked, asked + 1, "agent1", reason=f"{change}"))

    def _session(self) -> Record:
        change = self._random.randint(0, 9)
        return SessionChanged(SessionRow(f"s{self._number}", "agent1", change, "stopped", 1_790_000_000_000_000))


def together(ledgers: Sequence[Ledger]) -> duckdb.DuckDBPyConnection:
    """The tables of several ledgers in one, under the same views."""
    con = duckdb.connect(":memory:")
    found = pattern(con)
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    for ledger in ledgers:
        for table in found.shape.tables.keys() - {"schema_migrations", "content_months", "wear"}:
            rows = ledger._con.cursor().execute(f"FROM {found.shape.place(table)}").to_arrow_table()
            place = found.shape.place(table).replace("content.main", "content.nothing")
            con.register("rows", rows)
            con.execute(f"INSERT INTO {place} SELECT * FROM rows")
            con.unregister("rows")
    con.execute("USE ledger")
    return con


_GIVEN = {"id": f"{1001:032x}", "session": "s1", "days": "3650", "calls": "2"}
"""What makes the saved queries find something."""


def asked(con: duckdb.DuckDBPyConnection, sql: str, params: dict[str, str] | None = None) -> list[str]:
    return sorted(map(str, con.execute(sql, params or {}).fetchall()))


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    opened: list[Ledger] = []

    def another() -> Ledger:
        opened.append(Ledger(tmp_path / f"machine{len(opened)}" / "ledger.duckdb"))
        return opened[-1]

    for number in range(3):
        (tmp_path / f"machine{number}").mkdir()
    yield another
    for ledger in opened:
        ledger.close()


def test_every_view_and_saved_query_of_two_books_answers_as_two_embedded_ledgers_taken_together(
    lake_place: LakePlace, embedded: Callable[[], Ledger], make: Any
) -> None:
    nodes = [(Lake(lake_place, f"{number}" * 32), embedded(), Life(make, number)) for number in (1, 2)]
    for each in zip(*(life.batches(10) for _, _, life in nodes), strict=True):
        for batch, (lake, ledger, _) in zip(each, nodes, strict=True):
            told = lake.apply([batch])
            assert _sorted(told) == _sorted(ledger.apply([batch]))
            assert lake.apply([batch]).records == 0
    for lake, ledger, _ in nodes:
        assert lake.offsets() == ledger.offsets()
    nodes[1][0].close()
    same_everywhere(nodes[0][0], [ledger for _, ledger, _ in nodes])
    nodes[0][0].close()


def _sorted(applied: Any) -> Any:
    return applied._replace(interrupted=sorted(applied.interrupted))


def same_everywhere(lake: Lake, ledgers: Sequence[Ledger]) -> None:
    reference = together(ledgers)
    con = lake._session.con.cursor()
    con.execute("USE ledger")
    for view in lake.views():
        assert asked(con, f"FROM {view}") == asked(reference, f"FROM {view}"), view
    for name, query in read_all().items():
        given = {each: _GIVEN.get(each, value) for each, value in query.params.items()}
        assert asked(con, query.sql, given) == asked(reference, query.sql, given), name
    reference.close()
