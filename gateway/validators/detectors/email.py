"""Mail addresses: what stands around an @ and could be one. International letters count.

Found from the sign outwards, up to 64 characters before and 90 behind it, so that a text of nothing but signs costs no more than another.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator
from typing import Final

from gateway.validators.detectors.folding import LETTER
from gateway.validators.detectors.matching import Detector, Span

_WORD: Final = (string.ascii_letters + string.digits).encode() + bytes([LETTER])
_LOCAL: Final = _WORD + b"._%+-'&"
_DOMAIN: Final = _WORD + b".-"
_REAL: Final = re.compile(rb"(?:[A-Za-z0-9\x1a](?:[A-Za-z0-9\x1a-]{0,61}[A-Za-z0-9\x1a])?\.)+[A-Za-z\x1a][A-Za-z0-9\x1a-]{1,23}")
_BEFORE: Final = 64
_BEHIND: Final = 90


def _spans(text: bytes) -> Iterator[Span]:
    at = text.find(b"@")
    while at != -1:
        before = text[max(0, at - _BEFORE) : at]
        local = before[len(before.rstrip(_LOCAL)) :].lstrip(b".%-'&")
        behind = text[at + 1 : at + 1 + _BEHIND]
        domain = behind[: len(behind) - len(behind.lstrip(_DOMAIN))].rstrip(b".-")
        if local and _REAL.fullmatch(domain):
            yield at - len(local), at + 1 + len(domain)
        at = text.find(b"@", at + 1)


EMAIL: Final = Detector("email", _BEFORE + _BEHIND + 2, _spans, rb"[A-Za-z0-9\x1a._%+'&-]@[A-Za-z0-9\x1a]")
