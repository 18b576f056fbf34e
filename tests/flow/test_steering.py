"""`on_deny: steer` and `error`: the model is told of a denial and answers anew, or the client gets an error, while nothing has left."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, ClassVar

import pytest

from gateway.trace.record import Ended
from tests.patience import PATIENCE_S

POLICY = "policy: 1\nid: bank\nagents: ['*']\nallow: [get]\non_deny: {}\nrules:\n- {{id: never, tools: [destroy], message: No.}}\n"
TOOLS = ("destroy", "get")


class Chat:
    path, refused = "/v1/chat/completions", 400
    headers: ClassVar = {}
    streamed = path

    def body(self, stream: bool, **more: Any) -> dict[str, Any]:
        tools = [{"type": "function", "function": {"name": name}} for name in TOOLS]
        return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "go"}], "tools": tools, "stream": stream} | more

    def answer(self, stream: bool, text: str, *calls: str) -> Any:
        entries = [{"index": i, "id": f"c{i}", "type": "function", "function": {"name": n, "arguments": "{}"}} for i, n in enumerate(calls)]
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        head = {"id": "a", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini"}
        finish = "tool_calls" if calls else "stop"
        if not stream:
            message = {"role": "assistant", "content": text or None} | ({"tool_calls": entries} if calls else {})
            return head | {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": usage}
        deltas = [{"role": "assistant", "content": ""}, *([{"content": text}] if text else []), *({"tool_calls": [e]} for e in entries)]
        chunks = [head | {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        chunks += [head | {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}, head | {"choices": [], "usage": usage}]
        return [*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n"]

    def told(self, body: dict[str, Any]) -> str:
        assert [m["role"] for m in body["messages"]] == ["user", "assistant", "tool"]
        assert body["messages"][1]["tool_calls"][0]["function"] == {"name": "destroy", "arguments": "{}"}
        assert body["messages"][2]["tool_call_id"] == "c0"
        return body["messages"][2]["content"]

    forced: ClassVar = {"tool_choice": "required"}


class Messages:
    path, refused = "/v1/messages", 451
    headers: ClassVar = {"anthropic-version": "2023-06-01"}
    streamed = path

    def body(self, stream: bool, **more: Any) -> dict[str, Any]:
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in TOOLS]
        asked = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}]}
        return asked | {"tools": tools, "stream": stream} | more

    def answer(self, stream: bool, text: str, *calls: str) -> Any:
        blocks: list[Any] = [{"type": "text", "text": text}] if text else []
        blocks += [{"type": "tool_use", "id": f"c{i}", "name": name, "input": {}} for i, name in enumerate(calls)]
        reason = "tool_use" if calls else "end_turn"
        head = {"id": "a", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_sequence": None}
        usage = {"input_tokens": 10, "output_tokens": 5}
        if not stream:
            return head | {"content": blocks, "stop_reason": reason, "usage": usage}
        events = [{"type": "message_start", "message": head | {"content": [], "stop_reason": None, "usage": usage}}, {"type": "ping"}]
        for at, block in enumerate(blocks):
            start = block | ({"text": ""} if block["type"] == "text" else {})
            events.append({"type": "content_block_start", "index": at, "content_block": start})
            if block["type"] == "text":
                events.append({"type": "content_block_delta", "index": at, "delta": {"type": "text_delta", "text": text}})
            events.append({"type": "content_block_stop", "index": at})
        events.append({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 5}})
        events.append({"type": "message_stop"})
        return [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]

    def told(self, body: dict[str, Any]) -> str:
        assert [m["role"] for m in body["messages"]] == ["user", "assistant", "user"]
        assert body["messages"][1]["content"][-1] == {"type": "tool_use", "id": "c0", "name": "destroy", "input": {}}
        (result,) = body["messages"][2]["content"]
        assert (result["tool_use_id"], result["is_error"]) == ("c0", True)
        return result["content"]

    forced: ClassVar = {"tool_choice": {"type": "any"}}


class Responses:
    path, refused = "/v1/responses", 400
    headers: ClassVar = {}
    streamed = path

    def body(self, stream: bool, **more: Any) -> dict[str, Any]:
        tools = [{"type": "function", "name": name, "parameters": {}} for name in TOOLS]
        return {"model": "gpt-4o-mini", "input": "go", "tools": tools, "stream": stream, "store": False} | more

    def answer(self, stream: bool, text: str, *calls: str) -> Any:
        part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        items: list[Any] = [{"type": "message", "id": "m1", "status": "completed", "role": "assistant", "content": [part]}] if text else []
        items += [
            {"type": "function_call", "id": f"fc{i}", "call_id": f"c{i}", "name": n, "arguments": "{}", "status": "completed"}
            for i, n in enumerate(calls)
        ]
        usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
        head = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o-mini", "error": None}
        done = head | {"status": "completed", "output": items, "usage": usage}
        if not stream:
            return done
        events: list[Any] = [("response.created", {"response": head | {"status": "in_progress", "output": []}})]
        for at, item in enumerate(items):
            place = {"output_index": at, "item_id": item["id"]}
            events.append(("response.output_item.added", {"output_index": at, "item": item | {"status": "in_progress"}}))
            if item["type"] == "function_call":
                events.append(("response.function_call_arguments.done", place | {"arguments": "{}"}))
            events.append(("response.output_item.done", {"output_index": at, "item": item}))
        events.append(("response.completed", {"response": done}))
        return [
            f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': n} | more)}\n\n".encode()
            for n, (kind, more) in enumerate(events)
        ]

    def told(self, body: dict[str, Any]) -> str:
        call, result = body["input"][-2:]
        assert (call["type"], call["call_id"], call["name"]) == ("function_call", "c0", "destroy")
        assert (result["type"], result["call_id"]) == ("function_call_output", "c0")
        return result["output"]

    forced: ClassVar = {"tool_choice": "required"}


class Gemini:
    path, refused = "/v1beta/models/gemini-2.5-flash:generateContent", 400
    headers: ClassVar = {}
    streamed = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"

    def body(self, stream: bool, **more: Any) -> dict[str, Any]:
        tools = [{"functionDeclarations": [{"name": name} for name in TOOLS]}]
        return {"contents": [{"role": "user", "parts": [{"text": "go"}]}], "tools": tools} | more

    def answer(self, stream: bool, text: str, *calls: str) -> Any:
        parts: list[Any] = [{"text": text}] if text else []
        parts += [{"functionCall": {"name": name, "args": {}}} for name in calls]
        head = {"modelVersion": "gemini-2.5-flash", "responseId": "r"}
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        content = {"role": "model", "parts": parts}
        if not stream:
            return head | {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}
        chunks = [head | {"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]} for part in parts]
        end = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "STOP", "index": 0}
        chunks.append(head | {"candidates": [end], "usageMetadata": usage})
        return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]

    def told(self, body: dict[str, Any]) -> str:
        assert [c["role"] for c in body["contents"]] == ["user", "model", "user"]
        assert body["contents"][1]["parts"][-1] == {"functionCall": {"name": "destroy", "args": {}}}
        return body["contents"][2]["parts"][0]["functionResponse"]["response"]["error"]

    forced: ClassVar = {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}


WIRES = {"chat": Chat(), "messages": Messages(), "responses": Responses(), "gemini": Gemini()}


@pytest.fixture(params=WIRES)
def wire(request: Any) -> Any:
    return WIRES[request.param]


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: Any) -> bool:
    return request.param


class House:
    def __init__(self, start: Any, provider: Any, on_deny: str) -> None:
        key = {"env": "CANARY_KEY"}
        upstreams = {
            "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": provider.base_url, "key": key},
            "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
            "google": {"dialect": "google.gemini", "base_url": provider.base_url.removesuffix("/v1"), "key": key},
        }
        self.provider = provider
        self.gateway = start({"p.yaml": POLICY.format(on_deny)}, upstreams=upstreams)

    def answers(self, *told: Any, gap: float = 0.0) -> None:
        """One after the other; the last one again and again."""
        made = [self.provider.sse(*one, gap=gap) if isinstance(one, list) else self.provider.json(one) for one in told]

        async def answer(reader: Any, writer: Any, body: bytes) -> None:
            await made[min(len(self.provider.received), len(made)) - 1](reader, writer, body)

        self.provider.answer = answer

    def ask(self, wire: Any, stream: bool, **more: Any) -> Any:
        with self.gateway.client() as client:
            return client.post(wire.streamed if stream else wire.path, json=wire.body(stream, **more), headers=wire.headers)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.provider.received]

    def ended(self) -> Ended:
        return self.gateway.ended()[0]


@pytest.fixture
def house(start: Any, provider: Any) -> Any:
    return lambda on_deny="steer": House(start, provider, on_deny)


def test_the_model_is_told_and_its_next_answer_is_the_client_s(house, wire, stream):
    at = house()
    at.answers(wire.answer(stream, "", "destroy"), wire.answer(stream, "Then I leave it."))
    got = at.ask(wire, stream)
    assert got.status_code == 200
    assert "Then I leave it." in got.text
    assert "NOT executed" not in got.text
    assert "destroy" not in got.text
    assert len(at.bodies()) == 2
    assert "NOT executed" in wire.told(at.bodies()[1])


def test_what_all_rounds_cost_is_on_the_record(house, wire, stream):
    at = house()
    at.answers(wire.answer(stream, "", "destroy"), wire.answer(stream, "Then not."))
    at.ask(wire, stream)
    row = at.ended().exchange
    assert (row.input_tokens, row.output_tokens) == (20, 10)
    assert [f.code for f in at.ended().findings] == ["steered"]


def test_the_next_answer_s_granted_call_arrives(house, wire, stream):
    at = house()
    at.answers(wire.answer(stream, "", "destroy"), wire.answer(stream, "", "get"))
    got = at.ask(wire, stream)
    assert "get" in got.text
    assert "NOT executed" not in got.text


def test_after_two_rounds_the_denial_is_explained(house, wire, stream):
    at = house()
    at.answers(wire.answer(stream, "", "destroy"))
    got = at.ask(wire, stream)
    assert got.status_code == 200
    assert "NOT executed" in got.text
    assert len(at.bodies()) == 3
    assert at.ended().exchange.output_tokens == 15


def test_a_granted_sibling_is_the_client_s_to_run_so_that_the_denial_is_explained(house, wire, stream):
    at = house()
    at.answers(wire.answer(stream, "", "destroy", "get"))
    got = at.ask(wire, stream)
    assert "NOT executed" in got.text
    assert "get" in got.text
    assert len(at.bodies()) == 1


def test_a_forced_call_is_not_asked_for_again(house, wire, stream):
    at = house()
    at.answers(wire.answer(stream, "", "destroy"))
    assert "NOT executed" in at.ask(wire, stream, **wire.forced).text
    assert len(at.bodies()) == 1


def test_where_words_have_left_the_denial_is_explained(house, wire):
    at = house()
    at.answers(wire.answer(True, "I do it.", "destroy"), gap=0.03)
    got = at.ask(wire, True)
    assert "I do it." in got.text
    assert "NOT executed" in got.text
    assert len(at.bodies()) == 1


def test_of_a_whole_answer_the_model_s_words_go_along(house, wire):
    at = house()
    at.answers(wire.answer(False, "I do it.", "destroy"), wire.answer(False, "Then not."))
    got = at.ask(wire, False)
    assert "Then not." in got.text
    assert "I do it." in json.dumps(at.bodies()[1])
    assert "I do it." not in got.text


@pytest.mark.parametrize("status", ["400 Bad", "529 Overloaded"])
def test_a_provider_that_does_not_take_it_leaves_the_explanation(house, wire, stream, status):
    at = house()
    at.answers(wire.answer(stream, "", "destroy"))
    first = at.provider.answer

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        refusal = at.provider.json({"error": {"message": "no"}}, status)
        await (first if len(at.provider.received) == 1 else refusal)(reader, writer, body)

    at.provider.answer = answer
    got = at.ask(wire, stream)
    assert got.status_code == 200
    assert "NOT executed" in got.text
    assert [f.code for f in at.ended().findings] == ["not_steered"]


def test_an_error_in_the_dialect_s_own_form(house, wire, stream):
    at = house("error")
    at.answers(wire.answer(stream, "", "destroy"))
    got = at.ask(wire, stream)
    assert got.status_code == wire.refused
    assert "NOT executed" in got.json()["error"]["message"]
    assert at.ended().exchange.error_code == "policy_denied"


def test_an_error_never_comes_behind_words(house, wire):
    at = house("error")
    at.answers(wire.answer(True, "I do it.", "destroy"), gap=0.03)
    got = at.ask(wire, True)
    assert got.status_code == 200
    assert "NOT executed" in got.text


def test_a_stream_of_words_flows_although_a_denial_might_steer(house, wire):
    at = house()
    at.answers(wire.answer(True, "Hello there."))
    got = at.ask(wire, True)
    assert "Hello there." in got.text
    assert len(at.bodies()) == 1


def test_a_response_that_the_provider_keeps_is_built_upon(house):
    at, wire = house(), WIRES["responses"]
    at.answers(wire.answer(False, "", "destroy"), wire.answer(False, "Then not."))
    at.ask(wire, False, store=True)
    again = at.bodies()[1]
    assert again["previous_response_id"] == "resp_1"
    assert [item["type"] for item in again["input"]] == ["function_call_output"]


def test_a_model_that_must_think_and_shows_no_thoughts_is_not_asked_again(house):
    at, wire = house(), WIRES["messages"]
    at.answers(wire.answer(False, "", "destroy"))
    got = at.ask(wire, False, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=2048)
    assert "NOT executed" in got.text
    assert len(at.bodies()) == 1


THOUGHT = {"type": "thinking", "thinking": "", "signature": "c2lnbmVk"}
"""Thoughts that newer models keep to themselves: nothing but a signature."""


def thinking_first(wire: Any, stream: bool) -> Any:
    """An answer that proposes to destroy, with what the provider wants back with it."""
    answer = wire.answer(stream, "", "destroy")
    if wire.path == Messages.path and not stream:
        return answer | {"content": [THOUGHT, *answer["content"]]}
    if wire.path == Messages.path:
        events = [
            {"type": "content_block_start", "index": 0, "content_block": THOUGHT | {"signature": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "bmVk"}},
            {"type": "content_block_stop", "index": 0},
        ]
        thought = [f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events]
        behind = [piece.replace(b'"index": 0', b'"index": 1') for piece in answer[2:]]
        return [*answer[:2], *thought, *behind]
    beside = {
        Chat.path: (b'"id": "c0", ', b'"extra_content": {"google": {"thought_signature": "c2lnbmVk"}}, "id": "c0", '),
        Gemini.path: (b'{"functionCall"', b'{"thoughtSignature": "c2lnbmVk", "functionCall"'),
    }
    signed = [piece.replace(*beside[wire.path]) for piece in (answer if stream else [json.dumps(answer).encode()])]
    return signed if stream else json.loads(signed[0])


@pytest.mark.parametrize(
    "wire", [WIRES["chat"], WIRES["messages"], WIRES["gemini"]], ids=["chat", "messages", "gemini"]
)
def test_a_model_that_thought_gets_its_signature_back_and_carries_on(house, wire, stream):
    at = house()
    at.answers(thinking_first(wire, stream), wire.answer(stream, "Then I leave it."))
    got = at.ask(wire, stream)
    assert "Then I leave it." in got.text
    assert "c2ln" not in got.text
    again = json.dumps(at.bodies()[1])
    assert again.count("c2lnbmVk") == 1
    assert again.index("c2lnbmVk") < again.index("NOT executed")


def test_a_stream_that_shows_thoughts_has_spoken(house):
    at, wire = house(), WIRES["messages"]
    shown = [piece.replace(b'"thinking": ""', b'"thinking": "Hm."') for piece in thinking_first(wire, True)]
    at.answers(shown, gap=0.03)
    got = at.ask(wire, True)
    assert "Hm." in got.text
    assert "NOT executed" in got.text
    assert len(at.bodies()) == 1


@pytest.mark.parametrize(("rule", "file", "rounds"), [("steer", "explain", 2), ("explain", "steer", 1)])
def test_a_rule_s_own_word_counts_before_its_file_s(start, provider, rule, file, rounds):
    at = House(start, provider, file)
    wire = WIRES["chat"]
    at.gateway.stop()
    text = POLICY.format(file).replace("message: No.", f"message: No., on_deny: {rule}")
    at.gateway = start({"p.yaml": text})
    at.answers(wire.answer(False, "", "destroy"), wire.answer(False, "Then not."))
    at.ask(wire, False)
    assert len(at.bodies()) == rounds


def test_an_error_never_takes_a_granted_call_with_it(house, wire, stream):
    at = house("error")
    at.answers(wire.answer(stream, "", "destroy", "get"))
    got = at.ask(wire, stream)
    assert got.status_code == 200
    assert "NOT executed" in got.text
    assert "get" in got.text


def test_an_error_for_a_denial_ends_the_exchange_as_denied(house, wire, stream):
    at = house("error")
    at.answers(wire.answer(stream, "", "destroy"))
    at.ask(wire, stream)
    assert at.ended().exchange.state == "denied"


def test_a_second_answer_in_one_piece_is_the_one_on_record(house, wire):
    """Some servers answer a streamed request with one piece: nothing of the first answer may stand for it."""
    at = house()
    at.answers(wire.answer(True, "", "destroy"), wire.answer(False, "Then not."))
    got = at.ask(wire, True)
    assert "Then not." in got.text
    row = at.ended().exchange
    assert (row.input_tokens, row.output_tokens) == (20, 10)
    assert row.output_preview == "Then not."


BROKEN: list[tuple[str, Any]] = [
    ("cut off in its middle", b"{"),
    ("an error that the provider reports", b'{"error": {"message": "overloaded", "type": "overloaded_error"}}'),
    ("no answer at all", b"[]"),
]


@pytest.mark.parametrize(("what", "second"), BROKEN)
def test_a_second_answer_that_comes_to_nothing_leaves_the_explanation_and_its_cost_unknown(house, wire, stream, what, second):
    at = house()
    at.answers(wire.answer(stream, "", "destroy"), second)
    got = at.ask(wire, stream)
    assert got.status_code == 200, what
    assert "NOT executed" in got.text
    assert len(at.bodies()) == 2
    ended = at.ended()
    assert (ended.exchange.state, ended.exchange.output_tokens) == ("denied", None)
    assert [f.code for f in ended.findings] == ["steered", "not_steered"]


def test_a_second_stream_that_breaks_off_before_a_word_leaves_the_first_one_s_explanation(house, wire):
    at = house()
    second = wire.answer(True, "Then not.")[:1] if wire.path != Gemini.path else [b": nothing yet\n\n"]
    at.answers(wire.answer(True, "", "destroy"), second)
    got = at.ask(wire, True)
    assert got.status_code == 200
    assert "NOT executed" in got.text
    assert at.ended().exchange.state == "denied"


def test_a_second_stream_that_breaks_off_behind_words_ends_as_any_stream_does(house, wire):
    at = house()
    first, second = wire.answer(True, "", "destroy"), wire.answer(True, "Then I leave it.")
    words = next(at for at, piece in enumerate(second) if b"Then I leave it." in piece)
    at.answers(first, [*second[: words + 1], b": still here\n\n"], gap=0.03)
    got = at.ask(wire, True)
    assert got.status_code == 200
    assert "Then I leave it." in got.text
    assert "NOT executed" not in got.text
    assert at.ended().exchange.state == "upstream_reset"


def test_after_a_second_answer_that_failed_the_first_one_is_the_one_that_the_provider_keeps(house):
    at, wire = house(), WIRES["responses"]
    at.answers(wire.answer(False, "", "destroy"), b"{", wire.answer(False, "And now?"))
    assert "NOT executed" in at.ask(wire, False, store=True).text
    assert at.ask(wire, False, previous_response_id="resp_1", store=True).status_code == 200
    told = at.bodies()[2]["input"]
    assert next(item["type"] for item in told if isinstance(item, dict)) == "function_call_output"


def test_a_provider_that_refuses_the_second_question_is_not_the_status_on_record(house, provider, wire):
    at = house()
    at.answers(wire.answer(False, "", "destroy"))
    first = at.provider.answer

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        refusal = at.provider.json({"error": {"message": "no"}}, "529 Busy")
        await (first if len(at.provider.received) == 1 else refusal)(reader, writer, body)

    at.provider.answer = answer
    assert at.ask(wire, False).status_code == 200
    assert at.ended().exchange.upstream_status == 200


@pytest.mark.parametrize("name", ["chat", "messages", "responses"])
def test_an_answer_is_not_kept_from_beginning_for_long(house, monkeypatch, name):
    """Clients give up on an answer that never begins; once it has, a denial is explained."""
    monkeypatch.setattr("gateway.answering.streamed_answer.OPENING_S", 0.0)
    at, wire = house(), WIRES[name]
    at.answers(wire.answer(True, "", "destroy"), gap=0.03)
    assert "NOT executed" in at.ask(wire, True).text
    assert len(at.bodies()) == 1


@pytest.mark.parametrize("name", ["chat", "messages", "responses"])
def test_an_answer_begins_in_time_although_its_provider_falls_silent(house, monkeypatch, name):
    """A model that thinks for minutes and says nothing of it sends its first events at once, and then none."""
    monkeypatch.setattr("gateway.answering.streamed_answer.OPENING_S", 0.2)
    at, wire = house(), WIRES[name]
    first, *rest = wire.answer(True, "Done.")
    begun = threading.Event()

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + first)
        await writer.drain()
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        writer.write(b"".join(rest))
        await writer.drain()

    at.provider.answer = answer
    with at.gateway.client() as client, client.stream("POST", wire.streamed, json=wire.body(True), headers=wire.headers) as got:
        pieces = got.iter_raw()
        assert next(pieces) in first
        begun.set()
        assert b"Done." in b"".join(pieces)
    assert at.ended().exchange.state == "complete"
