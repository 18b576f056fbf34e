"""A chat completion request with a kept prompt as its first message."""

from __future__ import annotations

import msgspec

from gateway.dialects.prompted import fields_without_reference, fill, give_way, left_out, raw, refuse_second
from gateway.request import Instruction

_messages = msgspec.json.Decoder(list[msgspec.Raw]).decode
_SYSTEM = frozenset({"system", "developer"})


class _Role(msgspec.Struct):
    role: str = ""


_role = msgspec.json.Decoder(_Role).decode


def prompted(body: bytes, said: Instruction) -> bytes:
    fields = fields_without_reference(body)
    give_way(fields, said, {"max_tokens": ("max_tokens", "max_completion_tokens")})
    try:
        messages = _messages(fields.get("messages", b"[]"))
        first = _role(messages[0]).role if messages else ""
    except msgspec.ValidationError:  # no messages: whoever reads the request says so
        messages, first = [], ""
    if first in _SYSTEM:
        raise refuse_second("messages[0]")
    if messages:
        fields["messages"] = raw([{"role": "system", "content": said.text}, *messages])
    longest = said.parameters.get("max_tokens")
    if left_out(fields, "max_tokens", "max_completion_tokens"):
        fill(fields, {"max_completion_tokens": longest})
    fill(fields, {"model": said.model, **{name: said.parameters.get(name) for name in ("temperature", "top_p", "stop")}})
    return msgspec.json.encode(fields)
