"""What was asked of the targets of routes, in the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gateway.clock import now_us
from gateway.stores.duckdb import Ledger
from gateway.trace.record import Ended, Mirrored
from gateway.web.queries import read_all

ASKED: list[dict[str, Any]] = [
    {"fault": "status_503"}, {"fault": "status_503", "unsure": True}, {"answered": True}, {"kind": "retry", "answered": True},
]  # fmt: skip


def test_attempts_have_a_row_each_and_days_of_targets_sum_them_up(tmp_path: Path, make: Any) -> None:
    segment = make.segment()
    made = [
        make.attempt(1, ordinal=1, fault="status_503", status=503, retry_after_ms=2000, first_byte_us=9000),
        make.attempt(1, ordinal=2, kind="retry", fault="upstream_reset", unsure=True, waited_us=2_000_000),
        make.attempt(1, ordinal=3, kind="fallback", upstream="azure", status=200, answered=True, first_byte_us=4000, cost="0.25"),
    ]
    mirrored = make.attempt(1, ordinal=0, kind="mirror", upstream="azure", status=200, first_byte_us=8000, cost="0.5", read_tokens=7)
    exchange = msgspec.structs.replace(make.exchange(1, state="complete"), upstream="azure", region="eu", attempts=3)
    ledger = Ledger(tmp_path / "ledger.duckdb")
    records = [make.booted(segment), make.opened(1), Mirrored(mirrored), Ended(exchange, attempts=tuple(made))]
    ledger.apply([make.batch(segment, records)])
    rows = ledger.query("SELECT ordinal, kind, upstream, fault, unsure, answered, cost::VARCHAR FROM attempts ORDER BY ordinal", 100).rows
    assert [tuple(row) for row in rows] == [
        (0, "mirror", "azure", None, False, False, "0.500000000"),
        (1, "primary", "openai", "status_503", False, False, None),
        (2, "retry", "openai", "upstream_reset", True, False, None),
        (3, "fallback", "azure", None, False, True, "0.250000000"),
    ]
    days = "SELECT upstream, attempts, mirrored, retries, fallbacks, answered, failed, unsure, cost::DOUBLE FROM targets ORDER BY upstream"
    assert [tuple(row) for row in ledger.query(days, 100).rows] == [
        ("azure", 1, 1, 0, 1, 1, 0, 0, 0.75),
        ("openai", 2, 0, 1, 0, 0, 2, 1, None),
    ]
    said = ledger.query("SELECT upstream, region, attempts FROM exchanges", 100).rows
    assert [tuple(row) for row in said] == [("azure", "eu", 3)]
    ledger.close()


def test_of_what_a_target_was_asked_it_answered_and_failed_no_more_than_that(tmp_path: Path, make: Any) -> None:
    """A mirror reaches nobody: it is told apart, and only its cost is of the sum."""
    failed = make.attempt(1, kind="mirror", fault="upstream_timeout", unsure=True)
    mirrors = [failed, make.attempt(1, kind="mirror", answered=True, cost="1")]
    asked = Ended(make.exchange(1, state="complete"), attempts=(make.attempt(1, answered=True, first_byte_us=4000),))
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([make.batch(make.segment(), [asked, *map(Mirrored, mirrors)])])
    columns = "attempts, answered, failed, unsure, a_fault, mirrored, cost::DOUBLE"
    assert ledger.query(f"SELECT {columns} FROM targets", 9).rows == [[1, 1, 0, 0, None, 2, 1.0]]
    ledger.close()


def test_the_saved_query_sums_up_each_target_and_kind(tmp_path: Path, make: Any) -> None:
    segment, ledger = make.segment(), Ledger(tmp_path / "ledger.duckdb")
    made = [msgspec.structs.replace(make.attempt(1, ordinal=at, **more), started_us=now_us()) for at, more in enumerate(ASKED)]
    ledger.apply([make.batch(segment, [make.booted(segment), Ended(make.exchange(1, state="complete"), attempts=tuple(made))])])
    found = ledger.query(read_all()["attempts"].sql, 100, {"days": "7"})
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    told = [(row["upstream"], row["kind"], row["attempts"], row["failed"], row["usual_fault"], row["unsure"]) for row in rows]
    assert told == [("openai", "primary", 3, 2, "status_503", 1), ("openai", "retry", 1, 0, None, 0)]
    ledger.close()


def test_each_asking_of_a_provider_is_a_request_of_its_budgets_and_what_is_about_known_is_told(tmp_path: Path, make: Any) -> None:
    segment, ledger = make.segment(), Ledger(tmp_path / "ledger.duckdb")
    counted = {"started_us": now_us(), "budgets": ("day=red",)}
    refused = {"state": "rejected", "error_code": "budget_exceeded", "cost": None, "rounds": 0}
    rows = [
        {"cost": "0.25"}, {"cost": "0.5", "rounds": 2}, {"cost": "0.25", "attempts": 3, "rounds": 2}, refused,
        {"attempts": 2, "state": "upstream_reset", "cost": None, "estimated_cost": "0.125"},
    ]  # fmt: skip
    records = [Ended(msgspec.structs.replace(make.exchange(at, state="complete"), **counted | more)) for at, more in enumerate(rows)]
    ledger.apply([make.batch(segment, [make.booted(segment), *records])])
    found = ledger.query(read_all()["budget_use"].sql, 100, {"days": "2"})
    (row,) = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    assert (row["requests"], row["refused"], float(row["cost"]), float(row["estimated_cost"])) == (8, 1, 1.0, 0.125)
    ledger.close()
