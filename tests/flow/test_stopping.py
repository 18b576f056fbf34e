"""`on_deny: stop` and `denials: {end_session_after: N}`: the session ends for its caller until an operator resumes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import GatewayError
from gateway.state.sessions import EVERY_SESSION, whole
from gateway.trace.record import Ended

HEAD = "policy: 1\nid: bank\nagents: ['*']\nallow: [get]\n{}rules:\n- {{id: never, tools: [destroy], message: No{}}}\n"
STOP = HEAD.format("on_deny: stop\n", "")
AFTER_TWO = HEAD.format("on_deny: explain\ndenials: {end_session_after: 2}\n", "")


def chat(tool: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    tools = [{"type": "function", "function": {"name": name}} for name in ("destroy", "get")]
    call = {"id": "c1", "type": "function", "function": {"name": tool, "arguments": "{}"}}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}
    answer = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return "/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": tools}, answer


def messages(tool: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in ("destroy", "get")]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}], "tools": tools}
    answer = {"id": "a", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "stop_sequence": None}
    content = [{"type": "tool_use", "id": "c1", "name": tool, "input": {}}]
    return "/v1/messages", body, answer | {"content": content, "usage": {"input_tokens": 1, "output_tokens": 1}}


def responses(tool: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    tools = [{"type": "function", "name": name, "parameters": {}} for name in ("destroy", "get")]
    item = {"type": "function_call", "id": "fc1", "call_id": "c1", "name": tool, "arguments": "{}", "status": "completed"}
    answer = {"id": "a", "object": "response", "created_at": 1, "model": "m", "status": "completed", "error": None, "output": [item]}
    return "/v1/responses", {"model": "m", "input": "go", "tools": tools, "store": False}, answer


def gemini(tool: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    tools = [{"functionDeclarations": [{"name": name} for name in ("destroy", "get")]}]
    content = {"role": "model", "parts": [{"functionCall": {"name": tool, "args": {}}}]}
    answer = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}
    return "/v1beta/models/m:generateContent", {"contents": [{"role": "user", "parts": [{"text": "go"}]}], "tools": tools}, answer


WIRES = {"chat": (chat, 400), "messages": (messages, 451), "responses": (responses, 400), "gemini": (gemini, 400)}


class House:
    def __init__(self, start: Any, provider: Any, text: str) -> None:
        key = {"env": "CANARY_KEY"}
        upstreams = {
            "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": provider.base_url, "key": key},
            "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
            "google": {"dialect": "google.gemini", "base_url": provider.base_url.removesuffix("/v1"), "key": key},
        }
        self.provider, self.gateway = provider, start({"p.yaml": text}, upstreams=upstreams)

    def ask(self, wire: str, tool: str, session: str = "s1", **headers: str) -> Any:
        path, body, answer = WIRES[wire][0](tool)
        self.provider.answer = self.provider.json(answer)
        headers |= {"x-session-id": session} | ({"anthropic-version": "2023-06-01"} if wire == "messages" else {})
        with self.gateway.client() as client:
            return client.post(path, json=body, headers=headers)

    @property
    def sessions(self) -> Any:
        return self.gateway.plane.gateway.sessions


@pytest.fixture
def house(start, provider):
    return lambda text=STOP: House(start, provider, text)


@pytest.mark.parametrize("wire", WIRES)
def test_the_denied_call_is_explained_and_every_later_request_of_the_session_refused(house, wire):
    at = house()
    told = at.ask(wire, "destroy")
    assert told.status_code == 200
    assert "NOT executed" in told.text
    assert "session is stopped" in told.text
    asked = len(at.provider.received)
    refused = [at.ask(wire, tool) for tool in ("get", "destroy")]
    assert [answer.status_code for answer in refused] == [WIRES[wire][1]] * 2
    assert all('policy \\"bank\\" (rule never)' in answer.text and "tollhouse sessions resume" in answer.text for answer in refused)
    assert all("retry-after" not in answer.headers for answer in refused)
    assert len(at.provider.received) == asked
    ended = at.gateway.ended(3)
    assert [f.code for f in ended[0].findings] == ["session_stopped"]
    assert [(each.exchange.state, each.exchange.error_code) for each in ended[1:]] == [("rejected", "session_stopped")] * 2


@pytest.mark.parametrize("wire", ["chat", "messages"])
def test_sdks_are_told_not_to_try_a_stopped_session_again(house, wire):
    at = house()
    at.ask(wire, "destroy")
    assert at.ask(wire, "get").headers["x-should-retry"] == "false"


def test_another_session_and_another_caller_go_on(house):
    at = house()
    at.ask("chat", "destroy")
    assert at.ask("chat", "get", session="s2").status_code == 200
    key = at.gateway.plane.gateway.keys.create(agent="b", now_us=1, team=None, user=None, labels={}, expires_us=None)
    assert at.ask("chat", "get", authorization=f"Bearer {key}").status_code == 200


def test_a_stopped_session_is_of_its_organisation_and_one_of_that_name_of_another_goes_on(house):
    at = house()
    keys = [at.gateway.plane.gateway.keys.create(agent="a", now_us=1, team="red", org=org) for org in ("acme", "zeta")]
    at.ask("chat", "destroy", authorization=f"Bearer {keys[0]}")
    assert [(each.org, each.team) for each in at.sessions.every()] == [("acme", "red")]
    stopped, goes_on = (at.ask("chat", "get", authorization=f"Bearer {key}") for key in keys)
    assert (stopped.json()["error"]["code"], goes_on.status_code) == ("session_stopped", 200)


def test_one_dialect_s_stop_is_the_other_s_too(house):
    at = house()
    at.ask("chat", "destroy")
    assert at.ask("messages", "get").status_code == 451


def test_a_resumed_session_goes_on(house):
    at = house()
    at.ask("chat", "destroy")
    [stopped] = at.sessions.every()
    assert at.sessions.resume(stopped.owner, "s1", by="eve", at_us=stopped.changed_us + 1)
    assert at.ask("chat", "get").status_code == 200


def test_a_granted_call_counts_for_nothing(house):
    at = house(AFTER_TWO)
    assert [at.ask("chat", "get").status_code for _ in range(3)] == [200] * 3
    assert at.sessions.every() == []


@pytest.mark.parametrize("wire", WIRES)
def test_so_many_denials_end_a_session(house, wire):
    at = house(AFTER_TWO)
    first, second, third = [at.ask(wire, "destroy") for _ in range(3)]
    assert "session is stopped" not in first.text
    assert "session is stopped" in second.text
    assert third.status_code == WIRES[wire][1]


def test_each_round_of_a_steered_answer_counts_and_the_last_one_is_explained(house):
    at = house(HEAD.format("denials: {end_session_after: 2}\n", ""))
    told = at.ask("chat", "destroy")
    assert len(at.provider.received) == 2
    assert "session is stopped" in told.text
    assert at.ask("chat", "get").status_code == 400


def test_a_rule_of_its_own_may_stop_where_the_file_explains(house):
    at = house(HEAD.format("on_deny: explain\n", ", on_deny: stop"))
    assert "session is stopped" in at.ask("chat", "destroy").text
    assert at.ask("chat", "get").status_code == 400


def test_a_policy_in_shadow_stops_nothing(house):
    at = house(STOP.replace("allow:", "mode: shadow\nallow:"))
    assert "destroy" in at.ask("chat", "destroy").text
    assert at.ask("chat", "get").status_code == 200


def test_a_stream_is_explained_and_stopped_too(house):
    at = house()
    path, body, _ = chat("destroy")
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    entry = {"index": 0, "id": "c1", "type": "function", "function": {"name": "destroy", "arguments": "{}"}}
    steps = [({"tool_calls": [entry]}, None), ({}, "tool_calls")]
    chunks = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": end}]} for delta, end in steps]
    at.provider.answer = at.provider.sse(*(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks), b"data: [DONE]\n\n")
    with at.gateway.client() as client:
        told = client.post(path, json=body | {"stream": True}, headers={"x-session-id": "s1"})
    assert "session is stopped" in told.text
    assert at.ask("chat", "get").status_code == 400


def test_while_nobody_can_tell_whether_a_session_is_stopped_nothing_of_it_passes(house):
    at = house()
    at.sessions.close()
    assert at.ask("chat", "get").status_code == 503
    assert at.provider.received == []


def test_a_denial_that_cannot_be_counted_takes_its_answer_along(house, monkeypatch):
    at = house(AFTER_TWO)

    def broken(*_: object, **__: object) -> None:
        raise GatewayError("unavailable", "state_unavailable", "The state store cannot be used.", retry_after=5)

    monkeypatch.setattr(at.sessions, "denied", broken)
    assert at.ask("chat", "destroy").status_code == 503
    [ended] = at.gateway.ended(1)
    assert [call.released for call in ended.calls] == [False]


def test_a_session_that_is_stopped_is_on_record_with_the_decision_that_stopped_it(house):
    at = house()
    at.ask("chat", "destroy")
    [stopped] = at.sessions.every()
    [ended] = [r for r in at.gateway.records() if isinstance(r, Ended)]
    assert (stopped.exchange, stopped.decision) == (ended.exchange.id, ended.calls[0].id)


OBSERVED = STOP.replace("agents: ['*']", "agents: [nobody]")


@pytest.mark.parametrize(("wire", "text"), [*((wire, STOP) for wire in WIRES), ("chat", OBSERVED)])
def test_everything_that_comes_under_the_name_of_a_paused_agent_is_refused_until_it_goes_on(house, wire, text):
    at = house(text)
    assert at.ask(wire, "get").status_code == 200
    asked = len(at.provider.received)
    at.sessions.pause("anonymous", by="eve", why="it loops", at_us=1)
    refused = [at.ask(wire, "get", session=session) for session in ("s1", "another")]
    assert [answer.status_code for answer in refused] == [WIRES[wire][1]] * 2
    assert all("is paused by eve: it loops" in answer.text for answer in refused)
    assert len(at.provider.received) == asked
    at.sessions.resume(whole("anonymous"), EVERY_SESSION, by="eve", at_us=2)
    assert at.ask(wire, "get").status_code == 200
    assert [each.exchange.error_code for each in at.gateway.ended(4)].count("agent_paused") == 2


def test_another_agent_goes_on_while_one_is_paused(house):
    at = house()
    keys = at.gateway.plane.gateway.keys
    one, other = (keys.create(agent=agent, now_us=1, team=None, user=None, labels={}, expires_us=None) for agent in ("a", "b"))
    at.sessions.pause("a", by="eve", why="", at_us=1)
    assert at.ask("chat", "get", authorization=f"Bearer {one}").status_code == 400
    assert at.ask("chat", "get", authorization=f"Bearer {other}").status_code == 200


def test_while_nobody_can_tell_who_is_paused_the_judged_are_refused_and_the_observed_are_noted(start, provider, own_redis_server):
    away = {"state": own_redis_server.url(), "keys": "optional"}
    judged, observed = (start(text, **away) for text in ({"p.yaml": STOP}, None))
    path, body, answer = chat("get")
    provider.answer = provider.json(answer)

    def ask(gateway):
        with gateway.client() as client:
            return client.post(path, json=body, headers={"x-session-id": "s1"}).status_code

    assert [ask(judged), ask(observed)] == [200, 200]
    own_redis_server.kill()
    assert [ask(judged), ask(observed)] == [503, 200]
    noted = [[found.code for found in ended.findings if found.validator == "agent"] for ended in observed.ended(2)]
    assert noted == [[], ["pause_unknown"]]
