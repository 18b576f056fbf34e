"""The way of one request through the whole data plane, on real sockets, in both dialects."""

from __future__ import annotations

import json
import os
import socket
import time
from typing import ClassVar
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.clock import Clock, mono_us, now_us
from gateway.trace.record import Decided, Ended, Opened
from tests.patience import PATIENCE_S, until

POLICY = """
policy: 1
id: test
agents: ["*"]
on_deny: explain
allow: [get_weather, read_file]
rules:
- {id: no-shadow, tools: [read_file], when: "args.path == '/etc/shadow'", message: "That file is private."}
tests:
- {name: weather, call: {get_weather: {city: Paris}}, expect: {effect: allow}}
- {name: shadow, call: {read_file: {path: /etc/shadow}}, expect: {effect: deny, rule: no-shadow}}
"""
ENFORCE = {"policy.yaml": POLICY}
TOOLS = ("get_weather", "read_file", "delete_file")


class Chat:
    """OpenAI Chat Completions, by hand."""

    path = "/v1/chat/completions"

    @staticmethod
    def request(stream: bool, **more) -> dict:
        tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in TOOLS]
        body = {
            "model": "gpt-4o-mini",
            "messages": [{"role": "system", "content": "be"}, {"role": "user", "content": "go"}],
            "tools": tools,
        }
        return body | {"stream": stream} | more

    @staticmethod
    def answer(*calls: tuple[str, dict], text: str = "Look.") -> dict:
        listed = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
            for n, (name, args) in enumerate(calls)
        ]
        message = {"role": "assistant", "content": text} | ({"tool_calls": listed} if calls else {})
        usage: ClassVar[dict[str, int]] = {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 400},
        }
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
        return {
            "id": "r1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [choice],
            "usage": usage,
        }

    @staticmethod
    def frames(*calls: tuple[str, dict], text: str = "Look.") -> list[bytes]:
        def chunk(delta: dict, finish: str | None = None, **more) -> bytes:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            body = {
                "id": "r1",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": "gpt-4o-mini",
                "choices": choices,
            } | more
            return b"data: " + json.dumps(body).encode() + b"\n\n"

        out = [chunk({"role": "assistant", "content": ""}), chunk({"content": text})]
        for n, (name, args) in enumerate(calls):
            head = {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": ""}}
            out.append(chunk({"tool_calls": [head]}))
            out += [
                chunk({"tool_calls": [{"index": n, "function": {"arguments": piece}}]}) for piece in json.dumps(args)
            ]
        out.append(chunk({}, "tool_calls" if calls else "stop"))
        usage: ClassVar[dict[str, int]] = {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 400},
        }
        out.append(chunk({}, choices=[], usage=usage))
        return [*out, b"data: [DONE]\n\n"]

    @staticmethod
    def calls(body: dict) -> list[tuple[str, dict]]:
        listed = body["choices"][0]["message"].get("tool_calls") or []
        return [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in listed]

    @staticmethod
    def streamed(data: bytes) -> tuple[str, list[tuple[str, dict]], str]:
        """(text, calls, finish reason) as a plain client reads them."""
        text, names, args, finish = "", {}, {}, ""
        for line in data.split(b"\n"):
            if not line.startswith(b"data: ") or line == b"data: [DONE]":
                continue
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
                finish = choice.get("finish_reason") or finish
                for call in choice["delta"].get("tool_calls") or []:
                    names.setdefault(call["index"], call["function"].get("name"))
                    args[call["index"]] = args.get(call["index"], "") + call["function"].get("arguments", "")
        return text, [(names[i], json.loads(args[i] or "{}")) for i in names], finish

    @staticmethod
    def error(body: dict) -> tuple[str, str]:
        return body["error"]["code"], body["error"]["message"]

    refused = 400
    finish_calls, finish_text = "tool_calls", "stop"
    headers: ClassVar[dict[str, str]] = {}


class Messages:
    """Anthropic Messages, by hand."""

    path = "/v1/messages"

    @staticmethod
    def request(stream: bool, **more) -> dict:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in TOOLS]
        body = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 100,
            "system": "be",
            "messages": [{"role": "user", "content": "go"}],
            "tools": tools,
        }
        return body | {"stream": stream} | more

    usage: ClassVar[dict[str, int]] = {
        "input_tokens": 600,
        "cache_read_input_tokens": 400,
        "cache_creation_input_tokens": 0,
        "output_tokens": 100,
    }

    @classmethod
    def answer(cls, *calls: tuple[str, dict], text: str = "Look.") -> dict:
        content = [{"type": "text", "text": text}]
        content += [
            {"type": "tool_use", "id": f"toolu_{n}", "name": name, "input": args}
            for n, (name, args) in enumerate(calls)
        ]
        head = {"id": "r1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": content}
        return head | {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None, "usage": cls.usage}

    @classmethod
    def frames(cls, *calls: tuple[str, dict], text: str = "Look.") -> list[bytes]:
        def frame(kind: str, **more) -> bytes:
            return f"event: {kind}\ndata: {json.dumps({'type': kind} | more)}\n\n".encode()

        head = {
            "id": "r1",
            "type": "message",
            "role": "assistant",
            "model": "claude-sonnet-4-5",
            "content": [],
            "stop_reason": None,
        }
        out = [
            frame("message_start", message=head | {"stop_sequence": None, "usage": cls.usage | {"output_tokens": 1}})
        ]
        out.append(frame("content_block_start", index=0, content_block={"type": "text", "text": ""}))
        out.append(frame("content_block_delta", index=0, delta={"type": "text_delta", "text": text}))
        out.append(frame("content_block_stop", index=0))
        for n, (name, args) in enumerate(calls, 1):
            block = {"type": "tool_use", "id": f"toolu_{n - 1}", "name": name, "input": {}}
            out.append(frame("content_block_start", index=n, content_block=block))
            pieces = json.dumps(args)
            out += [
                frame("content_block_delta", index=n, delta={"type": "input_json_delta", "partial_json": p})
                for p in pieces
            ]
            out.append(frame("content_block_stop", index=n))
        stop = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
        return [*out, frame("message_delta", delta=stop, usage={"output_tokens": 100}), frame("message_stop")]

    @staticmethod
    def calls(body: dict) -> list[tuple[str, dict]]:
        return [(b["name"], b["input"]) for b in body["content"] if b["type"] == "tool_use"]

    @staticmethod
    def streamed(data: bytes) -> tuple[str, list[tuple[str, dict]], str]:
        text, names, args, finish = "", {}, {}, ""
        for line in data.split(b"\n"):
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[6:])
            if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
                names[event["index"]] = event["content_block"]["name"]
            elif event["type"] == "content_block_delta":
                text += event["delta"].get("text", "")
                args[event["index"]] = args.get(event["index"], "") + event["delta"].get("partial_json", "")
            elif event["type"] == "message_delta":
                finish = event["delta"]["stop_reason"]
        return text, [(names[i], json.loads(args.get(i) or "{}")) for i in names], finish

    @staticmethod
    def error(body: dict) -> tuple[str, str]:
        assert body["type"] == "error"
        return body["error"].get("details", {}).get("error_code", ""), body["error"]["message"]

    refused = 451
    finish_calls, finish_text = "tool_use", "end_turn"
    headers: ClassVar[dict[str, str]] = {"anthropic-version": "2023-06-01"}


DIALECTS = pytest.mark.parametrize("wire", [Chat, Messages], ids=["chat", "messages"])
GOOD, BAD = ("get_weather", {"city": "Paris"}), ("delete_file", {"path": "/srv/secret-name"})


def post(gateway, wire, body, **more) -> httpx.Response:
    with gateway.client() as client:
        return client.post(wire.path, json=body, headers=wire.headers | more.pop("headers", {}), **more)


@DIALECTS
def test_a_granted_call_arrives_and_is_on_record(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.json(wire.answer(GOOD))
    answer = post(gateway, wire, wire.request(False))
    assert answer.status_code == 200
    assert wire.calls(answer.json()) == [GOOD]
    assert answer.headers["x-gateway-decision"] == "allow"
    ended = gateway.ended()[0]
    assert ended.exchange.id == answer.headers["x-gateway-trace-id"]
    assert (ended.exchange.state, ended.exchange.enforcing, ended.exchange.calls, ended.exchange.denied) == (
        "complete",
        True,
        1,
        0,
    )
    assert [(c.name, c.effect, c.released) for c in ended.calls] == [("get_weather", "allow", True)]


@DIALECTS
def test_a_denied_call_never_arrives_and_its_sibling_does(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.json(wire.answer(GOOD, BAD))
    answer = post(gateway, wire, wire.request(False))
    assert wire.calls(answer.json()) == [GOOD]
    assert b"secret-name" not in answer.content
    assert answer.headers["x-gateway-decision"].startswith("deny; id=dec_")
    assert "delete_file" in answer.text  # named in the explanation
    assert "dec_" in answer.text
    ended = gateway.ended()[0]
    assert ended.exchange.state == "denied"
    assert {(c.name, c.released, c.code) for c in ended.calls} == {
        ("get_weather", True, "granted"),
        ("delete_file", False, "not_granted"),
    }


@DIALECTS
def test_a_denied_call_in_a_stream_never_arrives_and_its_sibling_does(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(BAD, GOOD))
    answer = post(gateway, wire, wire.request(True))
    text, calls, finish = wire.streamed(answer.content)
    assert calls == [GOOD]
    assert finish == wire.finish_calls
    assert text.startswith("Look.")
    assert "delete_file" in text
    assert b"secret-name" not in answer.content
    decided = gateway.of(Decided)
    assert [(d.call.name, d.call.released) for d in decided] == [("delete_file", False), ("get_weather", True)]
    assert gateway.ended()[0].calls == ()


@DIALECTS
def test_when_all_calls_are_denied_the_answer_ends_normally(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(("read_file", {"path": "/etc/shadow"})))
    text, calls, finish = wire.streamed(post(gateway, wire, wire.request(True)).content)
    assert calls == []
    assert finish == wire.finish_text
    assert "That file is private." in text


@DIALECTS
def test_text_flows_while_the_answer_is_still_being_written(start, provider, wire):
    gateway = start(ENFORCE)
    frames = wire.frames(text="early words")
    provider.answer = provider.sse(*frames, gap=0.15)
    arrived = []
    with (
        gateway.client() as client,
        client.stream("POST", wire.path, json=wire.request(True), headers=wire.headers) as answer,
    ):
        arrived.extend((time.monotonic(), piece) for piece in answer.iter_raw())
    first = next(at for at, piece in arrived if b"early words" in piece)
    assert arrived[-1][0] - first > 0.2


@DIALECTS
def test_the_opening_and_every_decision_are_durable_before_their_bytes(start, provider, wire):
    """At the moment the client holds a byte, the journal on disk already holds what had to come before it."""
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(GOOD), gap=0.01)
    with (
        gateway.client() as client,
        client.stream("POST", wire.path, json=wire.request(True), headers=wire.headers) as answer,
    ):
        seen = b""
        for piece in answer.iter_raw():
            seen += piece
            assert gateway.of(Opened)
            if b"get_weather" in seen:
                assert [d.call.name for d in gateway.of(Decided)] == ["get_weather"]
            if b"[DONE]" in seen or b"message_stop" in seen:
                assert gateway.of(Ended)


@DIALECTS
def test_without_a_policy_every_byte_passes_untouched_and_says_unevaluated(start, provider, wire):
    gateway = start(None)
    frames = wire.frames(BAD, GOOD)
    provider.answer = provider.sse(*frames)
    asked = {"stream_options": {"include_usage": True}} if wire is Chat else {}
    answer = post(gateway, wire, wire.request(True, **asked, made_up_field=1))
    assert answer.content == b"".join(frames)
    ended = gateway.ended()[0].exchange
    assert (ended.state, ended.enforcing, ended.calls) == ("complete", False, 2)
    assert set(ended.unevaluated) == {"no_policy", "field:made_up_field"}
    assert {d.call.effect for d in gateway.of(Decided)} == {"unevaluated"}


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({}, True), ({"provider": "mistral"}, False), ({"stream_options": False}, False),
        ({"provider": "mistral", "stream_options": True}, True),
    ],
)  # fmt: skip
def test_usage_is_not_asked_for_where_that_is_refused_and_counted_all_the_same(start, provider, said, asked):
    upstream = {"dialect": "openai.chat", "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}}
    gateway = start(ENFORCE, upstreams={"up": upstream | said})
    provider.answer = provider.sse(*Chat.frames(GOOD))
    answer = post(gateway, Chat, Chat.request(True))
    assert (answer.status_code, b"prompt_tokens" in answer.content) == (200, False)
    assert ("stream_options" in json.loads(provider.received[0][1])) is asked
    assert gateway.ended()[0].exchange.output_tokens == 100


def test_usage_is_asked_for_and_hidden_from_a_client_that_did_not_ask(start, provider):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*Chat.frames(GOOD))
    answer = post(gateway, Chat, Chat.request(True))
    assert b"prompt_tokens" not in answer.content
    assert json.loads(provider.received[0][1])["stream_options"] == {"include_usage": True}
    assert gateway.ended()[0].exchange.output_tokens == 100


@DIALECTS
def test_tokens_and_cost_are_on_record_in_disjoint_classes(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames())
    post(gateway, wire, wire.request(True))
    row = gateway.ended()[0].exchange
    assert (row.input_tokens, row.cache_read_tokens, row.output_tokens) == (600, 400, 100)
    prices = {Chat: "0.00018", Messages: "0.00342"}  # per million: 0.15/0.075/0.60 and 3/0.30/15 USD
    assert float(row.cost) == pytest.approx(float(prices[wire]), rel=1e-12)
    assert row.price_version.startswith("litellm")


def test_an_unknown_model_has_no_cost_rather_than_none_of_it(start, provider):
    gateway = start(ENFORCE)
    provider.answer = provider.json(Chat.answer() | {"model": "no-such-model"})
    post(gateway, Chat, Chat.request(False, model="no-such-model"))
    row = gateway.ended()[0].exchange
    assert row.output_tokens == 100
    assert row.cost is None


def test_vectors_are_passed_on_and_priced(start, provider):
    gateway = start(ENFORCE)
    provider.answer = provider.json(
        {"object": "list", "model": "text-embedding-3-small", "data": [], "usage": {"prompt_tokens": 1000}}
    )
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "a text"})
        assert answer.status_code == 200
        assert client.post("/v1/embeddings", json={"model": "m", "input": "x", "made_up": 1}).status_code == 400
    first, _ = gateway.ended(2)
    assert (first.exchange.operation, first.exchange.input_tokens, first.exchange.prompt_hash) == (
        "embeddings",
        1000,
        None,
    )
    assert float(first.exchange.cost) == pytest.approx(0.00002)


def test_tokens_are_counted_by_the_provider(start, provider):
    gateway = start(ENFORCE)
    provider.answer = provider.json({"input_tokens": 12})
    body = Messages.request(False)
    del body["max_tokens"], body["stream"]
    with gateway.client() as client:
        answer = client.post("/v1/messages/count_tokens", json=body, headers=Messages.headers)
    assert answer.json() == {"input_tokens": 12}
    assert provider.received[0][0].startswith(b"POST /v1/messages/count_tokens ")
    assert gateway.ended()[0].exchange.operation == "count_tokens"


@DIALECTS
def test_the_list_of_models_comes_from_the_provider_whose_client_asks(start, provider, wire):
    gateway = start(ENFORCE, routes=[{"models": ["gpt-*"], "upstream": "openai"}])
    provider.answer = provider.json({"data": [{"id": "m"}]})
    with gateway.client() as client:
        answer = client.get("/v1/models?limit=1000", headers=wire.headers)
    assert answer.json() == {"data": [{"id": "m"}]}
    head = provider.received[0][0].lower()
    assert head.startswith(b"get /v1/models?limit=1000 ")
    assert (b"x-api-key" in head) == (wire is Messages)
    assert gateway.ended()[0].exchange.dialect == ("openai.chat" if wire is Chat else "anthropic.messages")


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/messages/count_tokens"])
def test_a_call_cannot_hide_in_an_answer_that_brings_none(start, provider, path):
    gateway = start(ENFORCE)
    provider.answer = provider.json(Chat.answer(BAD) if "embed" in path else Messages.answer(BAD))
    with gateway.client() as client:
        asked = {"input": "x"} if "embed" in path else {"messages": [{"role": "user", "content": "x"}]}
        answer = client.post(path, json={"model": "m"} | asked)
    assert answer.status_code == 502
    assert b"secret-name" not in answer.content


@DIALECTS
def test_the_prompt_version_stays_the_same_over_turns(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.json(wire.answer())
    for words in ("go", "go on"):
        body = wire.request(False)
        body["messages"][-1] = {"role": "user", "content": words}
        post(gateway, wire, body)
    rows = [e.exchange for e in gateway.ended(2)]
    assert rows[0].prompt_hash == rows[1].prompt_hash
    assert rows[0].prompt_hash
    assert gateway.ended(2)[0].prompt.system == "be"


@DIALECTS
def test_what_nobody_can_judge_is_refused_by_name_and_admitted_by_configuration(start, provider, wire):
    provider.answer = provider.json(wire.answer())
    gateway = start(ENFORCE)
    answer = post(gateway, wire, wire.request(False, made_up_field=1))
    assert answer.status_code == wire.refused
    _, message = wire.error(answer.json())
    assert "made_up_field" in message
    assert "allow_fields" in message
    assert not provider.received
    assert gateway.ended()[0].exchange.state == "rejected"
    dialect = "openai.chat" if wire is Chat else "anthropic.messages"
    admitting = start(ENFORCE, allow_fields={dialect: ["made_up_field"]})
    assert post(admitting, wire, wire.request(False, made_up_field=1)).status_code == 200


SEARCH = {
    Chat: ("openai.web_search", {"type": "web_search"}),
    Messages: ("anthropic.web_search", {"type": "web_search_20250305", "name": "web_search"}),
}


@DIALECTS
def test_a_tool_the_provider_runs_needs_a_grant_of_its_own(start, provider, wire):
    name, tool = SEARCH[wire]
    provider.answer = provider.json(wire.answer())
    body = wire.request(False) | {"tools": [tool]}
    gateway = start({"policy.yaml": POLICY.replace("allow: [", "default: allow\nallow: ['*', ")})
    refused = post(gateway, wire, body)
    assert refused.status_code == wire.refused
    assert name in wire.error(refused.json())[1]
    assert not provider.received
    (ended,) = gateway.ended()
    assert (ended.exchange.state, ended.exchange.error_code) == ("rejected", "server_tool_denied")
    assert [(c.name, c.type, c.released) for c in ended.calls] == [(name, "server", False)]
    granting = start({"policy.yaml": POLICY.replace("allow: [", f"allow: [{name}, ")})
    assert post(granting, wire, body).status_code == 200
    (ended,) = granting.ended()
    assert [(c.name, c.released, c.code) for c in ended.calls] == [(name, True, "granted")]
    assert ended.exchange.state == "complete"
    observing = start(None)
    assert post(observing, wire, body).status_code == 200
    assert any(note.startswith("field:tools[0]") for note in observing.ended()[0].exchange.unevaluated)


CANARY = "sk-canary-provider-key-1234"


@DIALECTS
def test_the_provider_s_key_goes_to_the_provider_and_nowhere_else(start, provider, wire, tmp_path):
    gateway = start(ENFORCE)
    provider.answer = provider.json({"error": {"message": f"bad key {CANARY}"}}, "401 Unauthorized")
    answer = post(
        gateway, wire, wire.request(False), headers={"authorization": "Bearer client-own-key", "cookie": "c=1"}
    )
    head = provider.received[0][0]
    assert CANARY.encode() in head
    assert b"client-own-key" not in head
    assert b"cookie" not in head
    assert answer.status_code == 401
    assert CANARY not in answer.text
    gateway.ended()
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()]


@DIALECTS
@pytest.mark.parametrize(("status", "said"), [(429, "slow down"), (500, "oops"), (404, "no such model")])
def test_a_provider_s_refusal_is_passed_on_in_its_own_words(start, provider, wire, status, said):
    gateway = start(ENFORCE)
    provider.answer = provider.json({"error": {"type": "x", "message": said}}, f"{status} X", "retry-after: 7\r\n")
    answer = post(gateway, wire, wire.request(True))
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, said)
    assert answer.headers["retry-after"] == "7"
    row = gateway.ended()[0].exchange
    assert (row.state, row.upstream_status, row.status) == ("upstream_error", status, status)


@DIALECTS
@pytest.mark.parametrize(
    ("raw", "media"),
    [
        (b"<html>", "text/html"),
        (b"{", "application/json"),
        (b"data: {}\n\n", "text/event-stream"),
        (b"{}", "application/json; charset=utf-16"),
    ],
)
def test_an_answer_of_another_kind_is_an_error_in_the_caller_s_dialect(start, provider, wire, raw, media):
    gateway = start(ENFORCE)
    provider.answer = provider.raw(raw, media=media)
    answer = post(gateway, wire, wire.request(False))
    assert answer.status_code == 502
    assert wire.error(answer.json())[1]
    assert gateway.ended()[0].exchange.state == "incomplete"


@DIALECTS
def test_an_error_page_behind_an_error_status_becomes_an_error_in_the_dialect(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.raw(b"<html>bad gateway</html>", "502 Bad Gateway", media="text/html")
    answer = post(gateway, wire, wire.request(False))
    assert answer.status_code == 502
    assert "502" in wire.error(answer.json())[1]


@DIALECTS
def test_a_stream_that_is_cut_ends_with_an_error_never_with_a_normal_finish(start, provider, wire):
    gateway = start(ENFORCE)
    frames = wire.frames(GOOD)
    cut = len(frames) - 8
    provider.answer = provider.sse(*frames[:cut], end=False)
    answer = post(gateway, wire, wire.request(True))
    _, calls, finish = wire.streamed(b"\n".join(line for line in answer.content.split(b"\n") if b'"error"' not in line))
    assert calls == []
    assert finish == ""
    assert b"error" in answer.content
    row = gateway.ended()[0].exchange
    assert row.state == "upstream_reset"
    assert row.calls == 0


@DIALECTS
def test_a_provider_that_ends_its_stream_early_but_politely_is_a_reset_too(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(GOOD)[:-4])
    answer = post(gateway, wire, wire.request(True))
    assert b"get_weather" not in answer.content
    assert gateway.ended()[0].exchange.state == "upstream_reset"


@DIALECTS
def test_a_provider_that_ends_its_answer_and_keeps_the_connection_is_not_waited_for(start, provider, wire, monkeypatch):
    monkeypatch.setattr("gateway.answering.streamed_answer.END_GRACE_S", 0.3)
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(GOOD), hang=True)
    started = time.monotonic()
    answer = post(gateway, wire, wire.request(True))
    assert time.monotonic() - started < 10
    assert wire.streamed(answer.content)[1:] == ([GOOD], wire.finish_calls)
    assert gateway.ended()[0].exchange.state == "complete"
    until(lambda: provider.closed == 1)


@DIALECTS
@pytest.mark.parametrize("streaming", [True, False])
def test_when_the_client_leaves_the_provider_is_left_and_the_record_says_so(start, provider, wire, streaming):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(GOOD)[:3], hang=True) if streaming else provider.silent()
    if streaming:
        with gateway.posting(wire.path, wire.request(True)) as sock:
            wait_for(sock, b"Look.")
    else:
        gateway.left(wire.path, wire.request(False), when=lambda: provider.received)
    until(lambda: provider.closed == 1, seconds=20)
    row = gateway.ended()[0].exchange
    assert row.state == "client_gone"
    until(lambda: gateway.plane.active == 0, seconds=20)


def test_a_provider_of_the_tests_counts_who_leaves_with_something_unread(provider):
    provider.answer = provider.sse(b"a", b"b", hang=True)
    address = urlsplit(provider.base_url)
    for left in range(1, 6):
        with socket.create_connection((address.hostname, address.port)) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n")
            assert sock.recv(1)
        until(lambda: provider.closed == left)  # noqa: B023 - called before the next round


def wait_for(sock: socket.socket, wanted: bytes) -> bytes:
    found = b""
    while wanted not in found:
        piece = sock.recv(65536)
        assert piece, "the connection closed"
        found += piece
    return found


@DIALECTS
def test_a_client_that_leaves_before_its_body_is_whole_is_on_record(start, provider, wire):
    gateway = start(ENFORCE)
    address = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1]))) as sock:
        sock.sendall(f"POST {wire.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{{".encode())
        time.sleep(0.1)
    assert gateway.ended()[0].exchange.state == "client_gone"


@DIALECTS
def test_a_shutdown_ends_open_streams_with_an_error_and_a_record(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(GOOD)[:3], hang=True)
    with gateway.posting(wire.path, wire.request(True)) as sock:
        wait_for(sock, b"Look.")
        gateway.loop.call_soon_threadsafe(lambda: (gateway.plane.drain(), gateway.plane.interrupt()))
        wait_for(sock, b"stopped")
    assert gateway.ended()[0].exchange.state == "interrupted"
    late = post(gateway, wire, wire.request(True))
    assert late.status_code == 503
    assert int(late.headers["retry-after"]) > 0


def send_raw(gateway, request: bytes) -> bytes:
    address = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=PATIENCE_S) as sock:
        sock.sendall(request)
        found = b""
        while not whole(found):
            piece = sock.recv(65536)
            if not piece:
                break
            found += piece
        return found


def whole(answer: bytes) -> bool:
    head, gap, body = answer.partition(b"\r\n\r\n")
    lengths = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    return bool(gap) and bool(lengths) and len(body) >= lengths[0]


@DIALECTS
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", "invalid_json"),
        (b"", "invalid_json"),
        (b"[]", "invalid_"),
        (b'{"model":"m","model":"n"}', "invalid_json"),
        (b"\xef\xbb\xbf{}", "invalid_json"),
        ("{}".encode("utf-16"), "invalid_json"),
        (b"{}", "invalid_"),
        (b'{"model": 1, "messages": []}', "invalid_"),
    ],
)
def test_a_body_without_one_meaning_is_a_bad_request_and_on_record(start, provider, wire, body, code):
    gateway = start(ENFORCE)
    with gateway.client() as client:
        answer = client.post(wire.path, content=body, headers=wire.headers)
    assert answer.status_code == 400
    assert wire.error(answer.json())[0].startswith(code)
    assert gateway.ended()[0].exchange.state == "rejected"
    assert not provider.received


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("DELETE", "/v1/messages", 405),
        ("POST", "/v1/%63hat/completions", 404),
        ("POST", "//v1/chat/completions", 404),
        ("POST", "/v1/chat/completions;x", 404),
        ("POST", "/v1/chat/completions/", 404),
        ("POST", "/v1%2fchat/completions", 404),
        ("POST", "/livez", 404),
    ],
)
@DIALECTS
def test_what_is_not_in_the_table_is_refused_in_the_client_s_dialect(start, provider, wire, method, path, status):
    gateway = start(ENFORCE)
    headers = "".join(f"{n}: {v}\r\n" for n, v in wire.headers.items())
    answer = send_raw(
        gateway, f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}content-length: 2\r\n\r\n{{}}".encode()
    )
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    if path != "/v1/chat/completions" or wire is Chat:
        assert ("type" in json.loads(answer.split(b"\r\n\r\n", 1)[1])) == (wire is Messages or "messages" in path)
    assert gateway.ended()[0].exchange.state == "rejected"


def test_a_websocket_is_answered_426(start):
    gateway = start(ENFORCE)
    upgrade = b"upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: x\r\nsec-websocket-version: 13\r\n"
    answer = send_raw(gateway, b"GET /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\n" + upgrade + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 426")
    assert gateway.ended()[0].exchange.error_code == "upgrade_required"


@DIALECTS
def test_a_body_over_the_limit_is_refused_whether_it_says_its_length_or_not(start, provider, wire):
    gateway = start(ENFORCE, limits={"body_bytes": 10_000})
    body = b"x" * 50_000
    with gateway.client() as client:
        for content in (body, iter([body[:25_000], body[25_000:]])):
            answer = client.post(wire.path, content=content, headers=wire.headers)
            assert answer.status_code == 413
            assert "10000" in wire.error(answer.json())[1]
    assert [e.exchange.state for e in gateway.ended(2)] == ["rejected"] * 2


@DIALECTS
def test_a_body_of_100_megabytes_is_refused_and_the_refusal_is_read(start, provider, wire):
    gateway = start(ENFORCE)
    with gateway.client() as client:
        answer = client.post(wire.path, content=b"x" * 100_000_000, headers=wire.headers)
    assert answer.status_code == 413


@DIALECTS
def test_a_body_that_never_comes_times_out_in_the_dialect(start, provider, wire):
    gateway = start(ENFORCE, timeouts={"body_idle": 0.2})
    answer = send_raw(
        gateway, f"POST {wire.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{{".encode()
    )
    assert answer.startswith(b"HTTP/1.1 408")
    assert gateway.ended()[0].exchange.error_code == "body_timeout"


def made_key(gateway, agent: str = "bot") -> str:
    return gateway.plane.gateway.keys.create(agent=agent, now_us=int(time.time() * 1e6))


@DIALECTS
def test_once_a_key_exists_every_caller_needs_one(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.json(wire.answer())
    assert post(gateway, wire, wire.request(False)).status_code == 200
    key = made_key(gateway)
    refused = post(gateway, wire, wire.request(False))
    assert refused.status_code == 401
    assert "tollhouse keys create" in wire.error(refused.json())[1]
    for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        assert post(gateway, wire, wire.request(False), headers=headers).status_code == 200
    rows = [e.exchange for e in gateway.ended(4)]
    assert [(r.agent, r.state) for r in rows] == [
        ("anonymous", "complete"),
        ("", "rejected"),
        ("bot", "complete"),
        ("bot", "complete"),
    ]


@DIALECTS
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"host": "evil.example:8484"},
        {"host": "127.0.0.1.evil.example"},
    ],
)
def test_without_keys_a_web_page_cannot_ask(start, provider, wire, headers):
    gateway = start(ENFORCE)
    provider.answer = provider.json(wire.answer())
    answer = post(gateway, wire, wire.request(False), headers=headers)
    assert answer.status_code == wire.refused
    assert gateway.ended()[0].exchange.error_code == "foreign_origin"
    assert not provider.received
    key = made_key(gateway)
    assert post(gateway, wire, wire.request(False), headers=headers | {"x-api-key": key}).status_code == 200


@DIALECTS
@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:80"])
def test_without_keys_this_machine_s_own_names_are_served(start, provider, wire, host):
    gateway = start(ENFORCE)
    provider.answer = provider.json(wire.answer())
    assert post(gateway, wire, wire.request(False), headers={"host": host}).status_code == 200


@DIALECTS
def test_an_unknown_and_a_revoked_key_get_the_same_answer(start, provider, wire):
    gateway = start(ENFORCE)
    key = made_key(gateway)
    gateway.plane.gateway.keys.revoke(key.split("_")[1], int(time.time() * 1e6))
    bodies = []
    for presented in (key, "th_00000000_" + "0" * 43, "sk-whatever", "' OR 1=1--"):
        answer = post(gateway, wire, wire.request(False), headers={"x-api-key": presented})
        assert answer.status_code == 401
        bodies.append(answer.json()["error"])
    assert all(body == bodies[0] for body in bodies)
    assert key not in "".join(p.read_bytes().decode("latin-1") for p in gateway.settings.data_path.rglob("*.log"))


@DIALECTS
def test_two_different_keys_are_refused(start, provider, wire):
    gateway = start(ENFORCE)
    one, two = made_key(gateway), made_key(gateway)
    answer = post(gateway, wire, wire.request(False), headers={"authorization": f"Bearer {one}", "x-api-key": two})
    assert answer.status_code == 400


def test_an_unknown_model_is_told_which_ones_there_are(start, provider):
    gateway = start(ENFORCE, routes=[{"models": ["gpt-*"], "upstream": "openai"}])
    answer = post(gateway, Chat, Chat.request(False, model="llama"))
    assert answer.status_code == 404
    assert "gpt-*" in Chat.error(answer.json())[1]
    assert gateway.ended()[0].exchange.state == "rejected"


def disk_full(monkeypatch, *, but: int = 0) -> None:
    """From now on nothing about an exchange can be written, but for the first `but` writes."""
    real, left = os.write, [but]

    def write(fd, data):
        if fd > 2 and b"exchange" in bytes(data):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)


@DIALECTS
@pytest.mark.parametrize("streaming", [True, False])
def test_a_journal_that_cannot_be_written_answers_503_and_recovers(start, provider, wire, monkeypatch, streaming):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(GOOD)) if streaming else provider.json(wire.answer(GOOD))
    assert post(gateway, wire, wire.request(streaming)).status_code == 200
    disk_full(monkeypatch)
    refused = post(gateway, wire, wire.request(streaming))
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) == 5
    assert wire.error(refused.json())[0] == "audit_unavailable"
    assert b"get_weather" not in refused.content
    monkeypatch.undo()
    assert post(gateway, wire, wire.request(streaming)).status_code == 200
    assert len(gateway.ended(2)) == 2


@DIALECTS
@pytest.mark.parametrize("written", [1, 2])
def test_a_journal_that_fails_inside_a_stream_stops_it_before_what_it_could_not_record(
    start, provider, wire, monkeypatch, written
):
    gateway = start(ENFORCE)
    provider.answer = provider.sse(*wire.frames(GOOD), gap=0.02)
    disk_full(monkeypatch, but=written)
    answer = post(gateway, wire, wire.request(True))
    assert answer.status_code == 200
    assert b"Look." in answer.content
    assert b"audit_unavailable" in answer.content
    assert (b"get_weather" in answer.content) == (written > 1)
    assert b"[DONE]" not in answer.content
    assert b"message_stop" not in answer.content


def test_a_refusal_that_cannot_be_recorded_is_a_503_too(start, provider, monkeypatch):
    gateway = start(ENFORCE)
    disk_full(monkeypatch)
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", content=b"nonsense").status_code == 503


def test_readiness_says_what_is_in_force(start):
    gateway = start(ENFORCE)
    with gateway.client() as client:
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["policy"]["hash"] == gateway.plane.gateway.policies.hash
        assert ready.json()["policy_stale"] is False
        assert client.get("/livez").json() == {"live": True}
        assert client.head("/").status_code == 200
        gateway.loop.call_soon_threadsafe(gateway.plane.drain)
        until(lambda: client.get("/readyz").status_code == 503)


@DIALECTS
def test_the_beta_parameter_and_the_dialect_s_headers_reach_the_provider(start, provider, wire):
    gateway = start(ENFORCE)
    provider.answer = provider.json(wire.answer())
    headers = {"anthropic-beta": "b1", "openai-organization": "o1", "x-forwarded-for": "1.2.3.4", "user-agent": "sdk/1"}
    post(gateway, wire, wire.request(False), params={"beta": "true", "keys": "x", "other": "1"}, headers=headers)
    head = provider.received[0][0].lower()
    assert b"?beta=true http/1.1" in head
    assert b"user-agent: sdk/1" in head
    assert (b"anthropic-beta: b1" in head) == (wire is Messages)
    assert (b"openai-organization: o1" in head) == (wire is Chat)
    assert b"x-forwarded-for" not in head
    assert b"accept-encoding: identity" in head


@DIALECTS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_call_written_as_text_arrives_and_is_a_finding(start, provider, wire, stream):
    gateway = start(ENFORCE)
    text = '<tool_call>{"name": "delete_file", "arguments": {"path": "/x"}}</tool_call>'
    provider.answer = provider.sse(*wire.frames(text=text)) if stream else provider.json(wire.answer(text=text))
    assert "tool_call" in post(gateway, wire, wire.request(stream)).text
    (finding,) = gateway.ended()[0].findings
    assert (finding.validator, finding.code, finding.severity) == ("text_calls", "text_call", "warn")


class Sleepy:
    """A clock of a machine that once stands still for a second, right after an exchange has read the date."""

    def __init__(self) -> None:
        self.armed, self._slept_us = False, 0

    def now_us(self) -> int:
        at = now_us() + self._slept_us
        if self.armed:
            self.armed, self._slept_us = False, 1_000_000
        return at

    def mono_us(self) -> int:
        return mono_us() + self._slept_us


def test_what_is_decided_lies_within_its_exchange_however_busy_the_machine_is(start, provider):
    sleepy = Sleepy()
    gateway = start(ENFORCE, clock=Clock(sleepy.now_us, sleepy.mono_us))
    with gateway.client() as client:
        for _ in range(2):
            provider.answer = provider.json(Chat.answer(("read_file", {"path": "a"})))
            sleepy.armed = True
            client.post(Chat.path, json=Chat.request(stream=False))
    for ended in gateway.ended(2):
        (call,), row = ended.calls, ended.exchange
        assert row.started_us <= call.decided_us <= row.started_us + row.duration_us
