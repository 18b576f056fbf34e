"""The texts of a Messages request, walked as `anthropic_messages_request` reads them."""

from __future__ import annotations

from functools import partial

from gateway import strict_json
from gateway.dialects.anthropic_messages_beside import beside
from gateway.dialects.request_texts import Change, Put, decoded, dicts, put, put_parts, put_slots
from gateway.strict_json import Json

_PARTS = {"text": "text"}


def with_texts(body: bytes, change: Change) -> bytes:
    tree = decoded(body)
    _content(tree, "system", partial(change, "system", None))
    for message in dicts(tree.get("messages")):
        role = str(message.get("role"))
        put(message, "content", partial(change, role, None))
        for block in dicts(message.get("content")):
            if block.get("type") == "tool_result":
                _content(block, "content", partial(change, "tool", str(block.get("tool_use_id"))))
            else:
                _block(block, partial(change, role, None))
                if role != "assistant":
                    put_slots(beside(block), partial(change, role, None))
    return strict_json.encode(tree)


def _content(holder: dict[str, Json], key: str, change: Put) -> None:
    """Text, or blocks of it."""
    put(holder, key, change)
    for block in dicts(holder.get(key)):
        _block(block, change)
        put_slots(beside(block), change)


def _block(block: dict[str, Json], change: Put) -> None:
    kind, source = block.get("type"), block.get("source")
    if kind == "text":
        put(block, "text", change)
    elif kind in ("search_result", "compaction"):
        _texts(block, "content", change)
    elif kind == "document" and isinstance(source, dict):
        _texts(source, "data" if source.get("type") == "text" else "content", change)


def _texts(holder: dict[str, Json], key: str, change: Put) -> None:
    put(holder, key, change)
    put_parts(holder.get(key), _PARTS, change)
