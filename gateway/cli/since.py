"""Lengths of time as people say them, and `--since`."""

from __future__ import annotations

import datetime as dt

import typer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def span(text: str) -> dt.timedelta:
    """`30m`, `24h`, `7d`. Raises ValueError."""
    if not (text and text[-1] in _UNITS and text[:-1].isascii() and text[:-1].isdigit() and len(text) < 8):
        raise ValueError(f"'{text}' is no length of time; write 30m, 24h or 7d")
    return dt.timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def moment(since: str) -> str:
    """`15m` before now, a day or a time, as a UTC time without its zone. Raises typer.BadParameter."""
    try:
        when = dt.datetime.fromisoformat(since)
    except ValueError:
        when = _before_now(since)
    return (when.astimezone(dt.UTC).replace(tzinfo=None) if when.tzinfo else when).isoformat()


def _before_now(since: str) -> dt.datetime:
    try:
        return dt.datetime.now(dt.UTC) - span(since)
    except (ValueError, OverflowError):
        told = f"'{since}' is no time; write a day or a time in UTC (2026-11-01, 2026-11-01T12:00), or how long ago: 90s, 15m, 24h, 7d"
        raise typer.BadParameter(told, param_hint="--since") from None
