"""A call with something taken out of it arrives as it was judged, in four dialects, whole and streamed, and the book has it so."""

from __future__ import annotations

import json
import threading

import pytest

from gateway.clock import now_us
from gateway.state.approvals import Ruling
from gateway.state.sqlite_approvals import SqliteApprovals
from tests.patience import until

CARD = "4111 1111 1111 1111"
POLICY = "policy: 1\nid: p\nagents: ['*']\nallow: [note]\nrules:\n- {id: mask, tools: [note], detect: [card], effect: redact}\n"
ARGS = {"text": f"paid with {CARD}, ok"}
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "additionalProperties": False}
USAGE = {"input_tokens": 1, "output_tokens": 1}


def lines(*frames, named=False):
    return b"".join((b"event: %s\n" % f["type"].encode() if named else b"") + b"data: " + json.dumps(f).encode() + b"\n\n" for f in frames)


def chat(args, stream):
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "stream": stream}
    body["tools"] = [{"type": "function", "function": {"name": "note", "parameters": SCHEMA}}]
    call = {"id": "c1", "type": "function", "function": {"name": "note", "arguments": json.dumps(args)}}
    top = {"id": "a", "object": "chat.completion", "created": 1, "model": "m"}
    if not stream:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return "/v1/chat/completions", body, top | {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    top["object"] = "chat.completion.chunk"
    whole, half = json.dumps(args), len(json.dumps(args)) // 2
    first = call | {"function": {"name": "note", "arguments": whole[:half]}}
    deltas = [({"role": "assistant", "tool_calls": [{"index": 0, **first}]}, None)]
    deltas += [({"tool_calls": [{"index": 0, "function": {"arguments": whole[half:]}}]}, None), ({}, "tool_calls")]
    chunks = [top | {"choices": [{"index": 0, "delta": d, "finish_reason": f}]} for d, f in deltas]
    return "/v1/chat/completions", body, lines(*chunks) + b"data: [DONE]\n\n"


def messages(args, stream):
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}], "stream": stream}
    body["tools"] = [{"name": "note", "input_schema": SCHEMA}]
    used = {"type": "tool_use", "id": "c1", "name": "note", "input": args}
    top = {"id": "a", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None, "usage": USAGE}
    if not stream:
        return "/v1/messages", body, top | {"content": [used], "stop_reason": "tool_use"}
    frames = (
        {"type": "message_start", "message": top | {"content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": used | {"input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": json.dumps(args)}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )
    return "/v1/messages", body, lines(*frames, named=True)


def responses(args, stream):
    body = {"model": "m", "input": "go", "store": False, "stream": stream}
    body["tools"] = [{"type": "function", "name": "note", "parameters": SCHEMA}]
    item = {"type": "function_call", "id": "fc1", "call_id": "c1", "name": "note", "arguments": json.dumps(args), "status": "completed"}
    top = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [item]}
    if not stream:
        return "/v1/responses", body, top
    begun = top | {"status": "in_progress", "output": []}
    events = (
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item | {"arguments": "", "status": "in_progress"}},
        {"type": "response.function_call_arguments.delta", "item_id": "fc1", "output_index": 0, "delta": item["arguments"]},
        {"type": "response.function_call_arguments.done", "item_id": "fc1", "output_index": 0, "arguments": item["arguments"]},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": top},
    )
    return "/v1/responses", body, lines(*({**e, "sequence_number": n} for n, e in enumerate(events)), named=True)


def gemini(args, stream):
    body = {"contents": [{"role": "user", "parts": [{"text": "go"}]}]}
    body["tools"] = [{"functionDeclarations": [{"name": "note", "parametersJsonSchema": SCHEMA}]}]
    part = {"functionCall": {"name": "note", "args": args}}
    top = {"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}], "modelVersion": "m"}
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/m:{verb}", body, lines(top) if stream else top


WIRES = {"chat": chat, "messages": messages, "responses": responses, "gemini": gemini}
NAMES = {"chat": "openai.chat", "messages": "anthropic.messages", "responses": "openai.responses", "gemini": "google.gemini"}


@pytest.fixture
def ask(start, provider):
    def of(wire, stream, policy=POLICY, args=ARGS, change=lambda body: body, before=lambda gateway: None, **settings):
        base = provider.base_url
        upstreams = {
            name: {"dialect": dialect, "base_url": base.removesuffix("/v1") if name == "gemini" else base, "key": {"env": "CANARY_KEY"}}
            for name, dialect in NAMES.items()
        }
        gateway = start({"p.yaml": policy}, upstreams=upstreams, **settings)
        path, body, answer = WIRES[wire](args, stream)
        provider.answer = provider.sse(answer) if stream else provider.json(answer)
        before(gateway)
        with gateway.client() as client:
            return client.post(path, json=change(body)), gateway

    return of


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@BOTH
@pytest.mark.parametrize("wire", WIRES)
def test_the_call_is_delivered_without_what_comes_out_and_recorded_so(ask, wire, stream):
    answer, gateway = ask(wire, stream)
    assert answer.status_code == 200
    assert "paid with [card], ok" in answer.text
    assert CARD not in answer.text
    ended = gateway.ended()[0]
    row = ([*ended.calls] or [decided.call for decided in gateway.records() if type(decided).__name__ == "Decided"])[0]
    assert (row.effect, row.released, row.code, row.rule) == ("redact", True, "redacted", "mask")
    assert "[card]" in row.arguments
    assert [(hit.rule, hit.effect) for hit in row.hits] == [("mask", "redact"), ("allow", "allow")]
    [finding] = ended.findings
    assert (finding.code, finding.path) == ("redacted", "calls[0]")
    assert CARD not in str(ended)
    assert ended.exchange.state == "complete"


@BOTH
def test_what_does_not_fit_the_schema_afterwards_is_denied(ask, stream):
    def narrow(body):
        body["tools"][0]["function"]["parameters"] = {"type": "object", "properties": {"text": {"type": "string", "pattern": "1111"}}}
        return body

    answer, _ = ask("chat", stream, change=narrow)
    assert "NOT executed" in answer.text
    assert CARD not in answer.text
    assert "does not fit the tool's declared schema" in answer.text


@BOTH
def test_who_is_asked_sees_the_redacted_call_and_it_is_delivered_once_approved(ask, stream):
    policy = POLICY + "- {id: shy, tools: [note], effect: ask}\n"
    seen = []

    def approve(gateway):
        def soon():
            store = SqliteApprovals(gateway.settings.data_path / "state.sqlite")
            pending = until(lambda: store.every("pending"))
            seen.extend(each.arguments for each in pending)
            store.rule(pending[0].id, Ruling(True, "ann", now_us(), now_us() + 10**9))
            store.close()

        threading.Thread(target=soon, daemon=True).start()

    answer, gateway = ask("chat", stream, policy, before=approve, approvals={"hold": 8, "hold_whole": 8})
    assert [json.loads(arguments) for arguments in seen] == [{"text": "paid with [card], ok"}]
    assert "paid with [card], ok" in answer.text
    assert gateway.ended()[0].exchange.state == "complete"


def test_a_call_of_free_text_cannot_be_written_anew_and_is_denied(ask):
    def custom(body):
        return body | {"tools": [{"type": "custom", "custom": {"name": "note"}}]}

    def free(args, stream):
        path, body, answer = chat(args, stream)
        call = {"id": "c1", "type": "custom", "custom": {"name": "note", "input": f"say {CARD}"}}
        answer["choices"][0]["message"]["tool_calls"] = [call]
        return path, body, answer

    WIRES["free"] = free
    try:
        answer, gateway = ask("free", False, change=custom)
    finally:
        del WIRES["free"]
    assert CARD not in answer.text
    assert gateway.ended()[0].calls[0].code == "not_redactable"
