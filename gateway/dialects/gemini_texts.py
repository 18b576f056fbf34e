"""The words of a generateContent answer, for screens: see `texts`.

What a candidate says and what it thinks are two texts. Everything else it carries (code that ran, sources, the page for their search) is
read as it stands. Function calls are judged elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialects.texts import NO_IDS, Frame, Slot, Told, fields, tokens
from gateway.strict_json import Json
from gateway.verdict import Call

_SILENT = frozenset({"thoughtSignature", "data", "mimeType"})
_NOT_IN_PART = _SILENT | {"functionCall", "text"}
_NOT_IN_CANDIDATE = frozenset({"content", "finishReason", "safetyRatings", "logprobsResult", "continuationToken"})
_NOT_SAID = frozenset({"candidates", "usageMetadata", "modelVersion", "responseId", "createTime"})
_HEAD = ("responseId", "modelVersion", "createTime")
_PLACED = ("citationMetadata", "groundingMetadata", "logprobsResult", "avgLogprobs")
"""What tells of places in the words, or repeats them."""


def streamed() -> GeminiTexts:
    return GeminiTexts()


def lane_of(call: Call) -> int:
    return call.choice


class GeminiTexts:
    own = NO_IDS

    def __init__(self) -> None:
        self._head: dict[str, Json] = {}
        self._moved = False
        """Words were changed: what names places in them is wrong."""

    def read(self, tree: dict[str, Json]) -> Told:
        found = tree.get("candidates") or []
        slots = tuple(whole(tree))
        if len(found) > 1 or "error" in tree:
            return Told(slots, closes=True)
        if not found:
            return Told(slots, 0)
        return Told(slots, found[0].get("index", 0), ends=bool(found[0].get("finishReason")))

    def left(self, tree: dict[str, Json]) -> None:
        self._head |= {key: tree[key] for key in _HEAD if key in tree}

    def adjust(self, tree: dict[str, Json]) -> bool:
        return self._moved and _without_places(tree)

    def changed(self, tree: dict[str, Json]) -> None:
        self._moved = True
        _without_places(tree)

    def withheld(self, lane: int | None, before: str, text: str) -> list[Frame]:
        said = f"{before}\n\n{text}" if before else text
        candidate = {"content": {"parts": [{"text": said}], "role": "model"}, "index": lane or 0}
        return [(None, {"candidates": [candidate], **self._head})]

    def after(self, tree: dict[str, Json]) -> dict[str, Json] | None:
        ended = [_ended(candidate) for candidate in tree.get("candidates") or () if candidate.get("finishReason")]
        if not ended and tree.get("candidates"):
            return None
        return {**tree, "candidates": ended} if ended else tree


def whole(tree: dict[str, Json]) -> Iterator[Slot]:
    """The words of an answer in one piece."""
    for candidate in tree.get("candidates") or ():
        yield from _of_candidate(candidate)
    yield from fields(tree, _NOT_SAID, _SILENT)


def changed_whole(tree: dict[str, Json]) -> None:
    _without_places(tree)


def withheld_whole(tree: dict[str, Json], text: str) -> dict[str, Json]:
    """The answer with nothing in it but this text."""
    places = [candidate.get("index", at) for at, candidate in enumerate(tree.get("candidates") or [{}])]
    content = {"parts": [{"text": text}], "role": "model"}
    return {**tree, "candidates": [{"content": dict(content), "finishReason": "STOP", "index": place} for place in places]}


def _without_places(tree: dict[str, Json]) -> bool:
    """Whether there were any."""
    found = [(candidate, key) for candidate in tree.get("candidates") or () for key in _PLACED if key in candidate]
    for candidate, key in found:
        del candidate[key]
    return bool(found)


def _ended(candidate: dict[str, Json]) -> dict[str, Json]:
    return {"content": {"parts": [], "role": "model"}, "finishReason": "STOP", "index": candidate.get("index", 0)}


def _of_candidate(candidate: dict[str, Json]) -> Iterator[Slot]:
    index, content = candidate.get("index", 0), candidate.get("content") or {}
    for part in content.get("parts") or ():
        if isinstance(part.get("text"), str):
            kind = "thought" if part.get("thought") else "text"
            yield Slot(part, "text", (index, kind), kind == "text")
        yield from fields(part, _NOT_IN_PART, _SILENT)
    yield from fields(candidate, _NOT_IN_CANDIDATE, _SILENT)
    if candidate.get("logprobsResult") is not None:
        yield from tokens(candidate["logprobsResult"], (index, "logprobsResult"))
