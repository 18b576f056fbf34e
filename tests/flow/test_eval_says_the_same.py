"""`policy eval` says of a text or a call what the gateway says of the same one in a conversation: conditions see the same."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from gateway.cli.policy import app

FACTS = [
    *(f"session.messages == {n}" for n in range(1, 9)),
    *(f"session.calls == {n}" for n in range(4)),
    *("session.tools == []", "session.tools == ['get']", "session.tools == ['get', 'pay']", "size(session.tools) > 2"),
    *("user_said(['refund'])", "from_user('Ada')", "from_tool('Bob', 'get')", "from_tool('Carol', 'pay')", "read_from('odd')"),
    *("'user' in origin('Ada')", "'tool:get' in origin('Bob')", "'tool:pay' in origin('Carol')", "origin('Carol') == ['user']"),
    *("count('pay') == 1", "count('pay') == 2", "count('get') == 1", "size(history('*')) == 3"),
    "history('get').exists(h, h.text == 'Bob')",
    *("history('pay').exists(h, h.text == 'Carol')", "history('pay').exists(h, h.args.to == 'Ada')", "model == 'm'", "caller.user == null"),
]  # fmt: skip
OF_REQUESTS = [
    *(f"request.messages == {n}" for n in (1, 7)),
    *(f"request.characters == {n}" for n in (11, 35)),
    *("request.last_user == 'Carol asks'", "request.tools == []", "request.media == []", "!request.stream", "request.max_tokens == 0"),
]
OF_RESULTS = ["call.name == 'pay'", "text == 'Carol'", "result == {}"]
HOOKS = {"tool_call": FACTS, "output": FACTS, "request": [*FACTS, *OF_REQUESTS], "tool_result": [*FACTS, *OF_RESULTS]}
BEFORE = {
    "user": "Please refund Ada",
    "history": [{"call": {"pay": {"to": "Ada"}}, "result": "done"}, {"call": {"get": {}}, "result": "Bob"}, {"call": {"pay": {}}}],
    "model": "m",
}


def policy(hook):
    asked = [{"id": f"r{n}", "at": hook, "effect": "warn", "when": one} for n, one in enumerate(HOOKS[hook])]
    if hook == "output":  # what is asked of a text that is streamed must not wait for it
        asked = [{**rule, "stream": "buffer"} for rule in asked]
    return yaml.safe_dump({"policy": 1, "id": "p", "agents": ["*"], "allow": ["*"], "tools": {"get": {"labels": ["odd"]}}, "rules": asked})


def call(name, tool, args):
    return {"id": name, "type": "function", "function": {"name": tool, "arguments": json.dumps(args)}}


def messages(before):
    """The conversation as a client sends it."""
    yield {"role": "user", "content": before.get("user", "")}
    for n, earlier in enumerate(before.get("history", ())):
        ((tool, args),) = earlier["call"].items()
        yield {"role": "assistant", "content": None, "tool_calls": [call(f"h{n}", tool, args)]}
        if "result" in earlier:
            yield {"role": "tool", "tool_call_id": f"h{n}", "content": earlier["result"]}


SAID = {"tool_call": {}, "output": {}, "request": {"role": "user", "content": "Carol asks"}}
AS_ASKED = {
    "tool_call": ("--tool", "pay", "--args", '{"to": "Ada"}'),
    "output": ("--output", "Hello"),
    "request": ("--request", "Carol asks"),
    "tool_result": ("--tool", "pay", "--result", "Carol"),
}


def asked_of_the_gateway(hook, before):
    if hook == "tool_result":
        return [*messages({**before, "history": [*before.get("history", ()), {"call": {"pay": {}}, "result": "Carol"}]})]
    if hook == "request":
        return [*(messages(before) if before else ()), SAID["request"]]
    return [*messages(before)]


def answered(hook):
    said = {"role": "assistant", "content": "Hello"} if hook == "output" else {"role": "assistant", "content": None}
    if hook == "tool_call":
        said["tool_calls"] = [call("x", "pay", {"to": "Ada"})]
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls" if "tool_calls" in said else "stop"}
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def hit_in_the_gateway(hook, ended):
    """Rules that hit what was judged last; of a request each of its messages is judged, with the same facts."""
    if hook == "tool_call":
        return {hit.rule for hit in ended.calls[-1].hits} - {"allow"}
    return {one.rule for one in ended.heard if one.hook == hook}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("before", [{}, BEFORE], ids=["at the beginning", "later"])
def test_conditions_see_the_same_in_a_test_and_in_a_conversation(start, provider, tmp_path, hook, before):
    if before and hook == "tool_result":
        before = {**before, "history": before["history"][:2]}
    gateway = start({"p.yaml": policy(hook)})
    provider.answer = provider.json(answered(hook))
    tools = [{"type": "function", "function": {"name": name}} for name in ("get", "pay")] if hook != "request" else []
    with gateway.client() as client:
        body = {"model": "m", "messages": asked_of_the_gateway(hook, before), **({"tools": tools} if tools else {})}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    (ended,) = gateway.ended()
    (tmp_path / "p.yaml").write_text(policy(hook))
    (tmp_path / "before.yaml").write_text(yaml.safe_dump({"model": "m", **before}))
    options = ["--policies", str(tmp_path / "p.yaml"), "--agent", "a", "--history", str(tmp_path / "before.yaml"), "--json"]
    done = CliRunner().invoke(app, ["eval", *options, *AS_ASKED[hook]], catch_exceptions=False)
    hit = {each["rule"] for each in json.loads(done.stdout)["hits"]} - {"allow"}
    told = {f"r{n}": one for n, one in enumerate(HOOKS[hook])}
    assert sorted(told[rule] for rule in hit) == sorted(told[rule] for rule in hit_in_the_gateway(hook, ended))
    assert len(hit) >= 3
