"""Frames and blocks of a streamed Messages answer: read from the wire, put under another index, written in
one form.

Parts of `anthropic_messages_stream`, which alone says when a frame may leave.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway import strict_json
from gateway.dialects import sse
from gateway.dialects.anthropic_messages_blocks import Draft, Lane
from gateway.dialects.events import Broken, Event, Proposed
from gateway.strict_json import Json

ASTRAY: Final = -1
"""The place of a withheld block whose own index cannot be used."""

Tree = dict[str, Json]

_lenient = msgspec.json.Decoder().decode


class Untrusted(Exception):  # noqa: N818 - becomes a Broken event
    def __init__(self, detail: str, code: str = "protocol", raw: bytes = b"") -> None:
        super().__init__(detail)
        self.broken = Broken(code, detail, raw)


class Frame:
    """One event that may pass, and whether it must be written anew."""

    __slots__ = ("changed", "source", "tree")

    def __init__(self, source: sse.SseEvent, tree: Tree, clean: Tree) -> None:
        self.source, self.tree, self.changed = source, clean, clean is not tree

    def placed(self, index: int) -> None:
        if self.tree["index"] != index:
            self.tree, self.changed = {**self.tree, "index": index}, True

    def clean(self) -> bytes | None:
        """The frame in its one form, or None when it came in it."""
        data = self.source.data or b""
        if self.changed or b"\n" in data:
            data = strict_json.encode(self.tree)
        canonical = sse.frame(strict_json.one_line(data), self.source.event)
        return None if canonical == self.source.raw else canonical

    def bytes(self) -> bytes:
        canonical = self.clean()
        return self.source.raw if canonical is None else canonical


class Part:
    """One content block, from its start to its stop."""

    __slots__ = ("draft", "kind", "lane", "number", "slot", "waiting")

    def __init__(self, number: int, kind: str, lane: Lane, draft: Draft | None) -> None:
        self.number, self.kind, self.lane, self.draft = number, kind, lane, draft
        self.slot: int | None = None  # the index it is delivered under
        self.waiting: list[Frame] = []


def index_of(tree: Tree) -> int:
    """The block an event belongs to; `true`, `0.0` and `"0"` are no indexes, and lead astray."""
    index = tree.get("index")
    return index if type(index) is int and index >= 0 else ASTRAY


def read_loosely(data: bytes | None) -> Tree:
    """What a tolerant reader takes the event for: of equal keys the last one counts, and what is no UTF-8 becomes a sign for it."""
    try:
        tree = _lenient((data or b"").decode(errors="replace"))
    except (msgspec.DecodeError, RecursionError):
        return {}
    return tree if isinstance(tree, dict) else {}


def as_object(value: Json) -> Tree:
    return value if isinstance(value, dict) else {}


def is_call(block: Json) -> bool:
    return isinstance(block, dict) and block.get("type") == "tool_use"


def block_frames(slot: int, block: Tree, delta: Tree) -> bytes:
    events: tuple[Tree, ...] = (
        {"type": "content_block_start", "index": slot, "content_block": block},
        {"type": "content_block_delta", "index": slot, "delta": delta},
        {"type": "content_block_stop", "index": slot},
    )
    return b"".join(sse.frame(strict_json.encode(event), event["type"]) for event in events)


def with_more(events: list[Event]) -> list[Event]:
    """Marks each proposal that another one follows in the same batch."""
    proposals = [i for i, event in enumerate(events) if isinstance(event, Proposed)]
    for i in proposals[:-1]:
        event = events[i]
        assert isinstance(event, Proposed)  # noqa: S101 - for the type checker; chosen above
        events[i] = Proposed(event.call, more=True)
    return events
