"""A Gemini request of which another name of its model is to be sent on: the body may name it in three places, the path always does."""

from __future__ import annotations

import msgspec

from gateway.dialects.prompted import raw

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_INNER = ("generateContentRequest", "generate_content_request")


def with_model(body: bytes, model: str) -> bytes:
    """`model` as bodies write it: `models/…`."""
    fields = _fields(body)
    for name in _INNER:
        if name in fields:
            fields[name] = msgspec.Raw(_named(fields[name], model))
    if "requests" in fields:
        fields["requests"] = raw([msgspec.Raw(_named(each, model)) for each in _list(fields["requests"])])
    return _named(msgspec.json.encode(fields), model)


def _named(body: bytes | msgspec.Raw, model: str) -> bytes:
    fields = _fields(body)
    return msgspec.json.encode({**fields, "model": raw(model)}) if "model" in fields else bytes(body)
