"""Answers that wait for a model's opinion, when they have left and are on record: so many of one worker, and so much text, and no more.

A place is taken before the end of the exchange is written (`reserve`), so that an answer for which there is none says so in that record.
Who takes from the line, and asks, is `judging`. What waits is in memory: a worker that is killed has asked nobody, and no row says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import Struct

from gateway.exchange import Caller, Storing
from gateway.policy.policy_set import Watch

MOST = 1000
MOST_CHARACTERS = 16 * 1024 * 1024


class Due(Struct, frozen=True):
    """One answer, and the rules that want a model's opinion of it."""

    exchange: str
    started_us: int
    caller: Caller
    storing: Storing
    said: str
    """By the user, last."""
    answer: str
    watches: tuple[Watch, ...]

    @property
    def size(self) -> int:
        return len(self.said) + len(self.answer)


class Afterwards:
    """The line of one worker."""

    def __init__(self, most: int = MOST, most_characters: int = MOST_CHARACTERS) -> None:
        self._most, self._most_characters = most, most_characters
        self._places = self._characters = 0
        self._line: deque[Due] = deque()
        self.wake: Callable[[], object] = lambda: None
        """Called when something waits."""

    def reserve(self, due: Due) -> bool:
        """Whether there is a place for it; it is then kept until `put` and `next`, or `give_back`."""
        if self._places >= self._most or self._characters + due.size > self._most_characters:
            return False
        self._places += 1
        self._characters += due.size
        return True

    def give_back(self, due: Due) -> None:
        self._places -= 1
        self._characters -= due.size

    def put(self, due: Due) -> None:
        """Into its place."""
        self._line.append(due)
        self.wake()

    def next(self) -> Due | None:
        """The one that waits longest, out of the line."""
        if not self._line:
            return None
        due = self._line.popleft()
        self.give_back(due)
        return due
