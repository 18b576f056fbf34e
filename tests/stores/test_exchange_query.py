"""The saved question for one exchange finds every message, however long before the exchange it was said."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import MessageRow
from gateway.trace.record import Ended
from gateway.web.queries import read_all

NOW = 1_795_000_000_000_000
DAY = 86_400_000_000
SQL = read_all()["exchange"].sql


def messages(ledger: Ledger, key: str) -> list[str | None]:
    return [row[6] for row in ledger.query(SQL, 1000, {"id": key}).rows if row[2] == "message"]


@pytest.fixture
def told(ledger: Ledger, make: Any) -> Any:
    """Tells of an exchange whose messages were first seen so many days before it."""
    state = {"offset": 0}

    def tell(key: str, days: list[float]) -> list[str]:
        addresses = [f"{key[:8]}{state['offset']:012x}{n:012x}" for n in range(len(days))]
        said = tuple(MessageRow(each, "user", f"body {each}", NOW - int(ago * DAY)) for each, ago in zip(addresses, days, strict=True))
        row = make.exchange(1, id=key, started_us=NOW, state="complete", request_messages=tuple(addresses))
        batch = make.batch(make.segment(), [Ended(row, messages=said)], start=state["offset"])
        ledger.apply([batch])
        state["offset"] = batch.next
        return [f"body {each}" for each in addresses]

    return tell


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.lists(st.sampled_from([-0.001, 0.0, 0.5, 1.99, 2.01, 9.0, 40.0, 300.0]), min_size=1, max_size=6))
def test_messages_of_any_age_are_found_in_their_order(ledger: Ledger, told: Any, days: list[float]) -> None:
    key = f"{NOW // 1000:012x}7{uuid.uuid4().hex[:19]}"
    expected = told(key, days)
    assert messages(ledger, key) == expected


@pytest.mark.parametrize("key", ["no-uuid", "", "f" * 32, "0" * 32, "'; DROP", "zz"])
def test_an_id_that_holds_no_time_is_looked_up_among_all(ledger: Ledger, told: Any, key: str) -> None:
    expected = told(key, [0.0, 3.0])
    assert messages(ledger, key) == expected


def test_an_id_that_nobody_has_is_no_exchange(ledger: Ledger, told: Any) -> None:
    told(f"{NOW // 1000:012x}7{1:019x}", [0.0])
    assert ledger.query(SQL, 10, {"id": "x"}).rows == []


def test_a_message_that_is_not_kept_has_a_place_and_no_body(ledger: Ledger, make: Any) -> None:
    row = make.exchange(1, state="complete", request_messages=("a" * 32, "b" * 32))
    ledger.apply([make.batch(make.segment(), [Ended(row, messages=(MessageRow("b" * 32, "user", "kept", NOW),))])])
    assert messages(ledger, row.id) == [None, "kept"]
