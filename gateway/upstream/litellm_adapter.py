"""The one place that knows litellm: requests into a provider's dialect, a provider's answers into the form of Chat Completions.

Only litellm's transformations are used, never its calls: `completion` would bring its own HTTP client, retries, keys from the environment,
callbacks, threads, and (for requests with tools) an MCP client that needs packages nobody declared. So the transport, its time-outs and its
refusals stay those of `client`, and nothing here does I/O. Remote media are refused before this is reached: litellm would fetch them.

Loaded by name at the first translated request (`translate.load`): the import takes seconds and some 120 MB, and a gateway that translates
nothing pays for neither. litellm's transformations are not a stable interface: `pyproject.toml` pins the versions this was tested with.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import quote

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else the import fetches a price table
os.environ["LITELLM_MODE"] = "PRODUCTION"  # else the import reads a .env file of the working directory into the environment

import litellm
from litellm.llms.anthropic.chat.handler import ModelResponseIterator as AnthropicChunks
from litellm.llms.anthropic.pass_through.adapters.transformation import LiteLLMAnthropicMessagesAdapter
from litellm.llms.vertex_ai.gemini.transformation import transform_request_body
from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import ModelResponseIterator as GeminiChunks

from gateway.errors import GatewayError
from gateway.platform_settings import CONVERSE
from gateway.strict_json import Json
from gateway.upstream import converse
from gateway.upstream.answer_forms import chat_counts

litellm.telemetry = False
litellm.suppress_debug_info = True
litellm.drop_params = False
litellm.modify_params = False
litellm.disable_hf_tokenizer_download = True  # else it fetches a tokenizer to count the tokens of some models
for _name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)  # its messages quote requests


class UpstreamCall:
    """A request in the provider's dialect. `path` is below the upstream's base URL."""

    def __init__(self, path: str, body: dict[str, Json], headers: Mapping[str, str]) -> None:
        self.path, self.body, self.headers = path, body, headers


class Chunks(Protocol):
    """Reads a provider's stream, one parsed event at a time; says it in chat completion chunks."""

    finished: bool
    """The answer is whole as far as the provider's dialect can tell."""
    closed: bool
    """The provider has said that nothing follows."""

    def read(self, event: Json) -> Iterator[dict[str, Json]]: ...


class Speaker(Protocol):
    """A provider's dialect, seen from Chat Completions."""

    def request(self, chat: dict[str, Json], *, stream: bool) -> UpstreamCall: ...
    def answer(self, body: dict[str, Json], model: str) -> dict[str, Json]: ...
    def chunks(self, model: str) -> Chunks: ...


def to_chat(client: str, tree: dict[str, Json], upstream: str) -> dict[str, Json]:
    """A client's request as one of Chat Completions, without `stream` and what belongs to it."""
    chat = copy.deepcopy(tree) if client == "openai.chat" else _from_messages(tree, upstream)
    for field in ("stream", "stream_options"):
        chat.pop(field, None)
    for message in chat["messages"]:
        if message.get("thinking_blocks", ()) is None:
            del message["thinking_blocks"]
    return chat


def _from_messages(tree: dict[str, Json], upstream: str) -> dict[str, Json]:
    chat, renamed = LiteLLMAnthropicMessagesAdapter().translate_anthropic_to_openai(
        copy.deepcopy(tree), custom_llm_provider=_LITELLM_NAMES[upstream], preserve_midturn_system=True
    )
    if renamed:
        raise _untranslatable("a tool name longer than 64 characters")
    choice = tree.get("tool_choice")
    if isinstance(choice, dict) and choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False
    found: dict[str, Json] = chat
    return found


class OpenAiSpeaker:
    """Chat Completions themselves."""

    def request(self, chat: dict[str, Json], *, stream: bool) -> UpstreamCall:
        body = dict(chat)
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return UpstreamCall("/chat/completions", body, {})

    def answer(self, body: dict[str, Json], model: str) -> dict[str, Json]:
        return body

    def chunks(self, model: str) -> Chunks:
        return _OpenAiChunks()


class _OpenAiChunks:
    def __init__(self) -> None:
        self.finished = self.closed = False

    def read(self, event: Json) -> Iterator[dict[str, Json]]:
        for choice in event.get("choices") or ():
            self.finished = self.finished or bool(choice.get("finish_reason"))
        yield event


class AnthropicSpeaker:
    """Anthropic Messages."""

    def request(self, chat: dict[str, Json], *, stream: bool) -> UpstreamCall:
        messages, model, rest = _parts(chat)
        messages = _older_words(messages)
        config, headers, renamed = litellm.AnthropicConfig(), {"anthropic-version": "2023-06-01"}, {}  # type: ignore[var-annotated]
        params = config.map_openai_params(rest, {}, model, False)
        body = config.transform_request(model, messages, params, renamed, headers)
        if renamed:
            raise _untranslatable("a tool name with characters outside a-z, A-Z, 0-9, _ and -")
        return UpstreamCall("/messages", body | {"stream": True} if stream else body, headers)

    def answer(self, body: dict[str, Json], model: str) -> dict[str, Json]:
        raw = SimpleNamespace(headers={}, status_code=200)
        shell = litellm.ModelResponse(id=body["id"])
        thought = "".join(block["thinking"] for block in body["content"] if block["type"] == "thinking")
        content = [block for block in body["content"] if block["type"] not in ("thinking", "redacted_thinking")]
        bare = body | {"content": content, "usage": {"input_tokens": 0, "output_tokens": 0}}
        found = _completion(litellm.AnthropicConfig().transform_parsed_response(bare, raw, shell), model)
        if thought:
            found["choices"][0]["message"]["reasoning_content"] = thought
        return found | {"usage": _anthropic_usage(body["usage"])}

    def chunks(self, model: str) -> Chunks:
        return _AnthropicChunks(model)


class _AnthropicChunks:
    def __init__(self, model: str) -> None:
        self._model, self._id = model, ""
        self._reader = AnthropicChunks(None, sync_stream=False)
        self._usage: dict[str, Json] = {}
        self._stopped = False
        self.finished = self.closed = False

    def read(self, event: Json) -> Iterator[dict[str, Json]]:
        if event.get("type") == "message_stop":
            self.closed, self.finished = True, self._stopped
            return
        stops = event["type"] == "message_delta" and bool(event["delta"].get("stop_reason"))
        found = self._reader.chunk_parser(self._noted(event))
        found.id = self._id or found.id
        chunk = _chunk(found, self._model, first=event["type"] == "message_start", stops=stops)
        if _says_something(chunk):
            yield chunk
        if stops:
            self._stopped = True
            yield chunk | {"choices": [], "usage": _anthropic_usage(self._usage)}

    def _noted(self, event: dict[str, Json]) -> dict[str, Json]:
        """The event without its token counts, which are kept as the provider gave them: litellm adds estimates of its own."""
        if event["type"] == "message_start":
            message = dict(event["message"])
            self._usage |= message.pop("usage", None) or {}
            self._id, self._model = message.get("id") or "", message.get("model") or self._model
            return event | {"message": message}
        if event["type"] == "message_delta":
            self._usage |= {key: value for key, value in (event.get("usage") or {}).items() if value is not None}
            return {key: value for key, value in event.items() if key != "usage"}
        return event


class GeminiSpeaker:
    """Gemini's generateContent."""

    def request(self, chat: dict[str, Json], *, stream: bool) -> UpstreamCall:
        messages, model, rest = _parts(chat)
        begins = next((n for n, message in enumerate(messages) if message["role"] not in ("system", "developer")), len(messages))
        leading, messages = messages[:begins], _older_words(messages[begins:])
        params = litellm.GoogleAIStudioGeminiConfig().map_openai_params(rest, {}, model, False)
        body = transform_request_body(
            messages=messages, model=model, optional_params=params, custom_llm_provider="gemini", litellm_params={}, cached_content=None
        )
        if leading:  # said here: for a model that is not in its table litellm makes it a word of the user
            body["system_instruction"] = {"parts": [{"text": text} for message in leading for text in _texts(message["content"])]}
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return UpstreamCall(f"/v1beta/models/{quote(model, safe='')}:{verb}", dict(body), {})

    def answer(self, body: dict[str, Json], model: str) -> dict[str, Json]:
        raw = SimpleNamespace(headers={}, status_code=200, text="")
        shell = litellm.ModelResponse(id=body.get("responseId"))
        found = litellm.GoogleAIStudioGeminiConfig()._transform_google_generate_content_to_openai_model_response(  # noqa: SLF001 - there is no public one
            body, shell, model, _no_log(), raw
        )
        return _completion(found, model)

    def chunks(self, model: str) -> Chunks:
        return _GeminiChunks(model)


class _GeminiChunks:
    """The end of a Gemini stream is the end of its connection: `closed` is never said."""

    def __init__(self, model: str) -> None:
        self._model, self._first = model, True
        self._reader = GeminiChunks(None, sync_stream=False, logging_obj=_no_log())
        self.finished = self.closed = False

    def read(self, event: Json) -> Iterator[dict[str, Json]]:
        found = self._reader.chunk_parser(event)
        if found is None:
            return
        stops = any(candidate.get("finishReason") for candidate in event.get("candidates") or ())
        stops = stops or bool((event.get("promptFeedback") or {}).get("blockReason"))
        chunk = _chunk(found, self._model, first=self._first, stops=stops)
        self._first = False
        if _says_something(chunk):
            yield chunk
        self.finished = self.finished or stops
        if self.finished and found.usage:
            yield chunk | {"choices": [], "usage": _usage(found.usage.model_dump(exclude_none=True))}


class ConverseSpeaker:
    """Amazon Bedrock's Converse. `path` is below a model's."""

    def request(self, chat: dict[str, Json], *, stream: bool) -> UpstreamCall:
        if what := converse.unsayable(chat):
            raise _untranslatable(what)
        messages, model, rest = _parts(chat)
        messages = sorted(_older_words(messages), key=lambda message: message["role"] != "system")
        config = litellm.AmazonConverseConfig()
        params = config.map_openai_params(rest, {}, model, False)
        body = config.transform_request(model, messages, params, {}, {})
        if what := converse.lost(chat, body):
            raise _untranslatable(what)
        return UpstreamCall("/converse-stream" if stream else "/converse", body, {})

    def answer(self, body: dict[str, Json], model: str) -> dict[str, Json]:
        return converse.completion(body, model)

    def chunks(self, model: str) -> Chunks:
        return converse.Chunks(model)


SPEAKERS: Mapping[str, Speaker] = {
    "openai.chat": OpenAiSpeaker(), "anthropic.messages": AnthropicSpeaker(), "google.gemini": GeminiSpeaker(), CONVERSE: ConverseSpeaker()
}  # fmt: skip
"""By the provider's dialect."""

_LITELLM_NAMES = {"openai.chat": "openai", "anthropic.messages": "anthropic", "google.gemini": "gemini", CONVERSE: "openai"}
"""Who litellm is to say Messages for in Chat Completions."""


def _parts(chat: dict[str, Json]) -> tuple[list[Json], str, dict[str, Json]]:
    rest = dict(chat)
    return rest.pop("messages"), rest.pop("model"), rest


def _older_words(messages: list[Json]) -> list[Json]:
    """`developer` as `system`: the same rank, and litellm knows the older word only."""
    return [message | {"role": "system"} if message["role"] == "developer" else message for message in messages]


def _texts(content: Json) -> list[str]:
    return [content] if isinstance(content, str) else [part["text"] for part in content]


def _untranslatable(what: str) -> GatewayError:
    message = f"The provider of this model speaks another dialect, which has no word for {what}. Use one whose provider speaks this one."
    return GatewayError("refused", "untranslatable", message)


def _no_log() -> Any:
    """What litellm's readers ask of its logging object: nothing that matters here."""
    return SimpleNamespace(optional_params={}, model_call_details={}, post_call=lambda **_: None)


def _says_something(chunk: Mapping[str, Json]) -> bool:
    return any(choice["delta"] or choice["finish_reason"] for choice in chunk["choices"])


def _completion(found: Any, model: str) -> dict[str, Json]:
    said = found.model_dump(exclude_none=True)
    choices = [
        {"index": n, "message": _words(each["message"], whole=True), "finish_reason": each.get("finish_reason")}
        for n, each in enumerate(said["choices"])
    ]
    head = {"id": said["id"], "object": "chat.completion", "created": said["created"], "model": said.get("model") or model}
    return head | {"choices": choices, "usage": _usage(said["usage"])}


def _chunk(found: Any, model: str, *, first: bool, stops: bool) -> dict[str, Json]:
    """`stops`: the provider's own event holds a finish reason; litellm fills one in where there is none."""
    said = found.model_dump(exclude_none=True)
    choices = [
        {"index": 0, "delta": ({"role": "assistant", "content": ""} if first else {}) | _words(each["delta"], whole=False)}
        | {"finish_reason": each.get("finish_reason") if stops else None}
        for each in said["choices"]
    ]
    head = {"id": said["id"], "object": "chat.completion.chunk", "created": said["created"], "model": said.get("model") or model}
    return head | {"choices": choices}


def _words(said: Mapping[str, Json], *, whole: bool) -> dict[str, Json]:
    """What a message or delta says, in the keys that Chat Completions know."""
    found: dict[str, Json] = {"role": "assistant", "content": said.get("content")} if whole else {}
    if said.get("content"):
        found["content"] = said["content"]
    if said.get("reasoning_content"):
        found["reasoning_content"] = said["reasoning_content"]
    calls = [_call(call, whole=whole) for call in said.get("tool_calls") or ()]
    return found | ({"tool_calls": calls} if calls else {})


def _call(call: Mapping[str, Json], *, whole: bool) -> dict[str, Json]:
    function = {key: value for key, value in call["function"].items() if key in ("name", "arguments") and value is not None}
    place = {} if whole else {"index": call["index"]}
    named = {"id": call["id"], "type": "function"} if call.get("id") else {}
    return place | named | {"function": function}


def _usage(usage: Mapping[str, Json]) -> dict[str, Json]:
    prompt, completion = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    read, thought = prompt.get("cached_tokens"), completion.get("reasoning_tokens")
    return chat_counts(usage["prompt_tokens"], usage["completion_tokens"], read, 0, thought)


def _anthropic_usage(usage: Mapping[str, Json]) -> dict[str, Json]:
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    thought = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    return chat_counts(usage["input_tokens"] + read + written, usage["output_tokens"], read, written, thought)
