"""What a part of a Gemini request says beside its words: names of files, programs and what they and tools of the provider are said to have
answered."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialects.request_texts import dicts
from gateway.dialects.texts import Slot, fields
from gateway.strict_json import Json

_MEDIA = ("inlineData", "inline_data", "fileData", "file_data")
_ANSWERED = ("functionResponse", "function_response")
_SILENT = frozenset({
    "data", "mimeType", "mime_type", "fileUri", "file_uri", "thoughtSignature", "thought_signature", "language", "outcome", "id",
    "mediaResolution", "media_resolution", "toolType", "tool_type",
})  # fmt: skip
_READ = frozenset({"text", "functionCall", "function_call", *_MEDIA, *_ANSWERED})


def beside(part: dict[str, Json]) -> Iterator[Slot]:
    """Of a part that is not the model's own."""
    if len(part) == 1 and "text" in part:
        return
    yield from fields(part, _READ | _SILENT, _SILENT)
    for name in _MEDIA:
        for holder in dicts(part.get(name)):
            yield from fields(holder, _SILENT, _SILENT)


def beside_result(part: dict[str, Json]) -> Iterator[Slot]:
    """Of a function's response: of the media in it."""
    for name in _ANSWERED:
        for holder in dicts(part.get(name)):
            for inner in dicts(holder.get("parts")):
                yield from beside(inner)
