"""OpenAI Chat Completions: `POST …/chat/completions`, whole or streamed, and every server that speaks it.

The parts: `openai_chat_request` (what the client asks), `openai_chat_stream` and `openai_chat_whole` (what the provider answers),
`openai_chat_calls` (how proposed calls are read), `openai_chat_shape` (which keys exist), `openai_chat_frames` (what a judged client gets
instead) and `openai_chat_errors`. The dialect's neighbours that bring no calls are read in `plain`: embeddings and the list of models. Not
here: the Responses API (`openai_responses`), batches, files.

Source: OpenAI's API reference and the types of its Python SDK.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.answer import Answer
from gateway.dialects import hiding, openai_chat_texts, plain, routes
from gateway.dialects import openai_chat_request as requests
from gateway.dialects import openai_chat_whole as wholes
from gateway.dialects.answer_schema import of_chat
from gateway.dialects.events import AS_PROPOSED, Limits, WholeAnswer, WireError
from gateway.dialects.openai_chat_errors import wire_error
from gateway.dialects.openai_chat_prompted import prompted as prompted
from gateway.dialects.openai_chat_request_texts import with_texts as with_texts
from gateway.dialects.openai_chat_steered import repaired as repaired
from gateway.dialects.openai_chat_steered import steered as steered
from gateway.dialects.openai_chat_stream import ChatStream
from gateway.dialects.renamed import with_model
from gateway.dialects.texts import Texts
from gateway.errors import GatewayError
from gateway.request import Endpoint, Owed, Request
from gateway.strict_json import Json
from gateway.verdict import Call

NAME = "openai.chat"
answer_schema = of_chat
PROVIDER = "openai"
SERVES = ("POST /v1/chat/completions", "POST /v1/embeddings", "GET /v1/models")
KEEP_ALIVE = b": keep-alive\n\n"
TEXTS: Texts = openai_chat_texts
CHAT = Endpoint("POST", "chat", "/chat/completions")
EMBEDDINGS = Endpoint("POST", "embeddings", "/embeddings")
MODELS = Endpoint("GET", "models", "/models")
_ROUTES = routes.table(("", "/v1", "/v1/v1", "/openai", "/openai/v1"), [CHAT, EMBEDDINGS, MODELS])
FORWARD_HEADERS = frozenset({
    "accept", "http-referer", "idempotency-key", "openai-*", "user-agent", "x-stainless-*", "x-title",
})  # fmt: skip


def endpoints(path: str) -> tuple[Endpoint, ...]:
    return _ROUTES.get(path, ())


def decode_request(
    body: bytes, headers: Mapping[str, str], allow_fields: frozenset[str], endpoint: Endpoint = CHAT
) -> Request:
    if endpoint.operation == "models":
        return plain.models_request(NAME)
    if endpoint.operation == "embeddings":
        return requests.decode_embeddings(NAME, body, allow_fields)
    return requests.decode_request(NAME, body, allow_fields)


def upstream_body(request: Request, owed: Sequence[Owed] = ()) -> bytes:
    return requests.upstream_body(request)


def without_tools(request: Request, names: Collection[str]) -> bytes | None:
    return hiding.without_tools(request.body, names, _name_of, "tools", "functions")


def _name_of(tool: Json) -> Json:
    return (tool.get(tool.get("type", "")) or tool).get("name")


def renamed(request: Request, endpoint: Endpoint, model: str) -> tuple[Endpoint, bytes]:
    return endpoint, with_model(request.body, model)


def auth_headers(key: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def stream(request: Request, limits: Limits, *, enforcing: bool) -> ChatStream:
    return ChatStream(NAME, limits, wants_usage=request.wants_usage, enforcing=enforcing)


def decode_answer(body: bytes, request: Request, limits: Limits) -> WholeAnswer:
    return wholes.decode_answer(NAME, body, limits)


def decode_plain(body: bytes, request: Request) -> Answer:
    return plain.read(body, request)


def encode_answer(whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = AS_PROPOSED) -> bytes:
    return wholes.encode_answer(whole, withheld, edited)


def error_answer(error: GatewayError) -> WireError:
    return wire_error(error)
