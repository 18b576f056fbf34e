"""What must stand in a text, and what must not, as regular expressions.

RE2 searches: no look-around and no references, and in return no text makes a search slower than its length does. Two things would still
multiply, and are bounded: a large expression over a large text, and a search that reads to the end of the text for each of many places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import re2
from pydantic import Field, model_validator

from gateway.documents import Section
from gateway.validators.bounds import utf8
from gateway.validators.validator import Check, Seen, Subject, Unjudged, Validator

MAX_PATTERNS: Final = 50
MAX_WORK: Final = 100_000_000
"""Instructions of the expressions times bytes of the text, at about 5 ns where the expression is of the slow kind: half a second."""
MAX_READ: Final = 1_000_000_000
"""Places found times bytes of the text, at about 1 ns: a second, should each search read on to the end."""
MAX_PLACES: Final = 10_000
_SHOWN: Final = 120
_CONTINUES: Final = bytes(range(0x80, 0xC0))


class Regex(Section):
    """At least one expression."""

    must_match: tuple[str, ...] = Field((), max_length=MAX_PATTERNS, description="RE2. Each must match a part of the text.")
    must_not_match: tuple[str, ...] = Field((), max_length=MAX_PATTERNS, description="RE2. None may match a part of the text.")

    @model_validator(mode="after")
    def _asks_something(self) -> Regex:
        if not self.must_match and not self.must_not_match:
            raise ValueError("has no expression; give must_match or must_not_match")
        return self


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    return options


_OPTIONS: Final = _options()


def _compiled(pattern: str) -> Any:
    try:
        found = re2.compile(pattern.encode(), _OPTIONS)
    except (re2.error, UnicodeEncodeError) as error:
        said = f"'{_short(pattern)}' is no RE2 expression ({_why(error)}); look-around and references do not exist there"
        raise ValueError(said) from None
    if found.search(b"") is not None:
        said = f"'{_short(pattern)}' matches the empty text, and so everywhere; write + for *, or use the validators 'empty' and 'length'"
        raise ValueError(said)
    return found


def _why(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else "not Unicode"


def _short(pattern: str) -> str:
    return pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"


def _made(options: Regex) -> Check:
    wanted = [(one, _compiled(one)) for one in options.must_match]
    unwanted = [(one, _compiled(one)) for one in options.must_not_match]
    return partial(_check, wanted, unwanted)


def _check(wanted: Sequence[tuple[str, Any]], unwanted: Sequence[tuple[str, Any]], subject: Subject) -> list[Seen]:
    text = utf8(subject.text)
    size = sum(compiled.programsize for _, compiled in (*wanted, *unwanted))
    if size * len(text) > MAX_WORK:
        raise Unjudged(f"the text has {len(text)} bytes; expressions as large as these are judged up to {MAX_WORK // size}")
    seen = [
        Seen("no_match", f"nothing in the text matches /{_short(one)}/, which it must")
        for one, compiled in wanted
        if compiled.search(text) is None
    ]
    for one, compiled in unwanted:
        said = f"the text matches /{_short(one)}/, which it must not"
        seen += [Seen("match", said, start=start, end=end) for start, end in dict.fromkeys(_places(compiled, text))]
    return seen


def _places(compiled: Any, text: bytes) -> Iterator[tuple[int, int]]:
    """In characters; of the whole text (0, 0) where a match has none, as a border."""
    most = min(MAX_PLACES, MAX_READ // max(len(text), 1))
    at = characters = 0
    for number, found in enumerate(compiled.finditer(text)):
        if number == most:
            raise Unjudged(f"more than {most} places of a text of {len(text)} bytes match; say it with a narrower expression")
        start, end = found.span()
        characters += _length(text[at:start])
        length = _length(text[start:end])
        yield (characters, characters + length) if length else (0, 0)
        at, characters = end, characters + length


def _length(piece: bytes) -> int:
    """Characters that begin in a piece of UTF-8."""
    return len(piece.translate(None, _CONTINUES))


REGEX = Validator("regex", "1", Regex, _made, spans=True)
