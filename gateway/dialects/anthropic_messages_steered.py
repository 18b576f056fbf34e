"""The request again, after calls that were refused (the model's turn, and for each call an answer that says so), or after an answer that
must be written anew."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway import strict_json
from gateway.answer import Answer
from gateway.request import Request
from gateway.strict_json import Json
from gateway.verdict import Call

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode


def steered(request: Request, answer: Answer, refused: Sequence[tuple[Call, str]]) -> bytes | None:
    """None where the request forces a call, for the model could only repeat it; and where the model's turn would have to begin with
    thoughts that nobody has. Who lets the model choose whether it thinks (`adaptive`) need not give back what it did not think."""
    fields = _fields(request.body)
    must = _kind(fields, "thinking") not in (None, "disabled", "adaptive")
    thought = must or bool(answer.usage and answer.usage.reasoning)
    unknown = answer.thoughts is None or (thought and not answer.thoughts)
    forced = _kind(fields, "tool_choice") in ("any", "tool")
    if unknown or forced or any(call.args is None or call.type != "function" for call, _ in refused):
        return None
    said: list[Json] = [*(answer.thoughts or ())]
    said += [{"type": "text", "text": answer.text}] if answer.text.strip() else []
    said += [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.args} for call, _ in refused]
    told = [{"type": "tool_result", "tool_use_id": call.id, "is_error": True, "content": text} for call, text in refused]
    added = [msgspec.Raw(strict_json.encode(turn)) for turn in ({"role": "assistant", "content": said}, {"role": "user", "content": told})]
    return msgspec.json.encode({**fields, "messages": [*_messages(fields["messages"]), *added]})


def repaired(request: Request, answer: Answer, said: str) -> bytes:
    """The request again, with the answer that was given and what is wrong with it."""
    fields = _fields(request.body)
    given = answer.text.rstrip()  # the model's turn may not end with a space, nor be empty
    turns: list[Json] = [{"role": "assistant", "content": given}] if given else []
    turns.append({"role": "user", "content": said})
    added = [msgspec.Raw(strict_json.encode(turn)) for turn in turns]
    return msgspec.json.encode({**fields, "messages": [*_messages(fields["messages"]), *added]})


def _kind(fields: dict[str, msgspec.Raw], name: str) -> Json:
    found = msgspec.json.decode(fields[name]) if name in fields else None
    return found.get("type", "") if isinstance(found, dict) else found
