"""A circuit breaker: opens on failures one after the other or by their share, and lets exactly one request try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.route_settings import BreakerSettings
from gateway.routes.breaker import Breaker

S = 1_000_000
SETTINGS = BreakerSettings(failures=3, share=0.5, of=10, window=30, open=10)


def failing(breaker: Breaker, times: int, now: int = 0) -> None:
    for _ in range(times):
        passed = breaker.take(now)
        assert passed is not None
        breaker.failed(passed, now)


def test_failures_one_after_the_other_open_it_and_a_success_between_them_does_not_count_as_one():
    breaker = Breaker(SETTINGS)
    failing(breaker, 2)
    breaker.succeeded(breaker.take(0), 0)
    failing(breaker, 2)
    assert breaker.state(0) == "closed"
    failing(breaker, 1)
    assert breaker.state(0) == "open"
    assert breaker.take(0) is None
    assert breaker.opens_in_us(4 * S) == 6 * S


def test_a_share_of_failures_opens_it_once_there_were_enough_requests():
    breaker = Breaker(BreakerSettings(failures=1000, share=0.5, of=10, window=30, open=10))
    for at in range(9):
        (breaker.failed if at % 2 else breaker.succeeded)(breaker.take(at), at)
    assert breaker.state(9) == "closed"
    failing(breaker, 1, 9)
    assert breaker.state(9) == "open"


def test_failures_that_are_older_than_the_window_count_for_no_share():
    breaker = Breaker(BreakerSettings(failures=1000, share=0.5, of=4, window=30, open=10))
    failing(breaker, 3, 0)
    late = 40 * S
    for _ in range(3):
        breaker.succeeded(breaker.take(late), late)
    failing(breaker, 1, late)
    assert breaker.state(late) == "closed"


def test_half_open_lets_one_request_pass_and_its_success_closes():
    breaker = Breaker(SETTINGS)
    failing(breaker, 3)
    later = 10 * S
    assert breaker.state(later - 1) == "open"
    assert breaker.state(later) == "half_open"
    probe = breaker.take(later)
    assert probe is not None
    assert probe.probe
    assert breaker.take(later) is None
    assert not breaker.admits(later)
    breaker.succeeded(probe, later)
    assert breaker.state(later) == "closed"
    assert breaker.opens_in_us(later) == 0


def test_a_probe_that_fails_opens_it_anew():
    breaker = Breaker(SETTINGS)
    failing(breaker, 3)
    failing(breaker, 1, 10 * S)
    assert breaker.state(19 * S) == "open"
    assert breaker.state(20 * S) == "half_open"


def test_a_probe_that_comes_to_nothing_behind_its_first_words_opens_it_anew_unless_another_answer_has_begun():
    for meanwhile, found in ((0, "open"), (1, "closed")):
        breaker = Breaker(SETTINGS)
        failing(breaker, 3)
        probe = breaker.take(10 * S)
        breaker.succeeded(probe, 10 * S)
        for _ in range(meanwhile):
            breaker.succeeded(breaker.take(11 * S), 11 * S)
        breaker.spoilt(probe, 12 * S)
        assert breaker.state(21 * S) == found
        assert breaker.opens_in_us(12 * S) == (10 * S if found == "open" else 0)


def test_a_probe_whose_client_left_makes_room_for_another():
    breaker = Breaker(SETTINGS)
    failing(breaker, 3)
    breaker.abandoned(breaker.take(10 * S))
    assert breaker.admits(10 * S)


def test_what_began_before_it_opened_neither_closes_it_nor_frees_its_probe():
    breaker = Breaker(SETTINGS)
    early = [breaker.take(0) for _ in range(3)]
    failing(breaker, 3)
    probe = breaker.take(10 * S)
    breaker.succeeded(early[0], 10 * S)
    breaker.failed(early[1], 10 * S)
    breaker.abandoned(early[2])
    assert breaker.state(10 * S) == "half_open"
    assert not breaker.admits(10 * S)
    breaker.succeeded(probe, 10 * S)
    assert breaker.state(10 * S) == "closed"


def spoiling(breaker: Breaker, times: int, together: bool = False) -> None:
    """So many answers that begin and then come to nothing, one after the other or side by side."""
    for group in [range(times)] if together else [[each] for each in range(times)]:
        given = [breaker.take(0) for _ in group]
        for each in given:
            breaker.succeeded(each, 0)
        for each in given:
            breaker.spoilt(each, 0)


@pytest.mark.parametrize("together", [False, True])
def test_answers_that_begin_and_come_to_nothing_are_failures_one_after_the_other(together):
    breaker = Breaker(SETTINGS)
    spoiling(breaker, 2, together)
    assert breaker.state(0) == "closed"
    spoiling(breaker, 1)
    assert breaker.state(0) == "open"


def test_a_long_answer_that_breaks_off_does_not_bring_back_failures_from_before_others_succeeded():
    breaker = Breaker(SETTINGS)
    failing(breaker, 2)
    long = breaker.take(0)
    breaker.succeeded(long, 0)
    breaker.succeeded(breaker.take(0), 0)
    breaker.spoilt(long, 0)
    failing(breaker, 1)
    assert breaker.state(0) == "closed"
    failing(breaker, 1)
    assert breaker.state(0) == "open"


def test_an_answer_that_comes_to_nothing_counts_once_in_the_share():
    breaker = Breaker(SETTINGS)
    for _ in range(4):
        spoiling(breaker, 1)
        breaker.succeeded(breaker.take(0), 0)
    spoiling(breaker, 1)
    assert breaker.state(0) == "closed"  # five of nine, too few to tell
    breaker.succeeded(breaker.take(0), 0)
    spoiling(breaker, 1)
    assert breaker.state(0) == "open"


events = st.tuples(st.sampled_from(["take", "succeed", "fail", "abandon", "spoil"]), st.integers(0, 4 * S), st.integers(0, 30))


@given(st.lists(events, max_size=120))
def test_however_requests_come_and_end_it_is_open_for_its_time_and_then_has_one_probe_under_way_at_most(story):
    breaker, now = Breaker(SETTINGS), 0
    under_way = []
    for what, later, which in story:
        now += later
        if what == "take":
            admits, state = breaker.admits(now), breaker.state(now)
            passed = breaker.take(now)
            assert (passed is not None) == admits
            assert passed is None or state != "open"
            if passed is not None:
                assert passed.probe == (state == "half_open")
                under_way.append(passed)
        elif under_way:
            passed = under_way.pop(which % len(under_way))
            if what == "abandon":
                breaker.abandoned(passed)
            elif what == "spoil":
                breaker.succeeded(passed, now)
                breaker.spoilt(passed, now)
            else:
                {"succeed": breaker.succeeded, "fail": breaker.failed}[what](passed, now)
        if breaker.state(now) == "half_open":
            running = [each for each in under_way if each.probe and each.era == breaker._era]
            assert len(running) == (0 if breaker.admits(now) else 1)
