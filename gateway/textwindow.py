"""A window over a text that comes in pieces and leaves in pieces: nothing leaves before it is known what stands there.

A detector needs a whole text, a stream has none. What makes the two meet is a bound: `look_back` characters to either side of a place
tell whether a hit begins there, and where it ends, unless it goes on to the end of what is known. So:

1. A place in the text is *settled* once every hit that begins before it is known: `look_back` characters (and one more, at which a hit
   could turn out to be none) lie behind it, or the text has ended.
2. Hits that overlap are decided together and never cut by the settled place; one that goes on to the end of the text so far waits for
   its own. Only a crowd of ended ones that is longer than `_CROWD` look-backs is cut.
3. What was settled stays so. If a text goes on that had ended, a hit over that seam has left in part: the rest of it is replaced, or stops
   the text, as if the hit began at the seam.
4. For any cut into pieces, what leaves is what would leave of the whole text, and what has left is a beginning of it.

The window keeps the unsettled text and some of the settled before it, because detectors look at what stands beside a hit. Pure; it knows
neither wire formats nor policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct


class Hit(Protocol):
    """What a screen found, by its place in the text it was given."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


H = TypeVar("H", bound=Hit)


class Screen(Protocol[H]):
    """What looks at texts. `find` must say of a text and of a part of it the same, but for hits that reach over the part's ends."""

    @property
    def look_back(self) -> int:
        """Whether a hit begins at a place is told by so many characters to either side of it."""

    def find(self, text: str) -> Sequence[H]: ...
    def stops(self, hit: H) -> bool:
        """Whether a text ends where this hit begins."""

    def replaces(self, hit: H) -> bool:
        """Whether `redacted` takes this hit out. A hit that neither stops nor is replaced is only told of."""

    def waits(self, text: str) -> int | None:
        """How many characters at the end of a text could be the beginning of a hit, where the screen knows; None: any of the last
        `look_back` could."""

    def everywhere(self, hit: H) -> bool:
        """Whether the hit is about the text as such, not about a place in it: it counts as soon as it is found."""

    def redacted(self, text: str, hits: Sequence[H]) -> str:
        """The text with what takes the place of these hits, `start` and `end` counted from its beginning."""

    def moved(self, hit: H, start: int, end: int) -> H:
        """The same hit at another place."""


_CROWD = 4
_STRIDE = 8
_LEAST_STRIDE = 16
"""A look is worth while once an eighth of the look-back (or of what waits) has come: each one reads the whole window."""


class _Change(Struct, frozen=True):
    start: int
    end: int
    text: str


class Window(Generic[H]):
    """One text on its way. Places are counted in characters from its beginning."""

    def __init__(self, screen: Screen[H], *, whole: bool = False, before: str = "") -> None:
        """`before`: how the text ended that has left without going through here."""
        self._screen = screen
        self._hold: int | None = None if whole else screen.look_back + 1
        """None: nothing is settled before the end."""
        self._stride = max(_LEAST_STRIDE, screen.look_back // _STRIDE)
        self._next_look = (self._hold or 0) + self._stride
        """How long the unsettled text must be for the next look."""
        self._text = before
        self._base = 0
        """Where `_text` begins."""
        self._changes: list[_Change] = []
        self.settled = len(before)
        self.changed = False
        self.stop: int | None = None
        """Where the text must end, and the hits because of which."""
        self.stopping: tuple[H, ...] = ()

    @property
    def end(self) -> int:
        return self._base + len(self._text)

    def feed(self, text: str) -> list[H]:
        """Takes the next piece; returns the hits that became certain, at their places in the whole text."""
        self._text += text
        if self._hold is None:
            return []
        if (waits := self._screen.waits(self._text)) is not None:
            return self._settle(self.end - waits)
        if self.end - self.settled < self._next_look:
            return []
        hits = self._settle(self.end - self._hold)
        waiting = self.end - self.settled
        self._next_look = max(self._hold + self._stride, waiting + waiting // _STRIDE)
        return hits

    def finish(self) -> list[H]:
        """Nothing follows, as far as anybody knows: the rest is settled."""
        return self._settle(self.end) if self.settled < self.end else []

    def words(self, start: int, end: int) -> str:
        """What a hit is about that the last look told of."""
        return self._text[max(start - self._base, 0) : end - self._base]

    def said(self, start: int, text: str) -> str:
        """What leaves of the settled piece `text`, which began at `start`. Pieces are asked for once, in their order."""
        end = start + len(text)
        if self.stop is not None and self.stop < end:
            end = max(self.stop, start)
            text = text[: end - start]
        parts, at = [], start
        for change in self._due(start, end):
            parts.append(text[at - start : max(change.start - start, 0)])
            if change.start >= start:
                parts.append(change.text)
            at = min(change.end, end)
        parts.append(text[at - start :])
        return "".join(parts)

    def _due(self, start: int, end: int) -> list[_Change]:
        self._changes = [change for change in self._changes if change.end > start]
        return [change for change in self._changes if change.start < end]

    def _settle(self, limit: int) -> list[H]:
        if self.stop is not None or limit <= self.settled:
            return []
        self._forget()
        found, screen = self._found(), self._screen
        stopping = tuple(hit for hit in found if screen.everywhere(hit) and screen.stops(hit))
        if stopping:
            self._stop_at(self.settled, stopping)
            return [hit for hit in found if screen.everywhere(hit)]
        certain, settled = self._acted_on([hit for hit in found if screen.stops(hit) or screen.replaces(hit)], limit)
        told = [hit for hit in found if self._only_told(hit, self.settled, settled)]
        if self.stop is None:
            self.settled = settled
        return sorted(certain + told, key=lambda hit: (hit.start, hit.end))

    def _acted_on(self, hits: list[H], limit: int) -> tuple[list[H], int]:
        """Acts on what is certain now; returns it, and how far the text is settled with it."""
        certain: list[H] = []
        settled = limit
        for crowd in _crowds(hits):
            start, end = max(crowd[0].start, self.settled), max(hit.end for hit in crowd)
            if start >= limit:
                break
            if end > limit and (end == self.end or end - start <= _CROWD * (self._hold or 0)):  # it may go on
                return certain, start
            settled = max(settled, end)
            certain += crowd
            if self._decide(crowd, start, end):
                return certain, start
        return certain, settled

    def _only_told(self, hit: H, start: int, end: int) -> bool:
        """Whether a hit without effect became certain when the text was settled from `start` to `end`."""
        if self._screen.stops(hit) or self._screen.replaces(hit):
            return False
        return self._screen.everywhere(hit) or start <= hit.start < end

    def _stop_at(self, place: int, hits: tuple[H, ...]) -> None:
        self.stop, self.stopping, self.settled = place, hits, self.end

    def _found(self) -> list[H]:
        """Hits that reach over the settled place, at their places in the whole text."""
        base, screen = self._base, self._screen
        found = [screen.moved(hit, hit.start + base, hit.end + base) for hit in screen.find(self._text) if hit.start < hit.end]
        return sorted((hit for hit in found if hit.end > self.settled), key=lambda hit: (hit.start, hit.end))

    def _decide(self, crowd: list[H], start: int, end: int) -> bool:
        """Puts on record what becomes of hits that overlap; True when the text stops at them."""
        stopping = tuple(hit for hit in crowd if self._screen.stops(hit))
        if stopping:
            self._stop_at(start, stopping)
            return True
        text = self._text[start - self._base : end - self._base]
        placed = [self._screen.moved(hit, max(hit.start, start) - start, hit.end - start) for hit in crowd]
        self._changes.append(_Change(start, end, self._screen.redacted(text, placed)))
        self.changed = True
        return False

    def _forget(self) -> None:
        beside = 2 * self._screen.look_back + _LEAST_STRIDE
        if self.settled - self._base > beside + self._stride:
            self._text = self._text[self.settled - beside - self._base :]
            self._base = self.settled - beside


def _crowds(hits: list[H]) -> Iterator[list[H]]:
    """Hits in order of their places, those that overlap together."""
    crowd: list[H] = []
    end = 0
    for hit in hits:
        if crowd and hit.start >= end:
            yield crowd
            crowd = []
        crowd.append(hit)
        end = max(end, hit.end)
    if crowd:
        yield crowd
