"""Secrets without a form of their own, known by what stands before them: `DB_PASSWORD=…`, `"api_key": "…"`, `Authorization: Basic …`,
`postgres://user:…@host`, `curl -u user:…`.

A value counts where it looks like chance: letters and digits in no order that words have (entropy). A password in an address needs no such
look, because nothing else stands in that place; only the words that documentation puts there are let pass.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from gateway.validators.detectors.matching import Span, compiled, each, runs

SHORTEST: Final = 8
LOOKED_AT: Final = 64
"""Characters of a value that are looked at to tell what it is."""
_LONGEST_VALUE: Final = 1024
_WORDS: Final = (
    rb"passw(?:or)?d|passphrase|pwd|secret|token|credential|connection[ _-]?string"
    rb"|(?:api|access|auth|private|encryption|account|secret|signing|shared|master|service|app|license|webhook|deploy|subscription)"
    rb"[ _-]?key"
)
_QUOTE: Final = rb"(?:\\{0,6}[\"'`]|%22|&quot;)?"
_GIVEN: Final = rb"(?:=>|:=|={1,3}|[:>|]|%3[ad]|\bis\b|\bwas\b)"
_SCHEME: Final = rb"(?:(?:bearer|basic|token|apikey|bot)[ \t]{1,3})?"
NAME: Final = (
    rb"(?i:(?:(?:%b)s?(?:_(?:base|value|prod|live|test|dev|[0-9]))?[\])]?%b(?:\*\*)?[ \t]{0,8}%b(?:\*\*)?[ \t]{0,8}%b"
    rb"|(?:%b)s?\\{0,6}[\"'`],[ \t]{0,3}\\{0,6}[\"'`]"
    rb"|--?(?:pass(?:word)?|token|secret|api-?key)[ \t]{1,3}"
    rb"|\bauthorization\\{0,6}[\"'`]?[ \t]{0,3}[:=,][ \t]{0,3}\\{0,6}[\"'`]?(?:bearer|basic|token|apikey|bot|key|splunk)[ \t]{1,3}"
    rb"|\bauthorization\\{0,6}[\"'`][ \t]{0,3}:[ \t]{0,3}\\{0,6}[\"'`])%b)"
) % (_WORDS, _QUOTE, _GIVEN, _SCHEME, _WORDS, _QUOTE)
_NAMED: Final = compiled(NAME)
_CREDENTIALS: Final = compiled(
    rb"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s:/@'\"<>`\\]{0,80}:[^\s:/@'\"<>`\\]{4,150}@[A-Za-z0-9\[_{$]"
    rb"|(?:-u|--user)[ =]['\"]?[^\s:'\"]{1,64}:[^\s:'\"]{8,100}"
)
SIGN: Final = rb"[^\s/@'\"<>`\\:]@[A-Za-z0-9\[_{$]|-u[ =]|--user[ =]"
"""Stands in whatever holds such a password."""
_PLAIN: Final = (string.ascii_letters + string.digits).encode() + b"+/=_.~!@#$%^&*-"
_QUOTED: Final = _PLAIN + b"?,;:()[]{}|<>"
"""What a value may hold besides, where a quote shows its end."""
VALUE: Final = rb"[A-Za-z0-9+/=_.~!@#$%^&*-]"
_CODE: Final = re.compile(rb"(?:[A-Za-z]*[0-9]{0,4}[A-Za-z]{0,12}[._]+)+[A-Za-z]*[0-9]{0,4}[A-Za-z]{0,12}[._]*")
"""Names that programs give: words with a number among them, joined with dots and underscores."""
_PATH: Final = re.compile(rb"/[a-z0-9._/-]{11,}(?:[?#].*)?", re.DOTALL)
_STANDS_FOR: Final = re.compile(
    rb"(?i)[\[<].*|.*[{}].*|\$\(?[a-z_]+\)?|%[a-z(].*|(.)\1*|x-oauth-basic|changeme|redacted|example|foobar"
    rb"|(?:my|your|the|some|db|test|sasl|a%20)?[_-]?(?:pass(?:w(?:or)?d)?|pw|pwd|secret|token|key|api[_-]?key|credentials?)[0-9]{0,3}"
)
"""What stands in a place for a password, in documentation and templates."""
_FEW_BITS, _BITS = 3.0, 3.3
"""Per character: twelve characters of which ten differ have 3.3, words rarely; hexadecimal digits have four at most, 3.6 on the average."""
_PASSWORD, _LONG = 12, 24
_KINDS: Final = (string.ascii_lowercase.encode(), string.ascii_uppercase.encode(), string.punctuation.encode())
_DIGITS: Final = string.digits.encode()


def named(text: bytes) -> Iterator[Span]:
    """Values that a text calls a secret, and passwords in addresses."""
    yield from (span for one in runs(_NAMED, text) if (span := _value(text, one)))
    yield from (span for one in each(_CREDENTIALS, text) if (span := _password(text, one)))


def _value(text: bytes, name: Any) -> Span | None:
    """The value that begins behind its name, where it looks like a secret."""
    start = name.end()
    quoted = text[start - 1 : start] in (b'"', b"'", b"`")
    piece = text[start : start + _LONGEST_VALUE]
    length = len(piece) - len(piece.lstrip(_QUOTED if quoted else _PLAIN))
    value = piece[: min(length, LOOKED_AT)]
    named_otherwise = _PATH.fullmatch(value) or (not quoted and _CODE.fullmatch(value))
    return None if named_otherwise or not looks_random(value) else (start, start + length)


def _password(text: bytes, found: Any) -> Span | None:
    written = found[0][:-2] if found[0][:1] != b"-" else found[0]
    password = written[written.rindex(b":") + 1 :]
    start = found.start() + len(written) - len(password)
    return None if _STANDS_FOR.fullmatch(password) else (start, start + len(password))


def looks_random(value: bytes) -> bool:
    """Letters and digits, and hardly any twice. The shorter a value is, the more kinds of characters it must have."""
    if len(value) < SHORTEST or not _holds(value, _DIGITS):
        return False
    lower, upper, signs = (_holds(value, kind) for kind in _KINDS)
    if len(value) < _PASSWORD:
        return lower and upper and signs and len(set(value)) >= SHORTEST - 1
    return (lower or upper) and bits(value) >= (_FEW_BITS if (lower and upper) or len(value) >= _LONG else _BITS)


def _holds(value: bytes, kind: bytes) -> bool:
    return len(value.translate(None, kind)) < len(value)


def bits(value: bytes) -> float:
    """Shannon's entropy per character."""
    counts = Counter(value).values()
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts)

