"""SHELF: what finds personal data, secrets and foreign addresses in a text, for rules that say `detect:`.

A detector says where something stands and nothing else; what is done about it is for policies. Each is a file with a pattern that RE2
searches and a check behind it (Luhn, mod 97, entropy), so that time grows with the text alone. To add one, add a file and a line below.

Written out is what they see: not what is encoded (base64, percent signs), in pictures, or spelled out in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.validators.detectors.card import CARD
from gateway.validators.detectors.email import EMAIL
from gateway.validators.detectors.escapes import WrittenOut, escaped
from gateway.validators.detectors.folding import folded
from gateway.validators.detectors.iban import IBAN
from gateway.validators.detectors.matching import Detector, Span, compiled
from gateway.validators.detectors.national_ids import NUMBERS, national_ids
from gateway.validators.detectors.phone import PHONE
from gateway.validators.detectors.secret import SECRET
from gateway.validators.detectors.ssn import SSN
from gateway.validators.detectors.text_call import TEXT_CALL
from gateway.validators.detectors.urls import urls

DETECTORS: Final[Mapping[str, Detector]] = {one.name: one for one in (CARD, EMAIL, IBAN, PHONE, SECRET, SSN, TEXT_CALL)}
"""Those that need nothing said beside their name; `urls` is made with the hosts that it lets pass, `national_ids` with countries."""

VERSION: Final = "1"
"""Recorded with what they find; raised when one would find something else in the same text."""

_ANY: Final = compiled(b"|".join(b"(?:%b)" % one.hint for one in DETECTORS.values()))


_EACH: Final = tuple((one, compiled(one.hint)) for one in DETECTORS.values())


def hinted(text: bytes) -> Sequence[Detector]:
    """Those of `DETECTORS` that could find something in a folded text. One look for all of them first: most of what people and models say
    holds nothing of the kind."""
    return [one for one, hint in _EACH if hint.search(text)] if _ANY.search(text) else ()


__all__ = ["DETECTORS", "NUMBERS", "VERSION", "Detector", "Span", "WrittenOut", "escaped", "folded", "hinted", "national_ids", "urls"]
