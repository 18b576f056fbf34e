"""Means compared, and the risk spent over the looks: against the library's own tests, integrals and simulations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gateway.rollout.statistics import LEAST, Group, compare, evenness, level

VALUES = st.lists(st.floats(-1000, 1000), min_size=2, max_size=60)


def group(values) -> Group:
    return Group(len(values), float(np.mean(values)), float(np.std(values, ddof=1)))


def crossed(shares: tuple[float, ...], bounds: list[float]) -> float:
    """How often a sum without drift is beyond a bound at any look."""
    draws = np.random.default_rng(7)
    steps = np.diff((0.0, *shares)) ** 0.5
    sums = np.cumsum(draws.normal(size=(200_000, len(shares))) * steps, axis=1) / np.sqrt(shares)
    return float((sums > bounds).any(axis=1).mean())


def bounds_of(shares: tuple[float, ...], risk: float) -> list[float]:
    return [float(stats.norm.isf(level(shares[: n + 1], risk))) for n in range(len(shares))]


@pytest.mark.parametrize("shares", [(1.0,), (0.2, 0.4, 0.6, 0.8, 1.0), (0.1, 0.325, 0.55, 0.775, 1.0), (0.05, 0.06, 0.9, 1.0)])
@pytest.mark.parametrize("risk", [0.05, 0.01])
def test_all_looks_together_take_the_risk_and_no_more(shares, risk):
    expected = stats.binom.interval(0.9999, 200_000, risk)
    assert expected[0] <= crossed(shares, bounds_of(shares, risk)) * 200_000 <= expected[1]


def test_looking_five_times_at_the_full_risk_is_what_this_is_not():
    shares = (0.2, 0.4, 0.6, 0.8, 1.0)
    assert crossed(shares, [stats.norm.isf(0.05)] * 5) > 0.12


def test_bounds_are_those_of_the_multivariate_normal_distribution():
    shares = np.array([0.3, 0.5, 1.0])
    covariance = np.sqrt(np.minimum.outer(shares, shares) / np.maximum.outer(shares, shares))
    inside = stats.multivariate_normal(cov=covariance, seed=1).cdf(bounds_of(tuple(shares), 0.025))
    assert inside == pytest.approx(0.975, abs=1e-4)


def test_looks_without_new_sessions_find_nothing_and_more_sessions_than_planned_are_all():
    assert level((0.5, 0.5), 0.05) < 1e-12
    assert level((0.5, 1.7), 0.05) == level((0.5, 1.0), 0.05)


@given(VALUES, VALUES)
@settings(max_examples=50, deadline=None)
def test_a_comparison_is_that_of_the_values_themselves(control, arm):
    control, arm = control * LEAST, arm * LEAST
    one, other = group(control), group(arm)
    found = compare(one, other, 0.025)
    if min(one.deviation, other.deviation) < 1e-6 * (1 + abs(one.mean) + abs(other.mean)):
        return  # next to nothing but rounding
    expected = stats.ttest_ind(arm, control, equal_var=False, alternative="greater")
    both = stats.ttest_ind(arm, control, equal_var=False).confidence_interval(0.95)
    assert found.p_more == pytest.approx(expected.pvalue, abs=1e-9)
    assert found.p_more + found.p_less == pytest.approx(1)
    assert (found.low, found.high) == (pytest.approx(both.low, rel=1e-6, abs=1e-6), pytest.approx(both.high, rel=1e-6, abs=1e-6))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40), st.integers(0, 40), st.floats(-10, 10))
@settings(max_examples=100, deadline=None)
def test_a_value_for_what_is_missing_is_as_if_it_had_been_said(known, absent, value):
    if len(known) + absent < 2:
        return
    have = Group(len(known), float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else 0.0)
    filled, told = have.filled(len(known) + absent, value), group([*known, *[value] * absent])
    assert filled.count == told.count
    assert filled.mean == pytest.approx(told.mean, abs=1e-6)
    assert filled.deviation == pytest.approx(told.deviation, abs=1e-4)


def test_of_fewer_sessions_than_the_test_can_bear_nothing_is_said():
    assert compare(Group(LEAST, 1.0, 1.0), Group(LEAST - 1, 5.0, 1.0), 0.05) is None
    assert compare(Group(0), Group(0), 0.05) is None


def test_where_every_session_is_the_same_a_difference_is_what_it_is():
    same, other = Group(50, 0.0, 0.0), Group(50, 1.0, 0.0)
    found = compare(same, other, 0.01)
    assert (found.difference, found.low, found.high, found.p_more, found.p_less) == (1.0, 1.0, 1.0, 0.0, 1.0)
    equal = compare(same, same, 0.01)
    assert (equal.difference, equal.p_more, equal.p_less) == (0.0, 1.0, 1.0)


def test_counts_that_no_chance_would_draw_are_uneven():
    assert evenness([900, 100], [9, 1]) == pytest.approx(1)
    assert evenness([940, 60], [9, 1]) < 0.001
    assert evenness([0, 0], [9, 1]) == 1
