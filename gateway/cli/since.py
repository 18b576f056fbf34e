"""Lengths of time as people say them, and `--since`."""

from __future__ import annotations

import datetime as dt

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> dt.timedelta:
    """`30m`, `24h`, `7d`. Raises ValueError."""
    if not (text and text[-1] in _UNITS and text[:-1].isascii() and text[:-1].isdigit() and len(text) < 8):
        raise ValueError(f"'{text}' is no length of time; write 30m, 24h or 7d")
    return dt.timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def moment(since: str) -> str:
    """`15m` before now as a UTC time; anything else is passed on as it is."""
    try:
        back = span(since)
    except ValueError:
        return since
    return (dt.datetime.now(dt.UTC) - back).replace(tzinfo=None).isoformat()
