"""The name under which an answer is kept: a keyed hash of everything that the answer depends on, and of to whom it may be given. Pure.

1. The request's body counts as it is understood, not as it was written: white space and the order of an object's members change nothing,
   every value in it does. What has no single meaning has no name, and is not kept.
2. So do the headers and the query that the provider is sent, but for those that only say which program asks (`_LABELS`).
3. So do the policy's version, the upstream and what it speaks, and whether a stream was asked for: a stream is given again as a stream.
4. Whose it is stands in it: there is no way from one caller's request to what is kept for another. Without the installation's secret nobody
   can tell from a name what was asked.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway import strict_json

FORM = 2
"""Counts up when what is kept, or how it is named, changes."""
_LABELS = frozenset({
    "accept", "http-referer", "idempotency-key", "originator", "user-agent", "x-app", "x-goog-api-client", "x-server-timeout", "x-title",
})  # fmt: skip
_LABELS_BEGIN = ("x-stainless-",)
_encode = msgspec.json.Encoder(order="deterministic").encode


class Asked(Struct, frozen=True):
    """What an answer depends on."""

    dialect: str
    path: str
    """Below the upstream's base URL; it may name the model."""
    query: str
    headers: Mapping[str, str]
    """Those that the provider is sent."""
    body: bytes
    stream: bool
    policy: str
    """The hash of the policies in force."""
    upstream: tuple[str, ...]
    """Its name, its base URL and what it speaks."""
    whose: tuple[str, ...]
    """To whom the answer may be given."""


def name_of(asked: Asked, key: bytes) -> str | None:
    """None for what cannot be read in exactly one way."""
    try:
        body = strict_json.parse(asked.body)
    except strict_json.Ambiguous:
        return None
    telling = sorted((name, value) for name, value in asked.headers.items() if _tells(name))
    request = (asked.dialect, asked.path, asked.query, telling, body, asked.stream)
    whole = _encode((FORM, request, asked.policy, asked.upstream, asked.whose))
    return hmac.digest(key, whole, hashlib.sha256).hex()


def _tells(name: str) -> bool:
    return name not in _LABELS and not name.startswith(_LABELS_BEGIN)
