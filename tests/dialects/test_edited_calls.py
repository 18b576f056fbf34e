"""A call with arguments that a person changed: every dialect delivers those, in its place, and everything else as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import DIALECTS, Dialect
from gateway.dialects.events import Limits, WholeAnswer

Args = dict[str, Any]


def _chat(args: list[Args]) -> tuple[str, Any, Any]:
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": json.dumps(a)}} for n, a in enumerate(args)]
    choice = {"index": 0, "message": {"role": "assistant", "content": "so", "tool_calls": calls}, "finish_reason": "tool_calls"}
    answer = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    tools = [{"type": "function", "function": {"name": "f"}}]
    return "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": tools}, answer


def _messages(args: list[Args]) -> tuple[str, Any, Any]:
    content = [{"type": "text", "text": "so"}, *({"type": "tool_use", "id": f"c{n}", "name": "f", "input": a} for n, a in enumerate(args))]
    answer = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": "tool_use"}
    answer |= {"stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    tools = [{"name": "f", "input_schema": {"type": "object"}}]
    return "/v1/messages", {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "tools": tools}, answer


def _responses(args: list[Args]) -> tuple[str, Any, Any]:
    item = {"type": "function_call", "name": "f", "status": "completed"}
    output = [{**item, "id": f"fc_{n}", "call_id": f"c{n}", "arguments": json.dumps(a)} for n, a in enumerate(args)]
    answer = {"id": "a", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None, "output": output}
    return "/v1/responses", {"model": "m", "input": "x", "tools": [{"type": "function", "name": "f", "parameters": None}]}, answer


def _gemini(args: list[Args]) -> tuple[str, Any, Any]:
    parts = [{"text": "so"}, *({"functionCall": {"name": "f", "args": a}} for a in args)]
    answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}]}
    tools = [{"functionDeclarations": [{"name": "f"}]}]
    return "/v1beta/models/m:generateContent", {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": tools}, answer


ANSWERS: dict[str, Callable[[list[Args]], tuple[str, Any, Any]]] = {
    "openai.chat": _chat, "anthropic.messages": _messages, "openai.responses": _responses, "google.gemini": _gemini,
}  # fmt: skip
every_dialect = pytest.mark.parametrize("name", ANSWERS)


def decoded(name: str, args: list[Args]) -> tuple[Dialect, Any, WholeAnswer]:
    dialect, (path, body, answer) = DIALECTS[name], ANSWERS[name](args)
    [endpoint] = [each for each in dialect.endpoints(path) if each.method == "POST"]
    request = dialect.decode_request(json.dumps(body).encode(), {}, frozenset(), endpoint)
    return dialect, request, dialect.decode_answer(json.dumps(answer).encode(), request, Limits())


def test_every_dialect_is_looked_at() -> None:
    assert ANSWERS.keys() == DIALECTS.keys()


@every_dialect
@given(first=st.integers(0, 99), second=st.integers(0, 99), changed=st.dictionaries(st.sampled_from("ab"), st.integers(0, 99)))
def test_the_changed_call_alone_is_delivered_with_other_arguments(name: str, first: int, second: int, changed: Args) -> None:
    dialect, request, whole = decoded(name, [{"a": first}, {"a": second}])
    edited = msgspec.structs.replace(whole.calls[1], arguments=json.dumps(changed), args=changed)
    again = dialect.decode_answer(dialect.encode_answer(whole, {}, {1: edited}), request, Limits())
    assert [call.args for call in again.calls] == [{"a": first}, changed]
    assert [call.id for call in again.calls] == [call.id for call in whole.calls]
    assert again.answer.text == whole.answer.text


@every_dialect
def test_a_changed_call_beside_a_withheld_one(name: str) -> None:
    dialect, request, whole = decoded(name, [{"a": 1}, {"a": 2}])
    edited = msgspec.structs.replace(whole.calls[1], arguments='{"b":3}', args={"b": 3})
    again = dialect.decode_answer(dialect.encode_answer(whole, {0: "withheld here"}, {1: edited}), request, Limits())
    assert [call.args for call in again.calls] == [{"b": 3}]
    assert "withheld here" in again.answer.text


@every_dialect
def test_signs_of_life_are_whole_frames_that_say_nothing(name: str) -> None:
    dialect, request, _ = decoded(name, [])
    stream = dialect.stream(msgspec.structs.replace(request, stream=True), Limits(), enforcing=True)
    events = list(stream.feed(dialect.KEEP_ALIVE * 3))
    assert not [event for event in events if not hasattr(event, "raw") or getattr(event, "code", "")]
    assert dialect.KEEP_ALIVE.endswith(b"\n")
