"""A chat completion said again in the dialect of the client, whole or chunk by chunk: the last step of a translated answer.

What providers answer is first brought into the form of Chat Completions (parsed JSON); here it becomes the client's wire bytes, which
are then decoded and judged exactly as if a provider had sent them. So nothing here decides, repairs or guesses: argument texts go over
as they are, and what has no place in the client's dialect raises. Calls of a streamed message are said when the answer has finished, each
in one block: chat completions may mix the pieces of several calls, messages may not, and the gate holds a call until it is whole anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

import msgspec

from gateway import strict_json
from gateway.dialects import sse
from gateway.errors import GatewayError
from gateway.stated_cost import PARTS
from gateway.strict_json import Json

HELD_BYTES = 4 * 1024 * 1024
"""Most bytes of a streamed answer's calls that wait for its end."""


class StreamForm(Protocol):
    """Chat completion chunks in, the client's frames out."""

    def chunk(self, chunk: Mapping[str, Json]) -> Iterator[bytes]: ...
    def failed(self, message: str) -> bytes:
        """The frame for an error that the provider reported inside its answer."""

    def end(self) -> Iterator[bytes]:
        """The provider has ended properly, after a finish."""


class AnswerForm(Protocol):
    def whole(self, completion: Mapping[str, Json]) -> bytes: ...
    def stream(self) -> StreamForm: ...
    def error(self, status: int, message: str) -> bytes: ...


class ChatForm:
    """Chat Completions as they are."""

    def whole(self, completion: Mapping[str, Json]) -> bytes:
        return strict_json.encode(completion)

    def stream(self) -> StreamForm:
        return _ChatStream()

    def error(self, status: int, message: str) -> bytes:
        return strict_json.encode(_chat_error(status, message))


class _ChatStream:
    def chunk(self, chunk: Mapping[str, Json]) -> Iterator[bytes]:
        yield sse.frame(strict_json.encode(chunk))

    def failed(self, message: str) -> bytes:
        return sse.frame(strict_json.encode(_chat_error(500, message)))

    def end(self) -> Iterator[bytes]:
        yield sse.frame(b"[DONE]")


class MessagesForm:
    """Messages."""

    def whole(self, completion: Mapping[str, Json]) -> bytes:
        choice = _only_choice(completion)
        message = choice.get("message") or {}
        _no_old_call(message)
        content: list[Json] = []
        if message.get("reasoning_content"):
            content.append({"type": "thinking", "thinking": message["reasoning_content"], "signature": ""})
        content += [{"type": "text", "text": message[key]} for key in ("content", "refusal") if message.get(key)]
        for call in message.get("tool_calls") or ():
            function = call.get("function") or {}
            block = {"type": "tool_use", "id": call.get("id"), "name": function.get("name")}
            content.append(block | {"input": _embedded(function.get("arguments") or "")})
        head = _head(completion) | {"content": content, "stop_reason": _stop_reason(choice), "stop_sequence": None}
        return msgspec.json.encode(head | {"usage": _usage(completion.get("usage"))})

    def stream(self) -> StreamForm:
        return _MessagesStream()

    def error(self, status: int, message: str) -> bytes:
        return strict_json.encode(_messages_error(status, message))


class _HeldCall(msgspec.Struct):
    id: str = ""
    name: str = ""
    arguments: str = ""


class _MessagesStream:
    def __init__(self) -> None:
        self._index = -1
        self._open = ""  # the kind of the block being written
        self._begun = False
        self._calls: dict[int, _HeldCall] = {}
        self._held = 0
        self._stop: str | None = None
        self._counts: Mapping[str, Json] | None = None

    def chunk(self, chunk: Mapping[str, Json]) -> Iterator[bytes]:
        if not self._begun:
            self._begun = True
            head = _head(chunk) | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(None)}
            yield _event("message_start", {"message": head})
        self._counts = chunk.get("usage") or self._counts
        if not chunk.get("choices"):
            return
        choice = _only_choice(chunk)
        delta = choice.get("delta") or {}
        _no_old_call(delta)
        yield from self._words("thinking", delta.get("reasoning_content"))
        yield from self._words("text", delta.get("content"))
        yield from self._words("text", delta.get("refusal"))
        for piece in delta.get("tool_calls") or ():
            self._gather(piece)
        if choice.get("finish_reason"):
            self._stop = _stop_reason(choice)

    def failed(self, message: str) -> bytes:
        return _event("error", _messages_error(500, message))

    def end(self) -> Iterator[bytes]:
        yield from self._close()
        for index in sorted(self._calls):
            yield from self._said(self._calls[index])
        delta = {"stop_reason": self._stop, "stop_sequence": None}
        yield _event("message_delta", {"delta": delta, "usage": _usage(self._counts)})
        yield _event("message_stop", {})

    def _words(self, kind: str, words: str | None) -> Iterator[bytes]:
        if not words:
            return
        if self._open != kind:
            yield from self._close()
            empty = {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {})
            yield from self._start(kind, empty)
        yield self._delta({"type": f"{kind}_delta", kind: words})

    def _gather(self, piece: Mapping[str, Json]) -> None:
        call = self._calls.setdefault(piece.get("index") or 0, _HeldCall())
        function = piece.get("function") or {}
        call.id = call.id or piece.get("id") or ""
        call.name += function.get("name") or ""
        more = function.get("arguments") or ""
        call.arguments += more
        self._held += len(more)
        if self._held > HELD_BYTES:
            raise GatewayError("upstream", "answer_too_large", f"The provider's calls are longer than {HELD_BYTES} bytes.")

    def _said(self, call: _HeldCall) -> Iterator[bytes]:
        yield from self._start("tool_use", {"type": "tool_use", "id": call.id, "name": call.name, "input": {}})
        if call.arguments:
            yield self._delta({"type": "input_json_delta", "partial_json": call.arguments})
        yield from self._close()

    def _start(self, kind: str, block: Mapping[str, Json]) -> Iterator[bytes]:
        self._index += 1
        self._open = kind
        yield _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: Mapping[str, Json]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self) -> Iterator[bytes]:
        if self._open:
            self._open = ""
            yield _event("content_block_stop", {"index": self._index})


FORMS: Mapping[str, AnswerForm] = {"openai.chat": ChatForm(), "anthropic.messages": MessagesForm()}
"""By the client's dialect."""

_STOP_REASONS = {
    "stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"
}  # fmt: skip
_ERROR_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def _event(kind: str, more: Mapping[str, Json]) -> bytes:
    return sse.frame(strict_json.encode({"type": kind, **more}), kind)


def _head(completion: Mapping[str, Json]) -> dict[str, Json]:
    return {"id": completion.get("id"), "type": "message", "role": "assistant", "model": completion.get("model")}


def _only_choice(completion: Mapping[str, Json]) -> Mapping[str, Json]:
    choices = completion.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or choices[0].get("index", 0) != 0:
        raise GatewayError("upstream", "protocol", "The provider answered with several alternatives, which were not asked for.")
    found: Mapping[str, Json] = choices[0]
    return found


def _no_old_call(message: Mapping[str, Json]) -> None:
    if message.get("function_call"):
        raise GatewayError("upstream", "protocol", "The provider proposed a call in a form that was not asked for ('function_call').")


def _stop_reason(choice: Mapping[str, Json]) -> str:
    reason = choice.get("finish_reason")
    known = _STOP_REASONS.get(reason) if isinstance(reason, str) else None
    if known is None:
        raise GatewayError("upstream", "protocol", "The provider ended its answer with a reason that cannot be translated.")
    return known


def _embedded(arguments: str) -> Json:
    """An argument text as a value: exactly as it is written when it is JSON, else as a string, which nobody takes for arguments."""
    if not arguments:
        return {}
    try:
        strict_json.parse(arguments, exact_numbers=False)
    except strict_json.Ambiguous as problem:
        if problem.code != "dup_key":
            return arguments
    return msgspec.Raw(arguments.encode())


def _count(block: Json, *path: str) -> int | None:
    for key in path:
        block = block.get(key) if isinstance(block, dict) else None
    return block if type(block) is int and block >= 0 else None


def _usage(counts: Mapping[str, Json] | None) -> dict[str, Json]:
    """Chat counts cached tokens among the prompt's, messages beside them. What the provider did not say is null, never zero. What it says
    that it charged goes along."""
    read = _count(counts, "prompt_tokens_details", "cached_tokens") or 0
    written = _count(counts, "prompt_tokens_details", "cache_write_tokens") or 0
    prompt, completion = _count(counts, "prompt_tokens"), _count(counts, "completion_tokens")
    usage: dict[str, Json] = {"input_tokens": None if prompt is None else max(prompt - read - written, 0)}
    usage |= {"cache_read_input_tokens": read, "cache_creation_input_tokens": written, "output_tokens": completion}
    usage |= {part: counts[part] for part in PARTS if counts and part in counts}
    thought = _count(counts, "completion_tokens_details", "reasoning_tokens")
    return usage | ({"output_tokens_details": {"thinking_tokens": thought}} if thought else {})


def chat_counts(prompt: int, completion: int, read: int | None, written: int, thought: int | None) -> dict[str, Json]:
    """A provider's counts as Chat Completions have them. `prompt` is with what a cache gave (`read`) and took (`written`)."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": read or 0, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": thought or 0},
    }


def _chat_error(status: int, message: str) -> dict[str, Json]:
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def _messages_error(status: int, message: str) -> dict[str, Json]:
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}}
