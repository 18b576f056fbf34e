"""What a block of a Messages request says beside its words: titles and contexts of documents, where a search result comes from."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.dialects.texts import PLAIN, Slot, fields
from gateway.strict_json import Json

_SILENT = frozenset({
    "type", "id", "tool_use_id", "file_id", "signature", "encrypted_content", "cache_control", "tool_name", "name", "caller",
})  # fmt: skip
_READ = {"text": "text", "search_result": "content", "compaction": "content", "document": "source", "image": "source"}
"""Where the words and the media of a block lie, which are read elsewhere."""


def beside(block: dict[str, Json]) -> Iterator[Slot]:
    """Of a block that is not the model's own. A result's blocks have their own."""
    if not block.keys() <= PLAIN:
        yield from fields(block, _SILENT | {_READ.get(str(block.get("type")), "content")}, _SILENT)
