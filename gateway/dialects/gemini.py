"""Google Gemini: `POST …/models/{model}:generateContent`, whole or streamed, with counting tokens, embeddings and the list of models.

The parts: `gemini_request` (what the client asks), `gemini_parts` (how candidates are read as words and calls), `gemini_stream` and
`gemini_whole` (what comes back), `gemini_shape` (which fields and kinds exist), `gemini_errors`. The model stands in the path, and so does
the version of the API, which is kept: `/v1`, `/v1beta`, `/v1alpha`; without one it is `/v1beta`. Not here: tuned models, cached contexts,
files, batches, the Live API, Vertex AI's paths.

Source: Google's API reference and the types of its Python SDK.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import quote

import msgspec

from gateway.answer import Answer
from gateway.dialects import gemini_request as requests
from gateway.dialects import gemini_shape as shape
from gateway.dialects import gemini_texts, plain
from gateway.dialects import gemini_whole as wholes
from gateway.dialects.answer_schema import of_gemini
from gateway.dialects.events import AS_PROPOSED, Limits, WholeAnswer, WireError
from gateway.dialects.gemini_errors import wire_error
from gateway.dialects.gemini_hiding import without_tools as hidden
from gateway.dialects.gemini_prompted import prompted as prompted
from gateway.dialects.gemini_renamed import with_model
from gateway.dialects.gemini_request_texts import with_texts as with_texts
from gateway.dialects.gemini_steered import repaired as repaired
from gateway.dialects.gemini_steered import steered as steered
from gateway.dialects.gemini_stream import GeminiStream
from gateway.dialects.texts import Texts
from gateway.errors import GatewayError
from gateway.request import Endpoint, Operation, Owed, Request
from gateway.verdict import Call

NAME = requests.NAME
answer_schema = of_gemini
PROVIDER = "gcp.gemini"
SERVES = (
    "POST /v1beta/models/{model}:generateContent",
    "POST /v1beta/models/{model}:streamGenerateContent",
    "POST /v1beta/models/{model}:countTokens",
    "POST /v1beta/models/{model}:embedContent",
    "POST /v1beta/models/{model}:batchEmbedContents",
    "GET /v1beta/models",
    "GET /v1beta/models/{model}",
)
KEEP_ALIVE = b"\n"
"""An empty line: its clients choke on comments."""
TEXTS: Texts = gemini_texts
FORWARD_HEADERS = frozenset({"user-agent", "x-goog-api-client", "x-gemini-*", "x-server-timeout"})

_VERBS: Mapping[str, Operation] = {
    "generateContent": "chat",
    "streamGenerateContent": "chat",
    "countTokens": "count_tokens",
    "embedContent": "embeddings",
    "batchEmbedContents": "embeddings",
}
_PATH = re.compile(r"(?:/gemini|/google)?(/v1|/v1beta|/v1alpha)?/models(?:/([A-Za-z0-9._-]{1,256})(?::([A-Za-z]+))?)?")


def endpoints(path: str) -> tuple[Endpoint, ...]:
    found = _PATH.fullmatch(path)
    if found is None or set(found[2] or "x") == {"."}:
        return ()
    version, model, verb = found[1] or "/v1beta", found[2], found[3]
    if model is None:
        return (Endpoint("GET", "models", f"{version}/models"),)
    if verb is None:
        return (Endpoint("GET", "models", f"{version}/models/{model}", model),)
    if verb not in _VERBS:
        return ()
    return (Endpoint("POST", _VERBS[verb], f"{version}/models/{model}:{verb}", model),)


def decode_request(body: bytes, headers: Mapping[str, str], allow_fields: frozenset[str], endpoint: Endpoint) -> Request:
    if endpoint.operation == "models":
        return plain.models_request(NAME)
    return requests.decode_request(body, allow_fields, endpoint)


def without_tools(request: Request, names: Collection[str]) -> bytes | None:
    return hidden(request.body, names)


def upstream_body(request: Request, owed: Sequence[Owed] = ()) -> bytes:
    """The client's own bytes: usage always comes in this dialect, and nothing is kept at the provider."""
    return request.body


def renamed(request: Request, endpoint: Endpoint, model: str) -> tuple[Endpoint, bytes]:
    """The model stands in the path; where the body names it again, it must be the same."""
    path = endpoint.upstream_path.replace(f"/models/{endpoint.subject}:", f"/models/{quote(model, safe='')}:")
    return msgspec.structs.replace(endpoint, upstream_path=path, subject=model), with_model(request.body, f"models/{model}")


def auth_headers(key: str, headers: Mapping[str, str]) -> dict[str, str]:
    return {"x-goog-api-key": key}


def stream(request: Request, limits: Limits, *, enforcing: bool) -> GeminiStream:
    return GeminiStream(NAME, limits, allowed=_services(request), enforcing=enforcing)


def decode_answer(body: bytes, request: Request, limits: Limits) -> WholeAnswer:
    return wholes.decode_answer(NAME, body, _services(request), limits)


def decode_plain(body: bytes, request: Request) -> Answer:
    tree = plain.parse(body)
    if plain.CARRIERS.intersection(tree):
        raise plain.wrong(request, "it has the form of an answer with calls")
    match request.operation:
        case "count_tokens" if type(tree.get("totalTokens")) is int:
            return Answer(model=request.model)
        case "embeddings" if isinstance(tree.get("embedding", tree.get("embeddings")), dict | list):
            return Answer(model=request.model, usage=shape.embedding_usage(tree.get("usageMetadata")))
        case "models" if isinstance(tree.get("models", []), list) and (tree.keys() & {"models", "name"} or not tree):
            return Answer()
    raise plain.wrong(request, "it has another form")


def encode_answer(whole: WholeAnswer, withheld: Mapping[int, str], edited: Mapping[int, Call] = AS_PROPOSED) -> bytes:
    return wholes.encode_answer(whole, withheld, edited)


def error_answer(error: GatewayError) -> WireError:
    return wire_error(error)


def _services(request: Request) -> frozenset[str]:
    """What the provider may do by itself: the tools of its own that were admitted with the request."""
    return frozenset(shape.SERVER_TOOLS[tool.type] for tool in request.tools if tool.type in shape.SERVER_TOOLS)
