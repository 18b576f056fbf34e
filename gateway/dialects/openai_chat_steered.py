"""The request again, after calls that were refused (the model's turn, and for each call an answer that says so), or after an answer that
must be written anew."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway import strict_json
from gateway.answer import Answer
from gateway.dialects.openai_chat_frames import written
from gateway.request import Request
from gateway.verdict import Call

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode


def steered(request: Request, answer: Answer, refused: Sequence[tuple[Call, str]]) -> bytes | None:
    """None for several choices, for calls without an id to answer, and where the request forces a call: the model could only repeat it."""
    fields = _fields(request.body)
    if _forces(fields) or any(call.choice or not call.id or call.type not in ("function", "custom") for call, _ in refused):
        return None
    turn = {"role": "assistant", "content": answer.text or None, "tool_calls": [written(call) for call, _ in refused]}
    turn |= {key: value for thoughts in answer.thoughts or () for key, value in thoughts.items()}
    results = [{"role": "tool", "tool_call_id": call.id, "content": text} for call, text in refused]
    added = [msgspec.Raw(strict_json.encode(message)) for message in (turn, *results)]
    return msgspec.json.encode({**fields, "messages": [*_messages(fields["messages"]), *added]})


def repaired(request: Request, answer: Answer, said: str) -> bytes | None:
    """The request again, with the answer that was given and what is wrong with it. None for several choices."""
    fields = _fields(request.body)
    if "n" in fields and msgspec.json.decode(fields["n"]) not in (None, 1):
        return None
    turns = ({"role": "assistant", "content": answer.text}, {"role": "user", "content": said})
    added = [msgspec.Raw(strict_json.encode(message)) for message in turns]
    return msgspec.json.encode({**fields, "messages": [*_messages(fields["messages"]), *added]})


def _forces(fields: dict[str, msgspec.Raw]) -> bool:
    choice = msgspec.json.decode(fields["tool_choice"]) if "tool_choice" in fields else None
    several = "n" in fields and msgspec.json.decode(fields["n"]) not in (None, 1)
    return several or choice not in (None, "auto", "none") or "functions" in fields
