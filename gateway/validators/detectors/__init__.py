"""SHELF: what finds personal data, secrets and foreign addresses in a text, for rules that say `detect:`.

A detector says where something stands and nothing else; what is done about it is for policies. Each is a file with a pattern that RE2
searches and a check behind it (Luhn, mod 97, entropy), so that time grows with the text alone. To add one, add a file and a line below.

Written out is what they see: not what is encoded (base64, percent signs), in pictures, or spelled out in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from gateway.validators.detectors.card import CARD
from gateway.validators.detectors.email import EMAIL
from gateway.validators.detectors.escapes import WrittenOut, escaped
from gateway.validators.detectors.folding import folded
from gateway.validators.detectors.iban import IBAN
from gateway.validators.detectors.matching import Detector, Span, together
from gateway.validators.detectors.national_ids import NUMBERS, national_ids
from gateway.validators.detectors.phone import PHONE
from gateway.validators.detectors.secret import SECRET
from gateway.validators.detectors.ssn import SSN
from gateway.validators.detectors.text_call import TEXT_CALL
from gateway.validators.detectors.under_names import named_texts, under
from gateway.validators.detectors.urls import urls

DETECTORS: Final[Mapping[str, Detector]] = {one.name: one for one in (CARD, EMAIL, IBAN, PHONE, SECRET, SSN, TEXT_CALL)}
"""Those that need nothing said beside their name; `urls` is made with the hosts that it lets pass, `national_ids` with countries."""

VERSION: Final = "2"
"""Recorded with what they find; raised when one would find something else in the same text."""

_EACH: Final = tuple(DETECTORS.values())
_HINTS: Final = together(one.hint for one in _EACH)


def hinted(text: bytes) -> Sequence[Detector]:
    """Those of `DETECTORS` that could find something in a folded text. One look for all of them: most of what people and models say holds
    nothing of the kind."""
    found = _HINTS.Match(text)
    return [_EACH[at] for at in sorted(found)] if found else ()


class Plain(NamedTuple):
    """A text as detectors read it."""

    folded: bytes
    hinted: Sequence[Detector]


def plain(text: str) -> Plain:
    """What an answer says is looked at for its findings, for calls written as text and for its record: of the texts before, a few are
    remembered."""
    return _remembered(text) if len(text) <= _SHORT else _read(text)


def _read(text: str) -> Plain:
    read = folded(text)
    return Plain(read, hinted(read))


_SHORT: Final = 16 * 1024
_remembered: Final = lru_cache(maxsize=32)(_read)


__all__ = [
    "DETECTORS", "NUMBERS", "VERSION", "Detector", "Plain", "Span", "WrittenOut", "escaped", "folded", "hinted", "named_texts",
    "national_ids", "plain", "under", "urls",
]  # fmt: skip
