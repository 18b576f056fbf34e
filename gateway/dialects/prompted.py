"""A request with a kept prompt's text in its system place. What is the same in every dialect; each writes its own place.

What the request says itself counts more than what the prompt asks for, but for its words: a request that names a prompt and brings a system
prompt too has two, and nobody could say which holds.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.errors import GatewayError
from gateway.request import Instruction
from gateway.strict_json import Json

Fields = dict[str, msgspec.Raw]
FIELD = "prompt"
_fields = msgspec.json.Decoder(Fields).decode
_EMPTY = frozenset({b"null", b'""', b"[]"})


def fields_without_reference(body: bytes) -> Fields:
    """The body's fields as they came, without the one that names the prompt."""
    fields = _fields(body)
    fields.pop(FIELD, None)
    return fields


def left_out(fields: Fields, *names: str) -> bool:
    """Whether the request says nothing under any of these names."""
    return all(bytes(fields.get(name, b"null")) in _EMPTY for name in names)


def fill(fields: Fields, given: Mapping[str, Json]) -> None:
    """Puts values where the request has none; what is not given is passed over."""
    for name, value in given.items():
        if value is not None and left_out(fields, name):
            fields[name] = raw(value)


def give_way(fields: Fields, said: Instruction, spellings: Mapping[str, tuple[str, ...]]) -> None:
    """Takes out what the prompt says in the request's place; `spellings` are the API's own."""
    for name in said.over:
        for spelling in spellings.get(name, (name,)):
            fields.pop(spelling, None)


def raw(value: Json) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def refuse_second(place: str) -> GatewayError:
    message = f"The request names a prompt and has a system prompt of its own (`{place}`). Send one of them."
    return GatewayError("bad_request", "prompt_and_system", message, param=place)


def refuse_parameter(name: str, api: str) -> GatewayError:
    message = f"The prompt sets `{name}`, for which {api} has no word. Use another API, or take it out of the prompt."
    return GatewayError("bad_request", "prompt_parameter", message, param=FIELD)
