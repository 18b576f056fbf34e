"""Hours in which a model costs something else: DeepSeek charges half of its prices outside of office hours in Peking.

The form is that of `off_peak_pricing` in litellm's price table: prices as in the model's own entry, `hours_utc` (`HH:MM-HH:MM` or a list of
them) for every day, and `windows` of hours that hold on some `weekdays` (1 is Monday) alone. The first minute is in, the last one is not; a
span that ends before it begins goes over midnight. Pure.
"""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec
from msgspec import Struct

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_MINUTES_OF_A_DAY: Final = 24 * 60
_EVERY_DAY: Final = frozenset(range(1, 8))
_AHEAD_OF_UTC: Final = {"UTC": 0, "Asia/Shanghai": 8 * 60}
"""Minutes by which the calendar of `weekdays` is ahead. Zones whose clocks never change, and no others."""


class _Window(Struct, forbid_unknown_fields=True):
    hours_utc: str | list[str]
    weekdays: list[int] | None = None


class _Block(Struct):
    hours_utc: str | list[str] = []
    windows: list[_Window] = []
    weekday_timezone: Literal["UTC", "Asia/Shanghai"] = "UTC"


class Hours(Struct, frozen=True):
    """When other prices hold."""

    rules: tuple[tuple[frozenset[int], tuple[tuple[int, int], ...]], ...]
    """[(days of the week, [(first minute of the day in UTC, minute after the last)])]."""
    ahead: int
    """Minutes by which the calendar of the days is ahead of UTC."""

    def hold(self, at_us: int) -> bool:
        """`at_us`: microseconds since 1970 in UTC."""
        minutes = at_us // 60_000_000
        minute = minutes % _MINUTES_OF_A_DAY
        day = ((minutes + self.ahead) // _MINUTES_OF_A_DAY + 3) % 7 + 1  # 1970 began on a Thursday
        return any(day in days and any(_within(minute, *span) for span in spans) for days, spans in self.rules)


def _within(minute: int, first: int, end: int) -> bool:
    return first <= minute < end if first < end else minute >= first or minute < end


def read(block: bytes) -> Hours | None:
    """The hours of one `off_peak_pricing`; None where they cannot be read to the last word."""
    try:
        found = msgspec.json.decode(block, type=_Block)
        rules = [(_EVERY_DAY, _spans(found.hours_utc))] if found.hours_utc else []
        rules += [(_days(window.weekdays), _spans(window.hours_utc)) for window in found.windows]
    except ValueError:
        return None
    return Hours(tuple(rules), _AHEAD_OF_UTC[found.weekday_timezone]) if rules else None


def _days(said: list[int] | None) -> frozenset[int]:
    days = _EVERY_DAY if said is None else frozenset(said)
    if not days <= _EVERY_DAY:
        raise ValueError("a day of the week is a number from 1 to 7")
    return days


def _spans(said: str | list[str]) -> tuple[tuple[int, int], ...]:
    found = [_SPAN.fullmatch(each.replace(" ", "")) for each in ([said] if isinstance(said, str) else said)]
    if None in found:
        raise ValueError("hours are written HH:MM-HH:MM")
    numbers = [[int(part) for part in each.groups()] for each in found if each]
    return tuple((first * 60 + minute, last * 60 + end) for first, minute, last, end in numbers)
