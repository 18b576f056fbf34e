"""Account numbers of the form IBAN (ISO 13616): a country, its length, and the check digits (mod 97).

In one piece or in groups, in either case. The lengths are those of the registry of SWIFT; a country that is not in it is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.validators.detectors.matching import Detector, Span, compiled, runs

_LENGTHS: Final = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FK FO GL NL SD",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU MN XK",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ OM SO TL",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HN HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}
_HINT: Final = rb"\b[A-Za-z]{2}[0-9]{2}[ -]?[A-Za-z0-9]"
_BEGINNING: Final = compiled(rb"\b[A-Za-z]{2}[0-9]{2}")
"""No border is inside of it, so that none begins in another."""
_WITH_GAPS: Final = {length: re.compile(rb"[A-Za-z0-9](?:[ -]?[A-Za-z0-9]){%d}(?![A-Za-z0-9_])" % (length - 1)) for length in range(15, 34)}
_LETTERS: Final = {ord(letter): str(value) for value, letter in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 10)}


def _spans(text: bytes) -> Iterator[Span]:
    for beginning in runs(_BEGINNING, text):
        start = beginning.start()
        length = _LENGTHS.get(text[start : start + 2].decode().upper())
        whole = _WITH_GAPS[length].match(text, start) if length else None
        if whole and _checks(whole[0]):
            yield whole.span()


def _checks(written: bytes) -> bool:
    number = written.decode().replace(" ", "").replace("-", "").upper()
    return int((number[4:] + number[:4]).translate(_LETTERS)) % 97 == 1


IBAN: Final = Detector("iban", 68, _spans, _HINT)
