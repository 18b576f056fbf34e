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


class Unchangeable(Generic[H]):
    """The same screen over a text that cannot be changed: what would be replaced stops it."""

    def __init__(self, screen: AnswerScreen[H]) -> None:
        self._screen = screen
        self.look_back, self.buffers, self.rewrites_signed = screen.look_back, screen.buffers, False
        self.find, self.moved, self.everywhere, self.waits = screen.find, screen.moved, screen.everywhere, screen.waits

    def stops(self, hit: H) -> bool:
        return self._screen.stops(hit) or self._screen.replaces(hit)

    def replaces(self, hit: H) -> bool:
        return False

    def redacted(self, text: str, hits: Sequence[H]) -> str:
        return text


class Harmless(Generic[H]):
    """The same screen with hits that do nothing."""

    def __init__(self, screen: AnswerScreen[H]) -> None:
        self.look_back, self.buffers, self.rewrites_signed = screen.look_back, screen.buffers, False
        self.find, self.moved, self.everywhere, self.waits = screen.find, screen.moved, screen.everywhere, screen.waits

    def stops(self, hit: H) -> bool:
        return False

    def replaces(self, hit: H) -> bool:
        return False

    def redacted(self, text: str, hits: Sequence[H]) -> str:
        return text
