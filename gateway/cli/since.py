"""`--since` as people say it."""

from __future__ import annotations

import datetime as dt

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(since: str) -> str:
    """`15m` before now as a UTC time; anything else is passed on as it is."""
    if not (since and since[-1] in _UNITS and since[:-1].isdigit()):
        return since
    span = dt.timedelta(**{_UNITS[since[-1]]: int(since[:-1])})
    return (dt.datetime.now(dt.UTC) - span).replace(tzinfo=None).isoformat()
