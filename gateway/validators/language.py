"""Which languages a text may be in.

Told by script, and where languages share one by their commonest small words: no model, no network, and the same answer each time. That is
enough for running text of a few lines and honest about the rest: a text too short, in a language without a table, or in two mixed
within one paragraph, is unsure, and a rule says what becomes of it (`unsure`). Not told: dialects, how good the language is, and close kin
in a short text (Danish from Norwegian).

Code, addresses and numbers have no language and are left out.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, Literal, NamedTuple

from pydantic import Field, field_validator

from gateway.documents import Maybe, Section, nearest
from gateway.validators.bounds import at_most
from gateway.validators.language_words import WORDS
from gateway.validators.validator import Check, Seen, Subject, Unjudged, Validator

MAX_TEXT: Final = 1_000_000

SCRIPTS: Final = {
    "latin": ("en", "de", "fr", "es", "pt", "it", "nl", "sv", "da", "no", "fi", "pl", "cs", "hu", "ro", "tr", "id", "vi"),
    "greek": ("el",),
    "cyrillic": ("ru", "uk", "bg"),
    "hebrew": ("he",),
    "arabic": ("ar", "fa", "ur"),
    "devanagari": ("hi", "mr"),
    "thai": ("th",),
    "hangul": ("ko",),
    "kana": ("ja",),
    "han": ("zh", "ja", "ko"),
}
"""The languages that are told apart, by what they are written in."""
LANGUAGES: Final = tuple(dict.fromkeys(language for languages in SCRIPTS.values() for language in languages))

_RANGES: Final = (
    *((0x41, "latin"), (0x250, "other"), (0x370, "greek"), (0x400, "cyrillic"), (0x530, "other"), (0x590, "hebrew"), (0x600, "arabic")),
    *((0x780, "other"), (0x900, "devanagari"), (0x980, "other"), (0xE00, "thai"), (0xE80, "other"), (0x1100, "hangul"), (0x1200, "other")),
    *((0x1E00, "latin"), (0x1F00, "greek"), (0x2000, "other"), (0x3040, "kana"), (0x3100, "other"), (0x3130, "hangul"), (0x3190, "other")),
    *((0x3400, "han"), (0xA000, "other"), (0xAC00, "hangul"), (0xD7B0, "other"), (0xF900, "han"), (0xFB00, "other"), (0x20000, "han")),
)
_STARTS: Final = [start for start, _ in _RANGES]
_DENSE: Final = {"han": 4, "kana": 3, "hangul": 3}
"""How many letters of an alphabet one character stands for, about."""

_CODE: Final = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_WRITTEN: Final = re.compile(r"\S+")
_TECHNICAL: Final = re.compile(r"[@/\\_]|^www\.")
_MARKS: Final = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e4e"
_WORD: Final = re.compile(f"[^\\W\\d_][^\\W\\d_{_MARKS}]*(?:[{_MARKS}]+[^\\W\\d_{_MARKS}]*)*")
_PARAGRAPH: Final = re.compile(r"[^\n]+(?:\n[^\S\n]*[^\s][^\n]*)*")
_LETTERS: Final = 20
_HITS: Final = 3
_SHARE: Final = 0.15
"""Of all words, those that stand in the table of their language; running text has 0.3 and more, another language's rarely 0.1."""
_LEAD: Final = 1.2


class Language(Section):
    """One language, or several."""

    allow: tuple[str, ...] = Field(min_length=1, description=f"Languages by their two letters: {', '.join(LANGUAGES)}.")
    unsure: Literal["unjudged", "pass"] = Field(
        "unjudged", description="What becomes of a text whose language cannot be told: `unjudged` holds it, `pass` lets it through."
    )
    other_letters: Maybe[int] = Field(
        None, ge=0, description="Letters of scripts that none of these languages is written in, at most. Default: as many as there are."
    )

    @field_validator("allow")
    @classmethod
    def _known(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for language in allow:
            if language not in LANGUAGES:
                told = f"{nearest(language, LANGUAGES)}; it can tell {', '.join(LANGUAGES)}"
                raise ValueError(f"'{language}' is no language this can tell{told}")
        return allow


def _made(options: Language) -> Check:
    scripts = frozenset(script for script, languages in SCRIPTS.items() if not set(languages).isdisjoint(options.allow))
    return partial(_check, options, scripts)


def _check(options: Language, scripts: frozenset[str], subject: Subject) -> list[Seen]:
    text = _running_text(at_most(subject.text, MAX_TEXT))
    paragraphs = [_read(text, *found.span()) for found in _PARAGRAPH.finditer(text)]
    seen = [*_foreign(paragraphs, options.allow), *_other_letters(text, scripts, options.other_letters)]
    return seen or list(_whole(_read(text, 0, len(text)), paragraphs, options))


def _running_text(text: str) -> str:
    """With blanks in the place of what has no language: as long as before."""
    return _WRITTEN.sub(lambda found: _blank(found) if _TECHNICAL.search(found[0]) else found[0], _CODE.sub(_blank, text))


def _blank(found: re.Match[str]) -> str:
    return "\n".join(" " * len(line) for line in found[0].split("\n"))


class _Piece(NamedTuple):
    start: int
    end: int
    letters: int
    """Weighed: what they would be in an alphabet."""
    language: str | None
    """None: cannot be told."""


def _read(text: str, start: int, end: int) -> _Piece:
    words = [found[0] for found in _WORD.finditer(text, start, end)]
    scripts = Counter[str]()
    for word in words:
        script = _script(word[0])
        scripts[script] += len(word) * _DENSE.get(script, 1)
    letters = scripts.total()
    return _Piece(start, end, letters, _language(words, scripts) if letters >= _LETTERS else None)


def _script(letter: str) -> str:
    return _RANGES[bisect_right(_STARTS, ord(letter)) - 1][1]


def _language(words: Sequence[str], scripts: Counter[str]) -> str | None:
    east = scripts["kana"] + scripts["han"]
    [(main, most)] = scripts.most_common(1)
    if 2 * east > scripts.total():
        return "ja" if 10 * scripts["kana"] > east else "zh"
    if 2 * most <= scripts.total() or main == "other":
        return None
    known = SCRIPTS[main]
    return known[0] if len(known) == 1 else _by_words([word for word in words if _script(word[0]) == main], main)


_SPOKEN: Final = {
    script: {word: [one for one in languages if word in WORDS[one]] for language in languages for word in WORDS[language]}
    for script, languages in SCRIPTS.items()
    if len(languages) > 1 and set(languages) <= WORDS.keys()
}
"""Of each script: a small word → the languages that have it."""


def _by_words(words: Sequence[str], script: str) -> str | None:
    hits, weights = Counter[str](), Counter[str]()
    for word in words:
        having = _SPOKEN[script].get(unicodedata.normalize("NFC", word.lower()), ())
        for language in having:
            hits[language] += 1
            weights[language] += 1000 // len(having)
    first, second = (*weights.most_common(2), ("", 0), ("", 0))[:2]
    sure = hits[first[0]] >= max(_HITS, _SHARE * len(words)) and first[1] >= _LEAD * second[1]
    return first[0] if sure else None


def _foreign(pieces: Sequence[_Piece], allow: Sequence[str]) -> Iterator[Seen]:
    for piece in pieces:
        if piece.language is not None and piece.language not in allow:
            said = f"a part of the text is in the language '{piece.language}'; allowed: {', '.join(allow)}"
            yield Seen("other_language", said, start=piece.start, end=piece.end)


def _other_letters(text: str, scripts: frozenset[str], most: int | None) -> Iterator[Seen]:
    if most is None:
        return
    others = [found for found in _WORD.finditer(text) if _script(found[0][0]) not in scripts]
    letters = sum(len(found[0]) for found in others)
    if letters > most:
        said = f"the text has {letters} letters of other scripts than its languages are written in; at most {most} are allowed"
        yield Seen("other_script", said, start=others[0].start(), end=others[-1].end())


def _whole(text: _Piece, paragraphs: Sequence[_Piece], options: Language) -> Iterator[Seen]:
    """What no paragraph tells by itself, as with lists and short lines."""
    told = sum(piece.letters for piece in paragraphs if piece.language is not None)
    if 2 * told >= text.letters:
        return
    if text.language is None and options.unsure == "unjudged":
        raise Unjudged("the language of the text cannot be told: too short, mixed, or none that is known here")
    yield from _foreign([text], options.allow)


LANGUAGE = Validator("language", "1", Language, _made, hooks=frozenset({"output", "tool_result"}), spans=True, most=MAX_TEXT)
