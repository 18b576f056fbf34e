"""The texts of a chat completion request, and of one for embeddings, walked as `openai_chat_request` reads them."""

from __future__ import annotations

from functools import partial

from gateway import strict_json
from gateway.dialects.openai_chat_beside import beside, predicted
from gateway.dialects.request_texts import Change, decoded, dicts, put, put_all, put_parts, put_slots

_PARTS = {"text": "text", "refusal": "refusal"}


def with_texts(body: bytes, change: Change) -> bytes:
    tree = decoded(body)
    if "input" in tree:
        tree["input"] = put_all(tree["input"], partial(change, "user", None))
    for message in dicts(tree.get("messages")):
        role, call_id = str(message.get("role")), None
        if role in ("tool", "function"):
            role, call_id = "tool", str(message.get("tool_call_id" if role == "tool" else "name"))
        one = partial(change, role, call_id)
        for key in ("content", "refusal"):
            put(message, key, one)
        put_parts(message.get("content"), _PARTS, one)
        if role != "assistant":
            put_slots(beside(message), one)
    put_slots(predicted(tree), partial(change, "user", None))
    return strict_json.encode(tree)
