"""What budgets count: for whom, in which stretch of the calendar, and when there is room again."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budget_settings import Budget
from gateway.exchange import Caller
from gateway.spending import _wait_us, charge, period, session_of, subject_of

BOT = Caller("bot", "k1", team="red", user="ada", labels={"project": "x"}, session="s", org="acme")


def budget(**more: Any) -> Budget:
    return Budget.model_validate({"id": "b", "per": "team", "of": "requests", "max": 5, "window": "day"} | more)


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1_000_000)


@pytest.mark.parametrize(
    ("per", "tag", "subject"),
    [("all", "", ""), ("key", "", "k1"), ("agent", "", "acme/bot"), ("team", "", "acme/red"), ("org", "", "acme"), ("user", "", "acme/ada"),
     ("session", "", "s"),     ("tag:project", "y", "x"), ("tag:other", "y", "y"), ("tag:other", "", "")],
)  # fmt: skip
def test_a_label_of_the_key_goes_before_what_the_client_says(per: str, tag: str, subject: str) -> None:
    assert subject_of(budget(per=per), BOT, tag) == subject


@pytest.mark.parametrize("per", ["agent", "team", "user"])
def test_those_of_two_organisations_do_not_count_together_whatever_their_names(per: str) -> None:
    whose = ((None, "red"), ("acme", "red"), ("zeta", "red"), ("acme", ""), (None, "acme/red"))
    callers = [msgspec.structs.replace(Caller("bot", org=org), **{per: name}) for org, name in whose]
    assert [subject_of(budget(per=per), caller, "") for caller in callers] == ["red", "acme/red", "zeta/red", "acme/", "/acme/red"]


def test_callers_whose_key_does_not_say_count_together() -> None:
    assert [subject_of(budget(per=per), Caller("bot"), "") for per in ("key", "team", "org", "user")] == [""] * 4


def test_the_sessions_of_two_keys_are_two() -> None:
    assert session_of(budget(per="session"), BOT) == ("acme/bot", "k1", "s")
    assert session_of(budget(window="session"), BOT) == ("acme/bot", "k1", "s")
    assert session_of(budget(), BOT) == ()


def test_a_calendar_day_and_month_are_those_of_utc() -> None:
    last, first = at("2026-11-30T23:59:59"), at("2026-12-01T00:00:00")
    assert [period("day", each) for each in (last, first)] == [("2026-11-30",), ("2026-12-01",)]
    assert [period("month", each) for each in (last, first)] == [("2026-11",), ("2026-12",)]
    assert period("1h", last) == period("total", last) == ()
    one, two = (charge(budget(), "red", (), 1, each, most=5) for each in (last, first))
    assert one.whose != two.whose


@pytest.mark.parametrize(
    ("window", "now", "ends"),
    [
        ("day", "2026-11-21T18:30:00", "2026-11-22T00:00:00"),
        ("day", "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        ("month", "2026-11-21T18:30:00", "2026-12-01T00:00:00"),
        ("month", "2026-12-31T00:00:00", "2027-01-01T00:00:00"),
        ("month", "2028-01-31T12:00:00", "2028-02-01T00:00:00"),
    ],
)
def test_a_stretch_of_the_calendar_ends_when_the_next_begins(window: str, now: str, ends: str) -> None:
    assert _wait_us(budget(window=window), None, at(now)) == at(ends) - at(now)


@given(st.integers(0, 4_000_000_000_000_000), st.sampled_from(["day", "month"]))
def test_after_the_wait_another_stretch_has_begun_and_not_before(now: int, window: str) -> None:
    wait = _wait_us(budget(window=window), None, now)
    assert wait is not None
    whole = now // 1_000_000 * 1_000_000
    assert period(window, whole + wait) != period(window, whole + wait - 1_000_000)
    assert period(window, whole + wait - 1_000_000) == period(window, now)


def test_a_session_and_a_total_free_nothing_and_a_window_when_the_store_says() -> None:
    assert _wait_us(budget(window="session"), None, 5) is None
    assert _wait_us(budget(window="total"), None, 5) is None
    assert _wait_us(budget(window="1h"), 9, 5) == 4
