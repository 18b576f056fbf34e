"""The template behind a found prompt: its text without what another request says otherwise anyway, such as today's date.

Without it a timestamp in a system prompt makes a version of every request, and a real change drowns among them. What is taken out is only
what hardly carries an instruction: times and dates, UUIDs and other ids, the user's own e-mail address and folder, and short values of
fields that name a user, a session or a moment (`User: Ann`). Plain numbers, other addresses and words stay, because a limit that grew, a
recipient that is another one and a word that was added are changes. The exact hash is on record beside the template's.

Not here: which templates an agent may have (`pins.py`).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MARK: Final = "\N{HORIZONTAL ELLIPSIS}"
MOST_WORDS: Final = 4
"""Of a field's value: one of more words says more than a name."""
SECTION: Final = 1024
"""Characters after which a piece that is remembered ends, with its line or sentence: what says another time costs one piece."""
LONGEST_KNOWN: Final = 2 * SECTION
"""Characters of a piece or sentence that is remembered."""

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?"
    r"|Dec(?:ember)?)"
)
_DAY = r"(?:(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Sat(?:ur)?|Sun)(?:day)?,? )?"
_ZONE = r"(?: ?(?:Z|UTC|GMT|[+-][0-2][0-9]:?[0-5][0-9])(?![\w:]))?"
_TIME = rf"[0-2]?[0-9]:[0-5][0-9](?::[0-6][0-9](?:\.[0-9]{{1,9}})?)?(?: ?[AaPp][Mm]\b)?{_ZONE}"
_PARTS = (
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    rf"{_DAY}[12][0-9]{{3}}-[01][0-9]-[0-3][0-9](?:[T ,]{{1,2}}{_TIME})?",
    rf"{_DAY}{_MONTH} [0-3]?[0-9](?:st|nd|rd|th)?,? [12][0-9]{{3}}",
    rf"{_DAY}[0-3]?[0-9](?:\.|st|nd|rd|th)? {_MONTH},? [12][0-9]{{3}}",
    r"[0-3]?[0-9][./][0-3]?[0-9][./][12][0-9]{3}",
    _TIME,
    r"(?<=/home/)[^/\s\"'`<>]{1,64}",
    r"(?<=/Users/)[^/\s\"'`<>]{1,64}",
    r"[0-9]{10,19}(?![0-9A-Za-z])",
    r"(?=[a-f]*[0-9])[0-9a-f]{12,128}(?![0-9A-Za-z])",
    r"[a-z]{2,12}_(?=[A-Za-z]*[0-9])[A-Za-z0-9]{10,64}(?![0-9A-Za-z])",
    r"(?=[A-Z]*[0-9])[0-9A-Z]{20,64}(?![0-9A-Za-z])",
)
"""Each is bounded: the time for a text grows with its length alone."""
_VARIABLE: Final = re.compile("(?<![0-9A-Za-z@])(?:" + "|".join(_PARTS) + ")")
_MAIL: Final = re.compile(
    r"((?:\buser|\bcustomer|\baccount|e-?mail|(?:logged|signed) in as|on behalf of)\b[^@\n]{0,24}[\s:(<])"
    r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}",
    re.IGNORECASE,
)
"""An address to which something is to be sent is part of the instruction; one that says who the user is is not."""
_WHAT = (
    r"user(?:[ _-]?(?:name|id))?|customer(?:[ _-]?(?:name|id))?|account[ _-]?id"
    r"|(?:session|request|trace|conversation|thread|run)(?:[ _-]?id)?"
    r"|host ?name|cwd|working directory|date|time|today|now|timestamp|time ?zone|locale"
)
_FIELD: Final = re.compile(
    r"([\s>*#-]{0,8}(?:the |current |today's )?"
    rf"(?:{_WHAT})(?:\*\*)?\s{{0,4}}[:=](?:\*\*)?\s{{1,4}})[^\s!?;]{{1,64}}(?: [^\s!?;]{{1,32}}){{0,{MOST_WORDS - 1}}}",
    re.IGNORECASE,
)


def masked(text: str) -> str:
    """The text with a mark in the place of each variable part."""
    return "".join(sections(text))


def sections(text: str) -> list[str]:
    """The masked text in pieces that end with a line or a sentence. Equal pieces are mostly the same object, so that a tuple of them is a
    quick key."""
    found, start = [], 0
    while start < len(text):
        end = _end(text, start + SECTION)
        piece = text[start:end]
        found.append(_known(piece) if len(piece) <= LONGEST_KNOWN else _without(piece))
        start = end
    return found


def _end(text: str, at: int) -> int:
    """Where the line or sentence ends in which `at` is. Looked for bit by bit: a text may have no lines, or nothing but one."""
    while at < len(text):
        if (found := text.find("\n", at, at + SECTION)) >= 0:
            return found + 1
        if (found := text.find(". ", at, at + SECTION + 1)) >= 0:
            return found + 2
        at += SECTION
    return len(text)


def _without(piece: str) -> str:
    return "\n".join([". ".join(map(_sentence, line.split(". "))) for line in piece.split("\n")])


_known = lru_cache(maxsize=4096)(_without)


def _sentence(sentence: str) -> str:
    return _known_sentence(sentence) if len(sentence) <= LONGEST_KNOWN else _looked_at(sentence)


def _looked_at(sentence: str) -> str:
    without = _VARIABLE.sub(MARK, sentence)
    if "@" in without:
        without = _MAIL.sub(_marked, without)
    found = _FIELD.fullmatch(without.rstrip())
    return found[1] + MARK if found else without


_known_sentence = lru_cache(maxsize=4096)(_looked_at)


def _marked(found: re.Match[str]) -> str:
    return found[1] + MARK
