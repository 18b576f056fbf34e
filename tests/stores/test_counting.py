"""The numbers that should make somebody look."""

from __future__ import annotations

from gateway.stores import Applied
from gateway.stores.counting import count
from gateway.trace.exchange_rows import CallRow, ExchangeRow


def exchange(**more) -> ExchangeRow:
    return ExchangeRow(id="1", started_us=1, dialect="d", provider="p", operation="chat", route="/", agent="a", **more)


def call(effect: str, code: str, released: bool) -> CallRow:
    return CallRow("1", "dec", 1, 0, "c", "t", "function", "{}", "h", effect, released, code, "r", "a")


def test_what_is_counted():
    exchanges = [exchange(state="complete", cache="miss"), exchange(state="denied", cost="0.1")]
    exchanges += [exchange(state="rejected", unevaluated=("no_policy",)), *[exchange(state="complete", cache="hit", cost="0")] * 2]
    calls = [call("allow", "granted", True), call("deny", "no_policy_for_agent", False), call("deny", "policy_error", False)]
    assert count(Applied(6, exchanges, calls, ["x"])) == {
        "exchanges": 5,
        "exchanges_complete": 3,
        "cache_hit": 2,
        "cache_miss": 1,
        "exchanges_denied": 1,
        "exchanges_rejected": 1,
        "unpriced": 1,
        "unevaluated": 1,
        "calls": 3,
        "calls_allow": 1,
        "calls_deny": 2,
        "calls_withheld": 2,
        "no_policy_for_agent": 1,
        "policy_error": 1,
        "interrupted": 1,
    }


def test_nothing_is_nothing():
    assert count(Applied(0, [], [], [])) == {}
