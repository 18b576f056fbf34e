"""Conversations on record in the form of OpenAI's Chat Completions, whatever dialect they were held in: for evaluation and fine-tuning.

What is on record is each message as the client sent it; its shape tells which dialect that was. Each becomes one or more of
`{"role", "content"}`, `{"role": "assistant", "tool_calls"}` and `{"role": "tool", "tool_call_id"}`. Thinking is left out; media stand as
the marks that the record has in their place. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

Message = dict[str, Any]
_ROLES = {"developer": "system", "model": "assistant"}


class Illegible(ValueError):  # noqa: N818 - names what the text is
    """There is no message: only its size was kept, it was erased, or it cannot be opened."""


def messages(bodies: Iterable[str], answer: str | None) -> list[Message]:
    """Raises Illegible."""
    found: list[Message] = []
    for body in (*bodies, *([answer] if answer else [])):
        found += _messages(_read(body))
    return [*_joined(found)]


def tools(declared: str) -> list[Any]:
    """Declarations in OpenAI's form; what the provider runs by itself is left out. Raises Illegible."""
    known = (_tool(each) for each in _read(declared)) if declared else ()
    return [tool for tool in known if tool is not None]


def _read(body: str) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise Illegible(body[:80]) from error


def _messages(item: Any) -> Iterator[Message]:
    match item:
        case {"type": "function_call" | "custom_tool_call", "name": name, "call_id": name_of_call}:
            yield _calling([_call(name_of_call, name, item.get("arguments", item.get("input", "")))])
        case {"type": "function_call_output" | "custom_tool_call_output", "call_id": name_of_call}:
            yield {"role": "tool", "tool_call_id": name_of_call, "content": _text(item.get("output"))}
        case {"role": str(role), "calls": list(calls)}:  # the answer, as the gateway writes it
            calling = _calling([_call(each["id"], each["name"], each["arguments"]) for each in calls]) if calls else {}
            yield {"role": _role(role), "content": item.get("content") or None, **_without_role(calling)}
        case {"role": str(role), "parts": list(parts)}:
            yield from _of_parts(_role(role), parts)
        case {"role": "tool"}:
            yield {"role": "tool", "tool_call_id": item.get("tool_call_id", ""), "content": _text(item.get("content"))}
        case {"role": str(role)}:
            yield from _of_blocks(_role(role), item)
        case {"parts": list(parts)}:
            yield from _of_parts("system", parts)
        case str() | list():
            yield {"role": "system", "content": _text(item)}


def _of_blocks(role: str, item: Mapping[str, Any]) -> Iterator[Message]:
    """Chat Completions and Messages: content is a text or a list of blocks."""
    content = item.get("content")
    blocks = content if isinstance(content, list) else []
    for block in blocks:
        if block.get("type") == "tool_result":
            yield {"role": "tool", "tool_call_id": block.get("tool_use_id", ""), "content": _text(block.get("content"))}
    used = [_call(b.get("id", ""), b.get("name", ""), _json(b.get("input"))) for b in blocks if b.get("type") == "tool_use"]
    calls = [*(item.get("tool_calls") or []), *used]
    said = _text([b for b in blocks if b.get("type") not in ("tool_use", "tool_result")] if blocks else content)
    if said or calls or not blocks:
        yield {"role": role, "content": said or None, **({"tool_calls": calls} if calls else {})}


def _of_parts(role: str, parts: list[Any]) -> Iterator[Message]:
    """Gemini."""
    for part in parts:
        if answer := part.get("functionResponse"):
            name = answer.get("id") or answer.get("name", "")
            yield {"role": "tool", "tool_call_id": name, "content": _json(answer.get("response"))}
    asked = [part["functionCall"] for part in parts if part.get("functionCall")]
    calls = [_call(each.get("id") or each.get("name", ""), each.get("name", ""), _json(each.get("args") or {})) for each in asked]
    said = "\n".join(part["text"] for part in parts if part.get("text") and not part.get("thought"))
    if said or calls:
        yield {"role": role, "content": said or None, **({"tool_calls": calls} if calls else {})}


def _joined(found: Iterable[Message]) -> Iterator[Message]:
    """Calls of one turn that stand as several items are one message."""
    before: Message | None = None
    for each in found:
        if before is not None and before["role"] == each["role"] == "assistant" and each.get("tool_calls") and not each["content"]:
            before = {**before, "tool_calls": [*before.get("tool_calls", []), *each["tool_calls"]]}
            continue
        if before is not None:
            yield before
        before = each
    if before is not None:
        yield before


def _tool(tool: Any) -> Any:
    match tool:
        case {"type": "function", "function": {}}:
            return tool
        case {"name": str(name)} if tool.get("type") in (None, "function", "custom"):
            schema = next((tool[key] for key in ("parameters", "input_schema", "parametersJsonSchema") if key in tool), {"type": "object"})
            return {"type": "function", "function": {"name": name, "description": tool.get("description", ""), "parameters": schema}}
    return None


def _calling(calls: list[Message]) -> Message:
    return {"role": "assistant", "content": None, "tool_calls": calls}


def _without_role(calling: Message) -> Message:
    return {"tool_calls": calling["tool_calls"]} if calling else {}


def _call(name: str, tool: str, arguments: str) -> Message:
    return {"id": name, "type": "function", "function": {"name": tool, "arguments": arguments}}


def _role(role: str) -> str:
    return _ROLES.get(role, role)


def _text(content: Any) -> str:
    """All text of a content, parts joined by newlines."""
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "\n".join(text for each in content if (text := _text(each)))
        case {"text": str(text)}:
            return text
        case {"type": "thinking" | "redacted_thinking" | "reasoning"}:
            return ""
        case {"content": inner}:
            return _text(inner)
    return _json(content)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
