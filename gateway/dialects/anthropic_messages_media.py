"""The images and documents of a Messages request: in messages, in tool results, and inside documents made of blocks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gateway.dialects.anthropic_messages_tools import Doubts, blocks_at, object_at, text_at
from gateway.dialects.media import addressed
from gateway.dialects.proposals import clipped
from gateway.request import Media
from gateway.strict_json import Json

_KINDS: dict[str, Literal["image", "file"]] = {"image": "image", "document": "file"}


def media_of(block: dict[str, Json], path: str, doubts: Doubts) -> Iterator[Media]:
    """What a block shows. Files uploaded before cannot be seen here: they are named as powerful; unknown kinds of source as unknown."""
    kind = block["type"]
    if kind == "container_upload":
        doubts.acts(f"{path}.file_id")
    elif kind in _KINDS:
        yield from _source(object_at(block.get("source"), f"{path}.source"), _KINDS[kind], f"{path}.source", doubts)
    elif kind == "tool_result" and isinstance(block.get("content"), list):
        for part, place in blocks_at(block["content"], f"{path}.content"):
            yield from media_of(part, place, doubts)


def _source(source: dict[str, Json], kind: Literal["image", "file"], path: str, doubts: Doubts) -> Iterator[Media]:
    match text_at(source, "type", path):
        case "base64":
            media_type = source.get("media_type")
            yield Media(kind, path, clipped(media_type).lower() if media_type else "", text_at(source, "data", path))
        case "url":
            yield addressed(kind, path, text_at(source, "url", path))
        case "file":
            doubts.acts(f"{path}.file_id")
        case "content" if isinstance(source.get("content"), list):
            for part, place in blocks_at(source["content"], f"{path}.content"):
                yield from media_of(part, place, doubts)
        case "text" | "content":
            return
        case other:
            doubts.unknown(f"{path}.type={clipped(other)}")
