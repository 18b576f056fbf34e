"""Budgets as people write them: what each says, and what cannot be meant."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.budget_settings import NANO, Budget, nano
from gateway.config import Settings
from gateway.exchange import Caller


def budget(**more: Any) -> Budget:
    return Budget.model_validate({"id": "b", "per": "team", "of": "money", "max": "25.00", "window": "day"} | more)


@pytest.mark.parametrize(
    ("more", "most", "window_us"),
    [
        ({}, 25 * NANO, 0),
        ({"max": "0.000000001"}, 1, 0),
        ({"max": 3}, 3 * NANO, 0),
        ({"of": "tokens", "max": 1000, "window": "1m"}, 1000, 60_000_000),
        ({"of": "calls", "max": 0, "window": "7d"}, 0, 7 * 86_400_000_000),
    ],
)
def test_an_amount_and_a_window_are_what_is_counted(more: dict[str, Any], most: int, window_us: int) -> None:
    found = budget(**more)
    assert (found.most, found.window_us) == (most, window_us)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"max": "cheap"}, "at most nine decimals"),
        ({"max": "1.0000000001"}, "at most nine decimals"),
        ({"max": "-1"}, "at most nine decimals"),
        ({"max": "999999999999"}, "cannot be counted"),
        ({"of": "requests", "max": "5"}, "without quotes"),
        ({"of": "requests", "max": -5}, "cannot be counted"),
        ({"window": "fortnight"}, "is no window"),
        ({"window": "0m"}, "is no window"),
        ({"per": "tag:"}, "'tag:' is nobody .*; write all, key, agent, team, org, user, session, or tag:"),
        ({"per": "tag"}, "'tag' is nobody"),
        ({"per": "planet"}, "'planet' is nobody"),
        ({"models": ["gpt-*", ""]}, "an empty name"),
        ({"keys": [" "]}, "an empty name"),
        ({"id": "a b"}, "id"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        budget(**more)


def test_a_budget_is_told_in_words() -> None:
    assert budget().term == "money per team, by calendar day (UTC)"
    assert budget(of="calls", max=1, per="tag:project", window="24h").term == "calls per tag project, in 24h"


def test_two_budgets_of_one_name_are_refused() -> None:
    one = {"id": "b", "per": "all", "of": "requests", "max": 1, "window": "day"}
    with pytest.raises(ValidationError, match="two budgets are called 'b'"):
        Settings.model_validate({"budgets": [one, one]})


def test_a_budget_concerns_whoever_every_glob_matches() -> None:
    found = budget(agents=["bot-*"], teams=["red", "blue"], models=["gpt-*"], routes=["/v1/*"])
    assert found.concerns(Caller("bot-1", team="red", user=None), "gpt-5", "/v1/responses")
    assert not found.concerns(Caller("man", team="red", user=None), "gpt-5", "/v1/responses")
    assert not found.concerns(Caller("bot-1", team=None, user=None), "gpt-5", "/v1/responses")
    assert not found.concerns(Caller("bot-1", team="red", user=None), "claude", "/v1/messages")
    assert budget(orgs=["acme*"]).concerns(Caller("a", org="acme-eu"), "m", "/")
    assert not budget(orgs=["acme*"]).concerns(Caller("a"), "m", "/")
    assert budget(users=["*"]).concerns(Caller("a", team=None, user="ada"), "m", "/")
    assert not budget(users=["*"]).concerns(Caller("a", team=None, user=None), "m", "/")


@pytest.mark.parametrize(
    ("glob", "org", "team", "concerned"),
    [
        ("acme/payments", "acme", "payments", True), ("acme/payments", "acme", "red", False), ("acme/payments", "other", "payments", False),
        ("acme/payments", None, "payments", False), ("acme/*", "acme", "red", True), ("acme/*", "acme", None, True),
        ("acme/*", "other", "red", False), ("payments", "acme", "payments", True), ("a/b", None, "a/b", True), ("/a/b", None, "a/b", True),
        ("p*", "payments", "red", False), ("*", "acme", None, False),
    ],
)  # fmt: skip
def test_a_team_may_be_named_as_people_are_bound_to_it(glob: str, org: str | None, team: str | None, concerned: bool) -> None:
    assert budget(teams=[glob]).concerns(Caller("a", team=team, org=org), "m", "/") is concerned


@pytest.mark.parametrize(
    ("of", "amount", "text"),
    [("money", 25 * NANO, "$25.00"), ("money", 1, "$0.000000001"), ("money", 0, "$0.00"), ("money", 10_100_000, "$0.0101"),
     ("money", 10**13, "$10000.00"), ("tokens", 7, "7 tokens")],
)  # fmt: skip
def test_amounts_are_shown_to_their_last_digit(of: Any, amount: int, text: str) -> None:
    assert budget(of=of, max=1).shown(amount) == text


@given(st.decimals(0, 10**6, allow_nan=False, places=12))
def test_money_is_counted_up_to_the_next_billionth(amount: Decimal) -> None:
    assert 0 <= nano(amount) - amount * NANO < 1


def test_what_is_no_amount_is_refused() -> None:
    with pytest.raises(ValueError, match="no amount"):
        nano(Decimal("Infinity"))
