"""A Messages request with a kept prompt as its system prompt."""

from __future__ import annotations

import msgspec

from gateway.dialects.prompted import fields_without_reference, fill, give_way, left_out, refuse_second
from gateway.request import Instruction


def prompted(body: bytes, said: Instruction) -> bytes:
    fields = fields_without_reference(body)
    give_way(fields, said, {"stop": ("stop_sequences",)})
    if not left_out(fields, "system"):
        raise refuse_second("system")
    given = said.parameters
    fill(fields, {"system": said.text, "model": said.model, "stop_sequences": given.get("stop")})
    fill(fields, {name: given.get(name) for name in ("max_tokens", "temperature", "top_p")})
    return msgspec.json.encode(fields)
