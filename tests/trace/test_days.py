"""Months of microseconds, in UTC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.trace.days import DAY_US, FIRST_MONTH, LAST_MONTH, end_of, month_of, months


def test_a_month_begins_with_its_first_microsecond():
    assert [month_of(at) for at in (1_790_812_800_000_000 - 1, 1_790_812_800_000_000)] == ["2026-09", "2026-10"]
    assert end_of("2026-09") == 1_790_812_800_000_000
    assert end_of("2026-12") - end_of("2026-11") == 31 * DAY_US


OUTSIDE = [(0, FIRST_MONTH), (-(10**30), FIRST_MONTH), (10**30, LAST_MONTH), (4_102_444_800_000_000, LAST_MONTH)]


@pytest.mark.parametrize(("at", "month"), OUTSIDE)
def test_what_lies_outside_is_at_the_edge(at, month):
    assert month_of(at) == month


@given(st.integers(-(10**20), 10**20))
def test_every_time_has_one_of_the_months_and_lies_before_its_end(at):
    month = month_of(at)
    assert month in months()
    assert at < end_of(month) or month == LAST_MONTH
