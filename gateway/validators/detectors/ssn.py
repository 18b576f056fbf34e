"""United States social security numbers, written in their three groups: 123-45-6789.

Numbers that are never given out (an area of 000, 666 or from 900, a group of 00, a serial of 0000) are none. Nine digits in one piece are
not taken for one: most of them are something else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.validators.detectors.matching import Detector, Span, alone, compiled, digits, each

_FORM: Final = compiled(rb"\b[0-8][0-9]{2}(?:-[0-9]{2}-| [0-9]{2} )[0-9]{4}\b")


def _spans(text: bytes) -> Iterator[Span]:
    if digits(text) < 9:
        return
    for found in each(_FORM, text):
        area, group, serial = text[found.start() : found.end()].replace(b" ", b"-").split(b"-")
        given_out = area not in (b"000", b"666") and group != b"00" and serial != b"0000"
        if given_out and alone(text, found.span(), b"-./"):
            yield found.span()


SSN: Final = Detector("ssn", 13, _spans, rb"[0-9]{3}[ -][0-9]{2}[ -][0-9]{4}")
