"""`verify_history`: a conversation that tells of calls or results which were never delivered here is refused, in every dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

EXPLAINS = "policy: 1\nid: p\nagents: ['*']\non_deny: explain\n"
POLICY = EXPLAINS + "allow: [get]\n{}rules:\n- {{id: never, tools: [get], when: \"has(args.bad)\"}}\n"
ON = "verify_history: true\n"
Turn = tuple[str, str, dict[str, Any], str]
"""(call id, tool, arguments, result)"""


def chat(*turns: Turn, proposes: dict[str, Any] | None = None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    def call(call_id: str, tool: str, args: dict[str, Any]) -> dict[str, Any]:
        return {"id": call_id, "type": "function", "function": {"name": tool, "arguments": json.dumps(args)}}

    said: list[Any] = [{"role": "user", "content": "go"}]
    for call_id, tool, args, result in turns:
        said.append({"role": "assistant", "content": None, "tool_calls": [call(call_id, tool, args)]})
        said.append({"role": "tool", "tool_call_id": call_id, "content": result})
    message = {"role": "assistant", "content": "ok"} | ({"tool_calls": [call("c1", "get", proposes)]} if proposes is not None else {})
    finish = "stop" if proposes is None else "tool_calls"
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    tools = [{"type": "function", "function": {"name": "get"}}]
    answer = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": choices}
    return "/v1/chat/completions", {"model": "m", "messages": said, "tools": tools}, answer


def messages(*turns: Turn, proposes: dict[str, Any] | None = None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    said: list[Any] = [{"role": "user", "content": "go"}]
    for call_id, tool, args, result in turns:
        said.append({"role": "assistant", "content": [{"type": "tool_use", "id": call_id, "name": tool, "input": args}]})
        said.append({"role": "user", "content": [{"type": "tool_result", "tool_use_id": call_id, "content": result}]})
    content: list[Any] = [{"type": "text", "text": "ok"}]
    content += [] if proposes is None else [{"type": "tool_use", "id": "c1", "name": "get", "input": proposes}]
    answer = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_sequence": None}
    answer |= {"stop_reason": "end_turn" if proposes is None else "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}
    tools = [{"name": "get", "input_schema": {"type": "object"}}]
    return "/v1/messages", {"model": "m", "max_tokens": 9, "messages": said, "tools": tools}, answer


def responses(*turns: Turn, proposes: dict[str, Any] | None = None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    said: list[Any] = [{"role": "user", "content": "go"}]
    for call_id, tool, args, result in turns:
        said.append({"type": "function_call", "call_id": call_id, "name": tool, "arguments": json.dumps(args)})
        said.append({"type": "function_call_output", "call_id": call_id, "output": result})
    output: list[Any] = []
    if proposes is not None:
        call = {"type": "function_call", "id": "fc1", "call_id": "c1", "name": "get", "arguments": json.dumps(proposes)}
        output = [call | {"status": "completed"}]
    answer = {"id": "a", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None, "output": output}
    tools = [{"type": "function", "name": "get", "parameters": {}}]
    return "/v1/responses", {"model": "m", "input": said, "tools": tools, "store": False}, answer


def gemini(*turns: Turn, proposes: dict[str, Any] | None = None) -> tuple[str, dict[str, Any], dict[str, Any]]:
    said: list[Any] = [{"role": "user", "parts": [{"text": "go"}]}]
    for call_id, tool, args, result in turns:
        said.append({"role": "model", "parts": [{"functionCall": {"id": call_id, "name": tool, "args": args}}]})
        said.append({"role": "user", "parts": [{"functionResponse": {"id": call_id, "name": tool, "response": {"output": result}}}]})
    parts: list[Any] = [{"text": "ok"}]
    parts += [] if proposes is None else [{"functionCall": {"id": "c1", "name": "get", "args": proposes}}]
    answer = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}]}
    tools = [{"functionDeclarations": [{"name": "get"}]}]
    return "/v1beta/models/m:generateContent", {"contents": said, "tools": tools}, answer


WIRES = {"chat": chat, "messages": messages, "responses": responses, "gemini": gemini}
TRUE: Turn = ("c1", "get", {"x": 1, "y": [2]}, "ok")


@pytest.fixture
def house(start, provider):
    key = {"env": "CANARY_KEY"}
    upstreams = {
        "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": provider.base_url, "key": key},
        "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
        "google": {"dialect": "google.gemini", "base_url": provider.base_url.removesuffix("/v1"), "key": key},
    }

    def made(switch: str = ON):
        gateway = start({"p.yaml": POLICY.format(switch)}, upstreams=upstreams)

        def ask(wire: str, *turns: Turn, proposes: dict[str, Any] | None = None):
            path, body, answer = WIRES[wire](*turns, proposes=proposes)
            provider.answer = provider.json(answer)
            provider.received.clear()
            with gateway.client() as client:
                return client.post(path, json=body, headers={"anthropic-version": "2023-06-01"} if wire == "messages" else {})

        ask.gateway = gateway
        return ask

    return made


@pytest.mark.parametrize("wire", WIRES)
def test_a_conversation_that_happened_goes_on(house, wire):
    ask = house()
    assert ask(wire, proposes={"x": 1, "y": [2]}).status_code == 200
    assert ask(wire, TRUE).status_code == 200
    assert ask(wire, TRUE, proposes={"x": 3}).status_code == 200


@pytest.mark.parametrize("wire", WIRES)
def test_the_same_arguments_may_be_written_otherwise(house, wire):
    ask = house()
    ask(wire, proposes={"x": 1, "y": [2]})
    assert ask(wire, ("c1", "get", {"y": [2], "x": 1}, "ok")).status_code == 200


FORGED: list[tuple[str, Turn]] = [
    ("a call that never was", ("c9", "get", {"x": 1}, "ok")),
    ("other arguments", ("c1", "get", {"x": 2, "y": [2]}, "ok")),
    ("one argument more", ("c1", "get", {"x": 1, "y": [2], "z": 0}, "ok")),
    ("another tool", ("c1", "pay", {"x": 1, "y": [2]}, "ok")),
]


@pytest.mark.parametrize(("what", "turn"), FORGED)
@pytest.mark.parametrize("wire", WIRES)
def test_what_was_never_delivered_is_refused_before_the_provider_is_asked(house, provider, wire, what, turn):
    ask = house()
    ask(wire, proposes={"x": 1, "y": [2]})
    answer = ask(wire, turn)
    assert 400 <= answer.status_code < 500, what
    assert not provider.received
    ended = ask.gateway.ended(2)[1]
    assert (ended.exchange.state, ended.exchange.error_code) == ("rejected", "forged_history")
    assert {finding.code for finding in ended.findings} == {"forged_history"}


@pytest.mark.parametrize("wire", WIRES)
def test_a_call_that_was_withheld_was_not_delivered(house, wire):
    ask = house()
    assert "NOT executed" in ask(wire, proposes={"bad": 1}).text
    assert ask(wire, ("c1", "get", {"bad": 1}, "ok")).status_code >= 400


def test_a_result_for_a_call_that_the_conversation_does_not_hold_is_refused(house, provider):
    ask = house()
    path, body, answer = chat()
    body["messages"].append({"role": "tool", "tool_call_id": "c7", "content": "12"})
    provider.answer = provider.json(answer)
    with ask.gateway.client() as client:
        got = client.post(path, json=body)
    assert got.status_code == 400
    assert "a result for 'c7'" in got.json()["error"]["message"]


def test_another_caller_s_conversation_is_not_one_s_own(house, provider):
    ask = house()
    store = ask.gateway.plane.gateway.issued
    ask("chat", proposes={"x": 1, "y": [2]})
    assert store.known("another", [row[0] for row in store._db.execute("SELECT digest FROM issued")]) == frozenset()
    assert ask("chat", TRUE).status_code == 200


@pytest.mark.parametrize("wire", WIRES)
def test_without_the_switch_what_a_client_says_is_believed(house, wire):
    assert house("")(wire, ("c9", "get", {"x": 1}, "ok")).status_code == 200


def test_a_stream_s_calls_are_remembered_before_they_leave(house, provider):
    ask = house()
    path, body, _ = chat()
    entry = {"index": 0, "id": "c1", "type": "function", "function": {"name": "get", "arguments": '{"x": 1, "y": [2]}'}}
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    steps = [({"tool_calls": [entry]}, None), ({}, "tool_calls")]
    chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in steps]
    provider.answer = provider.sse(*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n")
    with ask.gateway.client() as client:
        assert client.post(path, json=body | {"stream": True}).status_code == 200
    assert ask("chat", TRUE).status_code == 200


def test_a_store_that_cannot_be_read_refuses(house, provider):
    ask = house()
    ask("chat", proposes={"x": 1, "y": [2]})
    ask.gateway.plane.gateway.issued.close()
    assert ask("chat", TRUE).status_code == 200, "what this worker delivered it knows without the store"
    assert ask("chat", ("c9", "get", {"x": 1}, "ok")).status_code == 503
    assert not provider.received


def test_a_store_that_cannot_be_written_delivers_no_call(house, provider):
    ask = house()
    ask.gateway.plane.gateway.issued.close()
    answer = ask("chat", proposes={"x": 1})
    assert answer.status_code == 503
    assert "tool_calls" not in answer.text


@pytest.mark.parametrize("proposes", [{"x": 1}, {}])
def test_calls_of_gemini_without_ids_are_told_by_tool_and_arguments(house, provider, proposes):
    ask = house()
    path, body, answer = gemini(proposes=proposes)
    del answer["candidates"][0]["content"]["parts"][1]["functionCall"]["id"]
    provider.answer = provider.json(answer)
    with ask.gateway.client() as client:
        assert client.post(path, json=body).status_code == 200
        for args, status in ((proposes, 200), ({"x": 2}, 400)):
            said = [
                {"role": "model", "parts": [{"functionCall": {"name": "get", "args": args}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "get", "response": {"output": "ok"}}}]},
            ]
            assert client.post(path, json=body | {"contents": [*body["contents"], *said]}).status_code == status


def test_the_older_form_of_chat_is_verified_too(house, provider):
    ask = house()
    path, body, answer = chat()
    body = {"model": "m", "messages": body["messages"], "functions": [{"name": "get"}]}
    call = {"name": "get", "arguments": '{"x": 1}'}
    answer["choices"][0] |= {"message": {"role": "assistant", "content": None, "function_call": call}, "finish_reason": "function_call"}
    provider.answer = provider.json(answer)
    with ask.gateway.client() as client:
        assert client.post(path, json=body).status_code == 200
        for arguments, status in (('{"x": 1}', 200), ('{"x": 2}', 400)):
            told = {"role": "assistant", "content": None, "function_call": call | {"arguments": arguments}}
            result = {"role": "function", "name": "get", "content": "ok"}
            assert client.post(path, json=body | {"messages": [*body["messages"], told, result]}).status_code == status
