"""Dialect `anthropic.messages`: Anthropic's Messages API, streamed and whole.

The wire format's parts live beside this file: `_types` (closed tables), `_request`, `_tools`, `_blocks`
(what a block of an answer is), `_stream`, `_whole`, `_errors`. Its neighbours that bring no calls are read in
`plain`: counting tokens and the list of models. Not here: batches, files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from gateway.answer import Answer
from gateway.dialects import anthropic_messages_texts, hiding, plain, routes
from gateway.dialects.answer_schema import of_messages as answer_schema
from gateway.dialects.anthropic_messages_errors import error_answer
from gateway.dialects.anthropic_messages_prompted import prompted as prompted
from gateway.dialects.anthropic_messages_request import decode_request as read_request
from gateway.dialects.anthropic_messages_request_texts import with_texts as with_texts
from gateway.dialects.anthropic_messages_steered import repaired, steered
from gateway.dialects.anthropic_messages_stream import MessagesStream
from gateway.dialects.anthropic_messages_whole import decode_answer, encode_answer
from gateway.dialects.events import Limits
from gateway.dialects.renamed import with_model
from gateway.dialects.texts import Texts
from gateway.request import Endpoint, Owed, Request
from gateway.strict_json import Json

__all__ = [
    "FORWARD_HEADERS",
    "KEEP_ALIVE",
    "NAME",
    "PROVIDER",
    "SERVES",
    "answer_schema",
    "auth_headers",
    "decode_answer",
    "decode_plain",
    "decode_request",
    "encode_answer",
    "endpoints",
    "error_answer",
    "repaired",
    "steered",
    "stream",
    "upstream_body",
    "without_tools",
]

NAME = "anthropic.messages"
PROVIDER = "anthropic"
SERVES = ("POST /v1/messages", "POST /v1/messages/count_tokens", "GET /v1/models")
KEEP_ALIVE = b'event: ping\ndata: {"type": "ping"}\n\n'
TEXTS: Texts = anthropic_messages_texts
CHAT = Endpoint("POST", "chat", "/messages")
COUNT = Endpoint("POST", "count_tokens", "/messages/count_tokens")
MODELS = Endpoint("GET", "models", "/models")
_ROUTES = routes.table(("", "/v1", "/v1/v1", "/anthropic", "/anthropic/v1"), [CHAT, COUNT, MODELS])

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


def endpoints(path: str) -> tuple[Endpoint, ...]:
    return _ROUTES.get(path, ())


def decode_request(
    body: bytes, headers: Mapping[str, str], allow_fields: frozenset[str], endpoint: Endpoint = CHAT
) -> Request:
    if endpoint.operation == "models":
        return plain.models_request(NAME)
    request = read_request(body, headers, allow_fields)
    return msgspec.structs.replace(request, operation=endpoint.operation)


def decode_plain(body: bytes, request: Request) -> Answer:
    return plain.read(body, request)


def without_tools(request: Request, names: Collection[str]) -> bytes | None:
    return hiding.without_tools(request.body, names, _name_of, "tools")


def _name_of(tool: Json) -> Json:
    """Whole sets of tools stay."""
    return tool.get("name")


def upstream_body(request: Request, owed: Sequence[Owed] = ()) -> bytes:
    """The client's own bytes: token counts always come in this dialect, so that nothing need be asked for."""
    return request.body


def renamed(request: Request, endpoint: Endpoint, model: str) -> tuple[Endpoint, bytes]:
    return endpoint, with_model(request.body, model)


def auth_headers(key: str, headers: Mapping[str, str]) -> dict[str, str]:
    if headers.get("anthropic-version", "") >= BEARER_SINCE:
        return {"authorization": f"Bearer {key}"}
    return {"x-api-key": key}


def stream(request: Request, limits: Limits, *, enforcing: bool) -> MessagesStream:
    return MessagesStream(request, limits, enforcing=enforcing)
