"""The words of a Responses answer, for screens: see `texts`.

Each item is a lane, each part of it a text. Everything is told several times (deltas, the text done, the part done, the item done, the
whole response): each copy is read and written anew, for some client uses it. Annotations and log probabilities of changed words go. What
the response repeats of its request is not looked at. A call that the provider runs (a shell in its container) may be one that was judged
too: its words cannot be changed. Events are numbered again, because some are left out and some come in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gateway.dialects import openai_responses_items as items
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects.texts import Channel, Frame, Slot, Told, copies, fields, tokens
from gateway.strict_json import Json
from gateway.verdict import Call

_SILENT = frozenset({
    "type", "id", "call_id", "item_id", "status", "role", "phase", "encrypted_content", "fingerprint", "file_id", "container_id",
    "partial_image_b64", "logprobs", "obfuscation", "file_data", "image_url",
})  # fmt: skip
_EVENT = frozenset({
    "type", "sequence_number", "item_id", "output_index", "obfuscation", "logprobs", "partial_image_b64", "item", "response",
})  # fmt: skip
_CALLS = frozenset({"response.function_call_arguments", "response.custom_tool_call_input"})
_SOUND = "response.audio.delta"
_COMMAND = "response.shell_call_command"
_SAID = frozenset({"response.output_text", "response.refusal"})
_REPORTED = ("incomplete_details", "error", "moderation", "content_filters")
"""What a response says of itself, beside what it repeats of its request."""
_LOOSE = -1
"""The lane of words that belong to no item."""


def streamed() -> ResponsesTexts:
    return ResponsesTexts()


def lane_of(call: Call) -> int | None:
    return None


class ResponsesTexts:
    def __init__(self) -> None:
        self._parts: dict[tuple[int, int], tuple[str, list[str]]] = {}
        """Parts of messages that are being written, by item and part: kind, and the words of it that have left."""
        self._begun: dict[int, dict[str, Json]] = {}
        self._done: list[dict[str, Json]] = []
        self._number: int | None = None
        self._items = 0
        self.own: dict[str, str] = {}
        """The id of the gateway's own message, with its text."""

    def read(self, tree: dict[str, Json]) -> Told:
        kind: str = tree["type"]
        lane: int | None = tree.get("output_index", _LOOSE if kind.startswith("response.audio") else None)
        slots = tuple(_of_event(kind, tree, lane))
        about = _channel("response.output_text", tree, lane) if kind == "response.output_text.annotation.added" else None
        return Told(slots, lane, ends=kind.endswith(".done"), closes=kind in shape.LAST_EVENTS or kind == "error", about=about)

    def left(self, tree: dict[str, Json]) -> None:
        kind: str = tree["type"]
        lane: int = tree.get("output_index", _LOOSE)
        place = (lane, tree.get("content_index", 0))
        if kind == shape.ADDED:
            self._begun[lane], self._items = tree["item"], self._items + 1
        elif kind == shape.DONE:
            self._begun.pop(lane, None)
            self._done.append(tree["item"])
        elif kind == "response.content_part.added":
            self._parts[place] = (tree["part"]["type"], [])
        elif kind.endswith(".delta") and kind.removesuffix(".delta") in _SAID:
            self._parts.setdefault(place, (kind.split(".")[1], []))[1].append(tree["delta"])

    def changed(self, tree: dict[str, Json]) -> None:
        for holder in _with_places(tree):
            for key in ("logprobs", "annotations"):
                if holder.get(key):
                    holder[key] = []

    def adjust(self, tree: dict[str, Json]) -> bool:
        number = tree.get("sequence_number")
        if type(number) is not int:
            return False
        self._number = number if self._number is None else self._number + 1
        tree["sequence_number"] = self._number
        return number != self._number

    def withheld(self, lane: int | None, before: str, text: str) -> list[Frame]:
        frames: list[Frame] = []
        for place, item in sorted(self._begun.items()):
            if item.get("type") == "message":
                frames += self._closing(place, item, before if place == lane else "")
        self._begun.clear()
        return frames + self._explaining(text)

    def after(self, tree: dict[str, Json]) -> dict[str, Json] | None:
        if tree["type"] not in shape.LAST_EVENTS:
            return None
        response = {**tree["response"], "status": "completed", "incomplete_details": None, "output": self._done}
        return {**tree, "type": "response.completed", "response": response}

    def _closing(self, place: int, item: dict[str, Json], before: str) -> list[Frame]:
        """The message that was being written ends where it stands."""
        content: list[Json] = []
        frames: list[Frame] = []
        open_parts = sorted(number for lane, number in self._parts if lane == place)
        for number in open_parts:
            kind, said = self._parts[place, number]
            key = "refusal" if kind == "refusal" else "text"
            more: dict[str, Json] = {} if kind == "refusal" else {"logprobs": []}
            about = {"item_id": item.get("id", ""), "output_index": place, "content_index": number}
            if before and number == open_parts[-1]:
                frames.append(self._event(f"response.{kind}.delta", **about, **more, delta=before))
                said.append(before)
            text = "".join(said)
            part = {"type": kind, key: text, **({"annotations": []} if more else {}), **more}
            content.append(part)
            frames.append(self._event(f"response.{kind}.done", **about, **more, **{key: text}))
            frames.append(self._event("response.content_part.done", **about, part=part))
        whole = {**item, "status": "completed", "content": content}
        return [*frames, self._event(shape.DONE, output_index=place, item=whole)]

    def _explaining(self, text: str) -> list[Frame]:
        name = f"msg_{hashlib.sha256(f'{self._items}/{text}'.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
        item, place = items.explanation(name, text), self._items
        self.own[name] = text
        part, about = item["content"][0], {"item_id": name, "output_index": place, "content_index": 0}
        return [
            self._event(shape.ADDED, output_index=place, item={**item, "status": "in_progress", "content": []}),
            self._event("response.content_part.added", **about, part={**part, "text": ""}),
            self._event("response.output_text.delta", **about, delta=text, logprobs=[]),
            self._event("response.output_text.done", **about, text=text, logprobs=[]),
            self._event("response.content_part.done", **about, part=part),
            self._event(shape.DONE, output_index=place, item=item),
        ]

    def _event(self, kind: str, **more: Json) -> Frame:
        number = {} if self._number is None else {"sequence_number": self._number}
        return kind, {"type": kind, **number, **more}


def whole(tree: dict[str, Json]) -> Iterator[Slot]:
    """The words of an answer in one piece."""
    for item in tree.get("output") or ():
        yield from _of_item(item)
    for key in _REPORTED:
        yield from copies(tree.get(key), ())


def changed_whole(tree: dict[str, Json]) -> None:
    ResponsesTexts().changed({"response": tree})


def withheld_whole(tree: dict[str, Json], text: str) -> dict[str, Json]:
    """The answer with nothing in it but this text."""
    texts = ResponsesTexts()
    for _, event in texts.withheld(None, "", text):
        texts.left(event)
    return texts.after({"type": "response.completed", "response": tree})["response"]  # type: ignore[index,no-any-return]


def _of_event(kind: str, tree: dict[str, Json], lane: int | None) -> Iterator[Slot]:
    stem = kind.removesuffix(".delta").removesuffix(".done")
    if stem in _CALLS or kind == _SOUND:
        return
    if kind == shape.SHELL_OUTPUT:
        written = tree["delta"]
        yield from (Slot(written, name, _channel(f"{stem}.{name}", tree, lane)) for name in shape.STREAMS if written.get(name))
        return
    if stem.startswith(_COMMAND):  # of a shell that the provider runs: as in its item
        told = [Slot(tree, "delta", _channel(stem, tree, lane))] if "delta" in tree else fields(tree, _EVENT, _SILENT)
        yield from (slot._replace(signed=True) for slot in told)
        return
    if kind.endswith(".delta"):
        yield Slot(tree, "delta", _channel(stem, tree, lane), stem in _SAID)
        yield from tokens(tree.get("logprobs"), (*_channel(stem, tree, lane), "logprobs"))
        return
    yield from fields(tree, _EVENT, _SILENT)
    for holder in (tree, tree.get("part")):
        if isinstance(holder, dict):
            yield from tokens(holder.get("logprobs"), (*_channel(kind, tree, lane), "logprobs"))
    if "item" in tree:
        yield from _of_item(tree["item"])
    if isinstance(tree.get("response"), dict):
        yield from whole(tree["response"])


def _channel(stem: str, tree: dict[str, Json], lane: int | None) -> Channel:
    return (_LOOSE if lane is None else lane, stem, shape.place_of(tree))


def _of_item(item: Json) -> Iterator[Slot]:
    """A call is judged elsewhere; of anything else each string is words."""
    if not isinstance(item, dict):
        return
    kind = item.get("type")
    silent = _SILENT | {"result"} if kind == "image_generation_call" else _SILENT
    if kind in shape.CALL_ITEMS:
        yield from (slot._replace(signed=True) for slot in fields(item, silent, silent) if items.runs_upstream(item))
        return
    yield from (slot._replace(said=kind == "message" and slot.key in ("text", "refusal")) for slot in fields(item, silent, silent))
    for place, part in enumerate(item.get("content") or () if kind == "message" else ()):
        yield from tokens(part.get("logprobs"), (str(item.get("id")), "logprobs", place))


def _with_places(tree: dict[str, Json]) -> Iterator[dict[str, Json]]:
    """The parts of an event, and the event itself: what may hold annotations or log probabilities."""
    yield tree
    if isinstance(tree.get("part"), dict):
        yield tree["part"]
    response = tree.get("response")
    told = [tree.get("item"), *(response.get("output") or () if isinstance(response, dict) else ())]
    for item in told:
        yield from (item.get("content") or ()) if isinstance(item, dict) else ()
