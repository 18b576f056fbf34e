"""One text as detectors see it, and what they found in texts before: a conversation comes again with every request, one message longer."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Final, TypeAlias

from gateway.validators.detectors import DETECTORS, Detector, Span, WrittenOut, escaped, folded, hinted

_REMEMBERED: Final = 20_000
"""Texts; what is found in one is a few numbers."""
_MOST_SPANS: Final = 1000
"""A text with more is looked at again."""

Found: TypeAlias = dict[int, Sequence[Span]]
"""By the detector's identity: those of a policy live as long as it does."""


class Memory:
    """What was found in texts, by their digests: no text is kept."""

    def __init__(self, most: int = _REMEMBERED) -> None:
        self._most = most
        self._found: OrderedDict[bytes, Found] = OrderedDict()

    def of(self, text: str) -> Found:
        """What is known of the text, for its finder to add to."""
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = self._found.setdefault(digest, {})
        self._found.move_to_end(digest)
        if len(self._found) > self._most:
            self._found.popitem(last=False)
        return found


class Looked:
    """A text, with what was found in it so far: a detector that several rules name looks once."""

    def __init__(self, text: str, memory: Memory | None = None, *, whole: bool = True) -> None:
        """`whole`: False for a piece of a stream, in which escapes are read as they stand (`detectors.escapes`)."""
        self.text, self._whole = text, whole
        self._found: Found = {} if memory is None else memory.of(text)

    @cached_property
    def folded(self) -> bytes:
        return folded(self.text)

    @cached_property
    def _written_out(self) -> tuple[WrittenOut, bytes] | None:
        if not self._whole or not escaped(self.text):
            return None
        plain = WrittenOut(self.text)
        return plain, folded(plain.text)

    @cached_property
    def _hinted(self) -> Sequence[Detector]:
        return hinted(self.folded)

    def _may_find(self, detector: Detector) -> bool:
        return DETECTORS.get(detector.name) is not detector or detector in self._hinted

    def spans(self, detectors: Iterable[Detector]) -> Iterator[tuple[int, int, str]]:
        for detector in detectors:
            yield from ((start, end, detector.name) for start, end in self._spans(detector))

    def _spans(self, detector: Detector) -> Sequence[Span]:
        found = self._found.get(id(detector))
        if found is None:
            found = tuple(detector.spans(self.folded)) if self._may_find(detector) else ()
            if self._written_out is not None:
                plain, read = self._written_out
                found = tuple(sorted({*found, *plain.placed(detector.spans(read))}))
            if len(found) <= _MOST_SPANS:
                self._found[id(detector)] = found
        return found


def without(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """The text with the name of what was found in its place. Spans that overlap go together, under the name of the first."""
    parts: list[str] = []
    at = 0
    for start, end, name in _merged(spans):
        parts += (text[at:start], f"[{name}]")
        at = end
    return "".join((*parts, text[at:]))


def _merged(spans: Iterable[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    found: list[tuple[int, int, str]] = []
    for start, end, name in sorted(spans, key=lambda span: (span[0], -span[1])):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end), found[-1][2])
        else:
            found.append((start, end, name))
    return found
