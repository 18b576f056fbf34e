"""Telephone numbers as people write them: international (+49 30 1234567), and the national forms of North America, France and the many
countries that dial 0 first.

Only what is written like one: a plus sign, or groups with separators between them. Plain integers, dates, versions and amounts are none.
Whether the number was ever given out is not looked up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.validators.detectors.matching import Detector, Span, alone, compiled, digits, each

_INTERNATIONAL: Final = compiled(rb"(?:\+[1-9]|\b00[1-9][0-9]{0,2}[ ./()-])[0-9 ./()-]{6,28}[0-9]")
_NATIONAL: Final = tuple(
    compiled(form)
    for form in (
        rb"(?:\b1[ .-])?(?:\([2-9][0-9]{2}\) ?|\b[2-9][0-9]{2}[ -])[2-9][0-9]{2}[ -][0-9]{4}\b|\b[2-9][0-9]{2}\.[2-9][0-9]{2}\.[0-9]{4}\b",
        rb"\b0[1-9](?:(?: [0-9]{2}){4}|(?:\.[0-9]{2}){4}|(?:-[0-9]{2}){4})\b",
    )
)
_TRUNK: Final = compiled(rb"\b\(?0[1-9][0-9]{1,4}\)?[ /-][0-9 /-]{4,11}[0-9]\b|\(0[1-9][0-9]{1,4}\) ?[0-9 /-]{4,11}[0-9]\b")

_FEWEST: Final = 8
"""Digits of the shortest number of any of these forms."""


def _spans(text: bytes) -> Iterator[Span]:
    if digits(text) < _FEWEST:
        return
    found: list[Span] = [span for form in _NATIONAL for one in each(form, text) if alone(text, span := one.span(), b"-./")]
    found += (span for one in each(_INTERNATIONAL, text) if (span := _international(text, *one.span())))
    found += (span for one in each(_TRUNK, text) if 10 <= digits(text[slice(*(span := one.span()))]) <= 12)
    yield from sorted(set(found))


def _international(text: bytes, start: int, end: int) -> Span | None:
    """The number up to the last group with which it has no more than 15 digits (E.164), or None when it is no number."""
    if text[start - 1 : start].isalnum():
        return None
    while digits(text[start:end]) > 15 or text[end : end + 1].isalnum():
        end = _group_before(text, start, end)
        if not digits(text[start:end]):  # not one group is left: the sign alone would be asked about for ever
            return None
    return (start, end) if digits(text[start:end]) >= _FEWEST else None


def _group_before(text: bytes, start: int, end: int) -> int:
    """Where the group before the last one ends; `start` when there is none."""
    rest = text[start:end].rstrip(b"0123456789").rstrip(b" ./()-")
    return start + len(rest)


_HINT: Final = (
    rb"\+[1-9][0-9 ./()-]{6}|\b00[1-9][0-9]{0,2}[ ./()-]"
    rb"|[2-9][0-9]{2}[ .)-] ?[2-9][0-9]{2}[ .-][0-9]{4}|\b0[1-9][ .-][0-9]{2}[ .-]"
    rb"|\b0[1-9][0-9]{1,4}\)?[ /-][0-9 /-]{4}|\(0[1-9][0-9]{1,4}\)"
)

PHONE: Final = Detector("phone", 36, _spans, _HINT)
