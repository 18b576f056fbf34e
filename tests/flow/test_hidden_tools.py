"""`hide_denied`: the provider is not shown tools that no policy grants; what comes back is judged as ever."""

from __future__ import annotations

import json

import pytest

EXPLAINS = "policy: 1\nid: p\nagents: ['*']\non_deny: explain\n"
POLICY = EXPLAINS + "allow: [get_*, ask_me]\n{}rules:\n- {{id: person, tools: [ask_me], effect: ask}}\n"
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("get_it", "destroy", "ask_me")]


@pytest.fixture
def ask(start, provider):
    def of(switch: str, proposes: str = "get_it", tools=TOOLS, **more):
        gateway = start({"p.yaml": POLICY.format(switch)})
        call = {"id": "c", "type": "function", "function": {"name": proposes, "arguments": "{}"}}
        choices = [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}]
        provider.answer = provider.json({"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": choices})
        body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": tools} | more
        with gateway.client() as client:
            answer = client.post("/v1/chat/completions", json=body)
        sent = json.loads(provider.received[0][1])
        return answer, [tool["function"]["name"] for tool in sent.get("tools", [])], gateway.ended()[0]

    return of


def test_what_no_policy_grants_is_not_shown_and_the_record_says_so(ask):
    _, shown, ended = ask("hide_denied: true\n")
    assert shown == ["get_it", "ask_me"]
    assert [(f.code, f.detail) for f in ended.findings] == [("hidden_tools", "left out of the request: destroy")]


def test_a_call_of_a_hidden_tool_is_denied_all_the_same(ask):
    answer, _, ended = ask("hide_denied: true\n", proposes="destroy")
    assert "NOT executed" in answer.text
    assert ended.calls[0].code == "not_granted"


def test_without_the_switch_the_request_leaves_as_it_came(ask):
    _, shown, ended = ask("")
    assert shown == ["get_it", "destroy", "ask_me"]
    assert ended.findings == ()


def test_a_policy_that_only_records_hides_nothing(ask):
    assert ask("mode: shadow\nhide_denied: true\n")[1] == ["get_it", "destroy", "ask_me"]
