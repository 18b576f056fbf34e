"""Amounts in exact numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.amounts import LARGEST, UNIT, exact, millionths, shown


@pytest.mark.parametrize(
    ("value", "amount"),
    [(0, 0), (1, UNIT), (0.1, UNIT // 10), (98.7, 98_700_000), (1e-6, 1), (1e-7, 1),
     (1.0000001, UNIT + 1), (-0.0, 0), (2**70, 2**70 * UNIT)],
)  # fmt: skip
def test_a_number_is_whole_millionths_and_a_finer_rest_counts_up(value, amount):
    assert millionths(value) == amount


@pytest.mark.parametrize(
    "value", ["1", None, True, False, [1], {"n": 1}, -1, -0.5, float("nan"), float("inf"), float("-inf")]
)
def test_what_is_no_number_or_below_zero_is_no_amount(value):
    assert millionths(value) is None


@given(st.one_of(st.integers(0, 2**63), st.floats(0, allow_nan=False, allow_infinity=False)))
def test_an_amount_is_never_less_than_the_number_and_never_a_millionth_more(value):
    exact = Fraction(repr(value)) * UNIT
    assert 0 <= millionths(value) - exact < 1


@given(st.integers(0, 10**15))
def test_what_is_shown_is_the_amount(amount):
    assert Decimal(shown(amount)) * UNIT == amount


@given(st.integers(0, 10**12))
def test_what_has_six_decimals_is_exact_and_what_has_seven_is_not(amount):
    assert exact(amount / UNIT)
    assert exact(float(LARGEST))
    assert not exact(float(f"{amount // UNIT % 1000}.{amount % UNIT:06d}5"))
