"""Amazon Bedrock's Converse: what of Chat Completions it has words for, and what its answers say in theirs.

litellm says requests in Converse (`litellm_adapter`). Answers are read here: litellm would count tokens by itself, move words between
thoughts and text, remember names of tools for all callers, and take every end that it does not know for a good one. Here one block is one
thing, what has no place in Chat Completions raises, and counts are Amazon's.

1. A stream says `messageStart`, blocks, `messageStop` and `metadata`, in this order; deltas of several blocks may come mixed. A call whose
   block does not end, and an event or a block of another kind, make it no answer.
2. An end that says that something is wrong with the answer (`malformed_tool_use`) is none.

Pure but for ids and times, which Converse does not give. Not here: signatures of thoughts, for which Chat Completions have no word.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Final

from gateway import strict_json
from gateway.strict_json import Json
from gateway.upstream.answer_forms import chat_counts

_NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]{0,63}")
"""Of a tool. litellm changes others, and remembers for all callers which it was."""
_IMAGE: Final = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")
_BODY: Final = frozenset({"messages", "system", "inferenceConfig", "toolConfig", "outputConfig"})
_FINISHES: Final = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "tool_use": "tool_calls", "guardrail_intervened": "content_filter", "content_filtered": "content_filter",
}  # fmt: skip


def unsayable(chat: Mapping[str, Json]) -> str | None:
    """What of a chat request Converse has no word for, or litellm one of its own."""
    calls = [call for message in chat["messages"] for call in message.get("tool_calls") or ()]
    tools = chat.get("tools") or []
    choice = chat.get("tool_choice")
    chosen = [choice] if isinstance(choice, dict) else []
    if not all(_NAME.fullmatch(each["function"]["name"]) for each in [*tools, *calls, *chosen]):
        return "a tool name that does not begin with a letter, or has other characters than letters, digits, _ and -, or over 64 of them"
    if choice == "none":
        return "tool_choice 'none'"
    if not tools and (calls or any(message["role"] == "tool" for message in chat["messages"])):
        return "earlier calls without 'tools'"
    if not all(_IMAGE.fullmatch(part["image_url"]["url"]) for part in _parts(chat) if part["type"] == "image_url"):
        return "an image other than PNG, JPEG, GIF or WebP as a data URL in base64"
    return None


def _parts(chat: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    for message in chat["messages"]:
        if isinstance(message.get("content"), list):
            yield from message["content"]


def lost(chat: Mapping[str, Json], body: Mapping[str, Json]) -> str | None:
    """What of a chat request its translation has not, or not as it was, and what was put into it."""
    said = body.get("inferenceConfig") or {}
    stops = [chat["stop"]] if isinstance(chat.get("stop"), str) else chat.get("stop")
    most = chat.get("max_completion_tokens") or chat.get("max_tokens")
    form = (chat.get("response_format") or {}).get("type", "text")
    found = {
        "this much of Bedrock's own": body.keys() <= _BODY,
        "so few tokens": said.get("maxTokens") == most,
        "'stop'": (said.get("stopSequences") or []) == [stop for stop in stops or () if stop],
        "'response_format' with this model": ("outputConfig" in body) == (form != "text"),
    }
    return next((what for what, well in found.items() if not well), None)


def completion(body: Mapping[str, Json], model: str) -> dict[str, Json]:
    """A whole answer. Raises ValueError, TypeError or KeyError for what is none."""
    said: dict[str, list[Json]] = {"text": [], "thought": [], "call": []}
    for block in body["output"]["message"]["content"]:
        kind, value = _block(block)
        said[kind].append(value)
    message: dict[str, Json] = {"role": "assistant", "content": "".join(said["text"]) or None}
    if thought := "".join(said["thought"]):
        message["reasoning_content"] = thought
    if said["call"]:
        message["tool_calls"] = said["call"]
    choice = {"index": 0, "message": message, "finish_reason": _FINISHES[body["stopReason"]]}
    return _head("chat.completion", model) | _tier(body) | {"choices": [choice], "usage": _usage(body["usage"])}


def _block(block: Mapping[str, Json]) -> tuple[str, Json]:
    """(kind, what a message says of it) of one block of an answer."""
    [(kind, said)] = block.items()
    match kind, said:
        case "text", _:
            return "text", _text(said)
        case "reasoningContent", {"reasoningText": {"text": thought}}:
            return "thought", _text(thought)
        case "reasoningContent", {"redactedContent": _}:
            return "thought", ""
        case "toolUse", _:
            arguments = strict_json.encode(said["input"]).decode()
            return "call", _begun(said) | {"function": {"name": _text(said["name"]), "arguments": arguments}}
    raise ValueError(kind)


class Chunks:
    """A stream's events, each `{its name: what it says}`, in chat completion chunks."""

    def __init__(self, model: str) -> None:
        self._head = _head("chat.completion.chunk", model)
        self._next = _BEFORE
        self._calls: dict[int, _Call] = {}
        """Blocks that are open and are calls."""
        self._numbered = 0
        self.finished = self.closed = False
        """`closed` is never said: a stream ends with its connection."""

    def read(self, event: Json) -> Iterator[dict[str, Json]]:
        """Raises ValueError, TypeError or KeyError for what has no place where it comes."""
        [(name, said)] = event.items()
        if name not in self._next:
            raise ValueError(name)
        self._next = _AFTER.get(name, self._next)
        yield from getattr(self, _READERS[name])(said)

    def _started(self, said: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        if said["role"] != "assistant":
            raise ValueError("role")
        yield self._said({"role": "assistant", "content": ""})

    def _block_begun(self, said: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        start, at = said.get("start") or {}, said["contentBlockIndex"]
        if not start:
            return
        [(kind, use)] = start.items()
        if kind != "toolUse" or at in self._calls:
            raise ValueError(kind)
        self._calls[at] = call = _Call(self._numbered)
        self._numbered += 1
        function = {"name": _text(use["name"]), "arguments": ""}
        yield self._said({"tool_calls": [{"index": call.index} | _begun(use) | {"function": function}]})

    def _more(self, said: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        [(kind, value)], call = said["delta"].items(), self._calls.get(said["contentBlockIndex"])
        if (kind == "toolUse") != (call is not None):
            raise ValueError(kind)
        if call is not None:
            yield from self._arguments(call, _text(value["input"]))
        elif kind == "text":
            yield self._said({"content": _text(value)})
        elif kind == "reasoningContent":
            [(form, thought)] = value.items()
            if form not in ("text", "signature", "redactedContent"):
                raise ValueError(form)
            if form == "text":
                yield self._said({"reasoning_content": _text(thought)})
        else:
            raise ValueError(kind)

    def _arguments(self, call: _Call, piece: str) -> Iterator[dict[str, Json]]:
        if piece:
            call.said = True
            yield self._said({"tool_calls": [{"index": call.index, "function": {"arguments": piece}}]})

    def _block_ended(self, said: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        """A call without arguments is one with an empty object, as a whole answer has it."""
        call = self._calls.pop(said["contentBlockIndex"], None)
        if call is not None and not call.said:
            yield from self._arguments(call, "{}")

    def _stopped(self, said: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        if self._calls:
            raise ValueError("a call has no end")
        yield self._said({}, _FINISHES[said["stopReason"]])
        self.finished = True

    def _counted(self, said: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
        yield self._head | _tier(said) | {"choices": [], "usage": _usage(said["usage"])}

    def _said(self, delta: dict[str, Json], finish: str | None = None) -> dict[str, Json]:
        return self._head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


class _Call:
    def __init__(self, index: int) -> None:
        self.index, self.said = index, False


_READERS: Final = {
    "messageStart": "_started", "contentBlockStart": "_block_begun", "contentBlockDelta": "_more", "contentBlockStop": "_block_ended",
    "messageStop": "_stopped", "metadata": "_counted",
}  # fmt: skip
_BEFORE: Final = frozenset({"messageStart"})
_AFTER: Final = {
    "messageStart": frozenset({"contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop"}),
    "messageStop": frozenset({"metadata"}),
    "metadata": frozenset[str](),
}
"""What may follow."""


def _begun(use: Mapping[str, Json]) -> dict[str, Json]:
    """A call of the client's tools: what Amazon runs by itself was not asked for."""
    if use.get("type") is not None:
        raise ValueError("toolUse.type")
    return {"id": _text(use["toolUseId"]), "type": "function"}


def _head(kind: str, model: str) -> dict[str, Json]:
    return {"id": f"chatcmpl-{uuid.uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _tier(said: Mapping[str, Json]) -> dict[str, Json]:
    tier = said.get("serviceTier")
    return {"service_tier": _text(tier["type"])} if tier else {}


def _usage(usage: Mapping[str, Json]) -> dict[str, Json]:
    """Converse counts what the cache gave and took beside the input."""
    read, written = (usage.get(name) or 0 for name in ("cacheReadInputTokens", "cacheWriteInputTokens"))
    return chat_counts(usage["inputTokens"] + read + written, usage["outputTokens"], read, written, None)


def _text(said: Json) -> str:
    if not isinstance(said, str):
        raise TypeError("no text")
    return said
