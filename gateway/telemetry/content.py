"""What was said in an exchange, in the conventions' form (`gen_ai.input.messages`, `gen_ai.output.messages`): messages of parts.

Only what the book keeps legible: a body that is sealed, erased or of which only the size was kept makes the whole conversation be left out,
for half of one misleads. Long conversations lose their beginning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.trace import openai_form
from gateway.trace.otel import Said

MOST = 128 * 1024
"""Characters of an attribute; collectors refuse requests of a few megabytes, and a request holds hundreds of spans."""
_encode = msgspec.json.Encoder().encode


def said(found: Mapping[str, Any]) -> Said | None:
    """Of an exchange as it is shown (`messages`, `answer`, `exchange`); None where it is not legible."""
    bodies = [each["body"] for each in found["messages"]]
    if len(bodies) < len(found["exchange"]["request_messages"] or ()):
        return None
    try:
        asked = openai_form.messages(bodies, None)
        answered = openai_form.messages([], found["answer"]["body"]) if found["answer"] else []
    except openai_form.Illegible:
        return None
    reasons = found["exchange"]["finish_reasons"] or ("",)
    output = [{**_message(each), "finish_reason": reasons[0]} for each in answered]
    return Said(_last([_message(each) for each in asked]), _last(output))


def _message(told: Mapping[str, Any]) -> dict[str, Any]:
    return {"role": told["role"], "parts": list(_parts(told))}


def _parts(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if told["role"] == "tool":
        yield {"type": "tool_call_response", "id": told["tool_call_id"], "response": told["content"]}
        return
    if told["content"]:
        yield {"type": "text", "content": told["content"]}
    for call in told.get("tool_calls", ()):
        yield {"type": "tool_call", "id": call["id"], "name": call["function"]["name"], "arguments": call["function"]["arguments"]}


def _last(messages: Sequence[Mapping[str, Any]]) -> str:
    """As many, from the end, as there is room for."""
    room, kept = MOST, list[str]()
    for message in reversed(messages):
        text = _encode(message).decode()
        room -= len(text)
        if room < 0:
            break
        kept.append(text)
    return f"[{','.join(reversed(kept))}]" if kept else ""
