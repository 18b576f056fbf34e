"""OpenAI Responses: `POST …/responses`, whole or streamed, and what stands beside it: fetching, cancelling and deleting what the provider
keeps, making a conversation shorter, counting tokens, stored conversations.

The parts: `openai_responses_request` and `_tools` (what the client asks and declares), `_items` (how items are read as calls), `_stream`,
`_frames` and `_whole` (what comes back), `_shape` (which kinds and keys exist), `_owed` (what a stored conversation waits for). Not here:
the WebSocket form, the items of a stored conversation.

Source: OpenAI's API reference and the types of its Python SDK.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qsl

from gateway.answer import Answer
from gateway.dialects import hiding, openai_responses_texts, plain
from gateway.dialects import openai_responses_items as items
from gateway.dialects import openai_responses_owed as owing
from gateway.dialects import openai_responses_whole as wholes
from gateway.dialects.answer_schema import of_responses
from gateway.dialects.events import AS_PROPOSED, Limits, WholeAnswer, WireError
from gateway.dialects.openai_chat import auth_headers as auth_headers
from gateway.dialects.openai_chat_errors import wire_error
from gateway.dialects.openai_reading import bad
from gateway.dialects.openai_responses_prompted import prompted as prompted
from gateway.dialects.openai_responses_request import NAME
from gateway.dialects.openai_responses_request import decode_request as _decode
from gateway.dialects.openai_responses_request_texts import with_texts as with_texts
from gateway.dialects.openai_responses_steered import repaired as repaired
from gateway.dialects.openai_responses_steered import steered as steered
from gateway.dialects.openai_responses_stream import ResponsesStream
from gateway.dialects.renamed import with_model
from gateway.dialects.texts import Texts
from gateway.errors import GatewayError
from gateway.request import Endpoint, Operation, Owed, Request, Stored, StoredKind
from gateway.strict_json import Json
from gateway.verdict import Call

answer_schema = of_responses
PROVIDER = "openai"
SERVES = (
    "POST /v1/responses",
    "GET /v1/responses/{id}",
    "DELETE /v1/responses/{id}",
    "POST /v1/responses/{id}/cancel",
    "POST /v1/responses/compact",
    "POST /v1/responses/input_tokens",
    "POST /v1/conversations",
    "GET /v1/conversations/{id}",
    "DELETE /v1/conversations/{id}",
)
KEEP_ALIVE = b": keep-alive\n\n"
TEXTS: Texts = openai_responses_texts
CHAT = Endpoint("POST", "chat", "/responses")
FORWARD_HEADERS = frozenset({
    "accept", "idempotency-key", "openai-*", "originator", "user-agent", "x-codex-*", "x-stainless-*", "http-referer", "x-title",
})  # fmt: skip

_PATH = re.compile(r"(?:/v1|/v1/v1|/openai|/openai/v1)?(/(responses|conversations)(?:/([A-Za-z0-9_-]{1,256})(/cancel)?)?)")
_FIXED: Mapping[str, Operation] = {"/responses/compact": "compact", "/responses/input_tokens": "count_tokens"}


def endpoints(path: str) -> tuple[Endpoint, ...]:
    found = _PATH.fullmatch(path)
    if found is None:
        return ()
    below, kind, name, cancel = found.groups()
    if below in _FIXED:
        return (Endpoint("POST", _FIXED[below], below),)
    if name is None:
        return (CHAT,) if kind == "responses" else (Endpoint("POST", "create", below),)
    if cancel:
        return (Endpoint("POST", "retrieve", below, name),) if kind == "responses" else ()
    fetched: Operation = "retrieve" if kind == "responses" else "create"
    return (Endpoint("GET", fetched, below, name), Endpoint("DELETE", "delete", below, name))


def decode_request(
    body: bytes, headers: Mapping[str, str], allow_fields: frozenset[str], endpoint: Endpoint = CHAT
) -> Request:
    if not endpoint.subject:
        return _decode(body, allow_fields, endpoint.operation)
    if body.strip() not in (b"", b"{}"):
        bad("unexpected_body", "This route takes no body.")
    kind: StoredKind = "conversation" if endpoint.upstream_path.startswith("/conversations") else "response"
    return Request(
        NAME,
        "",
        stream=_streamed(endpoint),
        messages=(),
        tools=(),
        body=body,
        operation=endpoint.operation,
        continues=(Stored(kind, endpoint.subject, ""),),
    )


def _streamed(endpoint: Endpoint) -> bool:
    query = parse_qsl(endpoint.query, keep_blank_values=True)
    given = {value for name, value in query if name == "stream"}
    if any(name == "starting_after" for name, _ in query):
        bad("not_resumed", "A stream cannot be taken up in its middle here. Fetch the response without `starting_after`.", "starting_after")
    if endpoint.operation != "retrieve" or endpoint.method != "GET" or not given:
        return False
    if given not in ({"true"}, {"false"}):
        bad("invalid_value", "`stream` must be true or false, once.", "stream")
    return given == {"true"}


def without_tools(request: Request, names: Collection[str]) -> bytes | None:
    return hiding.without_tools(request.body, names, _name_of, "tools")


def _name_of(tool: Json) -> Json:
    """Of what the client runs under a name of its own; built-in tools and whole namespaces stay."""
    return tool.get("name") if tool.get("type") in ("function", "custom") else None


def upstream_body(request: Request, owed: Sequence[Owed] = ()) -> bytes:
    return owing.with_answers(request, owed)


def renamed(request: Request, endpoint: Endpoint, model: str) -> tuple[Endpoint, bytes]:
    return endpoint, with_model(request.body, model)


def stream(request: Request, limits: Limits, *, enforcing: bool) -> ResponsesStream:
    fetched = request.operation == "retrieve"
    return ResponsesStream(NAME, limits, allowed=items.services(request), enforcing=enforcing, fetched=fetched)


def decode_answer(body: bytes, request: Request, limits: Limits) -> WholeAnswer:
    return wholes.decode_answer(NAME, body, request, limits)


def decode_plain(body: bytes, request: Request) -> Answer:
    if request.operation == "count_tokens":
        return plain.read(body, request)
    tree = plain.parse(body)
    name = tree.get("id")
    if not isinstance(name, str) or plain.CARRIERS.intersection(tree):
        raise plain.wrong(request, "it is no object with an `id`")
    if request.operation == "delete" and tree.get("deleted") is not True:
        raise plain.wrong(request, "it does not say that anything was deleted")
    return Answer(id=name if request.operation == "create" else None)


def encode_answer(whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = AS_PROPOSED) -> bytes:
    return wholes.encode_answer(whole, withheld, edited)


def error_answer(error: GatewayError) -> WireError:
    return wire_error(error)
