"""The gateway's own secrets (keys of providers, virtual keys) in the words of a stream, cut over events.

One that stands in one event is taken out of its bytes on the way out. One that is cut over several is seen by nobody who looks at bytes, so
that the pieces of each running text are followed here. That is cheap: a stream goes through a screen only while a text ends with what could
be the beginning of a secret (four characters or more of it), which hardly any does.

Words that are signed are rewritten too: a provider that refuses them later is better than a key that leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.dialects.events import UNTOLD, Said
from gateway.dialects.texts import Channel, Retelling
from gateway.screening.streamed import UNREADABLE, Screening

_SEAM = 3
"""Characters at a text's end that may be the beginning of a hint."""


class Place(Struct, frozen=True):
    start: int
    end: int
    name: str
    """What takes its place."""


class Secrets(Protocol):
    """What knows them."""

    @property
    def longest(self) -> int: ...
    @property
    def hints(self) -> tuple[str, ...]:
        """How secrets begin, in at most four characters: a text without any of them holds none."""

    def finds(self, value: str) -> bool: ...
    def spans(self, value: str) -> list[tuple[int, int, str]]: ...
    def begun(self, value: str) -> int: ...


class _Keys:
    """The secrets as a screen."""

    buffers = False
    rewrites_signed = True

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self.look_back = secrets.longest

    @property
    def beside(self) -> _Keys:
        return self

    def find(self, text: str) -> Sequence[Place]:
        return [Place(*span) for span in self._secrets.spans(text)]

    def waits(self, text: str) -> int | None:
        return self._secrets.begun(text)

    def stops(self, hit: Place) -> bool:
        return False

    def replaces(self, hit: Place) -> bool:
        return True

    def everywhere(self, hit: Place) -> bool:
        return False

    def moved(self, hit: Place, start: int, end: int) -> Place:
        return Place(start, end, hit.name)

    def redacted(self, text: str, hits: Sequence[Place]) -> str:
        parts: list[str] = []
        at = 0
        for hit in hits:
            parts += (text[at : hit.start], hit.name if hit.start >= at else "")
            at = max(at, hit.end)
        return "".join((*parts, text[at:]))


class KeyWatch:
    """One stream on its way to a client. `always`: others hold events back before they come here, so that what is said in them is not known
    when they do; then all of the stream goes through the screen."""

    def __init__(self, secrets: Secrets, retelling: Callable[[], Retelling], *, always: bool = False) -> None:
        self._secrets, self._retelling, self._always = secrets, retelling, always
        self._keys = _Keys(secrets)
        self._ends: dict[Channel, str] = {}
        """The end of each text so far."""
        self._stage: Screening[Place] | None = self._screening({}) if always else None

    def through(self, data: bytes, said: Said | None) -> bytes:
        """`said` is what is in `data`."""
        before = self._follow(said) if said is not None and not self._always else None
        if self._stage is None and before is not None:
            self._stage = self._screening(before)
        return data if self._stage is None else self._passed(self._stage, data)

    def settle(self, lane: int | None = None) -> bytes:
        """What waits, because nothing follows that could make a secret of it."""
        return self._stage.settle(lane) if self._stage is not None else b""

    def _screening(self, before: Mapping[Channel, str]) -> Screening[Place]:
        """Nobody is told why an answer ended, for none ends here."""
        return Screening(self._keys, self._retelling(), explain=str, note=_unnoted, before=before)

    def _passed(self, stage: Screening[Place], data: bytes) -> bytes:
        try:
            left = stage.through(data)
        except UNREADABLE:  # a stream that is only observed may be anything; then its bytes are looked at and no more
            self._stage = None
            return data
        if not (self._always or stage.waiting):
            self._stage = None
        return left

    def _follow(self, said: Said) -> Mapping[Channel, str] | None:
        """The ends of all texts before these pieces, where a secret may stand over the seam or begin in them; else None."""
        if said is UNTOLD:
            return dict(self._ends)
        doubtful = False
        before: dict[Channel, str] = {}
        lane, words = said
        for name, text in words.items():
            if type(text) is not str or not text:
                continue
            channel = (lane, name) if type(name) is str else (lane, *name)
            before[channel] = self._ends.get(channel, "")
            end, open_end = before[channel] + text, 0
            for hint in self._secrets.hints:
                if hint in end:
                    open_end = self._secrets.begun(end)
                    doubtful = doubtful or open_end > 0 or self._secrets.finds(end)
                    break
            self._ends[channel] = end[-max(open_end, _SEAM) :]
        return {**self._ends, **before} if doubtful else None


def _unnoted(hit: Place, words: str) -> None:
    """What stands here is on no record, not even as a hash."""
