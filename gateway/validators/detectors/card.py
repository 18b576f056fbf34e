"""Numbers of payment cards: a known beginning, the length that goes with it, and Luhn's check digit (ISO/IEC 7812).

Written in one piece or in the groups that cards are printed with. One in ten numbers of the right length and beginning passes the check
digit by chance, so other long numbers with such a beginning are taken for cards now and then.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.validators.detectors.matching import Detector, Span, alone, compiled, digits, each

_FORMS: Final = tuple(
    compiled(form)
    for form in (
        rb"\b[2-6][0-9]{12,18}\b",
        rb"\b[2-6][0-9]{3}(?:[ -][0-9]{4}){3}\b",
        rb"\b[2-6][0-9]{3}(?:[ -][0-9]{4}){3}[ -][0-9]{1,3}\b",
        rb"\b3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}\b",
    )
)
_ISSUED: Final = compiled(
    rb"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"  # Visa
    rb"|5[1-5][0-9]{14}|(?:222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"  # Mastercard
    rb"|3[47][0-9]{13}"  # American Express
    rb"|3(?:0[0-5]|[689][0-9])[0-9]{11}"  # Diners Club
    rb"|(?:6011|64[4-9][0-9]|65[0-9]{2})[0-9]{12,15}|62[0-9]{14,17}"  # Discover, UnionPay
    rb"|35(?:2[89]|[3-8][0-9])[0-9]{12,15}"  # JCB
    rb"|(?:50[0-9]|5[6-9][0-9]|6[0-9]{2})[0-9]{10,16}"  # Maestro
)
_FEWEST: Final = 13
"""Digits of the shortest number."""
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")
"""A digit twice, its digits added."""
_VALUES: Final = bytes.maketrans(b"0123456789", bytes(range(10)))


def _spans(text: bytes) -> Iterator[Span]:
    if digits(text) < _FEWEST:
        return
    found = [found.span() for form in _FORMS for found in each(form, text)]
    for start, end in sorted(found):
        number = text[start:end].replace(b" ", b"").replace(b"-", b"")
        if _ISSUED.fullmatch(number) and luhn(number) and alone(text, (start, end), b"."):
            yield start, end


def luhn(number: bytes) -> bool:
    """Whether the last digit is the check digit of the others."""
    backwards = number[::-1]
    total = sum(backwards[::2].translate(_VALUES)) + sum(backwards[1::2].translate(_DOUBLED).translate(_VALUES))
    return total % 10 == 0


CARD: Final = Detector("card", 26, _spans, rb"\b[2-6][0-9]{3}(?:[ -][0-9]{4}|[0-9]{9})")
