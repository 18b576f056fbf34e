"""The demo's agent: asks, runs the tools it is given, asks again. Plain httpx, in both wire formats, streamed.

It is as trusting as agents are: every call that arrives is run. It is written without an SDK to show that a base URL and a key are all that
changes, and because an SDK is no dependency of the gateway.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from gateway.demo.bank import TOOLS, Bank, schema

TASK = "Please pay the bill in bill-november.txt."
MOST_TURNS = 8
"""An agent that is never told to stop must stop by itself."""


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the model's text, as it streams."""

    text: str


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer is complete. `exchange` is the gateway's id for it (empty when there is no gateway)."""

    exchange: str


@dataclass(frozen=True, slots=True)
class Ran:
    """A call that arrived and was run."""

    tool: str
    args: dict[str, Any]
    result: str


Event = Said | Answered | Ran


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A whole call as it came out of the stream."""

    id: str
    name: str
    text: str

    @property
    def args(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text or "{}")
        return parsed


def in_chat(url: str, key: str, model: str, bank: Bank) -> Iterator[Event]:
    """The task in OpenAI Chat Completions. `url` ends in /v1."""
    tools = [
        {"type": "function", "function": {"name": name, "description": about, "parameters": schema(properties)}}
        for name, about, properties in TOOLS
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASK}]
    headers = {"authorization": f"Bearer {key}"}
    for _ in range(MOST_TURNS):
        body = {"model": model, "messages": messages, "tools": tools, "stream": True}
        turn = yield from _chat_turn(f"{url}/chat/completions", headers, body)
        messages.append(turn)
        calls = turn.get("tool_calls", [])
        if not calls:
            return
        for call in calls:
            ran = _run(bank, _Arrived(call["id"], call["function"]["name"], call["function"]["arguments"]))
            yield ran
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": ran.result})


def _chat_turn(url: str, headers: dict[str, str], body: dict[str, Any]) -> Generator[Event, None, dict[str, Any]]:
    """Returns the assistant message for the history."""
    text = ""
    calls: dict[int, dict[str, str]] = {}
    with httpx.stream("POST", url, headers=headers, json=body, timeout=30, trust_env=False) as answer:
        for data in _events(answer):
            for choice in data["choices"]:
                delta = choice["delta"]
                if delta.get("content"):
                    text += delta["content"]
                    yield Said(delta["content"])
                for part in delta.get("tool_calls") or ():
                    _add(calls.setdefault(part["index"], {"id": "", "name": "", "arguments": ""}), part)
        yield Answered(answer.headers.get("x-gateway-trace-id", ""))
    whole = [
        {"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
        for c in calls.values()
    ]
    return {"role": "assistant", "content": text or None} | ({"tool_calls": whole} if whole else {})


def _add(call: dict[str, str], part: dict[str, Any]) -> None:
    function = part.get("function") or {}
    call["id"] += part.get("id") or ""
    call["name"] += function.get("name") or ""
    call["arguments"] += function.get("arguments") or ""


def in_messages(url: str, key: str, model: str, bank: Bank) -> Iterator[Event]:
    """The task in Anthropic Messages. `url` ends in /v1."""
    tools = [
        {"name": name, "description": about, "input_schema": schema(properties)} for name, about, properties in TOOLS
    ]
    messages: list[dict[str, Any]] = [{"role": "user", "content": TASK}]
    headers = {"x-api-key": key, "anthropic-version": "2023-06-01"}
    for _ in range(MOST_TURNS):
        body = {"model": model, "max_tokens": 500, "messages": messages, "tools": tools, "stream": True}
        blocks = yield from _messages_turn(f"{url}/messages", headers, body)
        messages.append({"role": "assistant", "content": blocks})
        results = []
        for block in blocks:
            if block["type"] == "tool_use":
                ran = _run(bank, _Arrived(block["id"], block["name"], json.dumps(block["input"])))
                yield ran
                results.append({"type": "tool_result", "tool_use_id": block["id"], "content": ran.result})
        if not results:
            return
        messages.append({"role": "user", "content": results})


def _messages_turn(
    url: str, headers: dict[str, str], body: dict[str, Any]
) -> Generator[Event, None, list[dict[str, Any]]]:
    """Returns the content blocks for the history."""
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    with httpx.stream("POST", url, headers=headers, json=body, timeout=30, trust_env=False) as answer:
        for data in _events(answer):
            match data["type"]:
                case "content_block_start":
                    if blocks and data["content_block"]["type"] == "text":
                        yield Said("\n\n")
                    blocks[data["index"]] = data["content_block"]
                case "content_block_delta" if data["delta"]["type"] == "text_delta":
                    blocks[data["index"]]["text"] += data["delta"]["text"]
                    yield Said(data["delta"]["text"])
                case "content_block_delta" if data["delta"]["type"] == "input_json_delta":
                    inputs[data["index"]] = inputs.get(data["index"], "") + data["delta"]["partial_json"]
        yield Answered(answer.headers.get("x-gateway-trace-id", ""))
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return [blocks[index] for index in sorted(blocks)]


def _run(bank: Bank, call: _Arrived) -> Ran:
    return Ran(call.name, call.args, bank.run(call.name, call.args))


def _events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """The JSON of each server-sent event."""
    if answer.status_code != 200:
        answer.read()
        raise httpx.HTTPStatusError(f"{answer.status_code}: {answer.text}", request=answer.request, response=answer)
    for line in answer.iter_lines():
        data = line.removeprefix("data:").strip()
        if line.startswith("data:") and data != "[DONE]":
            yield json.loads(data)
