"""A generateContent request with a kept prompt as its system instruction. The model stands in the path: the prompt's own is not used."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.dialects.prompted import fields_without_reference, fill, give_way, left_out, raw, refuse_second
from gateway.request import Instruction

_SPELLINGS: Mapping[str, tuple[str, str]] = {
    "temperature": ("temperature", "temperature"),
    "top_p": ("topP", "top_p"),
    "max_tokens": ("maxOutputTokens", "max_output_tokens"),
    "stop": ("stopSequences", "stop_sequences"),
}
"""Both spellings are the API's own."""


def prompted(body: bytes, said: Instruction) -> bytes:
    fields = fields_without_reference(body)
    for place in ("systemInstruction", "system_instruction"):
        if not left_out(fields, place):
            raise refuse_second(place)
        fields.pop(place, None)
    fields["systemInstruction"] = raw({"parts": [{"text": said.text}]})
    place = "generation_config" if not left_out(fields, "generation_config") else "generationConfig"
    try:
        config = {} if left_out(fields, place) else msgspec.json.decode(fields[place], type=dict[str, msgspec.Raw])
    except msgspec.ValidationError:  # no object: whoever reads the request says so
        return msgspec.json.encode(fields)
    give_way(config, said, _SPELLINGS)
    for name, spellings in _SPELLINGS.items():
        if left_out(config, *spellings):
            fill(config, {spellings[0]: said.parameters.get(name)})
    if config:
        fields[place] = raw(config)
    return msgspec.json.encode(fields)
