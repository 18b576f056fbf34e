"""What the adversary's tests share: forged provider answers in both dialects, readers that look for calls, and one oracle for all rows.

The readers are the official SDKs and a naive one that believes everything: it reads a key that comes twice in both ways, folds case, splits
lines wherever some reader does, and looks for calls everywhere. What any of them finds must be on record as released, with equal arguments.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import httpx
import httpx2
import openai
import pytest
from google import genai
from google.genai import types as google_types

from gateway.trace.exchange_rows import CallRow
from gateway.trace.record import Decided, Ended

POLICY = r"""
policy: 1
id: p0
agents: ["*"]
on_deny: explain
allow: [get_weather, read_file, write_file, pay, list_all, exec_sql, search, note]
rules:
- {id: city, tools: [get_weather], require: "args.city.matches('^[A-Za-z ]{1,40}$')"}
- {id: only-city, tools: [get_weather], require: "args.all(key, key == 'city')"}
- {id: served, tools: [read_file], require: "normpath(args.path).startsWith('/srv/')"}
- {id: only-path, tools: [read_file], require: "args.all(key, key == 'path')"}
- {id: out, tools: [write_file], require: "normpath(args.path).startsWith('/srv/out/')"}
- {id: amount, tools: [pay], require: args.amount <= 100}
- {id: letters, tools: [search], require: "args.text.matches('^(a+)+$')"}
- {id: calm, tools: [note], when: "args.input.contains('rm -rf')", message: "No {args.input} here."}
- {id: never, tools: [delete_file, run_shell], message: "That destroys things."}
tests:
- {name: weather, call: {get_weather: {city: Paris}}, expect: {effect: allow}}
"""
LIMITS = {"calls": 16}
FINISHES = {
    "chat": ("tool_calls", "stop"),
    "messages": ("tool_use", "end_turn"),
    "responses": ("completed", "completed"),
    "gemini": ("STOP", "STOP"),
}
"""How an answer ends in which a call arrives, and one in which none does."""
GOOD = ("get_weather", {"city": "Paris"})
_ARGUMENTS = {
    "get_weather": ("city", "string"),
    "read_file": ("path", "string"),
    "write_file": ("path", "string"),
    "pay": ("amount", "number"),
    "search": ("text", "string"),
    "delete_file": ("path", "string"),
    "run_shell": ("input", "string"),
}


def schema(name: str) -> dict[str, Any]:
    """The strict form that the providers recommend; `list_all` takes nothing."""
    if name not in _ARGUMENTS:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    key, kind = _ARGUMENTS[name]
    return {"type": "object", "properties": {key: {"type": kind}}, "required": [key], "additionalProperties": False}


TOOLS = (*_ARGUMENTS, "list_all")


@dataclass(frozen=True)
class Raw:
    """Bytes to stand in JSON as they are."""

    text: bytes


def dump(tree: Any) -> bytes:
    """JSON with holes: each `Raw` is put in untouched."""
    holes: list[bytes] = []

    def hole(value: Raw) -> str:
        holes.append(value.text)
        return f"@hole {len(holes) - 1}@"

    text = json.dumps(tree, default=hole).encode()
    for number, raw in enumerate(holes):
        text = text.replace(b'"@hole %d@"' % number, raw, 1)
    return text


@dataclass(frozen=True)
class Forged:
    """A call as a provider might propose it; `args` is the argument text, whatever it is."""

    name: Any
    args: Any = '{"city": "Paris"}'
    id: Any = "call_1"
    more: dict[str, Any] = field(default_factory=dict)
    """Further keys of the call (of its `function` in Chat Completions)."""


def dup(name: str, other: str) -> Raw:
    """Two names under one key."""
    return Raw(b'%b,"name":%b' % (json.dumps(name).encode(), json.dumps(other).encode()))


class Chat:
    """Chat Completions, forged."""

    name, path, headers = "chat", "/v1/chat/completions", {}
    refused = 400
    DONE = b"data: [DONE]\n\n"
    head = {"id": "r1", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}

    def where(self, stream: bool) -> str:
        return self.path

    def textual(self, stream: bool) -> bool:
        """Whether arguments come as text, which may be anything, or as JSON in the answer itself."""
        return True

    def explained(self, data: bytes, stream: bool) -> int:
        """How many calls are explained."""
        return data.count(b"NOT executed")

    def errors_in(self, data: bytes) -> int:
        return data.count(b'"error"')

    def request(self, stream: bool, /, **more: Any) -> dict[str, Any]:
        tools: list[Any] = [
            {"type": "function", "function": {"name": name, "parameters": schema(name)}}
            for name in TOOLS
            if name != "run_shell"
        ]
        tools += [{"type": "custom", "custom": {"name": name}} for name in ("run_shell", "note")]
        messages = [{"role": "user", "content": "go"}]
        return {"model": "gpt-4o-mini", "messages": messages, "tools": tools, "stream": stream} | more

    def entry(self, call: Forged) -> dict[str, Any]:
        function = {"name": call.name, "arguments": call.args} | call.more
        return {"id": call.id, "type": "function", "function": function}

    def whole(self, *calls: Forged, finish: Any = "tool_calls", message: Any = None, **more: Any) -> bytes:
        said = {"role": "assistant", "content": "Look."}
        if calls:
            said["tool_calls"] = [self.entry(call) for call in calls]
        choice = {"index": 0, "message": said | (message or {}), "finish_reason": finish}
        return dump(self.head | {"choices": [choice]} | more)

    def chunk(self, delta: Any, finish: Any = None, choice: Any = 0, **more: Any) -> bytes:
        choices = [{"index": choice, "delta": delta, "finish_reason": finish}]
        return b"data: " + dump(self.head | {"object": "chat.completion.chunk", "choices": choices} | more) + b"\n\n"

    def opening(self) -> list[bytes]:
        return [self.chunk({"role": "assistant", "content": ""}), self.chunk({"content": "Look."})]

    def closing(self, finish: Any = "tool_calls") -> list[bytes]:
        return [self.chunk({}, finish), self.DONE]

    def piece(self, index: Any, text: str) -> bytes:
        """A further piece of a call's arguments."""
        return self.chunk({"tool_calls": [{"index": index, "function": {"arguments": text}}]})

    def begun(self, call: Forged, index: Any = 0) -> bytes:
        entry = self.entry(call)
        return self.chunk({"tool_calls": [entry if index is ... else {"index": index} | entry]})

    def frames(self, *calls: Forged, finish: Any = "tool_calls") -> list[bytes]:
        """Each call begun with empty arguments, which follow in two pieces."""
        return [*self.opening(), *self.middle(*calls), *self.closing(finish)]

    def middle(self, *calls: Forged) -> list[bytes]:
        out: list[bytes] = []
        for index, call in enumerate(calls):
            if not isinstance(call.args, str):
                out.append(self.begun(call, index))
                continue
            out.append(self.begun(Forged(call.name, "", call.id, call.more), index))
            half = len(call.args) // 2
            out += [self.piece(index, call.args[:half]), self.piece(index, call.args[half:])]
        return out

    def finish_in(self, data: bytes) -> set[str]:
        return {f for event in events_of(data) for c in event.get("choices") or () if (f := c.get("finish_reason"))}


class Messages:
    """Anthropic Messages, forged."""

    name, path, headers = "messages", "/v1/messages", {"anthropic-version": "2023-06-01"}
    refused = 451
    head = {"id": "r1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    usage = {"input_tokens": 10, "output_tokens": 10}

    def where(self, stream: bool) -> str:
        return self.path

    def textual(self, stream: bool) -> bool:
        """Whether arguments come as text, which may be anything, or as JSON in the answer itself."""
        return stream

    def explained(self, data: bytes, stream: bool) -> int:
        """How many calls are explained."""
        return data.count(b"NOT executed")

    def errors_in(self, data: bytes) -> int:
        return data.count(b'"error"')

    def request(self, stream: bool, /, **more: Any) -> dict[str, Any]:
        tools = [{"name": name, "input_schema": schema(name)} for name in TOOLS]
        messages = [{"role": "user", "content": "go"}]
        asked = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 100,
            "messages": messages,
            "tools": tools,
            "stream": stream,
        }
        return asked | more

    def entry(self, call: Forged) -> dict[str, Any]:
        """The block; argument text stands in it as it is."""
        given = Raw(call.args.encode()) if isinstance(call.args, str) and call.args else call.args
        return {"type": "tool_use", "id": call.id, "name": call.name, "input": given} | call.more

    def whole(self, *calls: Forged, finish: Any = "tool_use", blocks: Any = (), **more: Any) -> bytes:
        content = [{"type": "text", "text": "Look."}, *map(self.entry, calls), *blocks]
        return dump(
            self.head | {"content": content, "stop_reason": finish, "stop_sequence": None, "usage": self.usage} | more
        )

    def event(self, kind: str, **more: Any) -> bytes:
        return f"event: {kind}\n".encode() + b"data: " + dump({"type": kind} | more) + b"\n\n"

    def opening(self) -> list[bytes]:
        message = self.head | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": self.usage}
        return [self.event("message_start", message=message), *self.text("Look.", 0)]

    def text(self, text: str, index: int) -> list[bytes]:
        return self.block({"type": "text", "text": ""}, {"type": "text_delta", "text": text}, index=index)

    def block(self, block: Any, *deltas: Any, index: Any) -> list[bytes]:
        out = [self.event("content_block_start", index=index, content_block=block)]
        out += [self.event("content_block_delta", index=index, delta=delta) for delta in deltas]
        return [*out, self.event("content_block_stop", index=index)]

    def closing(self, finish: Any = "tool_use") -> list[bytes]:
        delta = {"stop_reason": finish, "stop_sequence": None}
        return [self.event("message_delta", delta=delta, usage={"output_tokens": 10}), self.event("message_stop")]

    def piece(self, index: Any, text: str) -> bytes:
        delta = {"type": "input_json_delta", "partial_json": text}
        return self.event("content_block_delta", index=index, delta=delta)

    def begun(self, call: Forged, index: Any) -> bytes:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}} | call.more
        return self.event("content_block_start", index=index, content_block=block)

    def stopped(self, index: Any) -> bytes:
        return self.event("content_block_stop", index=index)

    def middle(self, *calls: Forged) -> list[bytes]:
        out: list[bytes] = []
        for index, call in enumerate(calls, 1):
            if not isinstance(call.args, str):
                out += self.block(self.entry(call), index=index)
                continue
            half = len(call.args) // 2
            pieces = [self.piece(index, call.args[:half]), self.piece(index, call.args[half:])]
            out += [self.begun(call, index), *pieces, self.stopped(index)]
        return out

    def frames(self, *calls: Forged, finish: Any = "tool_use") -> list[bytes]:
        return [*self.opening(), *self.middle(*calls), *self.closing(finish)]

    def finish_in(self, data: bytes) -> set[str]:
        deltas = [e.get("delta") or {} for e in events_of(data) if e.get("type") == "message_delta"]
        return {reason for delta in deltas if (reason := delta.get("stop_reason"))}


class Responses:
    """Responses, forged. One instance writes one stream at a time: it counts events and places, and its end repeats every item."""

    name, path, headers = "responses", "/v1/responses", {}
    refused = 400
    head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o-mini"}
    usage = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}

    def __init__(self) -> None:
        self.items: list[Any] = []
        self._number = 0

    def where(self, stream: bool) -> str:
        return self.path

    def textual(self, stream: bool) -> bool:
        return True

    def request(self, stream: bool, /, **more: Any) -> dict[str, Any]:
        tools: list[Any] = [{"type": "function", "name": name, "parameters": schema(name)} for name in TOOLS if name != "run_shell"]
        tools += [{"type": "custom", "name": name} for name in ("run_shell", "note")]
        return {"model": "gpt-4o-mini", "input": "go", "tools": tools, "stream": stream} | more

    def entry(self, call: Forged) -> dict[str, Any]:
        item = {"type": "function_call", "id": f"fc_{len(self.items)}", "call_id": call.id, "name": call.name}
        return item | {"arguments": call.args, "status": "completed"} | call.more

    def said(self, text: str = "Look.") -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [part]}

    def whole(self, *calls: Forged, finish: Any = "completed", blocks: Any = (), **more: Any) -> bytes:
        output = [self.said(), *map(self.entry, calls), *blocks]
        return dump(self.head | {"status": finish, "error": None, "usage": self.usage, "output": output} | more)

    def event(self, kind: str, **more: Any) -> bytes:
        number, self._number = self._number, self._number + 1
        return f"event: {kind}\n".encode() + b"data: " + dump({"type": kind, "sequence_number": number} | more) + b"\n\n"

    def opening(self) -> list[bytes]:
        self.items, self._number = [], 0
        response = self.head | {"status": "in_progress", "error": None, "output": []}
        return [self.event("response.created", response=response), *self.text("Look.")]

    def text(self, text: str) -> list[bytes]:
        item = self.said(text)
        started = [self.added(item | {"status": "in_progress", "content": []})]
        place = {"item_id": item["id"], "output_index": len(self.items) - 1, "content_index": 0}
        part = item["content"][0]
        return [
            *started,
            self.event("response.content_part.added", **place, part=part | {"text": ""}),
            self.event("response.output_text.delta", **place, delta=text, logprobs=[]),
            self.event("response.output_text.done", **place, text=text, logprobs=[]),
            self.event("response.content_part.done", **place, part=part),
            self.done(item),
        ]

    def added(self, item: Any, at: Any = ...) -> bytes:
        """An item begins; in its turn unless `at` says otherwise."""
        place = len(self.items) if at is ... else at
        self.items.append(item)
        return self.event("response.output_item.added", output_index=place, item=item)

    def done(self, item: Any, at: Any = ...) -> bytes:
        place = len(self.items) - 1 if at is ... else at
        if type(place) is int and 0 <= place < len(self.items):
            self.items[place] = item
        return self.event("response.output_item.done", output_index=place, item=item)

    def begun(self, call: Forged, at: Any = ...) -> bytes:
        item = self.entry(call)
        return self.added(item | {"status": "in_progress"} | ({"arguments": ""} if isinstance(call.args, str) else {}), at)

    def piece(self, at: Any, text: Any) -> bytes:
        return self.event("response.function_call_arguments.delta", output_index=at, item_id="fc_1", delta=text)

    def copy(self, at: Any, text: Any, **name: Any) -> bytes:
        return self.event("response.function_call_arguments.done", output_index=at, item_id="fc_1", arguments=text, **name)

    def middle(self, *calls: Forged) -> list[bytes]:
        out: list[bytes] = []
        for call in calls:
            item, at = self.entry(call), len(self.items)
            out.append(self.begun(call))
            if isinstance(call.args, str):
                half = len(call.args) // 2
                out += [self.piece(at, call.args[:half]), self.piece(at, call.args[half:]), self.copy(at, call.args)]
            out.append(self.done(item))
        return out

    def other(self, *items: Any) -> list[bytes]:
        """Items that are begun and done at once."""
        return [event for item in items for event in (self.added(item), self.done(item))]

    def closing(self, finish: Any = "completed", output: Any = ..., **more: Any) -> list[bytes]:
        items = list(self.items) if output is ... else output
        response = self.head | {"status": finish, "error": None, "usage": self.usage, "output": items} | more
        return [self.event(f"response.{finish}", response=response)]

    def frames(self, *calls: Forged, finish: Any = "completed") -> list[bytes]:
        return [*self.opening(), *self.middle(*calls), *self.closing(finish)]

    def finish_in(self, data: bytes) -> set[str]:
        return {e["response"]["status"] for e in events_of(data) if e["type"] in ("response.completed", "response.incomplete")}

    def explained(self, data: bytes, stream: bool) -> int:
        """Our texts among the items; in a stream each is told several times."""
        tree = events_of(data)[-1]["response"] if stream else json.loads(data)
        return json.dumps(tree["output"]).count("NOT executed")

    def errors_in(self, data: bytes) -> int:
        return data.count(b"event: error\n")


class Gemini:
    """generateContent, forged."""

    name, headers = "gemini", {}
    refused = 400
    head = {"modelVersion": "gemini-2.5-flash", "responseId": "r1"}
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 10, "totalTokenCount": 20}
    model = "gemini-2.5-flash"

    def where(self, stream: bool) -> str:
        return f"/v1beta/models/{self.model}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")

    def textual(self, stream: bool) -> bool:
        return False

    def request(self, stream: bool, /, **more: Any) -> dict[str, Any]:
        declared = [{"name": name, "parametersJsonSchema": schema(name)} for name in TOOLS]
        contents = [{"role": "user", "parts": [{"text": "go"}]}]
        return {"contents": contents, "tools": [{"functionDeclarations": declared}]} | more

    def entry(self, call: Forged) -> dict[str, Any]:
        """The part; argument text stands in it as it is, and where there is none, nothing does."""
        given = Raw(call.args.encode()) if isinstance(call.args, str) and call.args else call.args
        return {"functionCall": {"name": call.name, "id": call.id} | ({} if given == "" else {"args": given}) | call.more}

    def candidate(self, parts: Any, finish: Any = None, index: Any = 0, **more: Any) -> dict[str, Any]:
        ended = {"finishReason": finish} if finish else {}
        return {"content": {"role": "model", "parts": list(parts)}, "index": index} | ended | more

    def whole(self, *calls: Forged, finish: Any = "STOP", blocks: Any = (), **more: Any) -> bytes:
        parts = [{"text": "Look."}, *map(self.entry, calls), *blocks]
        return dump(self.head | {"candidates": [self.candidate(parts, finish)], "usageMetadata": self.usage} | more)

    def chunk(self, *parts: Any, finish: Any = None, index: Any = 0, **more: Any) -> bytes:
        return b"data: " + dump({"candidates": [self.candidate(parts, finish, index)]} | self.head | more) + b"\n\n"

    def opening(self) -> list[bytes]:
        return [self.chunk({"text": "Look."})]

    def middle(self, *calls: Forged) -> list[bytes]:
        return [self.chunk(self.entry(call)) for call in calls]

    def closing(self, finish: Any = "STOP") -> list[bytes]:
        return [self.chunk({"text": ""}, finish=finish, usageMetadata=self.usage)]

    def frames(self, *calls: Forged, finish: Any = "STOP") -> list[bytes]:
        return [*self.opening(), *self.middle(*calls), *self.closing(finish)]

    def finish_in(self, data: bytes) -> set[str]:
        return {f for event in events_of(data) for c in event.get("candidates") or () if (f := c.get("finishReason"))}

    def explained(self, data: bytes, stream: bool) -> int:
        return data.count(b"NOT executed")

    def errors_in(self, data: bytes) -> int:
        return data.count(b'"error"')


def events_of(data: bytes) -> list[dict[str, Any]]:
    """The JSON events of a stream that this gateway wrote; comments and `[DONE]` left out."""
    lines = [line[6:] for line in data.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]


# Readers: what calls a client finds in the bytes it got, each as (name, canonical arguments)

Seen = tuple[str, str]


def canonical(text: Any) -> str:
    """Argument text as a value, where it is one; else as it is."""
    if not isinstance(text, str):
        return json.dumps(text, sort_keys=True)
    with contextlib.suppress(ValueError):
        return json.dumps(json.loads(text or "{}"), sort_keys=True)
    return text


class Readers:
    """All of them, over one pair of SDK clients whose transport answers with the bytes at hand."""

    def __init__(self) -> None:
        self._content, self._media = b"", ""
        self._openai = openai.OpenAI(
            api_key="k",
            base_url="http://gateway.invalid/v1",
            max_retries=0,
            http_client=httpx.Client(transport=self._mock(httpx)),
        )
        self._anthropic = anthropic.Anthropic(
            api_key="k",
            base_url="http://gateway.invalid",
            max_retries=0,
            http_client=httpx2.Client(transport=self._mock(httpx2)),
        )
        options = google_types.HttpOptions(
            base_url="http://gateway.invalid", httpx_client=httpx2.Client(transport=self._mock(httpx2))
        )
        self._genai = genai.Client(api_key="k", http_options=options)

    def _mock(self, library: Any) -> Any:
        return library.MockTransport(
            lambda _: library.Response(200, headers={"content-type": self._media}, content=self._content)
        )

    def found(self, wire: str, stream: bool, data: bytes) -> dict[str, list[Seen]]:
        """By reader: those of `found_by_sdks`, and the one that believes everything."""
        naive = Naive(wire) if wire in ("chat", "messages") else Anywhere(wire)
        naive.read(data)
        return self.found_by_sdks(wire, stream, data) | {"naive": naive.calls()}

    def found_by_sdks(self, wire: str, stream: bool, data: bytes) -> dict[str, list[Seen]]:
        """An SDK that raises has found what it had gathered until then."""
        self._content, self._media = data, "text/event-stream" if stream else "application/json"
        named = {
            ("chat", True): {"sdk": self._chat_stream, "sdk chunks": self._chat_chunks},
            ("chat", False): {"sdk": self._chat_whole},
            ("messages", True): {"sdk": self._messages_stream, "sdk events": self._messages_events},
            ("messages", False): {"sdk": self._messages_whole},
            ("responses", True): {
                "sdk": self._responses_stream,
                "sdk items": lambda: self._responses_events("items"),
                "sdk pieces": lambda: self._responses_events("pieces"),
                "sdk copies": lambda: self._responses_events("copies"),
                "sdk last": lambda: self._responses_events("last"),
            },
            ("responses", False): {"sdk": self._responses_whole},
            ("gemini", True): {"sdk": self._gemini_stream},
            ("gemini", False): {"sdk": self._gemini_whole},
        }[wire, stream]
        return {name: read() for name, read in named.items()}

    # openai

    def _chat_stream(self) -> list[Seen]:
        arguments: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        snapshot = None
        with (
            contextlib.suppress(Exception),
            self._openai.chat.completions.stream(**arguments) as stream,
        ):
            for _ in stream:
                snapshot = stream.current_completion_snapshot
            snapshot = stream.get_final_completion()
        return [] if snapshot is None else self._chat_calls(snapshot)

    def _chat_chunks(self) -> list[Seen]:
        """As agents do that read the SDK's chunks themselves: pieces joined by their index."""
        parts: dict[Any, list[str]] = {}
        arguments: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
        with contextlib.suppress(Exception):
            for chunk in self._openai.chat.completions.create(**arguments):
                for choice in chunk.choices or ():
                    delta = choice.delta
                    for call in (delta and delta.tool_calls) or ():
                        payload = call.function or getattr(call, "custom", None)
                        _join(parts, (choice.index, call.index), payload)
                    if delta and delta.function_call:
                        _join(parts, (choice.index, "legacy"), delta.function_call)
        return [(name, canonical(text)) for name, text in parts.values()]

    def _chat_whole(self) -> list[Seen]:
        arguments: Any = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
        with contextlib.suppress(Exception):
            return self._chat_calls(self._openai.chat.completions.create(**arguments))
        return []

    @staticmethod
    def _chat_calls(completion: Any) -> list[Seen]:
        seen: list[Seen] = []
        for choice in completion.choices or ():
            message = choice.message
            for call in message.tool_calls or ():
                function, custom = getattr(call, "function", None), getattr(call, "custom", None)
                if function is not None:
                    seen.append((function.name, canonical(function.arguments)))
                if custom is not None:
                    payload = custom if isinstance(custom, dict) else custom.model_dump()
                    seen.append((payload["name"], canonical(payload["input"])))
            if message.function_call is not None:
                seen.append((message.function_call.name, canonical(message.function_call.arguments)))
        return seen

    # anthropic

    def _messages_stream(self) -> list[Seen]:
        arguments: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        message = None
        with (
            contextlib.suppress(Exception),
            self._anthropic.messages.stream(**arguments) as stream,
        ):
            for _ in stream:
                message = stream.current_message_snapshot
        return [] if message is None else self._messages_calls(message)

    def _messages_events(self) -> list[Seen]:
        arguments: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "stream": True}
        parts: dict[Any, list[str]] = {}
        with contextlib.suppress(Exception):
            for event in self._anthropic.messages.create(**arguments):
                block = getattr(event, "content_block", None)
                if block is not None and str(block.type).endswith("tool_use"):
                    parts[event.index] = [block.name, json.dumps(block.input) if block.input else ""]
                if event.type == "content_block_delta" and event.delta.type == "input_json_delta":
                    parts[event.index][1] += event.delta.partial_json
        return [(name, canonical(text)) for name, text in parts.values()]

    def _messages_whole(self) -> list[Seen]:
        arguments: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
        with contextlib.suppress(Exception):
            return self._messages_calls(self._anthropic.messages.create(**arguments))
        return []

    @staticmethod
    def _messages_calls(message: Any) -> list[Seen]:
        if not hasattr(message, "content"):
            return []
        return [
            (b.name, canonical(b.input)) for b in message.content or () if getattr(b, "type", "").endswith("tool_use")
        ]


    # openai, responses

    def _responses_stream(self) -> list[Seen]:
        response = None
        with contextlib.suppress(Exception), self._openai.responses.stream(model="m", input="x") as stream:
            for event in stream:
                response = getattr(event, "response", response)
        return [] if response is None else _item_calls(response.output or ())

    def _responses_events(self, source: str) -> list[Seen]:
        """As agents do that read events themselves: finished items, pieces joined by place, copies of arguments, or the last event."""
        done: list[Any] = []
        pieces: dict[Any, list[str]] = {}
        copies: dict[Any, list[str]] = {}
        last: list[Any] = []
        with contextlib.suppress(Exception):
            for event in self._openai.responses.create(model="m", input="x", stream=True):
                if event.type == "response.output_item.added" and _is_call(event.item):
                    pieces[event.output_index] = [_named(event.item), event.item.to_dict().get("arguments") or ""]
                elif event.type in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
                    pieces.setdefault(event.output_index, ["", ""])[1] += event.delta
                elif event.type in ("response.function_call_arguments.done", "response.custom_tool_call_input.done"):
                    name = getattr(event, "name", None) or pieces.get(event.output_index, [""])[0]
                    copies[event.output_index] = [name, getattr(event, "arguments", None) or getattr(event, "input", "")]
                elif event.type == "response.output_item.done":
                    done.append(event.item)
                elif hasattr(event, "response") and event.response.output:
                    last = event.response.output
        found = {"items": _item_calls(done), "last": _item_calls(last)}
        return found.get(source, [(n, canonical(t)) for n, t in (pieces if source == "pieces" else copies).values()])

    def _responses_whole(self) -> list[Seen]:
        with contextlib.suppress(Exception):
            return _item_calls(self._openai.responses.create(model="m", input="x").output or ())
        return []

    # google-genai

    def _gemini_stream(self) -> list[Seen]:
        seen: list[Seen] = []
        with contextlib.suppress(Exception):
            for answer in self._genai.models.generate_content_stream(model="m", contents="x"):
                seen += _part_calls(answer)
        return seen

    def _gemini_whole(self) -> list[Seen]:
        with contextlib.suppress(Exception):
            return _part_calls(self._genai.models.generate_content(model="m", contents="x"))
        return []


def _is_call(item: Any) -> bool:
    return str(getattr(item, "type", None)).endswith(("_call", "_approval_request"))


def _named(item: Any) -> str:
    return str(item.to_dict().get("name"))


def _item_calls(items: Any) -> list[Seen]:
    fields = [item.to_dict() for item in items if _is_call(item)]
    return [(str(found.get("name")), canonical(found.get("arguments") or found.get("input") or "")) for found in fields]


def _part_calls(answer: Any) -> list[Seen]:
    parts = [p for c in answer.candidates or () if c.content for p in c.content.parts or ()]
    return [(str(p.function_call.name), canonical(p.function_call.args or {})) for p in parts if p.function_call]


class Anywhere:
    """A reader that takes for a call whatever has a name and arguments, wherever answers are, in any spelling."""

    ARGUMENTS = frozenset({"arguments", "args", "input"})
    PATHS = frozenset({"response", "output", "item", "part", "content", "delta", "candidates", "parts", "message", "choices"})
    NAMES = frozenset({"functioncall", "toolcall", "functioncalls", "toolcalls", "function", "custom"})

    def __init__(self, wire: str) -> None:
        self._found: set[Seen] = set()

    def read(self, data: bytes) -> None:
        for text in {data.decode("utf-8", "replace"), data.decode("latin-1")}:
            for lines in ([text], text.split("\n"), text.splitlines()):
                for hook in (dict, lambda pairs: dict(reversed(pairs))):
                    self._lines(lines, json.JSONDecoder(object_pairs_hook=hook).raw_decode)

    def _lines(self, lines: list[str], decode: Any) -> None:
        for line in lines:
            text = line.lstrip("\ufeff").removeprefix("data:").strip()
            if text.startswith(("{", "[")):
                with contextlib.suppress(ValueError, RecursionError):
                    self._walk(decode(text)[0])

    def _walk(self, tree: Any) -> None:
        waiting = [tree]
        while waiting:
            current = waiting.pop()
            if isinstance(current, list):
                waiting += current
            elif isinstance(current, dict):
                folded = {"".join(c for c in key.casefold() if c.isalnum()): value for key, value in current.items()}
                waiting += [value for key, value in folded.items() if key in self.PATHS | self.NAMES]
                given = next((folded[key] for key in self.ARGUMENTS if folded.get(key)), None)
                if isinstance(folded.get("name"), str) and (given is not None or "args" in folded):
                    self._found.add((folded["name"], canonical(given or {})))

    def calls(self) -> list[Seen]:
        return sorted(self._found)


def _join(parts: dict[Any, list[str]], key: Any, payload: Any) -> None:
    part = parts.setdefault(key, ["", ""])
    if payload is None:
        return
    fields = payload if isinstance(payload, dict) else payload.model_dump()
    part[0] += fields.get("name") or ""
    part[1] += fields.get("arguments") or fields.get("input") or ""


class Naive:
    """Readers without any strictness, one per combination of the misreadings that clients are known for: how bytes become text, where
    lines end, which of two equal keys counts."""

    def __init__(self, wire: str) -> None:
        self._wire = wire
        self._found: set[Seen] = set()

    def read(self, data: bytes) -> None:
        for text in {data.decode("utf-8", "replace"), data.decode("latin-1")}:
            for lines in ([text], text.split("\n"), text.splitlines()):
                for hook in (dict, lambda pairs: dict(reversed(pairs))):
                    self._found |= Misreading(self._wire, hook).of(lines)

    def calls(self) -> list[Seen]:
        """Every reading of a call, each once."""
        return sorted(self._found)


class Misreading:
    NAMES = frozenset({"toolcalls", "functioncall", "toolcall", "functioncalls"})
    PATHS = frozenset({"choices", "content", "contentblock", "delta", "message", "messages", "output"})
    """Where answers are, in any case and spelling. Nobody looks for calls below `usage` or `logprobs`."""

    def __init__(self, wire: str, hook: Any) -> None:
        self._entrances = frozenset({"choices"}) if wire == "chat" else self.PATHS
        self._decode = json.JSONDecoder(object_pairs_hook=hook).raw_decode
        self._parts: dict[Any, list[str]] = {}

    def of(self, lines: list[str]) -> set[Seen]:
        for line in lines:
            text = line.lstrip("\ufeff").removeprefix("data:").strip()
            if text.startswith(("{", "[")):
                with contextlib.suppress(ValueError, RecursionError):
                    self._walk(self._decode(text)[0], ())
        return {(name, canonical(text)) for name, text in self._parts.values()}

    def _walk(self, tree: Any, where: tuple[Any, ...]) -> None:
        """`where`: the indexes on the way down, by which pieces find each other."""
        if isinstance(tree, list):
            for at, item in enumerate(tree):
                self._walk(item, (*where, at))
        if not isinstance(tree, dict):
            return
        here = tree.get("index", where[-1] if where else None)
        for key, value in tree.items():
            folded = "".join(c for c in key.casefold() if c.isalnum())
            if folded in self.NAMES:
                self._proposals(value, here)
            elif folded in (self.PATHS if where else self._entrances):
                self._walk(value, (*where, here))
        if not where and self._entrances != self.PATHS:
            return  # a chat client does not take its answer for a block of the other dialect
        if str(tree.get("type")).endswith("tool_use"):
            self._parts[here] = [str(tree.get("name")), canonical(given) if (given := tree.get("input")) else ""]
        if isinstance(tree.get("partial_json"), str) and here in self._parts:
            self._parts[here][1] += tree["partial_json"]

    def _proposals(self, value: Any, choice: Any) -> None:
        for at, entry in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(entry, dict):
                continue
            folded = {key.casefold().strip(): item for key, item in entry.items()}
            for kind in ("function", "custom"):
                if isinstance(folded.get(kind), dict):
                    self._gather(folded[kind], (choice, entry.get("index", at)))
            if "name" in folded or "arguments" in folded:
                self._gather(entry, (choice, "legacy"))

    def _gather(self, payload: dict[str, Any], where: tuple[Any, ...]) -> None:
        folded = {key.casefold().strip(): item for key, item in payload.items()}
        part = self._parts.setdefault(where, ["", ""])
        part[0] += str(folded.get("name") or "")
        text = folded.get("arguments", folded.get("input"))
        part[1] += text if isinstance(text, str) else "" if text is None else json.dumps(text)


# The oracle


@dataclass(frozen=True)
class Required:
    """What must happen. `codes`: reason codes of the withheld calls (all of them), error codes (one of them) or stripped paths."""

    verdict: str
    codes: tuple[str, ...] = ()
    released: tuple[tuple[str, Any], ...] = ()
    """The calls that do arrive."""


def block(*codes: str, released: tuple[tuple[str, Any], ...] = ()) -> Required:
    return Required("BLOCK", codes, released)


class House:
    """A running data plane, its provider, the readers, and the one oracle."""

    def __init__(self, gateway: Any, provider: Any, readers: Readers, caplog: Any) -> None:
        self.gateway, self.provider, self.readers, self._caplog = gateway, provider, readers, caplog
        self.client = gateway.client()

    def ask(self, wire: Any, stream: bool, body: Any = None, /, **more: Any) -> httpx.Response:
        asked = wire.request(stream, **more) if body is None else body
        content = asked if isinstance(asked, bytes) else dump(asked)
        return self.client.post(wire.where(stream), content=content, headers=wire.headers | {"content-type": "application/json"})

    def closing(self, answer: httpx.Response) -> tuple[Ended, list[CallRow]]:
        """The one closing record of this exchange, and all its calls."""
        records, trace = self.gateway.records(), answer.headers["x-gateway-trace-id"]
        ended = [r for r in records if isinstance(r, Ended) and r.exchange.id == trace]
        assert len(ended) == 1, f"{len(ended)} closing records"
        decided = [r.call for r in records if isinstance(r, Decided) and r.call.exchange_id == trace]
        return ended[0], [*decided, *ended[0].calls]

    def judge(self, wire: Any, stream: bool, answer: httpx.Response, required: Required) -> Ended:
        """(a) the verdict, (b) no reader finds a call that was not released, (c) one record that says so."""
        ended, calls = self.closing(answer)
        released = [(call.name, canonical(call.arguments)) for call in calls if call.released]
        assert sorted(released) == sorted((name, canonical(args)) for name, args in required.released), calls
        self._only_released(wire, stream, answer, released, whole=required.verdict != "CLOSE")
        getattr(self, f"_{required.verdict.lower()}")(wire, stream, answer, required, ended, calls)
        return ended

    def _only_released(
        self, wire: Any, stream: bool, answer: httpx.Response, released: list[Seen], *, whole: bool
    ) -> None:
        if answer.status_code >= 400:
            stream = False
        for reader, seen in self.readers.found(wire.name, stream, answer.content).items():
            extra = Counter(seen) - Counter(released)
            assert not extra, f"the {reader} reader found {extra}, which nobody released"
            if whole and reader != "naive":
                assert Counter(seen) == Counter(released), f"the {reader} reader missed a released call"
        assert answer.status_code < 400 or not released

    @staticmethod
    def _block(
        wire: Any, stream: bool, answer: httpx.Response, required: Required, ended: Ended, calls: list[CallRow]
    ) -> None:
        assert answer.status_code == 200, answer.text
        assert ended.exchange.state == "denied"
        withheld = [call for call in calls if not call.released]
        assert [c.effect for c in withheld] == ["deny"] * len(withheld)
        assert {c.code for c in withheld} == set(required.codes), [(c.name, c.code, c.reason) for c in withheld]
        assert wire.explained(answer.content, stream) == len(withheld)
        if stream:
            expected = FINISHES[wire.name]
            legacy = {"function_call"} if any(c.type == "function_call" for c in calls) else set()
            assert wire.finish_in(answer.content) <= {expected[0 if required.released else 1]} | legacy
            assert wire.finish_in(answer.content)

    @staticmethod
    def _pass(
        wire: Any, stream: bool, answer: httpx.Response, required: Required, ended: Ended, calls: list[CallRow]
    ) -> None:
        assert answer.status_code == 200, answer.text
        assert ended.exchange.state == "complete", ended.exchange.error_message
        assert all(call.released for call in calls)

    def _strip(
        self, wire: Any, stream: bool, answer: httpx.Response, required: Required, ended: Ended, calls: list[CallRow]
    ) -> None:
        self._pass(wire, stream, answer, required, ended, calls)
        paths = [finding.path for finding in ended.findings if finding.action == "stripped"]
        for wanted in required.codes:
            assert any(path.endswith(wanted) for path in paths), paths
            assert f'"{wanted}"' not in answer.text

    @staticmethod
    def _close(
        wire: Any, stream: bool, answer: httpx.Response, required: Required, ended: Ended, calls: list[CallRow]
    ) -> None:
        assert ended.exchange.state in ("incomplete", "upstream_reset", "upstream_error"), ended.exchange.state
        assert ended.exchange.error_code in required.codes, ended.exchange.error_code
        if answer.status_code == 200:
            assert wire.errors_in(answer.content) >= 1
            assert wire.finish_in(answer.content) == set()
        else:
            assert answer.status_code == 502
            assert "error" in answer.json()

    def _reject(
        self, wire: Any, stream: bool, answer: httpx.Response, required: Required, ended: Ended, calls: list[CallRow]
    ) -> None:
        assert 400 <= answer.status_code < 500
        assert not self.provider.received, "the provider was asked"
        assert ended.exchange.state == "rejected"
        assert ended.exchange.error_code in required.codes, ended.exchange.error_code
        assert answer.json()["error"]["message"]

    def stays_well(self, wire: Any) -> None:
        """(d) nothing was logged as a fault, and the next ordinary request passes."""
        self.no_faults()
        self.provider.answer = self.provider.json(wire.whole(Forged(GOOD[0], json.dumps(GOOD[1]))))
        ended, calls = self.closing(self.ask(wire, False))
        assert ended.exchange.state == "complete"
        assert [call.name for call in calls if call.released] == [GOOD[0]]
        self.provider.received.clear()

    def no_faults(self) -> None:
        faults = [
            r
            for r in self._caplog.records
            if (r.levelno >= logging.ERROR or r.exc_info) and "Provider._serve" not in r.getMessage()
        ]
        assert not faults, [r.getMessage() for r in faults]


@pytest.fixture(scope="session")
def readers() -> Readers:
    return Readers()


@pytest.fixture
def house(start: Callable[..., Any], provider: Any, readers: Readers, caplog: Any) -> Iterator[House]:
    built = Kit.house(start, provider, readers, caplog)
    yield built
    built.client.close()


@pytest.fixture(params=["chat", "messages", "responses", "gemini"])
def wire(request: Any) -> Any:
    return {"chat": Chat, "messages": Messages, "responses": Responses, "gemini": Gemini}[request.param]()


class Kit:
    """The words in which rows are written."""

    call, raw, good, needs = Forged, Raw, GOOD, Required
    dup, block, schema, limits = staticmethod(dup), staticmethod(block), staticmethod(schema), LIMITS
    chat, messages = Chat(), Messages()
    gemini = Gemini

    @staticmethod
    def house(start: Any, provider: Any, readers: Readers, caplog: Any, *, observing: bool = False, **changes: Any) -> House:
        caplog.set_level(logging.WARNING)
        policies = None if observing else {"policy.yaml": POLICY}
        base, key = provider.base_url, {"env": "CANARY_KEY"}
        upstreams = {
            "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": base, "key": key},
            "anthropic": {"dialect": "anthropic.messages", "base_url": base, "key": key},
            "google": {"dialect": "google.gemini", "base_url": base.removesuffix("/v1"), "key": key},
        }
        return House(start(policies, limits=LIMITS, **{"upstreams": upstreams} | changes), provider, readers, caplog)

    @staticmethod
    def proposed(wire: Any, stream: bool, *calls: Forged, **more: Any) -> Any:
        """An answer that proposes these calls: pieces of a stream, or a body."""
        return wire.frames(*calls, **more) if stream else wire.whole(*calls, **more)

    @staticmethod
    def passes(*released: tuple[str, Any]) -> Required:
        return Required("PASS", (), released)

    @staticmethod
    def closes(*codes: str) -> Required:
        return Required("CLOSE", codes)

    @staticmethod
    def strips(path: str, *released: tuple[str, Any]) -> Required:
        return Required("STRIP", (path,), released)


@pytest.fixture
def play(house: House) -> Callable[..., None]:
    """Plays the rows of one id in one dialect: whole and streamed, wherever `build(wire, kit, stream)` gives an answer for that form."""

    def run(rows: Any, row_id: str, wire: Any) -> None:
        played = 0
        for _, what, build in (row for row in rows if row[0] == row_id):
            for stream in (False, True):
                made = build(wire, Kit, stream)
                if made is None:
                    continue
                played += 1
                upstream, required = made
                house.provider.answer = (
                    house.provider.sse(*upstream) if isinstance(upstream, list) else house.provider.json(upstream)
                )
                try:
                    house.judge(wire, stream, house.ask(wire, stream), required)
                    house.stays_well(wire)
                except AssertionError as error:
                    error.add_note(f"{row_id} {wire.name} {'streamed' if stream else 'whole'}: {what}")
                    raise
        assert played

    return run


@pytest.fixture
def kit() -> type[Kit]:
    return Kit
