"""Rows of the ledger become the records that they were made of."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import msgspec

from gateway.trace import ledger_rows
from gateway.trace.exchange_rows import CallRow, ExchangeRow

AT = dt.datetime(2026, 11, 21, 12, 0, 0, 123456)  # noqa: DTZ001 - as the ledger gives them
EXCHANGE = ExchangeRow(
    id="x", started_us=1_795_262_400_123_456, dialect="d", provider="p", operation="chat", route="/", agent="a", cost="0.000012345",
    finish_reasons=("stop",), trace_sampled=False,
)  # fmt: skip
CALL = CallRow("x", "dec_1", 1_795_262_400_123_456, 0, "c", "pay", "function", "{}", "h", "deny", False, "rule", "why", "a")


def as_in_the_ledger(row, **values):
    found = {name: (list(value) if isinstance(value, tuple) else value) for name, value in msgspec.structs.asdict(row).items()}
    return {**found, "run": "r", "slot": 0, **values}


def test_an_exchange_comes_back_as_it_was():
    row = as_in_the_ledger(EXCHANGE, started_at=AT, cost=Decimal("0.000012345"), rounds=None, started_us=None)
    assert ledger_rows.exchange(row) == EXCHANGE


def test_a_revised_cost_is_the_views():
    row = as_in_the_ledger(EXCHANGE, started_at=AT, cost=Decimal("0.5"))
    assert ledger_rows.exchange(row).cost == "0.5"


def test_a_call_comes_back_as_it_was():
    assert ledger_rows.call(as_in_the_ledger(CALL, decided_at=AT)) == CALL
