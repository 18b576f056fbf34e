"""Whether the numbers and names of an answer were read or said before: they stand in what tools returned, or in what users said.

An agent that reports an amount, a date or a name has it from somewhere; one that stands nowhere was made up, or worked out. Deterministic,
and so narrow: a sum, a rounding or a number in words is not found in any source and is seen (`ignore`, `count_to` let some pass), while
a number that stands in a source may be said of the wrong thing. It tells what has no source, never that the rest is right.

A number is compared by its value without its sign, in every way it can be read:
1,234.50 is 1234.5, 1.234 is either 1.234 or 1234, 12 % is 0.12 as well,
3 million is 3000000; a date by year, month and day. A name is a capitalised word inside a sentence, or what looks like an identifier (with
digits, capitals or signs inside), whatever its letters' case in the source. In languages that capitalise nouns, `names` says too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple

from pydantic import Field, model_validator

from gateway.documents import Section
from gateway.validators.bounds import at_most
from gateway.validators.validator import Check, Seen, Subject, Unjudged, Validator

MAX_TEXT: Final = 200_000
MAX_SOURCES: Final = 500_000
"""Characters, at about half a microsecond."""
_LONGEST: Final = 40
"""Digits of a number; what has more is compared as it is written."""

_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            *("jan january januar", "feb february februar", "mar march märz", "apr april", "may mai", "jun june juni", "jul july juli"),
            *("aug august", "sep sept september", "oct october oktober okt", "nov november", "dec december dezember dez"),
        ),
        start=1,
    )
    for name in names.split()
}
_MONTH: Final = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATE: Final = re.compile(
    rf"(?=[\dJFMASOND])(?<![\w.-])(?:(?P<y>\d{{4}})[-/.](?P<m>\d\d?)[-/.](?P<d>\d\d?)|(?P<a>\d\d?)(?P<s>[./-])(?P<b>\d\d?)(?P=s)(?P<y2>\d{{4}})"
    rf"|(?P<d3>\d\d?)(?:st|nd|rd|th|\.)?[ ]+(?P<m3>{_MONTH})\.?,?[ ]+(?P<y3>\d{{4}})"
    rf"|(?P<m4>{_MONTH})\.?[ ]+(?P<d4>\d\d?)(?:st|nd|rd|th)?,?[ ]+(?P<y4>\d{{4}}))(?!\d)",
    re.IGNORECASE,
)
_DIGITS: Final = r"(\d+(?:[.,'’_\u00a0\u2009\u202f]\d+)*)"
_NUMBER: Final = re.compile(
    rf"(?<![\w.,])[-+−]?{_DIGITS}(?:(?![\w]|[.,]\d)(?:[\s\u00a0]?(%|percent\b|thousand\b|million\b|mio\b|billion\b|mrd\b))?|(k|m|bn)\b)",
    re.IGNORECASE,
)
_SCALES: Final = {
    "%": (1, Decimal("0.01")), "percent": (1, Decimal("0.01")), "thousand": (1000,), "k": (1000,), "million": (10**6,), "mio": (10**6,),
    "m": (1, 10**6), "billion": (10**9,), "mrd": (10**9,), "bn": (10**9,), "": (1,),
}  # fmt: skip
_MARKER: Final = re.compile(r"(?m)^[ \t]*(?:#+ )?\d{1,3}[.)](?=\s)|^\|? *[-:| ]+$")
_SIGN: Final = r"[\w@/+#-]"
_WORD: Final = re.compile(
    rf"(?<!\w)[^\W\d_]{_SIGN}*(?:[.'’]{_SIGN}+)*"
    rf"|(?<![\w.,@/+#-])(?!{_DIGITS}(?:k|m|bn)\b)\d{_SIGN}*[^\W\d]{_SIGN}*(?:\.{_SIGN}+)*|@\w+",
    re.IGNORECASE,
)
_HAS_DIGIT: Final = re.compile(r"\d")
_PART: Final = re.compile(r"[^\W_]+")
_SENTENCE_END: Final = frozenset(".!?:;|\n•*-#>\"“(")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrt\"/])")
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_COMMON: Final = frozenset(("i", "i'm", "i’m", "i've", "i’ve", "i'll", "i’ll", "i'd", "i’d", "ok", *_DAYS, *_MONTHS))


class Grounded(Section):
    """Without options: numbers."""

    numbers: bool = Field(True, description="Numbers and dates need a source.")
    names: bool = Field(False, description="Capitalised words and identifiers need a source.")
    said: bool = Field(True, description="What users said is a source, beside what tools returned.")
    ignore: tuple[str, ...] = Field((), description="Numbers and names that need none.")
    count_to: int = Field(0, ge=0, description="Whole numbers up to this need none: an answer counts what it lists.")

    @model_validator(mode="after")
    def _asks_something(self) -> Grounded:
        if not self.numbers and not self.names:
            raise ValueError("asks for nothing; leave 'numbers' or set 'names'")
        return self


class _Known(NamedTuple):
    numbers: frozenset[str]
    words: frozenset[str]


def _made(options: Grounded) -> Check:
    return partial(_check, options)


def _check(options: Grounded, subject: Subject) -> Iterator[Seen]:
    text = at_most(subject.text, MAX_TEXT)
    sources = [*subject.results, *(subject.said if options.said else ()), *options.ignore]
    if sum(map(len, sources)) > MAX_SOURCES:
        raise Unjudged(f"the conversation has more than {MAX_SOURCES} characters to look for sources in")
    known = _known("\n".join(sources))
    where = "in no result of a tool" + (" and in nothing the user said" if options.said else "")
    if options.numbers:
        for start, end, readings in _numbers(_without_labels(text)):
            if known.numbers.isdisjoint(readings) and not _small(readings, options.count_to):
                yield Seen("number", f"the number at character {start} stands {where}", start=start, end=end)
    if options.names:
        for start, end, name in _names(text):
            if name not in known.words:
                yield Seen("name", f"the name at character {start} stands {where}", start=start, end=end)


def _known(source: str) -> _Known:
    text = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else " ", source)
    numbers = {reading for _, _, readings in _numbers(text) for reading in readings}
    parts = {reading for date in _DATE.finditer(text) for piece in re.findall(r"\d+", date[0]) for reading in _read(piece, "")}
    words = {found[0].casefold() for found in _WORD.finditer(text)}
    return _Known(frozenset(numbers | parts), frozenset(words | {found[0].casefold() for found in _PART.finditer(text)}))


def _without_labels(text: str) -> str:
    """Without the numbers of lists and those inside identifiers: as long as before."""
    text = _MARKER.sub(lambda marker: " " * len(marker[0]), text)
    return _WORD.sub(lambda word: " " * len(word[0]) if _HAS_DIGIT.search(word[0]) else word[0], text)


def _small(readings: frozenset[str], most: int) -> bool:
    return most > 0 and any(one.isdigit() and len(one) <= _LONGEST and int(one) <= most for one in readings)


def _numbers(text: str) -> Iterator[tuple[int, int, frozenset[str]]]:
    """Dates and numbers, with everything each can be read as."""
    at = 0
    for date in _DATE.finditer(text):
        yield from _plain(text, at, date.start())
        yield date.start(), date.end(), _dates(date)
        at = date.end()
    yield from _plain(text, at, len(text))


def _plain(text: str, start: int, end: int) -> Iterator[tuple[int, int, frozenset[str]]]:
    for found in _NUMBER.finditer(text, start, end):
        yield found.start(), found.end(), _read(found[1], (found[2] or found[3] or "").lower())


def _dates(found: re.Match[str]) -> frozenset[str]:
    """2024-03-05; of 05/03/2024 both that can be meant."""
    part = found.groupdict()
    if part["y"]:
        days = [(part["y"], part["m"], part["d"])]
    elif part["y2"]:
        days = [(part["y2"], part["b"], part["a"]), (part["y2"], part["a"], part["b"])]
    else:
        year, month, day = (part["y3"], part["m3"], part["d3"]) if part["y3"] else (part["y4"], part["m4"], part["d4"])
        days = [(year, str(_MONTHS[month.lower()]), day)]
    return frozenset(f"{int(year)}-{int(month):02}-{int(day):02}" for year, month, day in days)


def _read(written: str, scale: str) -> frozenset[str]:
    """The values that a number can mean, each written in one way."""
    if len(written) > _LONGEST:
        return frozenset((written,))
    return frozenset(_written(Decimal(one) * factor) for one in _decimals(written) for factor in _SCALES[scale])


def _decimals(written: str) -> list[str]:
    """Readings of a number with separators: of thousands, or before the fraction."""
    plain = re.sub(r"['’_\u00a0\u2009\u202f]", "", written)
    signs = re.findall(r"[.,]", plain)
    if not signs:
        return [plain]
    whole, _, last = plain.rpartition(signs[-1])
    joined = re.sub(r"[.,]", "", whole)
    if len(set(signs)) == 2 or len(signs) == 1:
        fraction = f"{joined}.{last}"
        return [fraction, joined + last] if len(signs) == 1 and len(last) == 3 else [fraction]
    return [joined + last]


def _written(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text.lstrip("0") or "0"


def _names(text: str) -> Iterator[tuple[int, int, str]]:
    for found in _WORD.finditer(text):
        word = found[0]
        name = re.sub(r"['’]s$", "", word).casefold()
        if name not in _COMMON and (_is_identifier(word) or (word[0].isupper() and not _begins_sentence(text, found.start()))):
            yield found.start(), found.end(), name


def _is_identifier(word: str) -> bool:
    return any(one.isdigit() or one in "_@/" for one in word) or (len(word) > 1 and any(one.isupper() for one in word[1:]))


def _begins_sentence(text: str, at: int) -> bool:
    before = text[max(at - 40, 0) : at].rstrip(" \t_`'‘")
    return not before or before[-1] in _SENTENCE_END


GROUNDED = Validator("grounded", "1", Grounded, _made, hooks=frozenset({"output"}), spans=True)
