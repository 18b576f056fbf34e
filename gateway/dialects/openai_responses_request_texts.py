"""The texts of a Responses request, walked as `openai_responses_request` reads them."""

from __future__ import annotations

from functools import partial

from gateway import strict_json
from gateway.dialects import openai_responses_shape as shape
from gateway.dialects.openai_responses_beside import beside
from gateway.dialects.request_texts import Change, Put, decoded, dicts, put, put_all, put_parts, put_slots
from gateway.strict_json import Json

_PARTS = {**dict.fromkeys(("input_text", "output_text", "reasoning_text", "summary_text", "text"), "text"), "refusal": "refusal"}


def with_texts(body: bytes, change: Change) -> bytes:
    tree = decoded(body)
    put(tree, "instructions", partial(change, "system", None))
    for name in ("input", "items"):
        put(tree, name, partial(change, "user", None))
        for item in dicts(tree.get(name)):
            _item(item, change)
    return strict_json.encode(tree)


def _item(item: dict[str, Json], change: Change) -> None:
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind == "message":
        one = partial(change, str(item.get("role")), None)
        put(item, "content", one)
        put_parts(item.get("content"), _PARTS, one)
        if item.get("role") != "assistant":
            put_slots(beside(item, item.get("content")), one)
    elif kind == "mcp_approval_response":
        put_slots(beside(item, None), partial(change, "user", None))
    elif isinstance(kind, str) and kind.endswith("_output") and kind in {**shape.PLAIN_ITEMS, **shape.SERVICE_ITEMS}:
        call_id = item.get("call_id") or item.get("id")
        _output(item, "output" if "output" in item else "result", partial(change, "tool", call_id if isinstance(call_id, str) else ""))


def _output(item: dict[str, Json], key: str, change: Put) -> None:
    """Text or parts of it; anything else is a shell's lines, which are read as one text."""
    output = item.get(key)
    parts = [output] if isinstance(output, dict) else output
    if isinstance(parts, list) and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts):
        put_parts(parts, _PARTS, change)
        put_slots(beside(item, parts), change)
        return
    put_slots(beside(item, None), change)
    if output is not None:
        item[key] = put_all(output, change)
