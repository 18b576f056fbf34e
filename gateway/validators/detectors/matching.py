"""How detectors search: RE2, on folded bytes, in time that grows with the text and nothing else.

Two ways to search, and both are *local*, which is what lets a stream be looked through piece by piece: whether something begins at a
place is told by the characters around it (`Detector.longest` to either side), never by what was found further left. `each` finds what
begins at any word's border, also inside of what it has found; `runs` is for patterns whose end is the end of a run of characters, where
whatever begins inside ends in the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import re2

from gateway.validators.detectors.folding import folded

Span: TypeAlias = tuple[int, int]
"""Where something stands in a text: first character, and the one behind it."""


class Detector(NamedTuple):
    """Finds one kind of thing in a text. `spans` may overlap; they come in the order of their beginnings."""

    name: str
    longest: int
    """Whether something begins at a place is told by so many characters before and behind it. What goes on beyond them (a private key)
    reaches to where the text shows its end."""
    spans: Callable[[bytes], Iterable[Span]]
    """Of a folded text."""
    hint: bytes = b""
    """RE2: where this matches nowhere, nothing is found. Empty: nothing can be told without looking."""

    def find(self, text: str) -> list[Span]:
        return list(self.spans(folded(text)))


def _options() -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = 16 << 20  # the forms of secrets alone are 24,000 steps; with RE2's 8 MB its automaton starts anew all the time
    return options


_OPTIONS: Final = _options()


def compiled(pattern: bytes) -> Any:
    """An RE2 pattern over bytes; `\\b` and classes are ASCII's."""
    return re2.compile(pattern, _OPTIONS)


def together(patterns: Iterable[bytes]) -> Any:
    """A set of them: its `Match` says by number which match anywhere in a text, in one pass over it; None where none does."""
    found = re2.Set.SearchSet(_OPTIONS)
    for pattern in patterns:
        found.Add(pattern)
    found.Compile()
    return found


def digits(text: bytes) -> int:
    """How many there are: where there are too few for a number, nothing need be searched, as in nearly all short texts."""
    return len(text) - len(text.translate(None, b"0123456789"))


def each(pattern: Any, text: bytes) -> Iterator[Any]:
    """The match at each place where one begins. For patterns of bounded length that begin with a border."""
    found = pattern.search(text)
    while found is not None:
        yield found
        found = pattern.search(text, found.start() + 1)


def runs(pattern: Any, text: bytes) -> Iterator[Any]:
    """Matches, none inside another."""
    yield from pattern.finditer(text)


def alone(text: bytes, span: Span, beside: bytes) -> bool:
    """Whether no digit follows or precedes with one of the signs `beside` between: then it would be a piece of something longer."""
    start, end = span
    before = text[start - 1 : start] in _single(beside) and text[start - 2 : start - 1].isdigit()
    behind = text[end : end + 1] in _single(beside) and text[end + 1 : end + 2].isdigit()
    return not before and not behind


def _single(signs: bytes) -> list[bytes]:
    return [signs[i : i + 1] for i in range(len(signs))]
