"""A Responses request with a kept prompt as its instructions."""

from __future__ import annotations

import msgspec

from gateway.dialects.prompted import (
    fields_without_reference,
    fill,
    give_way,
    left_out,
    refuse_parameter,
    refuse_second,
)
from gateway.request import Instruction


def prompted(body: bytes, said: Instruction) -> bytes:
    fields = fields_without_reference(body)
    give_way(fields, said, {"max_tokens": ("max_output_tokens",)})
    if not left_out(fields, "instructions"):
        raise refuse_second("instructions")
    if "stop" in said.parameters:
        raise refuse_parameter("stop", "the Responses API")
    given = said.parameters
    fill(fields, {"instructions": said.text, "model": said.model, "max_output_tokens": given.get("max_tokens")})
    fill(fields, {name: given.get(name) for name in ("temperature", "top_p")})
    return msgspec.json.encode(fields)
