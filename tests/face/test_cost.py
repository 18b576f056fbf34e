"""The page of costs over a real ledger and a real state store: parts come to the sum, what is not known is not zero, how budgets stand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from gateway.budget_settings import Budget
from gateway.face.pages.cost import BY, _ends
from gateway.installation import open_limits
from gateway.spending import charge
from gateway.state.limits import Lease
from gateway.web import budgets

SEVERAL = {"team": "red", "user": "ann", "key_id": "k1", "price_version": "v1"}


@pytest.fixture(scope="module")
def house(lived_in):
    lived_in.exchange(1, ago_s=100, cost="0.5", cache_read_tokens=7, **SEVERAL)
    lived_in.exchange(2, ago_s=200, cost="0.25", agent="other", org="acme", request_model="claude-haiku-4-5", provider="anthropic")
    lived_in.exchange(3, ago_s=2 * 86400, cost=None, request_model="unheard-of")
    lived_in.exchange(4, ago_s=300, cost="0", cache="hit", saved_cost="0.125")
    lived_in.exchange(5, ago_s=400, cost=None, state="rejected")
    lived_in.exchange(6, ago_s=20 * 86400, cost="9")
    lived_in.browse(lambda browser: browser.begin())
    return lived_in


def seen(house, path):
    async def go(browser):
        assert (await browser.sign_in()).status_code == 303
        return await browser.get(path)

    return house.browse(go)


def test_the_sum_is_of_what_is_known_and_says_how_much_is_not(house) -> None:
    total = seen(house, "/ui/cost.json").json()["total"]
    assert (total["cost"], total["exchanges"], total["unpriced"]) == ("0.750000000", 5, 1)
    assert (total["saved"], total["hits"]) == ("0.125000000", 1)
    assert seen(house, "/ui/cost.json?days=30").json()["total"]["cost"] == "9.750000000"
    assert seen(house, "/ui/cost.json?q=since:30d").json()["total"]["cost"] == "9.750000000"
    for q in ("agent:other", "org:acme", "org:ac*"):
        assert seen(house, f"/ui/cost.json?q={q}").json()["total"]["cost"] == "0.250000000"
    assert seen(house, "/ui/cost.json?q=agent:nobody").json()["total"]["cost"] is None


@pytest.mark.parametrize("by", BY)
def test_whatever_it_is_told_by_the_parts_come_to_the_sum(house, by) -> None:
    found = seen(house, f"/ui/cost.json?by={by}").json()
    assert sum(Decimal(row["cost"] or 0) for row in found["rows"]) == Decimal("0.75")
    assert sum(row["exchanges"] for row in found["rows"]) == 5
    for rows in found["parts"].values():
        assert sum(Decimal(row["cost"] or 0) for row in rows) == Decimal("0.75")
        assert sum(row["exchanges"] for row in rows) == 5
    assert sum(sum(value or 0 for value in values) for values in found["chart"]["series"].values()) == pytest.approx(0.75)


def test_parts_are_named_by_what_they_are_of(house) -> None:
    parts = seen(house, "/ui/cost.json").json()["parts"]
    assert {row["value"]: row["cost"] for row in parts["model"]} == {
        "gpt-4o-mini": "0.500000000", "claude-haiku-4-5": "0.250000000", "unheard-of": None,
    }  # fmt: skip
    assert {row["value"] for row in parts["team"]} == {"red", None}
    assert {row["value"] for row in parts["key"]} == {"k1", None}
    assert {row["value"] for row in parts["prices"]} == {"v1", None}
    assert parts["route"][0]["value"] == "/v1/chat/completions"


def test_a_dimension_of_many_values_still_comes_to_the_sum(house) -> None:
    for n in range(40):
        house.exchange(100 + n, ago_s=500, cost="0.001", agent=f"agent {n:02}", team="crowd")
    found = seen(house, "/ui/cost.json?by=agent&q=team:crowd").json()
    assert sum(Decimal(row["cost"]) for row in found["rows"]) == Decimal("0.040")
    assert [row["value"] for row in found["rows"]].count("(others)") == 1
    assert "25 others" in seen(house, "/ui/cost?by=agent&q=team:crowd").text


def test_tokens_are_told_by_class_and_models_without_a_price_with_the_reason(house) -> None:
    found = seen(house, "/ui/cost.json?q=-team:crowd").json()
    assert {row["class"]: row["tokens"] for row in found["tokens"]} == {"read": 50, "read from the provider's cache": 7, "written": 25}
    assert [(row["model"], row["why"], row["exchanges"]) for row in found["no_price"]] == [("unheard-of", "no price for the model", 1)]


def test_what_cannot_be_asked_is_refused(house) -> None:
    assert seen(house, "/ui/cost?by=moon").status_code == 400
    assert seen(house, "/ui/cost?days=367").status_code == 400
    assert "did you mean" in seen(house, "/ui/cost?q=cots:1").text


def test_budgets_stand_as_the_state_store_has_them(house, monkeypatch) -> None:
    assert "No budget is set" in seen(house, "/ui/cost").text
    budget = Budget(id="daily", per="team", of="money", max="2.00", window="day")
    object.__setattr__(house.settings, "budgets", [budget])
    limits = open_limits(house.settings)
    try:
        now = limits.steady_us()
        limits.take([charge(budget, "red", (), 500_000_000, now, most=budget.most)], now, Lease(1, now + 10**9))
        house.exchange(60, ago_s=50, budgets=("daily=red",), team="red")
        monkeypatch.setattr("gateway.web.budgets._SUBJECTS", SUBJECTS)
        [row] = seen(house, "/ui/cost.json").json()["budgets"]
        assert (row["id"], row["subject"], row["taken"], row["left"], row["share"]) == ("daily", "red", "0.50", "1.50", 0.25)
        assert row["reserved"] == "0.50"
        assert row["ends"].endswith("T00:00:00Z")
        assert 'value="0.25"' in seen(house, "/ui/cost").text
    finally:
        limits.close()
        object.__setattr__(house.settings, "budgets", [])


SUBJECTS = budgets._SUBJECTS.replace(f" AND started_at > now()::TIMESTAMP - to_days({budgets.SINCE_DAYS})", "")
"""Without the bound in time: this book's clock stands still."""


@pytest.mark.parametrize(
    ("window", "ends"),
    [("day", "2026-12-10T00:00:00Z"), ("month", "2027-01-01T00:00:00Z"), ("24h", ""), ("total", ""), ("session", "")],
)
def test_a_window_of_the_calendar_ends_with_its_day_or_month(window, ends) -> None:
    assert _ends(window, dt.datetime(2026, 12, 9, 23, 59)) == ends  # noqa: DTZ001 - the page's times are UTC without saying so
