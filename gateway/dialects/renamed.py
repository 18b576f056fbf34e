"""A request of which another name of its model is to be sent on: the field `model`, and nothing else."""

from __future__ import annotations

import msgspec

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def with_model(body: bytes, model: str) -> bytes:
    fields = _fields(body)
    return msgspec.json.encode({**fields, "model": msgspec.Raw(msgspec.json.encode(model))})
