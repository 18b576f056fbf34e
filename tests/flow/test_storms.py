"""When providers fail for many requests at once, on real sockets: what a route does about it, and what a mirror does. One request whose
provider fails is `test_cut_answers.py`."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from gateway.trace.record import Mirrored
from tests.patience import until

POLICY = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get]\non_deny: explain\n"}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("get", "drop")]
BOTH = [{"upstream": "a"}, {"upstream": "b", "priority": 1}]
CALL = {"id": "t", "type": "function", "function": {"name": "get", "arguments": '{"city":"Paris"}'}}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def whole(text):
    choice = {"index": 0, "message": {"role": "assistant", "content": text, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}
    tree = {"id": "a", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE}
    body = json.dumps(tree).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


def streamed(text):
    head = {"id": "a", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"role": "assistant", "content": ""}, *({"content": word} for word in text.split()), {"tool_calls": [{"index": 0, **CALL}]}]
    trees = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    trees.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
    trees.append(head | {"choices": [], "usage": USAGE})
    frames = [*(b"data: " + json.dumps(tree).encode() + b"\n\n" for tree in trees), b"data: [DONE]\n\n"]
    body = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames)
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


@pytest.fixture
def second(provider):
    made = type(provider)()
    yield made
    made.stop()


@pytest.fixture
def begin(start, provider, second):
    def made(policies=POLICY, targets=BOTH, breaker=None, mirror=None, **retries):
        upstreams = {name: {"dialect": "openai.chat", "base_url": each.base_url} for name, each in (("a", provider), ("b", second))}
        often = {"failures": 1000, "of": 100_000} | (breaker or {})
        retries = {"wait": 0.01, "jitter": 0, "least": 1000} | retries
        route = {"models": ["*"], "targets": targets, "retries": retries, "breaker": often, "mirror": mirror}
        prices = {"m": {"input": "1", "output": "10"}}
        return start(policies, upstreams=upstreams, routes=[route], prices=prices, durability="interval")

    return made


GO = {"model": "m", "messages": [{"role": "user", "content": "go"}]}


def ask(client, *, stream):
    return client.post("/v1/chat/completions", json={**GO, "tools": TOOLS, "stream": stream})


def words(answer):
    """(text, names of calls, ended as it should) as a simple client reads them."""
    if answer.headers["content-type"].startswith("application/json"):
        if answer.status_code != 200:
            return "", [], False
        message = answer.json()["choices"][0]["message"]
        return message["content"], [call["function"]["name"] for call in message.get("tool_calls", ())], True
    text, calls, ended = "", [], False
    for line in answer.text.splitlines():
        if line.startswith("data: ") and line != "data: [DONE]":
            for choice in json.loads(line[6:]).get("choices", ()):
                text += choice["delta"].get("content") or ""
                calls += [call["function"]["name"] for call in choice["delta"].get("tool_calls", ()) if call["function"].get("name")]
                ended = ended or choice["finish_reason"] is not None
    return text, calls, ended


WIRES = {False: whole("one two three"), True: streamed("one two three")}
OTHER = {False: whole("four five six"), True: streamed("four five six")}


def busy(provider, status, headers=""):
    return provider.raw(b'{"error":{"message":"busy"}}', status, headers)


def storm(gateway, many, at_once=8):
    """Statuses of so many requests."""
    with gateway.client() as client, ThreadPoolExecutor(at_once) as pool:
        return [answer.status_code for answer in pool.map(lambda _: ask(client, stream=False), range(many))]


def test_when_every_provider_is_busy_no_request_makes_more_than_three_attempts_and_repeats_keep_to_their_budget(begin, provider, second):
    for each in (provider, second):
        each.answer = busy(provider, "429 Too Many", "retry-after-ms: 20\r\n")
    gateway = begin(least=3, share=0.1, window=60)
    assert set(storm(gateway, 60)) == {429}
    ended = gateway.ended(60)
    attempts = [each for one in ended for each in one.attempts]
    assert max(len(one.attempts) for one in ended) <= 3
    assert sum(each.kind == "retry" for each in attempts) <= 6
    assert len(provider.received) + len(second.received) == len(attempts) <= 60 * 2 + 6
    assert all((each.fault, each.retry_after_ms, each.unsure) == ("status_429", 20, False) for each in attempts)
    assert all(each.waited_us >= 20_000 for each in attempts if each.kind == "retry")
    assert all(one.exchange.state == "upstream_error" and one.exchange.cost is None for one in ended)


def test_a_provider_that_only_fails_is_left_alone_after_twenty_failures_at_most(begin, provider):
    provider.answer = busy(provider, "500 No")
    breaker = {"failures": 5, "share": 0.5, "of": 20, "open": 60}
    gateway = begin(targets=[{"upstream": "a"}], breaker=breaker, least=3)
    found = storm(gateway, 60)
    assert set(found) == {500, 503}
    assert 5 <= len(provider.received) <= 20
    refused = [one for one in gateway.ended(60) if one.exchange.error_code == "no_target"]
    assert len(refused) == found.count(503)
    assert not any(one.attempts for one in refused)


def test_a_client_that_leaves_while_a_probe_is_under_way_makes_room_for_another(begin, provider):
    provider.answer = busy(provider, "500 No")
    gateway = begin(targets=[{"upstream": "a"}], breaker={"failures": 1, "open": 0.3}, count=0)
    assert storm(gateway, 1) == [500]
    time.sleep(0.4)
    provider.answer = provider.silent_after(b"", 0)
    gateway.left("/v1/chat/completions", GO, when=lambda: len(provider.received) == 2)
    left = gateway.ended(2)[1]
    assert (left.exchange.state, left.attempts[0].fault, left.attempts[0].why) == ("client_gone", "client_gone", "only target, probe")
    assert left.attempts[0].unsure
    provider.answer = provider.sent(WIRES[False])
    assert storm(gateway, 1) == [200]


def test_a_client_that_leaves_during_a_wait_ends_it(begin, provider):
    provider.answer = busy(provider, "503 Busy", "retry-after: 15\r\n")
    gateway = begin(targets=[{"upstream": "a"}])
    gateway.left("/v1/chat/completions", GO, when=lambda: provider.received, after=2)
    (ended,) = gateway.ended()
    assert ended.exchange.state == "client_gone"
    assert [(each.fault, each.retry_after_ms) for each in ended.attempts] == [("status_503", 15_000)]
    assert len(provider.received) == 1


def test_a_stream_is_mirrored_to_its_end_and_counted(begin, provider, second):
    provider.answer, second.answer = provider.sent(WIRES[True]), provider.sent(OTHER[True])
    gateway = begin(targets=[{"upstream": "a"}], mirror={"upstream": "b"})
    with gateway.client() as client:
        answer = ask(client, stream=True)
    assert words(answer)[0].replace(" ", "") == "onetwothree"
    row = until(lambda: gateway.of(Mirrored), what="the mirror's record")[0].attempt
    assert (row.kind, row.fault, row.read_tokens, row.written_tokens) == ("mirror", None, 10, 5)
    assert Decimal(row.cost) == Decimal("0.00006")


def test_a_gateway_that_stops_puts_an_unfinished_mirror_on_record(begin, provider, second):
    provider.answer, second.answer = provider.sent(WIRES[False]), provider.silent_after(b"", 0)
    gateway = begin(targets=[{"upstream": "a"}], mirror={"upstream": "b"})
    assert storm(gateway, 1) == [200]
    until(lambda: second.received)
    gateway.stop()
    (row,) = gateway.of(Mirrored)
    assert (row.attempt.fault, row.attempt.unsure) == ("interrupted", True)
