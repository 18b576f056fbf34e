"""Months of points in time, in UTC: content is filed by them."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

DAY_US = 86_400_000_000
FIRST_MONTH, LAST_MONTH = "2020-01", "2059-12"
"""What a clock can say in earnest; what lies outside is filed at the edge, so that the files' names are known beforehand."""
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def month_of(us: int) -> str:
    """`2026-11`."""
    return _month_of_day(us // DAY_US)


@lru_cache
def _month_of_day(day: int) -> str:
    try:
        month = (_EPOCH + dt.timedelta(days=day)).strftime("%Y-%m")
    except OverflowError:
        month = LAST_MONTH if day > 0 else FIRST_MONTH
    return min(max(month, FIRST_MONTH), LAST_MONTH)


def months() -> list[str]:
    """All there can be."""
    first, last = int(FIRST_MONTH[:4]), int(LAST_MONTH[:4])
    return [f"{year}-{month:02}" for year in range(first, last + 1) for month in range(1, 13)]


def end_of(month: str) -> int:
    """The microsecond at which the next month begins."""
    year, number = int(month[:4]), int(month[5:])
    following = dt.datetime(year + number // 12, number % 12 + 1, 1, tzinfo=dt.UTC)
    return (following - _EPOCH) // dt.timedelta(microseconds=1)
