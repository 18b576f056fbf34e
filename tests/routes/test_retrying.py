"""Whether another attempt is right, how long before it, and how many a route may make."""

from __future__ import annotations

import datetime as dt
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.request import Request, ServerTool
from gateway.route_settings import Retries
from gateway.routes.outcomes import Failure, of_fault, of_status
from gateway.routes.retry_after import LONGEST_S, asked_for
from gateway.routes.retrying import RetryBudget, lasting, may_repeat, wait_s
from gateway.routes.window import Window

S = 1_000_000
NOW = int(dt.datetime(2026, 11, 21, 12, 0, 0, tzinfo=dt.UTC).timestamp()) * S


def request(**more) -> Request:
    return Request("openai.chat", "m", stream=False, messages=(), tools=(), body=b"", **more)


@pytest.mark.parametrize("status", [200, 201, 204, 400, 405, 409, 413, 422, 451])
def test_an_answer_and_what_every_provider_would_refuse_is_no_failure(status):
    assert of_status(status, {}) is None


@pytest.mark.parametrize(
    ("status", "where", "unsure", "sick"),
    [
        (401, "elsewhere", False, True),
        (402, "elsewhere", False, True),
        (403, "elsewhere", False, True),
        (404, "elsewhere", False, False),
        (408, "anywhere", True, True),
        (429, "anywhere", False, True),
        (500, "anywhere", False, True),
        (501, "nowhere", False, True),
        (502, "anywhere", True, True),
        (503, "anywhere", False, True),
        (504, "anywhere", True, True),
        (529, "anywhere", False, True),
        (599, "nowhere", False, True),
    ],
)
def test_each_status_has_one_meaning(status, where, unsure, sick):
    assert of_status(status, {}) == Failure(f"status_{status}", where, unsure, sick)


def test_a_provider_that_says_that_trying_again_is_no_use_is_taken_at_its_word():
    assert of_status(500, {"x-should-retry": "false"}).where == "nowhere"
    assert of_status(500, {"x-should-retry": "true"}).where == "anywhere"


@pytest.mark.parametrize(
    ("code", "sent", "expected"),
    [
        ("upstream_unreachable", True, Failure("upstream_unreachable", "anywhere")),
        ("upstream_timeout", False, Failure("upstream_timeout", "anywhere")),
        ("upstream_timeout", True, Failure("upstream_timeout", "anywhere", unsure=True)),
        ("upstream_reset", True, Failure("upstream_reset", "anywhere", unsure=True)),
        ("upstream_request", False, Failure("upstream_request", "elsewhere")),
        ("untranslatable", False, Failure("untranslatable", "elsewhere", sick=False)),
        ("answer_too_large", True, Failure("answer_too_large", "nowhere", unsure=True)),
    ],
)
def test_a_fault_is_unsure_once_the_request_was_on_its_way(code, sent, expected):
    assert of_fault(code, sent=sent) == expected


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 30}, LONGEST_S),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:09"}, 9.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sat, 99 Nov 2026 12:00:09 GMT"}, None),
        ({"retry-after": "30", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "30", "retry-after-ms": "x"}, 30.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nothing_else(headers, seconds):
    assert asked_for(headers, NOW) == seconds


@given(st.text(max_size=60))
def test_whatever_retry_after_says_it_is_a_time_within_bounds_or_nothing(text):
    found = asked_for({"retry-after": text, "retry-after-ms": text}, NOW)
    assert found is None or 0 <= found <= LONGEST_S


@given(st.integers(0, 80_000))
def test_a_date_is_as_far_away_as_it_says(seconds):
    moment = dt.datetime.fromtimestamp(NOW // S + seconds, dt.UTC)
    assert asked_for({"retry-after": format_datetime(moment, usegmt=True)}, NOW) == seconds


def test_what_may_have_been_carried_out_is_repeated_only_where_the_settings_say_so():
    unsure, sure = of_fault("upstream_reset", sent=True), of_status(503, {})
    assert not may_repeat(unsure, Retries(), request())
    assert may_repeat(unsure, Retries(sent=True), request())
    assert may_repeat(sure, Retries(), request())


@pytest.mark.parametrize(
    "more",
    [
        {"stores": "response"},
        {"background": True},
        {"server_tools": (ServerTool("openai.web_search", "tools[0]"),)},
        {"operation": "create"},
        {"operation": "delete"},
        {"operation": "pass_through"},
    ],
)
def test_what_leaves_something_behind_is_never_repeated_when_it_may_have_been_carried_out(more):
    asked = request(**more)
    assert lasting(asked)
    assert not may_repeat(of_fault("upstream_reset", sent=True), Retries(sent=True), asked)
    assert may_repeat(of_status(503, {}), Retries(sent=True), asked)


@given(st.integers(1, 6), st.floats(0, 1, exclude_max=True), st.floats(0, 1), st.none() | st.floats(0, 100))
def test_a_wait_doubles_is_never_shorter_than_asked_for_and_never_longer_than_the_longest(repeats, draw, jitter, asked):
    retries = Retries(wait=0.5, longest=10, jitter=jitter)
    found = wait_s(retries, repeats, asked, draw)
    if asked is not None and asked > 10:
        assert found is None
    else:
        assert max(asked or 0, min(10, 0.5 * 2 ** (repeats - 1)) * (1 - jitter)) <= found <= 10


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3 * S)), max_size=300))
def test_repeats_are_never_more_than_the_share_or_the_least_in_any_window(story):
    retries = Retries(share=0.1, least=3, window=10)
    budget, now, log = RetryBudget(retries), NOW, []
    for repeat, later in story:
        now += later
        if not repeat:
            budget.request(now)
            log.append((now, "request"))
        elif budget.take(now):
            log.append((now, "repeat"))
            recent = [what for at, what in log if at > now - 9 * S]
            older = [what for at, what in log if at > now - 10 * S]
            assert recent.count("repeat") <= max(3, older.count("request") // 10 + 1)


def test_a_budget_is_free_again_when_its_window_is_over():
    budget = RetryBudget(Retries(share=0, least=2, window=10))
    assert [budget.take(NOW) for _ in range(3)] == [True, True, False]
    assert not budget.take(NOW + 8 * S)
    assert budget.take(NOW + 11 * S)


@given(st.lists(st.tuples(st.integers(0, 5 * S), st.integers(0, 3), st.integers(0, 3)), max_size=80))
def test_a_window_counts_what_is_younger_than_it_and_nothing_older_than_a_slice_more(story):
    window, now, log = Window(10), NOW, []
    for later, first, second in story:
        now += later
        window.add(now, first=first, second=second)
        log.append((now, first, second))
        found = window.sums(now)
        for at in (0, 1):
            least = sum(each[at + 1] for each in log if each[0] > now - 9 * S)
            most = sum(each[at + 1] for each in log if each[0] > now - 10 * S)
            assert least <= found[at] <= most


def test_a_clock_that_goes_back_counts_as_the_latest_time():
    window = Window(10)
    window.add(NOW, first=1)
    window.add(NOW - 60 * S, first=1)
    assert window.sums(NOW) == (2, 0)
