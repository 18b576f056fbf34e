"""A text that has run into a loop: the same lines, words or characters again and again, one after the other.

Looked for are units that follow themselves: up to MAX_LINES lines, MAX_WORDS words or MAX_CHARACTERS characters (for scripts without
spaces), a number of times and over a length that people do not write. Units without a letter (rules, rows of zeros, blanks) are none, and
code may repeat itself. Each place is compared with as many before it as a unit may have, so that time grows with the text.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from pydantic import Field

from gateway.documents import Maybe, Section
from gateway.validators.bounds import at_most
from gateway.validators.fences import fenced
from gateway.validators.validator import Check, Seen, Subject, Validator

MAX_TEXT: Final = 200_000
MAX_LINES: Final = 10
MAX_WORDS: Final = 40
MAX_CHARACTERS: Final = 24
_LINE: Final = re.compile(r"[^\S\n]*(\S[^\n]*)")
_WORD: Final = re.compile(r"\S+")
_LETTER: Final = re.compile(r"[^\W\d_]")


class Repetition(Section):
    """Without options: five times, over at least 200 characters."""

    times: int = Field(5, ge=2, le=1000, description="How often a unit stands there, one after the other, for it to be a loop.")
    characters: int = Field(200, ge=1, le=10_000, description="Over how many characters a loop goes at least.")
    same_line: Maybe[int] = Field(None, ge=1, description="How often one line may stand in the text, wherever. Default: any.")
    code: bool = Field(False, description="Look into fenced blocks as well.")


class _Loop(NamedTuple):
    start: int
    end: int
    unit: str


def _made(options: Repetition) -> Check:
    return partial(_check, options)


def _check(options: Repetition, subject: Subject) -> Iterator[Seen]:
    text = at_most(subject.text, MAX_TEXT)
    prose = text if options.code else _without_code(text)
    for unit, pattern, most in (("lines", _LINE, MAX_LINES), ("words", _WORD, MAX_WORDS)):
        loop = _first(prose, [found.span() for found in pattern.finditer(prose)], most, options)
        if loop is not None:
            yield _seen(loop, unit)
            break
    else:
        loop = _of_characters(prose, options)
        if loop is not None:
            yield _seen(loop, "characters")
    yield from _same_lines(prose, options.same_line)


def _seen(loop: _Loop, unit: str) -> Seen:
    said = f"the text repeats the same {unit} again and again over {loop.end - loop.start} characters; say it once"
    return Seen("loop", said, start=loop.start, end=loop.end)


def _without_code(text: str) -> str:
    """With blanks in the place of code: as long as before."""
    pieces: list[str] = []
    at = 0
    for block in fenced(text):
        pieces += (text[at : block.start], "\n" * (block.end - block.start))
        at = block.end
    return "".join((*pieces, text[at:]))


def _first(text: str, spans: Sequence[tuple[int, int]], most: int, options: Repetition) -> _Loop | None:
    """The first loop of the shortest unit of up to `most` pieces."""
    pieces = [text[start:end].strip() for start, end in spans]
    for unit in range(1, most + 1):
        for start, end in _runs(pieces, unit, unit * options.times):
            loop = _Loop(spans[start][0], spans[end - 1][1], " ".join(pieces[start : start + unit]))
            if _counts(loop, options):
                return loop
    return None


def _runs(pieces: Sequence[str], unit: int, least: int) -> Iterator[tuple[int, int]]:
    """Where at least so many pieces repeat with this period."""
    same = bytes(map(operator.eq, pieces, pieces[unit:]))
    for found in re.finditer(rb"\x01{%d,}" % (least - unit), same):
        yield found.start(), found.end() + unit


def _counts(loop: _Loop, options: Repetition) -> bool:
    return loop.end - loop.start >= options.characters and _LETTER.search(loop.unit) is not None


def _of_characters(text: str, options: Repetition) -> _Loop | None:
    """Only where nothing separates words: the others have been compared as words."""
    pattern = re.compile(rf"(\S{{1,{MAX_CHARACTERS}}}?)\1{{{options.times - 1},}}")
    for run in re.finditer(rf"\S{{{options.characters},}}", text):
        for found in pattern.finditer(run[0]):
            loop = _Loop(run.start() + found.start(), run.start() + found.end(), found[1])
            if _counts(loop, options):
                return loop
    return None


def _same_lines(text: str, most: int | None) -> Iterator[Seen]:
    if most is None:
        return
    lines = Counter(found[1].strip() for found in _LINE.finditer(text))
    again = max((times for line, times in lines.items() if _LETTER.search(line)), default=0)
    if again > most:
        yield Seen("same_line", f"one line stands in the text {again} times; at most {most} are allowed")


REPETITION = Validator("repetition", "1", Repetition, _made, hooks=frozenset({"output", "tool_result"}), spans=True)
