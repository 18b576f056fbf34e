"""Where labels of kept prompts point, which arms of experiments are out, who came with what: what a store of that does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from gateway.prompt.library import Move, Moves
from gateway.prompt.trial import Stop, Stops


class Met(Struct, frozen=True):
    """That somebody came with something."""

    new: bool
    """Whether it was the first time."""
    count: int
    """Of different things this one has come with by now."""


MOST_MET = 200
"""Different things of one that are remembered: who has more of them comes with another one each time."""


class Prompts(Protocol):
    """Which labels of kept prompts were moved, with the versions that they need, which arms of experiments are out, and who has come with
    which template before."""

    def moves(self) -> Moves: ...
    def move(self, name: str, label: str, to: Move, sources: Mapping[str, str]) -> None:
        """`sources`: version → text of its file, for machines that never had it."""

    def source(self, name: str, version: str) -> str | None:
        """The text of a version that a label was moved to."""

    def stops(self) -> Stops: ...
    def stop(self, design: str, out: Stop) -> None:
        """Its arms are out from now on, besides those that are out already."""

    def met(self, who: str, what: str, now_us: int) -> Met:
        """Notes that it happened. Of two that ask at once, one is the first. What is beyond `MOST_MET` is not noted."""

    def close(self) -> None: ...
