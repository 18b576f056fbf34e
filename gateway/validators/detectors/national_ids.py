"""Numbers that states give to people: of the countries a rule names, by their written form and their check digits.

Not among the detectors that need only their name: many are nothing but nine or eleven digits, and one in ten or eleven of any such numbers
passes a check digit by chance. Where a form has groups or a date in it, they must be right; whether the number was ever given out is not
looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway.validators.detectors.check_digits import (
    day_of,
    letter_of_23,
    letter_of_31,
    letter_of_names,
    luhn,
    mod_11_10,
    verhoeff,
    weighed,
)
from gateway.validators.detectors.matching import Detector, Span, alone, compiled, each
from gateway.validators.detectors.ssn import SSN


class _Number(NamedTuple):
    name: str
    """What people of the country call it."""
    form: bytes
    holds: Callable[[str], bool]
    """Of the number without separators, in upper case."""


def _austria(n: str) -> bool:
    return weighed(n, (3, 7, 9, 0, 5, 8, 4, 2, 1, 6)) % 11 == int(n[3]) and day_of(n[8:], n[6:8], n[4:6])


def _australia(n: str) -> bool:
    return weighed(n, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def _belgium(n: str) -> bool:
    first, check = n[:9], int(n[9:])
    return day_of(n[:2], str(int(n[2:4]) % 20), n[4:6]) and check in (97 - int(first) % 97, 97 - int(f"2{first}") % 97)


def _brazil(n: str) -> bool:
    tenth = weighed(n[:9], range(10, 1, -1)) * 10 % 11 % 10
    eleventh = weighed(n[:10], range(11, 1, -1)) * 10 % 11 % 10
    return len(set(n)) > 1 and n[9:] == f"{tenth}{eleventh}"


def _switzerland(n: str) -> bool:
    return weighed(n, (1, 3) * 6 + (1,)) % 10 == 0


def _china(n: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[weighed(n[:17], weights) % 11] == n[17] and day_of(n[8:10], n[10:12], n[12:14])


def _czechia(n: str) -> bool:
    month = int(n[2:4]) % 50
    return int(n) % 11 == 0 and day_of(n[:2], str(month - 20 if month > 20 else month), n[4:6])


def _germany(n: str) -> bool:
    """One digit of the first ten comes twice or three times, each other one at most once."""
    times = sorted(n[:10].count(digit) for digit in set(n[:10]))
    return times[-1] in (2, 3) and times[:-1] == [1] * (len(times) - 1) and mod_11_10(n)


def _spain(n: str) -> bool:
    return letter_of_23(int(n[:-1].translate({ord(sign): str(at) for at, sign in enumerate("XYZ")}))) == n[-1]


def _finland(n: str) -> bool:
    return letter_of_31(int(n[:6] + n[-4:-1])) == n[-1] and day_of(n[4:6], n[2:4], n[:2])


def _france(n: str) -> bool:
    return 97 - int(n[:13].replace("2A", "19", 1).replace("2B", "18", 1)) % 97 == int(n[13:])


def _britain(n: str) -> bool:
    return n[:2] not in ("BG", "GB", "KN", "NK", "NT", "TN", "ZZ")


def _italy(n: str) -> bool:
    return letter_of_names(n[:-1]) == n[-1]


def _netherlands(n: str) -> bool:
    return int(n) > 0 and weighed(n, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _norway(n: str) -> bool:
    first = weighed(n[:10], (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11 == 0
    second = weighed(n, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11 == 0
    return first and second and day_of(n[4:6], n[2:4], str(int(n[:2]) % 40))


def _poland(n: str) -> bool:
    return weighed(n, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0 and day_of(n[:2], str(int(n[2:4]) % 20), n[4:6])


def _sweden(n: str) -> bool:
    """The day is 60 more for people who are not registered there."""
    last = n[-10:]
    return luhn(last) and day_of(last[:2], last[2:4], str(int(last[4:6]) % 60))


def _turkey(n: str) -> bool:
    digits = [int(digit) for digit in n]
    tenth = (7 * sum(digits[:9:2]) - sum(digits[1:8:2])) % 10
    return digits[9] == tenth and sum(digits[:10]) % 10 == digits[10]


def _south_africa(n: str) -> bool:
    return luhn(n) and day_of(n[:2], n[2:4], n[4:6])


_L: Final = rb"[0-9LMNPQRSTUVlmnpqrstuv]"
"""Where two people have the same code, Italy writes letters in place of digits."""
NUMBERS: Final[Mapping[str, _Number]] = {
    "at": _Number("SVNR", rb"[1-9][0-9]{3}[ -]?[0-9]{6}", _austria),
    "au": _Number("TFN", rb"[0-9]{3}(?:[0-9]{6}| [0-9]{3} [0-9]{3}|-[0-9]{3}-[0-9]{3})", _australia),
    "be": _Number("Rijksregisternummer", rb"[0-9]{2}(?:[0-9]{9}|\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2})", _belgium),
    "br": _Number("CPF", rb"[0-9]{3}(?:[0-9]{8}|\.[0-9]{3}\.[0-9]{3}-[0-9]{2})", _brazil),
    "ca": _Number("SIN", rb"[1-79][0-9]{2}(?:[0-9]{6}|-[0-9]{3}-[0-9]{3}| [0-9]{3} [0-9]{3})", luhn),
    "ch": _Number("AHV-Nummer", rb"756(?:[0-9]{10}|\.[0-9]{4}\.[0-9]{4}\.[0-9]{2}| [0-9]{4} [0-9]{4} [0-9]{2})", _switzerland),
    "cn": _Number("身份证", rb"[1-9][0-9]{5}(?:19|20)[0-9]{9}[0-9Xx]", _china),
    "cz": _Number("rodné číslo", rb"[0-9]{6}/[0-9]{4}", _czechia),
    "de": _Number("Steuer-ID", rb"[1-9][0-9](?:[0-9]{9}| [0-9]{3} [0-9]{3} [0-9]{3})", _germany),
    "es": _Number("DNI, NIE", rb"(?:[0-9]{8}|[0-9]{2}\.[0-9]{3}\.[0-9]{3}|[XYZxyz][ -]?[0-9]{7})[ -]?[A-HJ-NP-TV-Za-hj-np-tv-z]", _spain),
    "fi": _Number("henkilötunnus", rb"[0-3][0-9][01][0-9]{3}[-+A-FU-Ya-fu-y][0-9]{3}[0-9A-FHJ-NPR-Ya-fhj-npr-y]", _finland),
    "fr": _Number(
        "NIR", rb"[1-478] ?[0-9]{2} ?(?:0[1-9]|1[0-2]|[2-9][0-9]) ?(?:[0-9]{2}|2[ABab]) ?[0-9]{3} ?[0-9]{3} ?(?:[0-8][0-9]|9[0-7])", _france
    ),
    "gb": _Number("NINO", rb"(?i:[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z](?: ?[0-9]{2}){3} ?[A-D])", _britain),
    "in": _Number("Aadhaar", rb"[2-9][0-9]{3}(?:[0-9]{8}| [0-9]{4} [0-9]{4}|-[0-9]{4}-[0-9]{4})", verhoeff),
    "it": _Number(
        "codice fiscale", rb"[A-Za-z]{3} ?[A-Za-z]{3} ?%b{2}[A-EHLMPR-Ta-ehlmpr-t]%b{2} ?[A-Za-z]%b{3}[A-Za-z]" % (_L, _L, _L), _italy
    ),
    "nl": _Number("BSN", rb"[0-9]{4}(?:[0-9]{5}|\.[0-9]{2}\.[0-9]{3})|[0-9]{3} [0-9]{3} [0-9]{3}", _netherlands),
    "no": _Number("fødselsnummer", rb"[0-7][0-9]{5} ?[0-9]{5}", _norway),
    "pl": _Number("PESEL", rb"[0-9]{11}", _poland),
    "se": _Number("personnummer", rb"(?:19|20)?[0-9]{6}[-+]?[0-9]{4}", _sweden),
    "tr": _Number("TC kimlik no", rb"[1-9][0-9]{10}", _turkey),
    "us": _Number("SSN", b"", bool),
    "za": _Number("ID number", rb"[0-9]{6} ?[0-9]{4} ?[01][0-9]{2}", _south_africa),
}
"""By ISO 3166's code of the country. `us` is the detector `ssn`."""

_LONGEST: Final = 26
_SEPARATORS: Final = str.maketrans("", "", " .-/+")


def national_ids(countries: Sequence[str]) -> Detector:
    """`countries`: keys of `NUMBERS`."""
    wanted = [(compiled(rb"\b(?:%b)\b" % NUMBERS[one].form), NUMBERS[one].holds) for one in sorted({*countries} - {"us"})]

    def spans(text: bytes) -> Iterator[Span]:
        found = {span for form, holds in wanted for span in _found(form, holds, text)}
        yield from sorted(found.union(SSN.spans(text)) if "us" in countries else found)

    return Detector("national_id", _LONGEST, spans)


def _found(form: Any, holds: Callable[[str], bool], text: bytes) -> Iterator[Span]:
    for one in each(form, text):
        if holds(one[0].decode().translate(_SEPARATORS).upper()) and alone(text, one.span(), b"-./+"):
            yield one.span()
