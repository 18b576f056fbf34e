"""Calls that a gateway judged, judged again from what the book keeps of them: whatever conditions read and the book holds says the same."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from gateway.face import conversations, decisions
from gateway.policy import load, run_cases
from gateway.stores.duckdb import Ledger
from gateway.web.content import Reader
from tests.face.house import Book

NAMES = [
    *("call.id", "call.name", "call.type", "call.index", "call.dialect", "model"),
    *("caller.agent", "caller.org", "caller.team", "caller.user", "caller.key", "caller.client"),
    *("session.id", "session.source", "session.messages", "session.calls", "session.tools"),
    *("args.input", "args.to", "origin(args.to)", "origin(args.input)"),
]
CONDITIONS = [
    *("history('*').exists(h, h.name == 'note' && h.text == 'first')", "count('note') == 2", "size(history('pay')) == 1"),
    "history('note').exists(h, h.args.to == 'Ada' && h.text == 'first')",
    "history('note').exists(h, h.args.to == 'Eve' && h.text == 'second')",
]
HEAD = "policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n"
TOLD = [f"- {{id: n{n}, mode: shadow, effect: warn, message: 'it is {{{name}}}'}}" for n, name in enumerate(NAMES)]
ASKED = [f'- {{id: c{n}, mode: shadow, effect: warn, require: "!({one})"}}' for n, one in enumerate(CONDITIONS)]
POLICY = HEAD + "\n".join([*TOLD, *ASKED]) + "\n"
TEXT = '{"to": "Eve", "to": "Ada"}'
"""What a model wrote to a tool of free text: conditions see a text."""


def function(name, arguments):
    return {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def custom(name, text):
    return {"type": "custom", "custom": {"name": name, "input": text}}


LATER = [{"id": "a", **function("note", {"to": "Eve"})}, {"id": "b", **custom("pay", "all of it")}]
BEFORE = [
    {"role": "user", "content": "Pay Ada, please"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "a", **function("note", {"to": "Ada"})}]},
    {"role": "tool", "tool_call_id": "a", "content": "first"},
    {"role": "assistant", "content": None, "tool_calls": LATER},
    {"role": "tool", "tool_call_id": "a", "content": "second"},
    {"role": "tool", "tool_call_id": "b", "content": "done"},
]
"""Ids come again in later turns."""


def chat():
    """(path, request, answer): two calls, one of them of free text."""
    tools = [{"type": "function", "function": {"name": name}} for name in ("note", "get")] + [{"type": "custom", "custom": {"name": "pay"}}]
    calls = [{"id": "x0", **function("get", {"to": "Ada"})}, {"id": "x1", **custom("pay", TEXT)}]
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}
    answer = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return "/v1/chat/completions", {"model": "m", "messages": BEFORE, "tools": tools}, answer


def responses():
    call = {"type": "function_call", "call_id": "a", "name": "note", "arguments": '{"to": "Ada"}'}
    again = {**call, "arguments": '{"to": "Eve"}'}
    text = {"type": "custom_tool_call", "call_id": "b", "name": "pay", "input": "all of it"}
    results = [{"type": "function_call_output", "call_id": "a", "output": said} for said in ("first", "second")]
    last = {"type": "custom_tool_call_output", "call_id": "b", "output": "done"}
    given = [BEFORE[0], call, results[0], again, text, results[1], last]
    functions = [{"type": "function", "name": name, "parameters": {}, "strict": False} for name in ("note", "get")]
    tools = [*functions, {"type": "custom", "name": "pay"}]
    made = [
        {"type": "function_call", "id": "f", "call_id": "x0", "name": "get", "arguments": '{"to":"Ada"}', "status": "completed"},
        {"type": "custom_tool_call", "id": "t", "call_id": "x1", "name": "pay", "input": TEXT, "status": "completed"},
    ]
    answer = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": made}
    return "/v1/responses", {"model": "m", "input": given, "tools": tools, "store": False}, answer


@pytest.fixture(params=[chat, responses])
def judged(request, start, provider, tmp_path):
    """Each call with its exchange, messages and what its rules said, from the ledger."""
    path, asked, answer = request.param()
    upstreams = {"openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": provider.base_url, "key": {"env": "CANARY_KEY"}}}
    gateway = start({"p.yaml": POLICY}, storing="full", upstreams=upstreams)
    provider.answer = provider.json(answer)
    with gateway.client(headers={"user-agent": "ann's agent"}) as client:
        assert client.post(path, json=asked).status_code == 200
    gateway.ended()
    book = Book(Ledger(tmp_path / "ledger.duckdb"))
    book.apply(*gateway.records())
    reader = Reader(lambda sql, params, teams=None: book.fetch(sql, params, teams), lambda text, about: text)
    found = reader.proposals(dt.datetime(2020, 1, 1), 9)  # noqa: DTZ001 - the book's times are UTC
    said = book.fetch("SELECT decision_id, rule, error, message FROM rule_hits", {})
    yield [{**each, "hits": {hit["rule"]: hit for hit in said if hit["decision_id"] == each["call"]["id"]}} for each in found]
    book.ledger.close()


def test_what_is_on_record_of_a_call_is_what_its_conditions_saw(judged) -> None:
    policies = load({"p.yaml": POLICY.encode()})
    assert sorted(each["call"]["name"] for each in judged) == ["get", "pay"]
    for each in judged:
        said = [one for message in each["messages"] for one in conversations.one(message) or ()]
        verdict = decisions.again(policies, each["call"], each["exchange"], said)
        told = {hit.rule: (hit.error, hit.message) for hit in verdict.hits}
        assert told == {rule: (hit["error"] or False, hit["message"] or "") for rule, hit in each["hits"].items()}
        assert told["n1"] == (False, f"it is {each['call']['name']}")


def test_the_test_that_is_made_of_a_call_gives_the_tool_what_the_model_gave_it(judged) -> None:
    for each in judged:
        said = [one for message in each["messages"] for one in conversations.one(message) or ()]
        case = decisions.as_case(each["call"], each["exchange"], said)
        assert case["call"] == {"pay": {"input": TEXT}} or case["call"] == {"get": {"to": "Ada"}}
        assert [one["result"] for one in case["history"]] == ["first", "second", "done"]
        carrying = load({"p.yaml": (POLICY + "tests:\n" + decisions.as_yaml(case)).encode()})
        (result,) = run_cases(carrying).results
        assert result.case.call == case["call"]
