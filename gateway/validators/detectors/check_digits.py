"""Check digits: whether a number's own last signs say that it was not mistyped, and so, mostly, that it is one of its kind at all.

A number is given without its separators, letters in upper case. What each country does with these is in `national_ids`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Verhoeff's scheme: multiplication in the dihedral group of the pentagon, and the permutation of digits by their place.
_TIMES: Final = (
    *("0123456789", "1234067895", "2340178956", "3401289567", "4012395678"),
    *("5987604321", "6598710432", "7659821043", "8765932104", "9876543210"),
)
_MOVED: Final = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")
_LETTERS_OF_23: Final = "TRWAGMYFPDXBNJZSQVHLCKE"
_LETTERS_OF_31: Final = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_DIGITS_IN_ODD_PLACES: Final = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21)
_ODD_PLACES: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (*_DIGITS_IN_ODD_PLACES, *_DIGITS_IN_ODD_PLACES, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)


def weighed(number: str, weights: Sequence[int]) -> int:
    """The sum of the digits, each times its weight."""
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True))


def luhn(number: str) -> bool:
    doubled = (int(digit) * (1 + at % 2) for at, digit in enumerate(reversed(number)))
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def verhoeff(number: str) -> bool:
    total = "0"
    for at, digit in enumerate(reversed(number)):
        total = _TIMES[int(total)][int(_MOVED[at % 8][int(digit)])]
    return total == "0"


def mod_11_10(number: str) -> bool:
    """ISO 7064, MOD 11,10."""
    rest = 10
    for digit in number[:-1]:
        rest = ((rest + int(digit)) % 10 or 10) * 2 % 11
    return (11 - rest) % 10 == int(number[-1])


def letter_of_23(number: int) -> str:
    """Spain's."""
    return _LETTERS_OF_23[number % 23]


def letter_of_31(number: int) -> str:
    """Finland's."""
    return _LETTERS_OF_31[number % 31]


def letter_of_names(signs: str) -> str:
    """Italy's: signs in odd places count by a table, those in even places by their order."""
    odd = sum(_ODD_PLACES[sign] for sign in signs[::2])
    even = sum(int(sign) if sign.isdigit() else ord(sign) - ord("A") for sign in signs[1::2])
    return chr(ord("A") + (odd + even) % 26)


def day_of(year: str, month: str, day: str) -> bool:
    """Whether a month has that day; the year's two digits leave its century open, so that a 29th of February may be."""
    months = (31, 29 if int(year) % 4 == 0 else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= int(month) <= 12 and 1 <= int(day) <= months[int(month) - 1]
