"""A request of one dialect to a provider that speaks another, and the answer back: what the pipeline sees of translation.

`prepare` cuts the request down to what survives (`translatable`), has litellm say it in the provider's dialect (`litellm_adapter`, loaded
by name at the first use, so that no worker holds litellm before it must) and proves that no tool, call or result was lost on the way.
`TranslatedAnswer` looks like the provider's own answer, but its body is in the client's dialect: it is decoded and judged like any other.
The table of pairs is closed; a provider's errors keep their status and their words, in the client's form.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from gateway import strict_json
from gateway.dialects import DIALECTS, sse
from gateway.dialects.events import Limits
from gateway.errors import GatewayError
from gateway.platform_settings import CONVERSE
from gateway.request import Request
from gateway.strict_json import Json
from gateway.upstream.answer_forms import FORMS, StreamForm
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.routing import Target
from gateway.upstream.signed_ids import without_signatures
from gateway.upstream.translatable import PAIRS, spoken, translatable

ADAPTER = "gateway.upstream.litellm_adapter"
PROVIDERS: Mapping[str, str] = {
    "openai.chat": "openai", "anthropic.messages": "anthropic", "google.gemini": "gcp.gemini", CONVERSE: "aws.bedrock"
}  # fmt: skip
"""OpenTelemetry's `gen_ai.provider.name` of who speaks a dialect: prices are looked up under it."""
_EXACT = ("anthropic.messages", CONVERSE)
"""Whose whole answers hold arguments as values, and else only counts: a number that is none of a double's would become another."""
KEPT_HEADERS = ("retry-after", "x-should-retry", "x-request-id", "request-id")


class Prepared(Struct, frozen=True):
    """A request ready for the provider, and what its answer must become."""

    client: str
    upstream: str
    """The dialects."""
    model: str
    path: str
    """Below the upstream's base URL, with its query."""
    headers: dict[str, str]
    body: bytes
    dropped: tuple[str, ...]
    """What the provider does not get to see, as `translatable` names it."""

    @property
    def provider(self) -> str:
        return PROVIDERS[self.upstream]

    @property
    def dropped_header(self) -> dict[str, str]:
        """The header that tells the client; nothing when nothing was left out."""
        return {"x-gateway-dropped-fields": ", ".join(map(_header_safe, self.dropped))} if self.dropped else {}


async def prepare(request: Request, target: Target) -> Prepared:
    """`target` does not speak the request's dialect. Raises GatewayError for what cannot be translated."""
    upstream, key = _checked(request, target), target.key
    adapter = await load()
    body = without_signatures(request.body, request.model) if target.unsigned else request.body
    found = translatable(request.dialect, upstream, strict_json.parse(body, exact_numbers=False))
    call = _said(adapter, request, upstream, found.tree)
    if not target.asked_for_counts:
        call.body.pop("stream_options", None)
    headers = {"content-type": "application/json", "accept-encoding": "identity", **call.headers}
    headers["accept"] = "text/event-stream" if request.stream else "application/json"
    if key:
        headers |= _auth_headers(upstream, key, call.headers)
    return Prepared(
        request.dialect, upstream, request.model, call.path, headers, strict_json.encode(call.body), found.dropped
    )


async def load() -> Any:
    """The adapter; the first time its import takes seconds, in a thread. Raises GatewayError where litellm cannot be loaded."""
    found = sys.modules.get(ADAPTER)
    if found is not None and hasattr(found, "SPEAKERS"):
        return found
    try:
        return await asyncio.to_thread(importlib.import_module, ADAPTER)
    except ImportError as error:
        message = f"This request needs a translation, and litellm cannot be loaded where the gateway runs ({type(error).__name__})."
        raise GatewayError("unavailable", "no_translation", message) from error


def _checked(request: Request, target: Target) -> str:
    """The dialect to translate to."""
    upstream = spoken(request.dialect, target.dialects)
    if request.operation != "chat" or upstream is None:
        pairs = "; ".join(f"{client} to {spoken_there}" for client, spoken_there in PAIRS)
        message = (
            f"The upstream '{target.name}' speaks {', '.join(target.dialects)}, not {request.dialect}. Only conversations are translated "
            f"({pairs}), not '{request.operation}'. Add an upstream that speaks {request.dialect}."
        )
        raise GatewayError("not_found", "no_upstream", message)
    if any(media.url for message in request.messages for media in message.media):
        message = "Media by URL cannot be translated to another provider's dialect: send the image inline, as base64."
        raise GatewayError("refused", "untranslatable", message)
    return upstream


def _said(adapter: Any, request: Request, upstream: str, tree: dict[str, Json]) -> Any:
    """litellm's translation. Its own messages quote the request, so none of them is passed on."""
    try:
        chat = adapter.to_chat(request.dialect, tree, upstream)
        before = _facts(chat)
        call = adapter.SPEAKERS[upstream].request(chat, stream=request.stream)
    except GatewayError:
        raise
    except Exception as error:
        name = getattr(error, "param", None) or type(error).__name__
        message = f"This request cannot be translated to {upstream} ({name}). Send it in the provider's own dialect, or simplify it."
        raise GatewayError("refused", "untranslatable", message) from error
    _prove(before, call.body, upstream, tree)
    return call


class _Facts(Struct, frozen=True):
    """What judgement hangs on, counted in a chat request."""

    tools: frozenset[str]
    calls: int
    results: int


def _facts(chat: Mapping[str, Json]) -> _Facts:
    messages = chat["messages"]
    return _Facts(
        frozenset(tool["function"]["name"] for tool in chat.get("tools") or ()),
        sum(len(message.get("tool_calls") or ()) for message in messages),
        sum(message["role"] == "tool" for message in messages),
    )


def _prove(facts: _Facts, body: Mapping[str, Json], upstream: str, tree: Mapping[str, Json]) -> None:
    """No tool, call, result or choice was lost between the client's words and the provider's."""
    said = _READ_BACK[upstream](body)
    declared = tree.get("tools") or ()
    complete = facts.tools <= said.tools and len(facts.tools) == len(declared)
    if not complete or (facts.calls, facts.results) != (said.calls, said.results):
        message = f"Translating this request to {upstream} would lose a tool, a call or a result. Send it in the provider's own dialect."
        raise GatewayError("refused", "untranslatable", message)
    place = body.get("toolConfig", {}) if upstream == CONVERSE else body
    if tree.get("tool_choice") is not None and not _CHOICE_KEYS[upstream] & place.keys():
        message = f"Translating this request to {upstream} would lose 'tool_choice'. Leave it out, or use the provider's own dialect."
        raise GatewayError("refused", "untranslatable", message, param="tool_choice")


def _anthropic_facts(body: Mapping[str, Json]) -> _Facts:
    blocks = [b["type"] for m in body["messages"] if isinstance(m["content"], list) for b in m["content"]]
    names = frozenset(tool["name"] for tool in body.get("tools") or ())
    return _Facts(names, blocks.count("tool_use"), blocks.count("tool_result"))


def _gemini_facts(body: Mapping[str, Json]) -> _Facts:
    tools = [f["name"] for tool in body.get("tools") or () for f in tool.get("function_declarations") or ()]
    parts = [key for content in body["contents"] for part in content["parts"] for key in part]
    calls = parts.count("function_call") + parts.count("functionCall")
    return _Facts(frozenset(tools), calls, parts.count("function_response") + parts.count("functionResponse"))


def _converse_facts(body: Mapping[str, Json]) -> _Facts:
    blocks = [kind for message in body["messages"] for block in message["content"] for kind in block]
    names = frozenset(tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ()))
    return _Facts(names, blocks.count("toolUse"), blocks.count("toolResult"))


_READ_BACK = {"openai.chat": _facts, "anthropic.messages": _anthropic_facts, "google.gemini": _gemini_facts, CONVERSE: _converse_facts}
_CHOICE_KEYS = {
    "openai.chat": {"tool_choice"}, "anthropic.messages": {"tool_choice"}, "google.gemini": {"toolConfig", "tool_config"},
    CONVERSE: {"toolChoice"},
}  # fmt: skip


def _auth_headers(upstream: str, key: str, headers: Mapping[str, str]) -> dict[str, str]:
    if upstream in DIALECTS:
        return DIALECTS[upstream].auth_headers(key, headers)
    return {"x-goog-api-key": key}


def _header_safe(name: str) -> str:
    """A field's name as it may stand in a header: names come from clients."""
    return quote(name[:200], safe="[]._-=$")


class TranslatedAnswer:
    """A provider's answer in the dialect of the client. Same face as `client.UpstreamAnswer`."""

    def __init__(self, answer: ProviderAnswer, prepared: Prepared) -> None:
        self._answer, self._prepared = answer, prepared
        self._adapter = sys.modules[ADAPTER]
        self.status = answer.status
        self.headers = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}

    @property
    def media_type(self) -> str:
        """The provider's: what is no JSON and no event stream is refused by whoever reads it, also for errors."""
        return "application/json" if self.status >= 400 else self._answer.media_type

    @property
    def charset(self) -> str | None:
        return self._answer.charset

    async def read(self, limit: int) -> bytes:
        """The whole body, in the client's dialect; a longer one of the provider's is an error."""
        form, prepared = FORMS[self._prepared.client], self._prepared
        body = await self._answer.read(limit)
        if self.status >= 400:
            return form.error(self.status, _error_words(body, self.status))
        with _understood():
            tree = strict_json.parse(body, exact_numbers=prepared.upstream in _EXACT)
            if tree.get("error"):
                raise GatewayError("upstream", "provider_error", f"The provider reported an error: {_error_words(body, 500)}")
            return form.whole(self._adapter.SPEAKERS[prepared.upstream].answer(tree, prepared.model))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The stream, in the client's dialect. One that breaks off ends without an end, which its decoder tells from a whole one."""
        form = FORMS[self._prepared.client].stream()
        reader = self._adapter.SPEAKERS[self._prepared.upstream].chunks(self._prepared.model)
        bounds = Limits()
        parser = sse.SseParser(bounds.event_bytes, bounds.events)
        async for piece in self._answer.chunks():
            with _understood():
                said = b"".join(frame for event in parser.feed(piece) for frame in _retold(event, reader, form))
            if said:
                yield said
            if reader.closed:
                break
        if reader.finished:
            yield b"".join(form.end())


def _retold(event: sse.SseEvent, reader: Any, form: StreamForm) -> Iterator[bytes]:
    if event.data is None or reader.closed:
        return
    if event.data == b"[DONE]":
        reader.closed = True
        return
    tree = strict_json.parse(event.data, exact_numbers=False)
    if tree.get("error"):
        reader.closed, reader.finished = True, False
        yield form.failed(_error_words(event.data, 500))
        return
    for chunk in reader.read(tree):
        yield from form.chunk(chunk)


class _understood:  # noqa: N801 - reads as a statement: with _understood():
    """Whatever goes wrong while a provider's answer is read is the provider's answer being none of its dialect."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, GatewayError):
            message = f"The provider's answer could not be translated ({type(error).__name__}), so nothing more of it was passed on."
            raise GatewayError("upstream", "protocol", message) from error


def _error_words(body: bytes, status: int) -> str:
    """What a provider says went wrong, whatever its dialect."""
    try:
        tree = strict_json.parse(body, exact_numbers=False)
    except strict_json.Ambiguous:
        tree = None
    tree = tree[0] if isinstance(tree, list) and tree else tree
    error = tree.get("error") if isinstance(tree, dict) else None
    words = error.get("message") if isinstance(error, dict) else error
    return words if isinstance(words, str) and words else f"The provider answered {status} without a readable error."
