"""The words of a chat completion, for screens: see `texts`.

A delta of each kind (content, refusal, reasoning in its several spellings, a transcript) is a text of its own, because clients put each
together apart. Log probabilities repeat the tokens: they are read as a text of their own, and go when a word was changed.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialects.texts import NO_IDS, Channel, Frame, Slot, Told, copies, fields, tokens
from gateway.strict_json import Json
from gateway.verdict import Call

_SILENT_TOP = frozenset({
    "id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier", "obfuscation", "provider",
})  # fmt: skip
_SILENT_WORDS = frozenset({"type", "format", "signature", "thought_signature", "id", "data", "role"})
_SILENT_CALLS = frozenset({"role", "tool_calls", "function_call"})
_PIECES = frozenset({"content", "refusal", "reasoning", "reasoning_content", "reasoning_details", "thinking_blocks", "audio"})
"""Keys of a delta whose strings go on in the next one."""
_SAID = frozenset({"content", "refusal"})
_NOT_WORDS = frozenset({"index", "delta", "message", "finish_reason", "logprobs"})
_SIGNED = frozenset({"reasoning_details", "thinking_blocks"})
"""Thoughts in the form in which some providers want them back, with a signature that comes last."""
_CALLED = frozenset({"tool_calls", "function_call"})


def streamed() -> ChatTexts:
    return ChatTexts()


def lane_of(call: Call) -> int:
    return call.choice


class ChatTexts:
    own = NO_IDS

    def __init__(self) -> None:
        self._head: dict[str, Json] = {}
        self._moved = False
        """Words were changed: what names places in them is wrong."""
        self._opened: set[int] = set()
        self._spoke: set[int] = set()
        self._called: dict[int, str] = {}
        """Choices that delivered calls, and the reason that goes with them."""
        self._seen: dict[int, bool] = {}
        """Choices, and whether they have finished."""

    def read(self, tree: dict[str, Json]) -> Told:
        choices = tree.get("choices") or []
        slots = [*fields(tree, _SILENT_TOP, ())]
        slots += [slot for choice in choices for slot in _of_choice(choice)]
        if len(choices) != 1:
            return Told(tuple(slots), closes=bool(choices) or "error" in tree)
        lane = choices[0].get("index", 0)
        return Told(tuple(slots), lane, ends=bool(choices[0].get("finish_reason")))

    def left(self, tree: dict[str, Json]) -> None:
        self._head = self._head or {key: tree[key] for key in ("id", "object", "created", "model") if key in tree}
        for choice in tree.get("choices") or ():
            index, delta = choice.get("index", 0), choice.get("delta") or {}
            self._seen[index] = self._seen.get(index, False) or bool(choice.get("finish_reason"))
            if delta.get("role"):
                self._opened.add(index)
            if delta.get("content"):
                self._spoke.add(index)
            for key in _CALLED & delta.keys():
                self._called[index] = key

    def adjust(self, tree: dict[str, Json]) -> bool:
        if not self._moved:
            return False
        placed = [delta for choice in tree.get("choices") or () if "annotations" in (delta := choice.get("delta") or {})]
        for delta in placed:
            del delta["annotations"]
        return bool(placed)

    def changed(self, tree: dict[str, Json]) -> None:
        self._moved = True
        for choice in tree.get("choices") or ():
            if choice.get("logprobs") is not None:
                choice["logprobs"] = None

    def withheld(self, lane: int | None, before: str, text: str) -> list[Frame]:
        index = lane or 0
        self._seen.setdefault(index, False)
        said = f"{before}\n\n{text}" if before or index in self._spoke else text
        delta: dict[str, Json] = {} if index in self._opened else {"role": "assistant"}
        head = self._head or {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
        choice = {"index": index, "delta": {**delta, "content": said}, "finish_reason": None}
        return [(None, {**head, "choices": [choice]})]

    def after(self, tree: dict[str, Json]) -> dict[str, Json] | None:
        kept = {key: value for key, value in tree.items() if key in _SILENT_TOP}
        choices = [self._finished(choice) for choice in tree.get("choices") or () if choice.get("finish_reason")]
        kept["choices"] = choices
        return kept if choices or tree.get("usage") is not None else None

    def _finished(self, choice: dict[str, Json]) -> dict[str, Json]:
        index = choice.get("index", 0)
        return {"index": index, "delta": {}, "finish_reason": self._called.get(index, "stop")}


def whole(tree: dict[str, Json]) -> Iterator[Slot]:
    """The words of an answer in one piece."""
    yield from fields(tree, _SILENT_TOP, ())
    for choice in tree.get("choices") or ():
        yield from _of_choice(choice)


def changed_whole(tree: dict[str, Json]) -> None:
    ChatTexts().changed(tree)


def withheld_whole(tree: dict[str, Json], text: str) -> dict[str, Json]:
    """The answer with nothing in it but this text."""
    kept = {key: value for key, value in tree.items() if key in _SILENT_TOP}
    message = {"role": "assistant", "content": text, "refusal": None}
    kept["choices"] = [
        {"index": at, "message": dict(message), "logprobs": None, "finish_reason": "stop"} for at in range(len(tree.get("choices") or [0]))
    ]
    return kept


def _of_choice(choice: dict[str, Json]) -> Iterator[Slot]:
    index, words = choice.get("index", 0), choice.get("delta") or choice.get("message") or {}
    for key, value in words.items():
        if key in _SILENT_CALLS:
            continue
        if type(value) is str:
            yield Slot(words, key, (index, key), key in _SAID)
        elif key == "images":
            continue
        elif key in _PIECES:
            yield from _pieces(value, (index, key))
        else:
            yield from copies(value, _SILENT_WORDS)
    yield from fields(choice, _NOT_WORDS, _SILENT_WORDS)
    if choice.get("logprobs") is not None:
        yield from tokens(choice["logprobs"], (index, "logprobs"))


def _pieces(value: Json, channel: Channel) -> Iterator[Slot]:
    """The texts of a list of parts or of one part; a client puts those of one kind and place together."""
    parts = value if type(value) is list else [value]
    for part in parts:
        for slot in copies(part, _SILENT_WORDS):
            place = part.get("index", 0)
            name = (*channel, place if type(place) is int else 0, str(slot.key))
            yield slot._replace(channel=name, said=channel[1] in _SAID, signed=channel[1] in _SIGNED)
