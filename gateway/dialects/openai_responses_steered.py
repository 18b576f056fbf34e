"""The request again, after calls that were refused (the model's turn, and for each call an answer that says so), or after an answer that
must be written anew.

Where the provider keeps the response it is built upon, so that its reasoning and its calls stand in the conversation as they were; where it
keeps nothing, the calls are repeated."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway import strict_json
from gateway.answer import Answer
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def steered(request: Request, answer: Answer, refused: Sequence[tuple[Call, str]]) -> bytes | None:
    """None for calls of built-in tools, whose results have forms of their own, and where the request forces a call."""
    fields = _fields(request.body)
    choice = msgspec.json.decode(fields["tool_choice"]) if "tool_choice" in fields else None
    if choice not in (None, "auto", "none") or request.background or any(call.type not in _RESULTS for call, _ in refused):
        return None
    told: list[Json] = [{"type": _RESULTS[call.type], "call_id": call.id, "output": text} for call, text in refused]
    conversation = msgspec.json.decode(fields["conversation"]) if "conversation" in fields else None
    if conversation is not None:
        return _with(fields, told)
    if request.stores and answer.id:
        return _with({**fields, "previous_response_id": msgspec.Raw(strict_json.encode(answer.id))}, told)
    given = msgspec.json.decode(fields["input"])
    before = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else list(given)
    spoken = [{"role": "assistant", "content": answer.text}] if answer.text else []
    return _with(fields, [*before, *spoken, *(_proposed(call) for call, _ in refused), *told])


def repaired(request: Request, answer: Answer, said: str) -> bytes | None:
    """The request again, with the answer that was given and what is wrong with it."""
    if request.background:
        return None
    fields = _fields(request.body)
    told: list[Json] = [{"role": "user", "content": said}]
    if "conversation" in fields and msgspec.json.decode(fields["conversation"]) is not None:
        return _with(fields, told)
    if request.stores and answer.id:
        return _with({**fields, "previous_response_id": msgspec.Raw(strict_json.encode(answer.id))}, told)
    given = msgspec.json.decode(fields["input"])
    before = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else list(given)
    spoken = [{"role": "assistant", "content": answer.text}] if answer.text else []
    return _with(fields, [*before, *spoken, *told])


_RESULTS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}


def _with(fields: dict[str, msgspec.Raw], items: list[Json]) -> bytes:
    return msgspec.json.encode({**fields, "input": msgspec.Raw(strict_json.encode(items))})


def _proposed(call: Call) -> dict[str, Json]:
    key = "arguments" if call.type == "function_call" else "input"
    namespace, dot, name = call.name.rpartition(".")
    named = {"namespace": namespace, "name": name} if dot else {"name": call.name}
    return {"type": call.type, "call_id": call.id, **named, key: call.arguments}
