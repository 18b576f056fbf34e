"""A text with the escapes of JSON for printable characters written out, and where each character of it stood.

A text that is itself JSON may write `\\u0073k-ant-…` for `sk-ant-…`; whoever reads it as JSON sees the key, and so must a detector. One
layer is written out. Not for streams: an escape is longer than what it stands for, so that what tells that a secret begins may lie further
away than a detector's `longest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.validators.detectors.matching import Span

_ESCAPE: Final = re.compile(r"\\u00([2-7][0-9a-fA-F])")


class WrittenOut:
    """`text` is without escapes."""

    def __init__(self, text: str) -> None:
        pieces: list[str] = []
        self._places: list[int] = []
        at = 0
        for escape in _ESCAPE.finditer(text):
            pieces += (text[at : escape.start()], chr(int(escape[1], 16)))
            self._places += range(at, escape.start() + 1)
            at = escape.end()
        self._places += range(at, len(text) + 1)
        self.text = "".join((*pieces, text[at:]))

    def placed(self, spans: Iterable[Span]) -> Iterator[Span]:
        """The spans where they stand in the text as it was."""
        yield from ((self._places[start], self._places[end]) for start, end in spans)


def escaped(text: str) -> bool:
    return "\\u00" in text and _ESCAPE.search(text) is not None
