"""The words of a Messages answer, for screens: see `texts`.

Each block is a lane, and each kind of delta in it a text. A thinking block is signed as a whole, so that its words cannot be changed; a
citation is a text of its own. Of what the provider fetched, text stands under the same key as pictures do: its source says which it is.
The input of a tool that the provider runs is read as the JSON text it is streamed as.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialects.texts import NO_IDS, Frame, Slot, Told, copies, fields, strings
from gateway.strict_json import Json
from gateway.verdict import Call

_SILENT = frozenset({
    "type", "id", "tool_use_id", "file_id", "signature", "encrypted_content", "encrypted_index", "encrypted_stdout", "data", "media_type",
})  # fmt: skip
_NOT_IN_DELTA = frozenset({"stop_reason", "container"})
_NOT_SAID = frozenset({"id", "type", "role", "model", "content", "stop_reason", "usage", "container", "delta", "message"})
_SIGNED_BLOCKS = frozenset({"thinking", "compaction"})
_TEXT_BLOCKS = frozenset({"text", "thinking", "compaction"})
"""Blocks whose start may hold the beginning of what their deltas go on with."""


def streamed() -> MessagesTexts:
    return MessagesTexts()


def lane_of(call: Call) -> int | None:
    return None


class MessagesTexts:
    own = NO_IDS

    def __init__(self) -> None:
        self._kinds: dict[int, str] = {}
        """Types of the blocks that were read."""
        self._open: list[int] = []
        self._next = 0
        """What has left: blocks that have not stopped, and the place behind the last one that began."""

    def read(self, tree: dict[str, Json]) -> Told:
        kind: str = tree["type"]
        index: int = tree.get("index", 0)
        if kind == "content_block_start":
            block = tree["content_block"]
            self._kinds[index] = block["type"]
            return Told(tuple(_of_block(block, index)), index, waits=block["type"] in _SIGNED_BLOCKS)
        if kind == "content_block_delta":
            return Told(tuple(self._of_delta(tree["delta"], index)), index)
        if kind == "content_block_stop":
            return Told((), index, ends=True)
        if kind == "message_delta":
            said = (*fields(tree["delta"], _NOT_IN_DELTA, _SILENT), *fields(tree, _NOT_SAID, _SILENT))
            return Told(said, closes=tree["delta"].get("stop_reason") is not None)
        if kind == "message_start":
            return Told(tuple(fields(tree["message"], _NOT_SAID, _SILENT)))
        return Told(closes=kind in ("message_stop", "error"))

    def left(self, tree: dict[str, Json]) -> None:
        if tree["type"] == "content_block_start":
            self._open.append(tree["index"])
            self._next = max(self._next, tree["index"] + 1)
        elif tree["type"] == "content_block_stop" and tree["index"] in self._open:
            self._open.remove(tree["index"])

    def adjust(self, tree: dict[str, Json]) -> bool:
        return False

    def changed(self, tree: dict[str, Json]) -> None:
        """Citations name places in documents, not in the answer: they stay right."""

    def withheld(self, lane: int | None, before: str, text: str) -> list[Frame]:
        frames: list[Frame] = []
        if before and lane in self._open:
            frames.append(_event("content_block_delta", lane, delta={"type": "text_delta", "text": before}))
        frames += [_event("content_block_stop", index) for index in self._open]
        frames.append(_event("content_block_start", self._next, content_block={"type": "text", "text": ""}))
        frames.append(_event("content_block_delta", self._next, delta={"type": "text_delta", "text": text}))
        frames.append(_event("content_block_stop", self._next))
        return frames

    def after(self, tree: dict[str, Json]) -> dict[str, Json] | None:
        if tree["type"] != "message_delta":
            return tree if tree["type"] in ("message_start", "message_stop", "ping") else None
        reason = tree["delta"].get("stop_reason")
        if reason in (None, "tool_use"):  # calls that were delivered before are the client's to run
            return tree
        kept = {key: value for key, value in tree["delta"].items() if key == "container"}
        return {**tree, "delta": {**kept, "stop_reason": "end_turn", "stop_sequence": None}}

    def _of_delta(self, delta: dict[str, Json], index: int) -> Iterator[Slot]:
        kind, block = delta["type"], self._kinds.get(index, "")
        if block == "tool_use":
            return
        if kind == "citations_delta":
            yield from copies(delta, _SILENT)
            return
        for slot in copies(delta, _SILENT):
            yield slot._replace(channel=(index, str(slot.key)), said=kind == "text_delta", signed=block in _SIGNED_BLOCKS)


def whole(tree: dict[str, Json]) -> Iterator[Slot]:
    """The words of an answer in one piece."""
    for index, block in enumerate(tree.get("content") or ()):
        yield from (slot._replace(channel=None) for slot in _of_block(block, index))
    yield from fields(tree, _NOT_SAID, _SILENT)


def changed_whole(tree: dict[str, Json]) -> None:
    """Nothing in a message repeats its words."""


def withheld_whole(tree: dict[str, Json], text: str) -> dict[str, Json]:
    """The answer with nothing in it but this text."""
    kept = {key: value for key, value in tree.items() if key in _NOT_SAID}
    return {**kept, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None}


def _of_block(block: dict[str, Json], index: int) -> Iterator[Slot]:
    kind = block["type"]
    if kind == "tool_use":
        return
    yield from copies(block.get("input"), ())
    for slot in fields(block, _SILENT | {"input"}, _SILENT):
        own = kind in _TEXT_BLOCKS and slot.holder is block
        channel = (index, str(slot.key)) if own else None
        yield slot._replace(channel=channel, said=kind == "text" and own, signed=kind in _SIGNED_BLOCKS)
    yield from _sources(block)


def _sources(node: Json) -> Iterator[Slot]:
    """The texts of documents in a block: what its source holds as text."""
    for holder, key in strings(node, ()):
        if key == "data" and holder.get("type") == "text":
            yield Slot(holder, key)


def _event(kind: str, index: int | None, **more: Json) -> Frame:
    return kind, {"type": kind, "index": index, **more}
