"""The texts of a generateContent request, and of those that count or embed, walked as `gemini_request` reads them."""

from __future__ import annotations

from functools import partial

from gateway import strict_json
from gateway.dialects.gemini_beside import beside, beside_result
from gateway.dialects.request_texts import Change, decoded, dicts, put, put_all, put_slots
from gateway.strict_json import Json

_ROLES = {"user": "user", "model": "assistant", "function": "tool", "system": "system"}


def with_texts(body: bytes, change: Change) -> bytes:
    tree = decoded(body)
    for asked in (tree, *dicts(_either(tree, "generateContentRequest"))):
        for key in ("systemInstruction", "system_instruction"):
            put(asked, key, partial(change, "system", None))
            for content in dicts(asked.get(key)):
                _content(content, "system", change)
        for content in dicts(asked.get("contents")):
            _content(content, _ROLES.get(str(content.get("role")), "user"), change)
    for holder in (tree, *dicts(tree.get("requests"))):
        for content in dicts(holder.get("content")):
            _content(content, "user", change)
    return strict_json.encode(tree)


def _content(content: dict[str, Json], role: str, change: Change) -> None:
    for part in dicts(content.get("parts")):
        if role != "assistant":
            put_slots(beside(part), partial(change, "user" if role == "tool" else role, None))
        answered = _either(part, "functionResponse")
        if part.get("text") is not None and not (role == "assistant" and part.get("thought")):
            put(part, "text", partial(change, role, None))
        elif isinstance(answered, dict):
            one = partial(change, "tool", str(answered.get("id") or answered.get("name")))
            put_slots(beside_result(part), one)
            if "response" in answered:
                answered["response"] = put_all(answered["response"], one)


def _either(holder: dict[str, Json], name: str) -> Json:
    """A field in the spelling of JSON or in that of the protocol's own files."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return holder.get(name, holder.get(snake))
