"""Dialect `anthropic.messages`: Anthropic's Messages API, streamed and whole.

The wire format's parts live beside this file: `_types` (closed tables), `_request`, `_tools`, `_blocks`
(what a block of an answer is), `_stream`, `_whole`, `_errors`. Only `POST …/messages` belongs to it:
counting tokens, batches and the models list are other routes.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.dialects.anthropic_messages_errors import error_answer
from gateway.dialects.anthropic_messages_request import decode_request
from gateway.dialects.anthropic_messages_stream import MessagesStream
from gateway.dialects.anthropic_messages_whole import decode_answer, encode_answer
from gateway.dialects.events import Limits
from gateway.exchange import Request

__all__ = [
    "FORWARD_HEADERS",
    "NAME",
    "PATHS",
    "PROVIDER",
    "UPSTREAM_PATH",
    "auth_headers",
    "decode_answer",
    "decode_request",
    "encode_answer",
    "error_answer",
    "stream",
    "upstream_body",
]

NAME = "anthropic.messages"
PROVIDER = "anthropic"
UPSTREAM_PATH = "/messages"
PATHS = frozenset(prefix + UPSTREAM_PATH for prefix in ("", "/v1", "/v1/v1", "/anthropic", "/anthropic/v1"))
"""Clients disagree on whether a base URL ends in `/v1`, so that `/messages` and `/v1/v1/messages` occur as
well."""

FORWARD_HEADERS = frozenset(
    {
        "anthropic-*",
        "x-stainless-*",
        "x-claude-code-*",
        "x-app",
        "user-agent",
        "idempotency-key",
        "accept-language",
    }
)

BEARER_SINCE = "2026-10-21"
"""From this `anthropic-version` on an API key travels as a bearer token. Versions are ISO dates: they
compare as text."""


def upstream_body(request: Request) -> bytes:
    """The client's own bytes: token counts always come in this dialect, so that nothing need be asked for."""
    return request.body


def auth_headers(key: str, headers: Mapping[str, str]) -> dict[str, str]:
    if headers.get("anthropic-version", "") >= BEARER_SINCE:
        return {"authorization": f"Bearer {key}"}
    return {"x-api-key": key}


def stream(request: Request, limits: Limits, *, enforcing: bool) -> MessagesStream:
    return MessagesStream(request, limits, enforcing=enforcing)
