"""Which target is asked."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.routes.choosing import Candidate, choose

candidates = st.lists(
    st.builds(
        Candidate,
        at=st.just(0),
        name=st.just(""),
        weight=st.integers(1, 50),
        priority=st.integers(0, 3),
        admitted=st.booleans(),
        resting=st.booleans(),
        asked=st.booleans(),
    ),
    max_size=6,
).map(lambda found: [msgspec.structs.replace(each, at=at, name=f"t{at}") for at, each in enumerate(found)])
draws = st.floats(0, 1, exclude_max=True)
sessions = st.none() | st.text(max_size=20)


@given(candidates, draws, sessions)
def test_nobody_is_asked_whose_breaker_is_open_and_somebody_is_wherever_one_is_not(found, draw, session):
    chosen = choose(found, draw, session)
    assert (chosen is None) == (not any(each.admitted for each in found))
    assert chosen is None or chosen.admitted


@given(candidates, draws, sessions)
def test_who_was_not_asked_comes_first_then_who_does_not_rest_then_the_lower_priority(found, draw, session):
    chosen = choose(found, draw, session)
    if chosen is not None:
        rank = (chosen.asked, chosen.resting, chosen.priority)
        assert rank == min((each.asked, each.resting, each.priority) for each in found if each.admitted)


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=6))
def test_the_part_of_all_draws_that_falls_to_a_target_is_its_weight(weights):
    """Where one target's draws end and the next one's begin, to 2**-40."""
    found = [Candidate(at, f"t{at}", weight) for at, weight in enumerate(weights)]
    total, before = sum(weights), 0
    for at, weight in enumerate(weights):
        first, last = Fraction(before, total), Fraction(before + weight, total)
        inside = [first + (last - first) * Fraction(part, 16) for part in range(1, 16)]
        assert {choose(found, float(draw)).at for draw in inside} == {at}
        before += weight


@settings(max_examples=15)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.text(max_size=8))
def test_sessions_are_spread_by_weight(weights, salt):
    found = [Candidate(at, f"{salt}{at}", weight) for at, weight in enumerate(weights)]
    many = 3000
    counts = Counter(choose(found, 0.0, f"session {number}").at for number in range(many))
    for at, weight in enumerate(weights):
        share = weight / sum(weights)
        spread = (share * (1 - share) / many) ** 0.5
        assert abs(counts[at] / many - share) < 6 * spread


@given(candidates, draws, draws, st.text(min_size=1, max_size=20))
def test_a_session_is_not_left_to_chance(found, one, other, session):
    assert choose(found, one, session) == choose(found, other, session)


@given(candidates, st.text(min_size=1, max_size=20), st.integers(0, 5))
def test_a_target_that_goes_away_moves_only_the_sessions_it_had(found, session, gone):
    usual = [Candidate(each.at, each.name, each.weight, 0) for each in found]
    chosen = choose(usual, 0.0, session)
    left = [each for each in usual if each.at != gone]
    after = choose(left, 0.0, session)
    assert chosen is None or chosen.at == gone or after == chosen


def test_a_session_keeps_its_target_in_every_process():
    """The number is made of names, not of Python's hashes, which differ from process to process."""
    found = [Candidate(at, name) for at, name in enumerate(("openai/gpt-5", "azure/gpt-5", "local/llama"))]
    assert [choose(found, 0.0, f"s{number}").at for number in range(12)] == [1, 1, 0, 0, 2, 2, 2, 1, 2, 2, 0, 2]


def test_the_last_target_takes_what_rounding_leaves():
    found = [Candidate(0, "a", 1), Candidate(1, "b", 1)]
    assert choose(found, 1.0).at == 1
