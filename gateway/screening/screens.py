"""What a screen is to an answer, and the same screen where it may change nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from gateway.textwindow import Hit, Screen

H = TypeVar("H", bound=Hit)


class AnswerScreen(Screen[H], Protocol[H]):
    @property
    def buffers(self) -> bool:
        """Whether it must see each text whole."""

    @property
    def rewrites_signed(self) -> bool:
        """Whether it changes words that a signature covers."""

    @property
    def beside(self) -> AnswerScreen[H]:
        """The same for texts beside what is said (`Slot.beside`)."""


class Unchangeable(Generic[H]):
    """The same screen over a text that cannot be changed: what would be replaced stops it."""

    def __init__(self, screen: AnswerScreen[H]) -> None:
        self._screen = screen
        self.look_back, self.buffers, self.rewrites_signed = screen.look_back, screen.buffers, False
        self.find, self.moved, self.everywhere, self.waits = screen.find, screen.moved, screen.everywhere, screen.waits

    @property
    def beside(self) -> AnswerScreen[H]:
        return Unchangeable(self._screen.beside)

    def stops(self, hit: H) -> bool:
        return self._screen.stops(hit) or self._screen.replaces(hit)

    def replaces(self, hit: H) -> bool:
        return False

    def redacted(self, text: str, hits: Sequence[H]) -> str:
        return text


class Pieced(Generic[H]):
    """The same screen over a text that is at hand in its pieces: what one of them holds alone counts too, for a client may read them
    apart, and what stands at its border may be none in the whole."""

    def __init__(self, screen: AnswerScreen[H], pieces: Sequence[str]) -> None:
        self._screen, self._pieces = screen, pieces
        self.look_back, self.buffers, self.rewrites_signed = screen.look_back, screen.buffers, screen.rewrites_signed
        self.stops, self.replaces, self.redacted = screen.stops, screen.replaces, screen.redacted
        self.moved, self.everywhere, self.waits = screen.moved, screen.everywhere, screen.waits

    @property
    def beside(self) -> AnswerScreen[H]:
        return Pieced(self._screen.beside, self._pieces)

    def find(self, text: str) -> Sequence[H]:
        hits, at = list(self._screen.find(text)) if text else [], 0
        known = {(hit.start, hit.end) for hit in hits}
        for piece in self._pieces if len(self._pieces) > 1 else ():
            alone = [self._screen.moved(hit, hit.start + at, hit.end + at) for hit in (self._screen.find(piece) if piece else ())]
            hits += [hit for hit in alone if (hit.start, hit.end) not in known and not self._screen.everywhere(hit)]
            at += len(piece)
        return sorted((hit for hit in hits if hit.start < hit.end), key=lambda hit: (hit.start, -hit.end))


class Harmless(Generic[H]):
    """The same screen with hits that do nothing."""

    def __init__(self, screen: AnswerScreen[H]) -> None:
        self._screen = screen
        self.look_back, self.buffers, self.rewrites_signed = screen.look_back, screen.buffers, False
        self.find, self.moved, self.everywhere, self.waits = screen.find, screen.moved, screen.everywhere, screen.waits

    @property
    def beside(self) -> AnswerScreen[H]:
        return Harmless(self._screen.beside)

    def stops(self, hit: H) -> bool:
        return False

    def replaces(self, hit: H) -> bool:
        return False

    def redacted(self, text: str, hits: Sequence[H]) -> str:
        return text
