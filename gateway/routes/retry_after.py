"""How long a provider asks to be left alone: `retry-after` in seconds or as a date (RFC 9110, 10.2.3), or OpenAI's `retry-after-ms`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

LONGEST_S = 86_400.0
"""Whatever is said beyond is taken for a day."""


def asked_for(headers: Mapping[str, str], now_us: int) -> float | None:
    """Seconds, or None where nothing is said that has one meaning. Names are lower case."""
    exact = _number(headers.get("retry-after-ms", ""))
    if exact is not None:
        return min(exact / 1000, LONGEST_S)
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is None and text:
        seconds = _until(text, now_us)
    return None if seconds is None else min(seconds, LONGEST_S)


def _number(text: str) -> float | None:
    """Decimal digits, perhaps with a fraction, and nothing else."""
    whole, _, rest = text.strip().partition(".")
    if not (whole.isascii() and whole.isdigit() and (not rest or (rest.isascii() and rest.isdigit()))) or len(text) > 40:
        return None
    return float(text)


def _until(text: str, now_us: int) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
    return max(0.0, aware.timestamp() - now_us / 1_000_000)
