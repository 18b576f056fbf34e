"""Calls that a person must approve, through the whole data plane and on real sockets: held, decided, delivered as judged."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import anthropic
import openai
import pytest
from google import genai

from gateway.clock import now_us
from gateway.state.approvals import Approval, Ruling
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.trace.record import Ended
from tests.patience import until

RULE = "{id: big, tools: [pay], when: args.amount > 10.0, effect: ask, message: 'Much money'}"
NEVER = "{id: never, tools: [pay], when: args.amount > 1000.0, message: 'Far too much'}"
SCHEMA = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"], "additionalProperties": False}


def policy(*rules: str) -> dict[str, str]:
    listed = "\n".join(f"- {rule}" for rule in rules)
    return {"policy.yaml": f"policy: 1\nid: bank\nagents: ['*']\nallow: [pay, look]\nrules:\n{listed}\n"}


def sse(*frames: dict[str, Any], named: bool = False) -> bytes:
    return b"".join((b"event: %s\n" % f["type"].encode() if named else b"") + b"data: " + json.dumps(f).encode() + b"\n\n" for f in frames)


def chat(args: str, stream: bool) -> tuple[str, dict[str, Any], Any]:
    tools = [{"type": "function", "function": {"name": "pay", "parameters": SCHEMA}}]
    body = {"model": "m", "messages": [{"role": "user", "content": "pay"}], "tools": tools, "stream": stream}
    call = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": args}}
    top = {"id": "a", "object": "chat.completion", "created": 1, "model": "m"}
    if not stream:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        return "/v1/chat/completions", body, {**top, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    top["object"] = "chat.completion.chunk"
    deltas = [({"role": "assistant", "tool_calls": [{"index": 0, **call}]}, None), ({}, "tool_calls")]
    chunks = [{**top, "choices": [{"index": 0, "delta": d, "finish_reason": f}]} for d, f in deltas]
    return "/v1/chat/completions", body, sse(*chunks) + b"data: [DONE]\n\n"


def messages(args: str, stream: bool) -> tuple[str, dict[str, Any], Any]:
    tools = [{"name": "pay", "input_schema": SCHEMA}]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "pay"}], "tools": tools, "stream": stream}
    pay = {"type": "tool_use", "id": "c1", "name": "pay", "input": json.loads(args)}
    answer = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": [pay], "stop_reason": "tool_use"}
    answer |= {"stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    if not stream:
        return "/v1/messages", body, answer
    frames = (
        {"type": "message_start", "message": {**answer, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {**pay, "input": {}}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": args}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    )
    return "/v1/messages", body, sse(*frames, named=True)


def responses(args: str, stream: bool) -> tuple[str, dict[str, Any], Any]:
    tools = [{"type": "function", "name": "pay", "parameters": SCHEMA}]
    body = {"model": "m", "input": [{"role": "user", "content": "pay"}], "tools": tools, "store": False, "stream": stream}
    pay = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "pay", "status": "completed", "arguments": args}
    answer = {"id": "a", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None, "output": [pay]}
    if not stream:
        return "/v1/responses", body, answer
    at = {"item_id": "fc_1", "output_index": 0}
    frames = (
        {"type": "response.created", "response": {**answer, "status": "in_progress", "output": []}},
        {"type": "response.output_item.added", "output_index": 0, "item": {**pay, "status": "in_progress", "arguments": ""}},
        {"type": "response.function_call_arguments.delta", **at, "delta": args},
        {"type": "response.function_call_arguments.done", **at, "name": "pay", "arguments": args},
        {"type": "response.output_item.done", "output_index": 0, "item": pay},
        {"type": "response.completed", "response": answer},
    )
    return "/v1/responses", body, sse(*({**f, "sequence_number": n} for n, f in enumerate(frames)), named=True)


def gemini(args: str, stream: bool) -> tuple[str, dict[str, Any], Any]:
    tools = [{"functionDeclarations": [{"name": "pay", "parametersJsonSchema": SCHEMA}]}]
    body = {"contents": [{"role": "user", "parts": [{"text": "pay"}]}], "tools": tools}
    pay = {"functionCall": {"name": "pay", "args": json.loads(args)}}
    answer = {"candidates": [{"content": {"role": "model", "parts": [pay]}, "finishReason": "STOP", "index": 0}]}
    if not stream:
        return "/v1beta/models/m:generateContent", body, answer
    return "/v1beta/models/m:streamGenerateContent?alt=sse", body, sse(answer)


WIRES = {"chat": chat, "messages": messages, "responses": responses, "gemini": gemini}
ALIVE = {"chat": b": keep-alive\n\n", "messages": b"event: ping\n", "responses": b": keep-alive\n\n", "gemini": b"\n"}
every_wire = pytest.mark.parametrize("wire", WIRES)
both_ways = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


class Scene:
    """A gateway before a provider that proposes payments, and a person beside it."""

    def __init__(self, gateway, provider) -> None:
        self.gateway, self.provider = gateway, provider
        self.store = SqliteApprovals(gateway.settings.data_path / "state.sqlite")

    def post(self, wire: str, amount: str = "50", *, stream: bool = False, **headers: str) -> str:
        path, body, answer = WIRES[wire](f'{{"amount": {amount}}}', stream)
        self.provider.answer = self.provider.sse(answer) if stream else self.provider.json(answer)
        headers |= {"anthropic-version": "2023-06-01"} if wire == "messages" else {}
        with self.gateway.client() as client:
            got = client.post(path, json=body, headers=headers)
        assert got.status_code == 200, got.text
        return got.text

    def pending(self) -> Approval:
        return until(lambda: self.store.every("pending"), what="somebody is asked")[0]

    def rule(self, approve: bool, name: str = "", **more) -> Approval:
        now = now_us()
        return self.store.rule(name or self.pending().id, Ruling(approve, "ann", now, now + 10**9, **more))

    def soon(self, approve: bool, **more) -> None:
        threading.Thread(target=lambda: (self.pending(), time.sleep(0.2), self.rule(approve, **more)), daemon=True).start()

    def calls(self) -> list:
        found = [r for r in self.gateway.records() if isinstance(r, Ended)]
        by_exchange = {r.exchange.id: list(r.calls) for r in found}
        for record in self.gateway.records():
            if hasattr(record, "call"):
                by_exchange.setdefault(record.call.exchange_id, []).append(record.call)
        return [call for calls in by_exchange.values() for call in calls]


@pytest.fixture
def scene(start, provider):
    scenes = []

    def of(*rules: str, **approvals) -> Scene:
        key = {"env": "CANARY_KEY"}
        upstreams = {
            "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": provider.base_url, "key": key},
            "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
            "google": {"dialect": "google.gemini", "base_url": provider.base_url.removesuffix("/v1"), "key": key},
        }
        gateway = start(policy(*(rules or (RULE, NEVER))), upstreams=upstreams, approvals=approvals)
        scenes.append(Scene(gateway, provider))
        return scenes[-1]

    yield of
    for each in scenes:
        each.store.close()


@every_wire
@both_ways
def test_a_held_call_is_delivered_once_a_person_has_approved_it(scene, wire, stream):
    bank = scene()
    bank.soon(True, reason="known payee")
    text = bank.post(wire, stream=stream)
    assert "50" in text
    assert "NOT executed" not in text
    [call] = bank.calls()
    assert (call.effect, call.released, call.code, call.decided_by) == ("ask", True, "approved", "ann")
    used = bank.store.find(call.approval)
    assert (used.state, used.decision, used.rule, used.message) == ("used", call.id, "big", "Much money. A person must approve this call.")


@every_wire
@both_ways
def test_a_call_that_a_person_denied_is_replaced_by_who_and_why(scene, wire, stream):
    bank = scene()
    bank.soon(False, reason="wrong payee")
    text = bank.post(wire, stream=stream)
    assert "was denied by ann and was NOT executed. ann: wrong payee" in text
    assert '"amount' not in text.replace("\\", "")
    [call] = bank.calls()
    assert (call.effect, call.released, call.code, call.decided_by) == ("deny", False, "approval_denied", "ann")
    began = time.monotonic()
    assert "ann: wrong payee" in bank.post(wire, stream=stream)
    assert time.monotonic() - began < 5, "the same call asked a person again"


@pytest.mark.parametrize("how", [RULE, NEVER + "\nlimits:\n- {id: few, tools: [pay], per: session, max: 0, effect: ask}"])
def test_a_denial_is_remembered_for_the_same_values_in_the_session_and_for_no_others(scene, how):
    bank = scene(how, hold_whole=3)
    bank.soon(False, reason="no")
    bank.post("chat", **{"x-session-id": "one"})
    assert [call.code for call in bank.calls()] == ["approval_denied"]
    bank.post("chat", **{"x-session-id": "one"})
    assert bank.store.every("pending") == [], "the same call asked a person again"
    bank.post("chat", "60", **{"x-session-id": "one"})
    bank.post("chat", **{"x-session-id": "two"})
    assert [call.code for call in bank.calls()][1:] == ["approval_denied", "approval_pending", "approval_pending"]


@every_wire
@both_ways
def test_what_nobody_decides_in_time_is_told_and_the_same_call_later_finds_the_decision(scene, wire, stream):
    bank = scene(hold=0.3, hold_whole=0.3)
    text = bank.post(wire, stream=stream)
    name = bank.pending().id
    assert f"Approval pending: {name}." in text
    bank.rule(True)
    assert name not in bank.post(wire, stream=stream)
    assert bank.store.find(name).state == "used"
    assert "Approval pending" in bank.post(wire, stream=stream)
    assert [call.code for call in bank.calls()] == ["approval_pending", "approved", "approval_pending"]


@every_wire
def test_a_held_stream_shows_signs_of_life_that_break_nothing(scene, wire):
    bank = scene(keep_alive=0.1)
    threading.Thread(target=lambda: (bank.pending(), time.sleep(1.5), bank.rule(True)), daemon=True).start()
    text = bank.post(wire, stream=True)
    assert text.count(ALIVE[wire].decode()) >= 5
    assert "50" in text


def read_by_openai(gateway) -> str:
    tools = chat("{}", True)[1]["tools"]
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
    chunks = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "pay"}], tools=tools, stream=True)
    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    return "".join(each.function.arguments or "" for each in deltas)


def read_by_openai_responses(gateway) -> str:
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
    events = client.responses.create(model="m", input="pay", tools=responses("{}", True)[1]["tools"], store=False, stream=True)
    return next(event.arguments for event in events if event.type == "response.function_call_arguments.done")


def read_by_anthropic(gateway) -> str:
    client = anthropic.Anthropic(base_url=gateway.url, api_key="none", max_retries=0)
    _, body, _ = messages("{}", True)
    with client.messages.stream(model="m", max_tokens=9, messages=body["messages"], tools=body["tools"]) as stream:
        [block] = stream.get_final_message().content
    return json.dumps(block.input)


def read_by_google(gateway) -> str:
    client = genai.Client(api_key="none", http_options={"base_url": gateway.url})
    chunks = client.models.generate_content_stream(model="m", contents="pay", config={"tools": gemini("{}", True)[1]["tools"]})
    return json.dumps(next(call.args for chunk in chunks for call in chunk.function_calls or ()))


SDKS = {"chat": read_by_openai, "messages": read_by_anthropic, "responses": read_by_openai_responses, "gemini": read_by_google}


@every_wire
def test_the_providers_own_sdk_reads_a_stream_that_was_held(scene, wire):
    bank = scene(keep_alive=0.1)
    bank.provider.answer = bank.provider.sse(WIRES[wire]('{"amount": 50}', True)[2])
    threading.Thread(target=lambda: (bank.pending(), time.sleep(0.8), bank.rule(True)), daemon=True).start()
    assert json.loads(SDKS[wire](bank.gateway)) == {"amount": 50}
    [call] = bank.calls()
    assert call.code == "approved"


def test_a_call_beside_one_that_waits_is_not_on_record_as_delivered_when_the_client_leaves(scene):
    bank = scene()
    path, body, answer = chat('{"amount": 50}', stream=False)
    calls = answer["choices"][0]["message"]["tool_calls"]
    calls.insert(0, calls[0] | {"id": "c0", "function": {"name": "pay", "arguments": '{"amount": 5}'}})
    bank.provider.answer = bank.provider.json(answer)
    bank.gateway.left(path, body, when=bank.pending)
    bank.gateway.ended()
    assert [(call.effect, call.code, call.released) for call in bank.calls()] == [
        ("allow", "not_delivered", False), ("ask", "approval_pending", False),
    ]  # fmt: skip


@every_wire
@both_ways
def test_changed_arguments_are_delivered_instead_and_recorded(scene, wire, stream):
    bank = scene()
    bank.soon(True, edited='{"amount": 20}')
    text = bank.post(wire, stream=stream)
    assert "50" not in text
    assert "20" in text
    [call] = bank.calls()
    assert (call.arguments, call.code, call.released) == ('{"amount": 20}', "approved", True)


@both_ways
@pytest.mark.parametrize(
    ("edited", "code", "why"),
    [
        ('{"amount": 2000}', "rule", "Far too much"),
        ('{"amount": "20"}', "schema", "do not fit"),
        ('{"amount": 20, "amount": 30}', "dup_key", "one key twice"),
        ("[20]", "type", "not a JSON object"),
    ],
)
def test_changed_arguments_are_judged_like_any_others(scene, edited, code, why, stream):
    bank = scene()
    bank.soon(True, edited=edited)
    text = bank.post("chat", stream=stream)
    assert "with changed arguments, but it cannot be passed on" in text
    assert why in text
    assert "tool_calls" not in text
    assert [call.code for call in bank.calls()] == [code]


def test_arguments_changed_so_that_no_rule_asks_are_delivered_as_approved(scene):
    bank = scene()
    bank.soon(True, edited='{"amount": 5}')
    assert "tool_calls" in bank.post("chat")
    assert [(call.code, call.released, call.decided_by) for call in bank.calls()] == [("approved", True, "ann")]


@pytest.mark.parametrize(("user", "released"), [("Ann", False), ("eve", True)])
def test_changed_arguments_that_want_four_eyes_are_not_approved_by_the_one_who_asks(scene, user, released):
    bank = scene(RULE, "{id: round, tools: [pay], when: args.amount == 100.0, effect: ask, four_eyes: true}")
    key = bank.gateway.plane.gateway.keys.create(agent="a", now_us=now_us(), team=None, user=user, labels={}, expires_us=None)
    bank.soon(True, edited='{"amount": 100}')
    text = bank.post("chat", authorization=f"Bearer {key}")
    assert ("tool_calls" in text) is released
    assert [call.released for call in bank.calls()] == [released]


def test_what_a_person_is_asked_says_of_which_organisation_and_team_the_key_is(scene):
    bank = scene()
    key = bank.gateway.plane.gateway.keys.create(agent="a", now_us=now_us(), team="red", org="acme")
    bank.soon(True)
    bank.post("chat", authorization=f"Bearer {key}")
    assert [(each.org, each.team) for each in bank.store.every()] == [("acme", "red")]


def test_a_call_of_free_text_cannot_be_changed(scene):
    bank = scene("{id: big, tools: [pay], effect: ask}")
    path, body, answer = chat("{}", False)
    body["tools"] = [{"type": "custom", "custom": {"name": "pay"}}]
    call = {"id": "c1", "type": "custom", "custom": {"name": "pay", "input": "fifty"}}
    answer["choices"][0]["message"]["tool_calls"] = [call]
    bank.provider.answer = bank.provider.json(answer)
    bank.soon(True, edited='{"input": "twenty"}')
    with bank.gateway.client() as client:
        message = client.post(path, json=body).json()["choices"][0]["message"]
    assert "arguments of its type cannot be changed" in message["content"]
    assert "tool_calls" not in message
    assert [call.code for call in bank.calls()] == ["not_editable"]


def test_a_remembered_value_asks_nobody_again(scene):
    bank = scene(hold=0.2, hold_whole=0.2)
    bank.post("chat")
    bank.rule(True, scope="session")
    for _ in range(3):
        assert "tool_calls" in bank.post("chat")
    assert "Approval pending" in bank.post("chat", "51")
    assert "Approval pending" in bank.post("chat", **{"x-session-id": "another"})


def test_four_eyes_is_written_on_what_is_asked(scene):
    bank = scene(RULE.replace("effect: ask", "effect: ask, four_eyes: true"), hold_whole=0)
    bank.post("chat")
    assert bank.pending().four_eyes


def test_a_client_that_leaves_is_on_record_and_its_retry_finds_the_same_approval(scene):
    bank = scene(keep_alive=0.1)
    path, body, answer = chat('{"amount": 50}', True)
    bank.provider.answer = bank.provider.sse(answer)
    with bank.gateway.client() as client, client.stream("POST", path, json=body) as got:
        next(got.iter_raw())
        first = bank.pending().id
    [ended] = bank.gateway.ended()
    assert ended.exchange.state == "client_gone"
    assert [(call.code, call.approval) for call in bank.calls()] == [("approval_pending", first)]
    bank.soon(True)
    assert "50" in bank.post("chat", stream=True)
    assert bank.store.find(first).state == "used"


def test_of_two_calls_in_one_answer_each_gets_its_own_decision(scene):
    bank = scene()
    path, body, answer = chat('{"amount": 50}', False)
    calls = answer["choices"][0]["message"]["tool_calls"]
    calls.append({"id": "c2", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 60}'}})
    bank.provider.answer = bank.provider.json(answer)

    def decide():
        until(lambda: len(bank.store.every("pending")) == 2)
        for each in bank.store.every("pending"):
            bank.rule("60" in each.arguments, each.id)

    threading.Thread(target=decide, daemon=True).start()
    with bank.gateway.client() as client:
        message = client.post(path, json=body).json()["choices"][0]["message"]
    assert [call["id"] for call in message["tool_calls"]] == ["c2"]
    assert "was denied by ann" in message["content"]


@pytest.mark.parametrize("approved", [False, True])
def test_a_question_beside_a_denial_that_would_steer_is_asked_and_the_answer_explained(start, provider, approved):
    rules = policy(RULE, NEVER)["policy.yaml"].replace("allow:", "on_deny: steer\nallow:")
    bank = Scene(start({"policy.yaml": rules}, approvals={"hold": 0.5}), provider)
    _, body, _ = messages("{}", True)
    top = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "stop_sequence": None}
    pieces = [sse({"type": "message_start", "message": {**top, "usage": {"input_tokens": 1, "output_tokens": 1}}}, named=True)]
    for at, amount in enumerate((2000, 50)):
        block = {"type": "tool_use", "id": f"c{at}", "name": "pay", "input": {}}
        delta = {"type": "input_json_delta", "partial_json": f'{{"amount": {amount}}}'}
        start = {"type": "content_block_start", "index": at, "content_block": block}
        pieces.append(sse(start, {"type": "content_block_delta", "index": at, "delta": delta}, named=True))
        pieces.append(sse({"type": "content_block_stop", "index": at}, named=True))
    end = {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 1}}
    pieces.append(sse(end, {"type": "message_stop"}, named=True))

    def post() -> str:
        provider.answer = provider.sse(*pieces, gap=0.1)
        with bank.gateway.client() as client:
            return client.post("/v1/messages", json=body, headers={"anthropic-version": "2023-06-01"}).text

    text = post()
    if approved:
        bank.rule(True)
        text = post()
    assert "Far too much" in text
    assert ("Approval pending" in text) is not approved
    assert ("50}" in text) is approved
    assert "message_stop" in text
    assert [call.code for call in bank.calls()][-2:] == ["rule", "approved" if approved else "approval_pending"]
    bank.store.close()


def test_without_a_free_seat_nothing_is_held(scene):
    bank = scene(held=0)
    began = time.monotonic()
    assert "Approval pending" in bank.post("chat")
    assert time.monotonic() - began < 10


def test_too_many_questions_are_denied_and_say_so(scene):
    bank = scene(hold_whole=0, pending=1)
    bank.post("chat")
    assert "are pending already" in bank.post("chat", "51")
    assert [call.code for call in bank.calls()] == ["approval_pending", "too_many_pending"]


def test_a_worker_that_stops_holds_nobody_back(scene):
    bank = scene()
    threading.Thread(target=lambda: (bank.pending(), bank.gateway.loop.call_soon_threadsafe(bank.gateway.plane.drain)), daemon=True).start()
    assert "Approval pending" in bank.post("chat")


def test_a_store_that_cannot_be_used_denies(scene):
    bank = scene(hold_whole=0)
    bank.gateway.plane.gateway.approvals._db.execute("DROP TABLE approvals")
    text = bank.post("chat")
    assert "The state store cannot be used" in text
    assert [(call.code, call.released) for call in bank.calls()] == [("state_unavailable", False)]
