"""The organisation of a key: on each exchange, in the sums of its day, and lent with the rows of a team."""

from __future__ import annotations

import uuid
from pathlib import Path

from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.record import Ended
from gateway.trace.segments import Segment

SEGMENT = Segment("1" * 32, 0, "2" * 32, 0)
DAY_US = 1_790_000_000_000_000


def row(number: int, **more: object) -> Ended:
    name = str(uuid.UUID(int=(DAY_US // 1000) << 80 | 7 << 76 | 2 << 62 | number))
    facts = {"dialect": "openai.chat", "provider": "openai", "operation": "chat", "route": "/v1", "agent": "bot"}
    return Ended(ExchangeRow(**{"id": name, "started_us": DAY_US + number, "state": "complete", **facts, **more}))  # type: ignore[arg-type]


def test_exchanges_are_summed_by_day_organisation_and_team(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    told = [
        row(1, org="acme", team="red", cost="0.25"),
        row(2, org="acme", team="red", cost="0.5"),
        row(3, org="acme", team="red", state="client_gone", estimated_cost="0.125", estimate="read 1: told by the provider; written 2: …"),
        row(4, org="beta", team="red", cost="1"),
        row(5, cost="2"),
    ]
    ledger.apply([Batch(SEGMENT, [(100 * at, each) for at, each in enumerate(told, 1)], 1000, b"h" * 32)])
    sums = "cost::DOUBLE AS cost, unpriced, estimated_cost::DOUBLE AS about"
    found = ledger.fetch(f"SELECT org, team, exchanges, {sums} FROM org_daily ORDER BY org", {})
    assert [tuple(each.values()) for each in found] == [
        ("acme", "red", 3, 0.75, 1, 0.125), ("beta", "red", 1, 1.0, 0, None), (None, None, 1, 2.0, 0, None),
    ]  # fmt: skip
    (left,) = ledger.fetch("SELECT org, cost, estimate FROM exchanges WHERE state = 'client_gone'", {})
    assert (left["org"], left["cost"], left["estimate"][:6]) == ("acme", None, "read 1")
    ledger.close()
