"""Where the words stand in what a client is sent: what screens of answers look at, and how they write an answer anew.

A dialect names every string that a person or program could take for words of the answer, each a `Slot`. Pieces of one text share a
channel; a copy of something said before, a title, an address are texts of their own. To be safe it is the other way round than a list of
known texts: every string is one, but for those under keys that hold names, ids and signatures (`silent`), and for calls, which are judged.

What is read here was written or let through by this gateway's own decoder: it has one meaning and known keys only. No policy, no windows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from gateway import strict_json
from gateway.dialects import sse
from gateway.strict_json import Json
from gateway.verdict import Call

Channel: TypeAlias = tuple[int | str, ...]
Frame: TypeAlias = tuple[str | None, dict[str, Json]]
"""One event on its way out: its name and its value."""


class Slot(NamedTuple):
    """One string, in its place: `holder[key]`."""

    holder: Any
    key: Any
    channel: Channel | None = None
    """The text it is a piece of; None for a text of its own."""
    said: bool = False
    """Belongs to what the model says, as against what it thinks, cites or did."""
    signed: bool = False
    """A signature covers it: with other words the provider would refuse it when the client sends it back."""

    @property
    def beside(self) -> bool:
        """Stands beside what the model says, in words or aloud."""
        return not self.said and self.key != "transcript"


class Told(Struct, frozen=True):
    """What one event tells."""

    slots: tuple[Slot, ...] = ()
    lane: int | None = None
    """The part of the answer it belongs to, which keeps its order: a choice, a block, an item. None: it waits for nothing."""
    ends: bool = False
    """No text of this lane goes on behind it."""
    closes: bool = False
    """No text of the answer goes on behind it."""
    waits: bool = False
    """Nothing of this lane leaves before its end: it counts as a whole or not at all."""
    about: Channel | None = None
    """It tells of places in that text, which are wrong once the text is changed."""


class Retelling(Protocol):
    """One answer as it is sent to a client. `tree` may be changed in place by whoever fills its slots."""

    @property
    def own(self) -> Mapping[str, str]:
        """The gateway's own words in the answer by their ids, where the dialect gives them one."""

    def read(self, tree: dict[str, Json]) -> Told: ...
    def left(self, tree: dict[str, Json]) -> None:
        """This event has left, as it stands."""

    def changed(self, tree: dict[str, Json]) -> None:
        """Words in this event were changed: what only fitted the old ones is taken out."""

    def adjust(self, tree: dict[str, Json]) -> bool:
        """Makes the event fit what has left before it: its number, places in words that were changed. True when it had to be changed."""

    def withheld(self, lane: int | None, before: str, text: str) -> list[Frame]:
        """The events that end the answer where it stands: `before` is the last of what may still be said in that lane, `text` says that the
        rest is withheld."""

    def after(self, tree: dict[str, Json]) -> dict[str, Json] | None:
        """What is left of an event behind that: that the answer ended well, and what it cost. None: nothing."""


class Texts(Protocol):
    """What a dialect knows of words, streamed and in one piece. A module satisfies it."""

    def streamed(self) -> Retelling: ...
    def lane_of(self, call: Call) -> int | None:
        """The lane in which a call stands; None: it stands behind all that was said."""

    def whole(self, tree: dict[str, Json]) -> Iterator[Slot]:
        """The words of an answer in one piece."""

    def changed_whole(self, tree: dict[str, Json]) -> None:
        """As `Retelling.changed`, of an answer in one piece."""

    def withheld_whole(self, tree: dict[str, Json], text: str) -> dict[str, Json]:
        """The answer with nothing in it but this text."""


PLAIN = frozenset({"type", "text"})
"""The keys of a part that has words and nothing beside them."""
NO_IDS: Mapping[str, str] = {}


FREE = frozenset({"args", "attributes", "input", "input_schema", "parameters", "partMetadata", "response"})
"""Keys of values that are not of the dialect's making: no key in them is silent, for it means nothing that the dialect knows of."""


def strings(node: Json, silent: Collection[str]) -> Iterator[tuple[Any, Any]]:
    """(holder, key) of each string in a value, in order; what stands under a silent key is left out."""
    waiting = [(node, silent)]
    while waiting:
        holder, silent = waiting.pop()
        inner: list[tuple[Json, Collection[str]]] = []
        for key, value in holder.items() if type(holder) is dict else enumerate(holder):
            if type(key) is str and key in silent:
                continue
            if type(value) is str:
                yield holder, key
            elif type(value) is dict or type(value) is list:
                inner.append((value, () if key in FREE else silent))
        waiting += reversed(inner)


def runs(slots: Iterable[Slot]) -> list[list[Slot]]:
    """The slots of each text, where all of an answer is at hand: those of one channel are its pieces."""
    found: dict[Channel | int, list[Slot]] = {}
    for number, slot in enumerate(slots):
        found.setdefault(number if slot.channel is None else slot.channel, []).append(slot)
    return list(found.values())


def tokens(node: Json, channel: Channel) -> Iterator[Slot]:
    """The tokens of log probabilities, by whatever names they are listed: each list spells a text once more. What else might have stood in
    the place of a token is a text of its own."""
    for name, listed in node.items() if type(node) is dict else [("", node)]:
        for token in listed if type(listed) is list else [listed]:
            if type(token) is dict and type(token.get("token")) is str:
                yield Slot(token, "token", (*channel, str(name)))
                yield from fields(token, ("token",), ())
            else:
                yield from copies(token, ())


def copies(node: Json, silent: Collection[str]) -> Iterator[Slot]:
    """Every string in a value as a text of its own."""
    if type(node) is dict or type(node) is list:
        yield from (Slot(holder, key) for holder, key in strings(node, silent))


def fields(tree: dict[str, Json], apart: Collection[str], silent: Collection[str]) -> Iterator[Slot]:
    """Every string in an object as a text of its own, what stands in it under the keys `apart` left out."""
    for key, value in tree.items():
        if key in apart:
            continue
        if type(value) is str:
            yield Slot(tree, key)
        else:
            yield from copies(value, () if key in FREE else silent)


def written(frame: Frame) -> bytes:
    name, tree = frame
    return sse.frame(strict_json.encode(tree), name)
