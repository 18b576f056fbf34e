"""A conversation as the book kept it, in one form whatever the dialect: texts in every place, whatever a client put there. Pure.

What is no longer kept, or was never legible, stays as a mark in its place, so that nobody takes the rest for the whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.trace import openai_form
from gateway.web.content import DAMAGED, ERASED

Said = list[dict[str, Any]]
"""Messages in OpenAI's form, of which everything is text."""


def conversation(messages: Sequence[Mapping[str, Any]], wanted: int) -> tuple[Said, str]:
    """And why parts of it cannot be shown so. `wanted`: how many messages the request had."""
    said: Said = []
    unread = 0
    for each in messages:
        found = one(each)
        unread += found is None
        said += [{"role": each["role"], "content": _mark(each["body"])}] if found is None else found
    gone = wanted - len(messages)
    notes = [f"{unread} messages are not legible"] if unread else []
    notes += [f"{gone} messages are no longer kept"] if gone > 0 else []
    return [_plain(each) for each in said], "; ".join(notes)


def one(message: Mapping[str, Any]) -> Said | None:
    """What one kept body says, which may be several messages; None where it is not legible."""
    try:
        return [_plain(each) for each in openai_form.messages([message["body"] or ""], None)]
    except (openai_form.Illegible, LookupError, TypeError, AttributeError):  # what a client sent may have any shape
        return None


def _mark(body: str | None) -> str:
    return body if body in (ERASED, DAMAGED) else "(no longer kept as text; see the raw form below)"


def _plain(said: Mapping[str, Any]) -> dict[str, Any]:
    calls = said.get("tool_calls")
    return {
        "role": _text(said.get("role")),
        "content": _text(said.get("content")),
        "tool_call_id": _text(said.get("tool_call_id")),
        "tool_calls": [_proposed(each) for each in calls] if isinstance(calls, list) else [],
    }


def _proposed(call: Any) -> dict[str, Any]:
    outer = call if isinstance(call, Mapping) else {}
    inner: Mapping[str, Any] = next((outer[kind] for kind in ("function", "custom") if isinstance(outer.get(kind), Mapping)), {})
    function = {"name": _text(inner.get("name")), "arguments": _text(inner.get("arguments", inner.get("input")))}
    return {"id": _text(outer.get("id")), "function": function}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()
