"""Limits through the whole data plane: of many at once exactly so many pass, and what is not delivered does not count."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from gateway.clock import now_us
from gateway.state.approvals import Ruling
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.state.sqlite_limits import SqliteLimits
from gateway.trace.record import Decided, Ended
from tests.patience import PATIENCE_S, until

HEAD = "policy: 1\nid: p\nagents: ['*']\nallow: [pay, look]\nlimits:\n"
FEW = {"p.yaml": HEAD + "- {id: few, tools: [pay], per: agent, window: 1h, max: 10}\n"}
SPEND = {"p.yaml": HEAD + "- {id: spend, tools: [pay], sum: args.amount, per: agent, window: 24h, max: 100}\n"}
SCHEMA = {"type": "object", "properties": {"amount": {"type": "number"}}}


def asked(**more):
    tools = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("pay", "look")]
    return {"model": "m", "messages": [{"role": "user", "content": "go"}], "tools": tools, **more}


def proposal(number, name, amount):
    arguments = "{}" if amount is None else json.dumps({"amount": amount})
    return {"index": number, "id": f"c{number}", "type": "function", "function": {"name": name, "arguments": arguments}}


def whole(*amounts, name="pay"):
    calls = [{k: v for k, v in proposal(n, name, a).items() if k != "index"} for n, a in enumerate(amounts)]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": None, "tool_calls": calls},
        "finish_reason": "tool_calls",
    }
    return {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}


def frame(delta, finish=None):
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return (
        b"data: "
        + json.dumps(head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}).encode()
        + b"\n\n"
    )


def streamed(*amounts):
    return [
        frame({"role": "assistant", "content": None}),
        *(frame({"tool_calls": [proposal(n, "pay", a)]}) for n, a in enumerate(amounts)),
        frame({}, "tool_calls") + b"data: [DONE]\n\n",
    ]


def ask(gateway, **more):
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=asked(**more))


def released(gateway, count):
    """What the book says of every call, once so many exchanges have ended."""
    whole = [call.released for ended in gateway.ended(count) for call in ended.calls]
    return whole + [decided.call.released for decided in gateway.of(Decided)]


def spent(gateway):
    """What the store has counted, in millionths."""
    store = SqliteLimits(gateway.settings.data_path / "state.sqlite")
    rows = store._db.execute("SELECT spent FROM limit_accounts").fetchall()
    store.close()
    return [amount for (amount,) in rows]


@pytest.mark.parametrize("stream", [False, True])
def test_of_fifty_requests_at_once_exactly_ten_get_their_call(start, provider, stream):
    gateway = start(FEW)
    provider.answer = provider.sse(*streamed(1)) if stream else provider.json(whole(1))
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask(gateway, stream=stream), range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum('"tool_calls":[' in a.text.replace(" ", "") for a in answers) == 10
    assert sum("rule few" in a.text for a in answers) == 40
    assert sorted(released(gateway, 50)) == [False] * 40 + [True] * 10
    assert spent(gateway) == [10_000_000]


def test_a_clock_that_is_set_back_and_a_restart_free_nothing(start, provider):
    provider.answer = provider.json(whole(*[1] * 10))
    first = start(FEW)
    ask(first)
    first.stop()
    second = start(FEW, data=str(first.settings.data_path))
    plane = second.plane
    now = plane.gateway.clock.now_us
    plane.gateway = replace(plane.gateway, clock=replace(plane.gateway.clock, now_us=lambda: now() - 3600 * 1_000_000))
    provider.answer = provider.json(whole(1))
    assert "rule few" in ask(second).text


def test_calls_of_one_answer_are_counted_one_by_one_and_sums_are_exact(start, provider):
    gateway = start(SPEND)
    provider.answer = provider.json(whole(0.1, 99.8, 0.2, 0.1, 0.01))
    text = ask(gateway).text
    assert released(gateway, 1) == [True, True, False, True, False]
    assert "0.1 is left, and this call takes 0.2" in text
    [ended] = gateway.ended()
    assert [(h.rule, h.effect, h.line) for h in ended.calls[2].hits] == [("allow", "allow", 4), ("spend", "deny", 6)]


def test_a_call_without_the_amount_is_denied_and_a_tool_without_limits_is_not(start, provider):
    gateway = start(SPEND)
    provider.answer = provider.json(whole(None))
    assert "missing here" in ask(gateway).text
    provider.answer = provider.json(whole(None, name="look"))
    ask(gateway)
    assert released(gateway, 2) == [False, True]


def test_a_store_that_cannot_be_used_denies_what_a_limit_concerns_and_nothing_else(start, provider):
    gateway = start(FEW)
    gateway.plane.gateway.limits.close()
    provider.answer = provider.json(whole(1))
    assert "cannot be read now" in ask(gateway).text
    provider.answer = provider.json(whole(1, name="look"))
    ask(gateway)
    calls = [ended.calls[0] for ended in gateway.ended(2)]
    assert [(call.released, call.code) for call in calls] == [(False, "policy_error"), (True, "granted")]


@pytest.mark.parametrize("stream", [False, True])
def test_calls_that_cannot_be_recorded_do_not_leave_and_do_not_count(start, provider, stream, monkeypatch):
    gateway = start(FEW)
    provider.answer = provider.sse(*streamed(1, 1)) if stream else provider.json(whole(1, 1))
    ask(gateway, stream=stream)
    assert spent(gateway) == [2_000_000]
    real = os.fdatasync

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    answer = ask(gateway, stream=stream)
    monkeypatch.setattr(os, "fdatasync", real)
    assert "audit_unavailable" in answer.text
    assert "tool_calls" not in answer.text
    assert spent(gateway) == [2_000_000]


def test_a_call_whose_stream_breaks_before_it_is_whole_does_not_count(start, provider):
    gateway = start(FEW)
    half = proposal(0, "pay", 1)
    half["function"]["arguments"] = '{"amount":'
    provider.answer = provider.sse(frame({"tool_calls": [half]}), end=False)
    ask(gateway, stream=True)
    assert gateway.ended()[0].exchange.state == "upstream_reset"
    assert spent(gateway) == []


def test_what_left_before_the_stream_broke_counts(start, provider):
    gateway = start(FEW)
    provider.answer = provider.sse(*streamed(1, 1)[:-1], frame({}, "tool_calls"), gap=0.2, end=False)
    text = ask(gateway, stream=True).text.replace(" ", "")
    assert text.count('"name":"pay"') == 2, text
    assert gateway.ended()[0].exchange.state == "upstream_reset"
    assert spent(gateway) == [2_000_000]


def test_a_policy_that_only_observes_takes_nothing_and_says_what_it_would_do(start, provider):
    gateway = start({"p.yaml": FEW["p.yaml"].replace("agents:", "mode: shadow\nagents:").replace("max: 10", "max: 1")})
    provider.answer = provider.json(whole(1, 1))
    ask(gateway)
    [ended] = gateway.of(Ended)
    assert [(call.released, call.would) for call in ended.calls] == [(True, None), (True, "deny")]


# -- tools that the provider runs -------------------------------------------------------------------------

SEARCH = {
    "p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [anthropic.web_search]\n"
    "limits:\n- {id: searches, tools: [anthropic.web_search], per: agent, window: 1h, max: 1}\n"
}
KINDS = {"web_search": "web_search_20250305", "code_execution": "code_execution_20250825"}


def search(gateway, *names):
    tools = [{"type": KINDS[name], "name": name} for name in names]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}], "tools": tools}
    with gateway.client() as client:
        return client.post("/v1/messages", json=body, headers={"anthropic-version": "2023-06-01"})


def test_a_request_counts_for_the_tools_that_the_provider_may_run_unless_it_is_refused(start, provider):
    gateway = start(SEARCH)
    content = [{"type": "text", "text": "Found."}]
    answer = {"id": "a", "type": "message", "role": "assistant", "model": "m", "content": content}
    provider.answer = provider.json(
        answer | {"stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    )
    assert "does not grant" in search(gateway, "web_search", "code_execution").text
    assert spent(gateway) == [0]
    assert search(gateway, "web_search").status_code == 200
    assert "limit searches allows 1 call per agent in 1h" in search(gateway, "web_search").text
    assert spent(gateway) == [1_000_000]
    assert len(provider.received) == 1


def test_a_provider_that_breaks_off_may_have_run_its_tool(start, provider):
    gateway = start(SEARCH)

    async def leave(reader, writer, body):
        writer.close()

    provider.answer = leave
    assert search(gateway, "web_search").status_code == 502
    assert spent(gateway) == [1_000_000]


# -- what a person approves -------------------------------------------------------------------------------

APPROVALS = {"approvals": {"hold": 0, "hold_whole": 0}}


def approve(gateway, **more):
    store = SqliteApprovals(gateway.settings.data_path / "state.sqlite")
    [pending] = store.every("pending")
    now = now_us()
    store.rule(pending.id, Ruling(True, "ann", now, now + 10**9, **more))
    store.close()


def test_a_call_beyond_a_limit_that_asks_passes_once_a_person_has_approved_it_and_counts(start, provider):
    gateway = start({"p.yaml": FEW["p.yaml"].replace("max: 10", "max: 1, effect: ask")}, **APPROVALS)
    provider.answer = provider.json(whole(1))
    assert "tool_calls" in ask(gateway).text
    assert "Approval pending" in ask(gateway).text
    assert spent(gateway) == [1_000_000]
    approve(gateway)
    assert '"tool_calls"' in ask(gateway).text
    assert spent(gateway) == [2_000_000]
    assert "Approval pending" in ask(gateway).text
    assert released(gateway, 4) == [True, False, True, False]


RULED = SPEND["p.yaml"].replace(
    "limits:", "rules:\n- {id: big, tools: [pay], when: args.amount > 50.0, effect: ask}\nlimits:"
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("edited", [None, '{"amount": 61}'])
def test_what_was_approved_is_counted_then_and_denied_when_the_limit_is_full_by_then(start, provider, stream, edited):
    gateway = start({"p.yaml": RULED}, **APPROVALS)

    def propose(amount):
        provider.answer = provider.sse(*streamed(amount)) if stream else provider.json(whole(amount))
        return ask(gateway, stream=stream).text

    assert "Approval pending" in propose(60)
    assert spent(gateway) == []
    approve(gateway, edited=edited)
    assert "tool_calls" in propose(60)
    first = 61 if edited else 60
    assert spent(gateway) == [first * 1_000_000]
    propose(30)
    assert "limit spend allows" in propose(60)
    propose(9)
    assert spent(gateway) == [(first + 39) * 1_000_000]


@pytest.mark.parametrize("edited", [None, '{"amount": 61}'])
def test_a_limit_that_fills_while_a_person_decides_denies_what_was_approved(start, provider, edited):
    gateway = start({"p.yaml": RULED}, approvals={"hold_whole": 30})
    provider.answer = provider.json(whole(60))
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(ask, gateway)
        wait_for_pending(gateway)
        provider.answer = provider.json(whole(45))
        assert '"tool_calls"' in ask(gateway).text
        approve(gateway, edited=edited)
        text = held.result(PATIENCE_S).text
    assert "Approved by ann" in text
    assert "but it cannot be passed on" in text
    assert "limit spend allows 100 of args.amount" in text
    assert '"tool_calls"' not in text
    assert spent(gateway) == [45_000_000]


def wait_for_pending(gateway):
    store = SqliteApprovals(gateway.settings.data_path / "state.sqlite")
    until(lambda: store.every("pending"), what="somebody is asked")
    store.close()
