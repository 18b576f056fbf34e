"""What a message of a chat request says beside its words: the name of its speaker, names of files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.dialects.texts import PLAIN, Slot, fields
from gateway.strict_json import Json

_SILENT = frozenset({"type", "id", "detail", "format", "cache_control", "prompt_cache_breakpoint"})
_READ = frozenset({"role", "content", "refusal", "tool_calls", "function_call", "tool_call_id", "audio"})
_OF_PART = frozenset({"text", "refusal", "image_url", "input_audio", "file"})
_OF_FILE = frozenset({"file_id", "file_data"})


def beside(message: dict[str, Json]) -> Iterable[Slot]:
    """Of a message that is not the model's own. Most have nothing."""
    return () if message.keys() <= _READ and type(message.get("content")) is not list else _beside(message)


def _beside(message: dict[str, Json]) -> Iterator[Slot]:
    """The result of a function or tool may name it."""
    named = {"name"} if message.get("role") in ("function", "tool") else set()
    yield from fields(message, _READ | named, _SILENT)
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and not part.keys() <= PLAIN:
            yield from fields(part, _OF_PART | _SILENT, _SILENT)
            if isinstance(part.get("file"), dict):
                yield from fields(part["file"], _OF_FILE, _SILENT)


def predicted(body: Mapping[str, Json]) -> Iterator[Slot]:
    """What the client expects to be answered."""
    given = body.get("prediction")
    if isinstance(given, dict):
        yield from fields(given, _SILENT, _SILENT)
