"""How single words of a policy file are written: names, patterns, days, amounts, times, hosts, shares.

Each form is refused in words that say what it must be; editors get a pattern. Not here: what the words mean.
"""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Final

from pydantic import AfterValidator, WithJsonSchema

from gateway.policy.amounts import LARGEST, exact


def _form(pattern: str, said: str) -> tuple[AfterValidator, WithJsonSchema]:
    """Text of one form, refused in words; editors get the pattern."""

    def checked(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(said)
        return text

    return AfterValidator(checked), WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Name = Annotated[
    str,
    *_form(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "must be a name: up to 64 letters, digits, '.', '_' or '-'"),
]
Glob = Annotated[
    str,
    *_form(
        r"[A-Za-z0-9_.:/@+*?-]{1,128}",
        "must be a pattern: letters, digits and _ . : / @ + -, with the wildcards * and ? only",
    ),
]
VarName = Annotated[
    str,
    *_form(
        r"(?!(true|false|null|in)$)[A-Za-z_][A-Za-z0-9_]{0,63}",
        "must be a name that conditions can write: letters, digits and '_', and none of true, false, null and in",
    ),
]


def _real_day(text: str) -> str:
    """One notation only: days are compared as text."""
    try:
        real = dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        real = False
    if not real:
        raise ValueError("must be a day such as 2026-12-31")
    return text


Day = Annotated[str, AfterValidator(_real_day), WithJsonSchema({"type": "string", "format": "date"})]
ArgumentPath = Annotated[
    str, *_form(r"args(\.[A-Za-z_][A-Za-z0-9_]{0,63}){1,8}", "must name an argument, like args.amount")
]


def _countable(number: float) -> float:
    if not 0 <= number <= LARGEST or not exact(number):
        raise ValueError(f"must be between 0 and {LARGEST}, with at most six decimals")
    return number


Amount = Annotated[
    float, AfterValidator(_countable), WithJsonSchema({"type": "number", "minimum": 0, "maximum": LARGEST})
]
Window = Annotated[
    str, *_form(r"session|[1-9][0-9]{0,2}[smhd]", "must be 'session' or a time like 30m, 24h or 7d, at most 999d")
]
Host = Annotated[
    str, *_form(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,98}[A-Za-z0-9])?", "must be the name of a host, like example.com or *.example.com")
]
Share = Annotated[
    str,
    *_form(r"(100|[1-9]?[0-9](\.[0-9]{1,4})?)%", "must be a share of the exchanges, like 10% or 0.5%"),
]


_INSTANT: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"


def _real_instant(text: str) -> str:
    """The form alone would take the thirtieth of February."""
    try:
        dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"must be a time that there is ({error}), such as 2026-01-01T12:00:00Z") from None
    return text


Instant = Annotated[
    str,
    *_form(_INSTANT, "must be a time such as 2026-01-01T12:00:00Z"),
    AfterValidator(_real_instant),
    WithJsonSchema({"type": "string", "pattern": f"^{_INSTANT}$", "format": "date-time"}),
]
