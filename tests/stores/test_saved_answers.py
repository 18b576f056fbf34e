"""Saved queries answer what their titles ask, of rows that are easily counted for what they are not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from gateway.clock import now_us
from gateway.face.pages.cost import WHY_UNPRICED
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import CallRow, HeardRow
from gateway.trace.people_rows import RevisedRow
from gateway.trace.record import CostsRevised, Ended, Record
from gateway.verdict import RuleHit
from gateway.web.queries import read_all

Told = Callable[[str, Sequence[Record]], list[dict[str, Any]]]


@pytest.fixture
def told(ledger: Ledger, make: Any) -> Told:
    """What a saved query says of a book with nothing else in it."""

    def tell(name: str, records: Sequence[Record]) -> list[dict[str, Any]]:
        segment, query = make.segment(), read_all()[name]
        ledger.apply([make.batch(segment, [make.booted(segment), *records])])
        found = ledger.query(query.sql, 100, dict(query.params))
        return [dict(zip(found.columns, row, strict=True)) for row in found.rows]

    return tell


@pytest.fixture
def ended(make: Any) -> Callable[..., Ended]:
    def one(key: int, *calls: CallRow, **more: Any) -> Ended:
        given = {"state": "complete", "cost": "1", "started_us": now_us(), "session": "s1", "request_model": "m"} | more
        return Ended(make.exchange(key, **given), calls)

    return one


@pytest.fixture
def call(make: Any) -> Callable[..., CallRow]:
    """Denied by a rule of the policy `bank` unless something else is said."""

    def one(key: int, exchange: int, **more: Any) -> CallRow:
        said = {"decided_us": now_us(), "session": "s1", "policy": "bank", "rule": "no-strangers", "policy_hash": "v1"}
        return msgspec.structs.replace(make.call(key, exchange, released=False), **(said | more))

    return one


HEARD: dict[str, Any] = {"input_tokens": 1, "output_tokens": 1}
WHYS: dict[str, dict[str, Any]] = {
    "no price for the model": {**HEARD, "not_priced": ("model",)},
    "no price for file_search, web_search": {**HEARD, "not_priced": ("web_search", "file_search"), "price_model": "gpt-4o"},
    "the provider's counts do not fit together": {"input_tokens": 1, "not_priced": ("usage",), "price_model": "gpt-4o"},
    "nobody heard the answer to its end": {"state": "client_gone", "input_tokens": 9, "estimate": "about", "price_model": "gpt-4o"},
    "the provider gave no usage": {"state": "upstream_error"},
}


@pytest.mark.parametrize("why", WHYS)
def test_an_unknown_cost_has_the_reason_that_is_on_record(told: Told, ended: Any, why: str) -> None:
    (row,) = told("unpriced_models", [ended(1, cost=None, **WHYS[why])])
    assert (row["why"], row["exchanges"]) == (why, 1)


def test_the_page_about_cost_gives_the_same_reasons() -> None:
    assert " ".join(WHY_UNPRICED.split()) in " ".join(read_all()["unpriced_models"].sql.split())


def test_two_tools_with_the_same_arguments_are_not_the_same_call(told: Told, ended: Any, call: Any) -> None:
    calls = [call(1, 1, name="look"), call(2, 1, name="look"), call(3, 1, name="pay")]
    (row,) = told("sessions_by_cost", [ended(1, *calls, calls=3, denied=3)])
    assert (row["calls"], row["withheld"], row["same_call"]) == (3, 3, 2)


def test_a_call_that_its_answer_left_behind_was_withheld_by_no_rule(told: Told, ended: Any, call: Any) -> None:
    left = call(1, 1, effect="warn", code="not_delivered", hits=(RuleHit("bank", "no-strangers", "warn"),))
    (row,) = told("denied_calls_by_rule", [ended(1, left)])
    assert (row["policy"], row["rule"], row["calls"]) == ("(none)", "not_delivered", 1)


def test_a_rule_that_only_spoke_about_a_withheld_call_withheld_nothing(told: Told, ended: Any, call: Any) -> None:
    hits = (RuleHit("bank", "no-strangers", "deny"), RuleHit("bank", "tells", "warn"), RuleHit("bank", "trial", "deny", "shadow"))
    left = call(2, 1, effect="warn", code="not_delivered", hits=(RuleHit("bank", "tells", "warn"),))
    rates = {row["rule"]: row for row in told("rule_rates_by_version", [ended(1, call(1, 1, hits=hits), left)])}
    assert {rule: (row["calls"], row["hits"], row["withheld"], row["deny_rate"]) for rule, row in rates.items()} == {
        "no-strangers": (2, 1, 1, 0.5), "tells": (2, 2, 0, 0), "trial": (2, 1, 0, 0),
    }  # fmt: skip


def test_an_answer_of_the_cache_is_no_latency_of_its_model(told: Told, ended: Any) -> None:
    asked, again = ended(1, duration_us=900_000, cache="miss"), ended(2, duration_us=1000, cache="hit", cost="0")
    (row,) = told("latency_by_model", [asked, again])
    assert (row["exchanges"], row["p50_ms"]) == (1, 900)


SHADOW = ("policy", "rule", "effect", "hook", "tool", "agent", "calls", "released", "exchanges")


def test_a_rule_in_force_is_not_told_among_those_in_shadow(told: Told, ended: Any, call: Any) -> None:
    hits = (RuleHit("bank", "tells", "warn"), RuleHit("bank", "trial", "deny", "shadow"))
    let = call(1, 1, effect="warn", released=True, code="rule", rule="tells", would="deny", hits=hits)
    (row,) = told("shadow_decisions", [ended(1, let)])
    assert [row[name] for name in SHADOW] == ["bank", "trial", "deny", "tool_call", "send_money", "coder", 1, 1, 1]


def test_what_a_rule_about_texts_would_have_done_is_told_too(told: Told, ended: Any, make: Any) -> None:
    def heard(path: str, mode: str = "shadow") -> HeardRow:
        return HeardRow(f"{1:032x}", now_us(), "output", path, "bank", "cards", "redact", mode, detector="card")

    one = msgspec.structs.replace(ended(1), heard=(heard("answer"), heard("answer[1]"), heard("answer", "enforce")))
    (row,) = told("shadow_decisions", [one])
    assert [row[name] for name in SHADOW] == ["bank", "cards", "redact", "output", None, "coder", 0, 0, 1]


def test_a_call_that_no_rule_could_read_is_told_of_a_policy_that_only_observes(told: Told, ended: Any, call: Any) -> None:
    let = call(1, 1, effect="allow", released=True, code="shadow", policy="", rule="", would="deny", hits=())
    (row,) = told("shadow_decisions", [ended(1, let)])
    assert [row[name] for name in SHADOW] == ["(none)", "unreadable", "deny", "tool_call", "send_money", "coder", 1, 1, 1]


COSTS = "cost_by_agent_and_day", "tokens_by_model", "sessions_by_cost", "org_daily"


@pytest.mark.parametrize("name", COSTS)
def test_no_price_is_missing_of_a_request_that_was_refused_before_a_provider_was_asked(
    ledger: Ledger, ended: Any, make: Any, name: str
) -> None:
    refused = [ended(key, state="rejected", cost=None, error_code="budget_exceeded") for key in (2, 3)]
    ledger.apply([make.batch(make.segment(), [ended(1), *refused, ended(4, state="upstream_error", cost=None)])])
    saved = read_all().get(name)
    found = ledger.query(saved.sql, 10, dict(saved.params)) if saved else ledger.query(f"FROM {name}", 10)
    (row,) = [dict(zip(found.columns, each, strict=True)) for each in found.rows]
    assert (row["exchanges"], row["unpriced"], float(row["cost"])) == (4, 1, 1.0)


def test_a_day_of_one_unknown_cost_and_refused_requests_has_none(ledger: Ledger, ended: Any, make: Any) -> None:
    revised = RevisedRow(f"{1:032x}", now_us(), "coder", provider="openai", model="m", recorded_cost="1")
    changed = CostsRevised("r1", now_us(), "ann", (revised,))
    ledger.apply([make.batch(make.segment(), [ended(1), ended(2, state="rejected", cost=None), changed])])
    assert ledger.query("SELECT exchanges, unpriced, cost FROM cost_daily", 9).rows == [[2, 1, None]]


LONG_AGO = now_us() - 20 * 86_400_000_000


def test_coverage_of_some_days_counts_no_others(ledger: Ledger, ended: Any, make: Any, call: Any) -> None:
    """A gap that was closed weeks ago is none of this week."""
    route = "/v1beta/models/gemini-{}:generateContent"
    old = ended(1, started_us=LONG_AGO, route=route.format(1), unevaluated=("no_policy",), calls=1)
    new = [ended(key, route=route.format(key), unevaluated=("answer:protocol",)) for key in (2, 3)]
    ledger.apply([make.batch(make.segment(), [old, *new, ended(4, route=route.format(1), calls=2, denied=1)])])

    def told(name: str, days: int, *columns: str) -> list[list[Any]]:
        return ledger.query(f"SELECT {', '.join(columns)} FROM ({read_all()[name].sql}) ORDER BY ALL", 9, {"days": str(days)}).rows

    counts = ("hook", "exchanges", "judged", "unevaluated", "calls", "denied")
    assert told("coverage", 7, *counts) == [["request", 3, 3, 0, 0, 0], ["tool_call", 3, 1, 2, 2, 1]]
    assert told("coverage", 30, *counts) == [["request", 4, 3, 1, 0, 0], ["tool_call", 4, 1, 3, 3, 1]]
    reasons = ("route", "reason", "exchanges")
    form = route.format("").replace("gemini-", "{model}")
    assert told("coverage_reasons", 7, *reasons) == [[form, "answer:protocol", 2]]
    assert told("coverage_reasons", 30, *reasons) == [[form, "answer:protocol", 2], [form, "no_policy", 1]]
