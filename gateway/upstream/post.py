"""A request on its way to a cloud: as its dialect has it, and as the cloud gets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct, field

from gateway.errors import GatewayError

_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Asked(Struct, frozen=True):
    """As the dialect has it."""

    dialect: str
    method: str
    path: str
    """Below a base URL of the dialect's own provider, with its query."""
    model: str
    stream: bool
    headers: Mapping[str, str]
    """Without keys."""
    body: bytes

    def refusal(self, cloud: str) -> GatewayError:
        message = (
            f"{cloud} serves conversations in {self.dialect} only, not '{self.method} {self.path.partition('?')[0][:80]}'. Route this to "
            "an upstream of the provider itself."
        )
        return GatewayError("not_found", "no_upstream", message)


class Post(Struct, frozen=True):
    """As the cloud gets it."""

    url: str
    headers: dict[str, str]
    body: bytes
    proofs: tuple[str, ...] = ()
    """Secrets that it was proven by and that are not the upstream's key, but were got with it or found on the machine."""


class Changes(Struct, frozen=True):
    """To the top level of a body, whose other bytes stay."""

    without: tuple[str, ...] = ()
    given: Mapping[str, object] = field(default_factory=dict)

    def of(self, body: bytes) -> bytes:
        kept = {name: value for name, value in _fields(body).items() if name not in self.without}
        return msgspec.json.encode(kept | {name: value for name, value in self.given.items() if name not in kept})


def named(model: str, cloud: str) -> str:
    """Raises GatewayError for what would lead elsewhere in a path."""
    if not model.partition(";")[0].strip("./"):
        raise GatewayError("bad_request", "model", f"'{model[:40]}' is no name of a model at {cloud}.", param="model")
    return model
