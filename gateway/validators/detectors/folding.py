"""A text as detectors read it: ASCII, one byte per character, so that a place in one is the same place in the other.

People and models write a number with dashes and spaces of many kinds, and with digits of other scripts; here they are one kind. A letter
that ASCII does not have becomes `LETTER`, anything else `OTHER`: patterns see that something stands there, and whether it could belong to
a word. Nothing is decoded (base64, percent signs): what is not written out is not seen.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

LETTER: Final = 0x1A
OTHER: Final = 0x1C
_INVISIBLE: Final = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff")
"""Read as a gap, so that digits with one between them are digits with a separator; in an address as something that belongs to it, for
there readers take it out, or along."""
_GONE: Final = 0x1D
_IN_ADDRESS: Final = re.compile(rb"(?:(?:https?|ftp|wss?):|www\.|[/\\]{2})[^\s<>\"]{0,256}", re.IGNORECASE)


class _Table(dict[int, int]):
    """What each character is read as, worked out when it is first met; ASCII stands for itself."""

    def __missing__(self, code: int) -> int:
        if len(self) > 4096:
            self.clear()
        read = self[code] = code if code < 0x80 else _read_as(chr(code))
        return read


def _read_as(character: str) -> int:
    kind = unicodedata.category(character)
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return ord("0") + digit
    if kind == "Pd" or character in "\u2212\u00b7":
        return ord("-")
    if character in _INVISIBLE:
        return _GONE
    if kind == "Zs":
        return ord(" ")
    plain = unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and plain.isascii():
        return ord(plain)
    return LETTER if kind[0] in "LM" else OTHER


_TABLE: Final = _Table()


def folded(text: str) -> bytes:
    """As long as the text has characters. A line's end or tab that is written as an escape, as in JSON inside a text, is a gap."""
    plain = text.encode() if text.isascii() else _with_gaps(text.translate(_TABLE).encode("ascii"))
    if b"\\" in plain:
        for escape in (b"\\n", b"\\r", b"\\t"):
            plain = plain.replace(escape, b"  ")
    return plain


def _with_gaps(plain: bytes) -> bytes:
    if _GONE not in plain:
        return plain
    gone, other = bytes([_GONE]), bytes([OTHER])
    return _IN_ADDRESS.sub(lambda found: found[0].replace(gone, other), plain).replace(gone, b" ")
