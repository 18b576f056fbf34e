"""Routes with targets, through the data plane: who is asked, who is asked next, and what of it stands on record."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import socket
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest

from gateway.routes.health import Moment
from gateway.scope import KeyScope
from gateway.trace.record import Mirrored
from tests.patience import PATIENCE_S, until, until_meanwhile

PRICES = {"m": {"input": "1", "output": "10"}, "big": {"input": "2", "output": "20"}}
NOW = {"wait": 0.01, "jitter": 0}
POLICY = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get]\n"}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("get", "drop")]


@pytest.fixture
def providers(provider):
    """Three: those of `target`."""
    made = [provider, type(provider)(), type(provider)()]
    yield made
    for each in made[1:]:
        each.stop()


@pytest.fixture
def begin(start, providers):
    """`begin(targets, **route)`: a gateway whose models all go to these targets of the upstreams a, b and c."""

    def made(targets, policies=None, settings=None, dialects=("openai.chat",) * 3, **route):
        key = {"env": "CANARY_KEY"}
        upstreams = {
            name: {"dialect": dialect, "base_url": each.base_url, "key": key}
            for name, each, dialect in zip("abc", providers, dialects, strict=True)
        }
        retries = NOW | route.pop("retries", {})
        routed = {"models": ["*"], "targets": targets, "retries": retries, **route}
        return start(policies, upstreams=upstreams, routes=[routed], prices=PRICES, **(settings or {}))

    return made


@pytest.fixture
def translating():
    """What takes seconds is there before a client waits for it."""
    importlib.import_module("gateway.upstream.litellm_adapter")


def whole(text="Hi", call=None, model="m"):
    message = {"role": "assistant", "content": text}
    if call:
        message |= {"tool_calls": [{"id": "t", "type": "function", "function": {"name": call, "arguments": "{}"}}]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return {"id": "a", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}


def ask(gateway, headers=None, **more):
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "max_tokens": 100} | more
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=body, headers=headers or {})


def told(ended):
    return [(each.upstream, each.kind, each.fault, each.status) for each in ended.attempts]


def health(gateway):
    with gateway.client() as client:
        (route,) = client.get("/readyz").json()["routes"]
    return {each["target"]: each for each in route["targets"]}


def test_another_target_is_asked_at_once_when_one_is_busy(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "slow down"}}, "429 Too Many", "retry-after: 18\r\n")
    providers[1].answer = providers[1].json(whole("from b"))
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1, "region": "eu"}])
    began = time.monotonic()
    answer = ask(gateway)
    assert time.monotonic() - began < 15
    assert answer.json()["choices"][0]["message"]["content"] == "from b"
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "status_429", 429), ("b", "fallback", None, 200)]
    first, second = ended.attempts
    assert (first.retry_after_ms, first.why, first.answered, first.cost) == (18_000, "only target", False, None)
    assert (second.why, second.answered, second.read_tokens, second.written_tokens) == ("a: status_429", True, 100, 10)
    assert Decimal(second.cost) == Decimal(ended.exchange.cost) == Decimal("0.0002")
    assert [each.ordinal for each in ended.attempts] == [1, 2]
    assert first.duration_us >= first.first_byte_us > 0
    assert (ended.exchange.upstream, ended.exchange.region, ended.exchange.attempts) == ("b", "eu", 2)
    assert ended.exchange.state == "complete"


SAID = {
    "openai.chat": {"error": {"message": "busy", "type": "server_error", "code": 503}},
    "openai.responses": {"type": "error", "code": "server_error", "message": "busy"},
    "anthropic.messages": {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
    "google.gemini": {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}},
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", SAID)
def test_an_error_under_a_good_status_is_an_error_as_long_as_nothing_was_passed_on(begin, providers, dialect, stream):
    """The second target is served in the client's dialect too; that it is asked is all that counts here."""
    error = json.dumps(SAID[dialect]).encode()
    wire = b"event: error\ndata: " + error + b"\n\n"
    providers[0].answer = providers[0].sse(wire) if stream else providers[0].json(error)
    providers[1].answer = providers[1].json({"error": {"message": "no"}}, "422 No")
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY, dialects=(dialect,) * 3)
    path, body = {
        "openai.chat": ("/v1/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "go"}], "stream": stream}),
        "openai.responses": ("/v1/responses", {"model": "m", "input": "go", "stream": stream}),
        "anthropic.messages": (
            "/v1/messages", {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "go"}], "stream": stream},
        ),
        "google.gemini": (
            f"/v1beta/models/m:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}",
            {"contents": [{"role": "user", "parts": [{"text": "go"}]}]},
        ),
    }[dialect]  # fmt: skip
    with gateway.client() as client:
        client.post(path, json=body, headers={"anthropic-version": "2023-06-01"})
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "provider_error", 200), ("b", "fallback", "status_422", 422)]
    assert [each.answered for each in ended.attempts] == [False, False]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_wrong_is_asked_once_whatever_the_status(begin, providers, stream):
    error = {"error": {"message": "wrong", "type": "invalid_request_error", "code": None}}
    wire = b"data: " + json.dumps(error).encode() + b"\n\n"
    providers[0].answer = providers[0].sse(wire) if stream else providers[0].json(error)
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY)
    answer = ask(gateway, stream=stream)
    assert (answer.status_code, "wrong" in answer.text) == (502, True)
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "provider_error", 200)]
    assert ended.exchange.error_code == "provider_error"


def test_the_last_to_say_an_error_is_heard_and_a_target_that_only_says_errors_is_left_alone(begin, providers):
    wire = b"data: " + json.dumps(SAID["openai.chat"]).encode() + b"\n\n"
    for each in providers[:2]:
        each.answer = each.sse(wire)
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY, retries={"count": 1}, breaker={"failures": 2})
    for _ in range(2):
        assert "busy" in ask(gateway, stream=True).text
    assert [each.exchange.estimated_cost for each in gateway.ended(2)] == [None, None]
    assert {name: each["state"] for name, each in health(gateway).items()} == {"a": "open", "b": "open"}


NOTHING = {
    "no byte": (b"",),
    "comments": (b": PROCESSING\n\n", b": PROCESSING\n\n"),
    "pings": (b'event: ping\ndata: {"type": "ping"}\n\n',),
    "its end": (b"data: [DONE]\n\n",),
}


@pytest.mark.parametrize("said", NOTHING)
def test_a_stream_that_ends_before_it_said_anything_is_a_failure_and_the_next_target_is_asked(begin, providers, said):
    providers[0].answer = providers[0].sse(*filter(None, NOTHING[said]))
    providers[1].answer = providers[1].json(whole("from b"))
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY, breaker={"failures": 2})
    for _ in range(2):
        assert ask(gateway, stream=True).json()["choices"][0]["message"]["content"] == "from b"
    assert [told(each) for each in gateway.ended(2)] == [[("a", "primary", "empty_answer", 200), ("b", "fallback", None, 200)]] * 2
    assert not any(each.unsure for ended in gateway.ended(2) for each in ended.attempts)
    assert health(gateway)["a"]["state"] == "open"


@pytest.mark.parametrize("stream", [False, True])
def test_when_nobody_says_anything_the_client_hears_that(begin, providers, stream):
    for each in providers[:2]:
        each.answer = each.sse(b": PROCESSING\n\n") if stream else each.json(b" ")
    budget = {"id": "usd", "per": "all", "of": "money", "max": "9.00", "window": "1h"}
    targets = [{"upstream": "a"}, {"upstream": "b", "priority": 1}]
    gateway = begin(targets, POLICY, retries={"count": 1}, settings={"budgets": [budget]})
    answer = ask(gateway, stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "empty_answer")
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "empty_answer", 200), ("b", "fallback", "empty_answer", 200)]
    row = ended.exchange
    assert (row.state, row.error_code, row.cost, row.estimated_cost) == ("upstream_reset", "empty_answer", None, None)
    assert spent(gateway) == [0]


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_stays_behind_at_its_provider_is_not_asked_again_because_nothing_was_said(begin, providers, stream):
    providers[0].answer = providers[0].sse() if stream else providers[0].json(b"")
    providers[1].answer = providers[1].json(whole())
    targets = [{"upstream": "a"}, {"upstream": "b", "priority": 1}]
    gateway = begin(targets, dialects=("openai.responses",) * 3, retries={"sent": True})
    with gateway.client() as client:
        assert client.post("/v1/responses", json={"model": "m", "input": "go", "stream": stream}).status_code == 502  # kept when left out
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "empty_answer", 200)]
    assert ended.attempts[0].unsure


@pytest.mark.parametrize("sent", [False, True])
def test_a_stream_that_ends_inside_its_first_event_may_have_been_carried_out(begin, providers, sent):
    providers[0].answer = providers[0].sse(b'data: {"id": "a", "choices": [')
    providers[1].answer = providers[1].json(whole())
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY, retries={"sent": sent})
    assert ask(gateway, stream=True).status_code == (200 if sent else 502)
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "upstream_reset", 200), *[("b", "fallback", None, 200)] * sent]
    assert ended.attempts[0].unsure


PAGE = b"<!doctype html><title>Sign in</title>"
NO_ANSWERS = {
    "a page": (PAGE, "text/html", "upstream_media_type"),
    "a page that says it is JSON": (PAGE, "application/json", "upstream_reset"),
    "half an answer": (b'{"id": "a", "choices": [{"index": 0, "mess', "application/json", "upstream_reset"),
    "another character set": (json.dumps(whole()).encode("utf-16"), "application/json; charset=utf-16", "upstream_charset"),
}
"""Under a good status; the attempt's fault."""


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("form", NO_ANSWERS)
def test_what_is_no_answer_by_its_form_is_its_targets_failure_and_may_have_been_carried_out(begin, providers, form, stream, sent):
    body, media, fault = NO_ANSWERS[form]
    providers[0].answer = providers[0].raw(body, media=media)
    providers[1].answer = providers[1].json(whole("from b"))
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY, retries={"sent": sent}, breaker={"failures": 1})
    answer = ask(gateway, stream=stream)
    assert (answer.status_code, "from b" in answer.text) == (200 if sent else 502, sent)
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", fault, 200), *[("b", "fallback", None, 200)] * sent]
    assert (ended.attempts[0].unsure, ended.attempts[0].answered) == (True, False)
    assert health(gateway)["a"]["state"] == "open"


BUSY = b"data: " + json.dumps(SAID["openai.chat"]).encode() + b"\n\n"
WRONG = b'data: {"error": {"message": "too long", "type": "invalid_request_error", "code": null}}\n\n'
SPOILT = {
    "ends too early": (b"", True, "upstream_reset", "upstream_reset", "open"),
    "breaks": (b"", False, "upstream_reset", "upstream_reset", "open"),
    "says an error": (BUSY, True, "provider_error", "upstream_error", "open"),
    "says what is wrong with the request": (WRONG, True, "provider_error", "upstream_error", "closed"),
}
"""What comes behind the first words, whether the body then ends as it should; fault, state of the exchange and of the breaker."""


@pytest.mark.parametrize("policy", [None, POLICY], ids=["observing", "enforcing"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_stream_that_comes_to_nothing_is_its_targets_failure_whoever_notices(begin, providers, wires, how, policy):
    said, whole_body, fault, state, breaker = SPOILT[how]
    events = wires["chat"].stream(["one", "two"])[:2]
    providers[0].answer = providers[0].sse(*events, *filter(None, [said]), end=whole_body, gap=0.02)
    gateway = begin([{"upstream": "a"}], policy, breaker={"failures": 2})
    for _ in range(2):
        with contextlib.suppress(httpx.RemoteProtocolError), gateway.client() as client:
            client.post("/v1/chat/completions", json={"model": "m", "stream": True, "messages": [{"role": "user", "content": "go"}]})
    for ended in gateway.ended(2):
        assert told(ended) == [("a", "primary", fault, 200)]
        assert (ended.attempts[0].unsure, ended.attempts[0].answered, ended.attempts[0].cost) == (True, True, None)
        row = ended.exchange
        assert (row.state, row.error_code, row.cost, row.estimated_cost is None) == (state, fault, None, False)
    assert health(gateway)["a"]["state"] == breaker


def test_an_answer_that_only_the_gateway_cannot_read_is_on_record_and_opens_no_breaker(begin, providers):
    providers[0].answer = providers[0].json({"id": "a", "choices": "none"})
    gateway = begin([{"upstream": "a"}], POLICY, breaker={"failures": 1})
    assert [ask(gateway).status_code for _ in range(2)] == [502, 502]
    assert [told(ended) for ended in gateway.ended(2)] == [[("a", "primary", "protocol", 200)]] * 2
    assert health(gateway)["a"]["state"] == "closed"


def test_an_answer_asked_for_again_that_comes_to_nothing_is_a_failure_of_its_own(begin, providers, wires):
    first = wires["chat"].stream(["one"], call=True)
    answers = [providers[0].sse(b"".join(first)), providers[0].sse(first[0])]

    async def next_answer(*given):
        await answers.pop(0)(*given)

    providers[0].answer = next_answer
    gateway = begin([{"upstream": "a"}], {"p.yaml": POLICY["p.yaml"].replace("[get]", "[look]") + "on_deny: steer\n"})
    assert "blocked by policy" in ask(gateway, stream=True, tools=TOOLS).text
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", None, 200), ("a", "primary", "upstream_reset", 200)]
    assert ended.exchange.state == "denied"


@pytest.mark.parametrize("how", ["status", "said", "empty"])
def test_a_model_that_cannot_be_asked_again_leaves_what_the_first_answer_cost(begin, providers, how):
    again = {"status": providers[0].json(SAID["openai.chat"], "503 Busy"), "said": providers[0].json(SAID["openai.chat"])}
    answers = [providers[0].json(whole("", call="drop"))]

    async def next_answer(*given):
        await (answers.pop() if answers else again.get(how, providers[0].json(b"")))(*given)

    providers[0].answer = next_answer
    budget = {"id": "usd", "per": "all", "of": "money", "max": "9.00", "window": "1h"}
    policy = {"p.yaml": POLICY["p.yaml"] + "on_deny: steer\n"}
    gateway = begin([{"upstream": "a"}], policy, retries={"count": 0}, settings={"budgets": [budget]})
    assert "blocked by policy" in ask(gateway, tools=TOOLS).text
    (ended,) = gateway.ended()
    fault = {"status": ("status_503", 503), "said": ("provider_error", 200), "empty": ("empty_answer", 200)}[how]
    assert told(ended) == [("a", "primary", None, 200), ("a", "primary", *fault)]
    assert Decimal(ended.exchange.cost) == Decimal(ended.attempts[0].cost) == Decimal("0.0002")
    assert spent(gateway) == [200_000]


def test_signs_of_life_are_passed_on_with_the_first_words(begin, providers, wires):
    events = wires["chat"].stream(["one", "two"])
    providers[0].answer = providers[0].sse(b": PROCESSING\n\n", events[0][:9], events[0][9:], *events[1:], gap=0.02)
    answer = ask(begin([{"upstream": "a"}]), stream=True, stream_options={"include_usage": True})
    assert answer.text == ": PROCESSING\n\n" + b"".join(events).decode()


UNREADABLE = ("content-encoding: gzip", "content-encoding: br\r\ncontent-encoding: gzip", "content-type: text/html")


@pytest.mark.parametrize("header", UNREADABLE)
def test_an_error_that_cannot_be_read_is_what_its_status_says(begin, providers, header):
    providers[0].answer = providers[0].json(b"\x1f\x8b no JSON", "503 Busy", f"{header}\r\nretry-after: 9\r\n")
    providers[1].answer = providers[1].json(b'{"error": {"message": "read me"}}', "422 No", f"{header}\r\n")
    answer = ask(begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY))
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, "The provider answered 422 without a readable error.")
    gateway = begin([{"upstream": "a"}], POLICY, retries={"count": 0})
    answer = ask(gateway)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "9")
    (ended,) = gateway.ended()
    assert (told(ended), ended.attempts[0].unsure) == ([("a", "primary", "status_503", 503)], False)
    assert health(gateway)["a"]["rests_s"] > 0


def test_who_asked_to_be_left_alone_is_asked_later_than_others(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "slow down"}}, "429 Too Many", "retry-after: 60\r\n")
    providers[1].answer = providers[1].json(whole())
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}])
    ask(gateway)
    ask(gateway)
    assert told(gateway.ended(2)[1]) == [("b", "fallback", None, 200)]
    assert gateway.ended(2)[1].attempts[0].why == "a resting"
    assert health(gateway)["a"]["state"] == "resting"
    assert 0 < health(gateway)["a"]["rests_s"] <= 60


def test_the_same_target_is_asked_again_when_there_is_no_other_and_its_pause_is_kept(begin, providers):
    answers = [
        providers[0].json({"error": {"message": "busy"}}, "503 Busy", "retry-after-ms: 300\r\n"),
        providers[0].json(whole("at last")),
    ]

    async def next_answer(*given):
        await answers.pop(0)(*given)

    providers[0].answer = next_answer
    gateway = begin([{"upstream": "a"}])
    began = time.monotonic()
    assert ask(gateway).json()["choices"][0]["message"]["content"] == "at last"
    assert time.monotonic() - began >= 0.3
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "status_503", 503), ("a", "retry", None, 200)]
    assert ended.attempts[1].waited_us >= 300_000
    assert ended.exchange.upstream_us >= 300_000


def test_a_pause_longer_than_the_longest_wait_is_passed_on_to_the_client(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "busy"}}, "429 Too Many", "retry-after: 60\r\n")
    gateway = begin([{"upstream": "a"}], retries={"longest": 5})
    answer = ask(gateway)
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["error"]["message"]) == (429, "60", "busy")
    assert told(gateway.ended()[0]) == [("a", "primary", "status_429", 429)]


def test_no_more_attempts_are_made_than_the_route_says(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "broken"}}, "500 No")
    gateway = begin([{"upstream": "a"}], retries={"count": 2})
    assert ask(gateway).status_code == 500
    assert told(gateway.ended()[0]) == [("a", "primary", "status_500", 500), *[("a", "retry", "status_500", 500)] * 2]
    assert len(providers[0].received) == 3


@pytest.mark.parametrize(("status", "line"), [(400, "400 Bad"), (413, "413 Large"), (422, "422 No"), (501, "501 No")])
def test_what_every_provider_would_refuse_is_asked_once(begin, providers, status, line):
    providers[0].answer = providers[0].json({"error": {"message": "no"}}, line)
    gateway = begin([{"upstream": "a"}, {"upstream": "b"}])
    providers[1].answer = providers[0].answer
    assert ask(gateway).status_code == status
    assert len(gateway.ended()[0].attempts) == 1


def test_a_target_that_has_no_account_is_passed_over(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "bad key"}}, "401 No")
    providers[1].answer = providers[1].json(whole("b"))
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}])
    assert ask(gateway).status_code == 200
    assert told(gateway.ended()[0]) == [("a", "primary", "status_401", 401), ("b", "fallback", None, 200)]


def test_a_model_has_the_name_that_its_target_gives_it_and_is_priced_by_that(begin, providers):
    providers[0].answer = providers[0].json(whole(model="big-2026"))
    gateway = begin([{"upstream": "a", "model": "big"}])
    assert ask(gateway, model="fast").status_code == 200
    assert json.loads(providers[0].received[0][1])["model"] == "big"
    (ended,) = gateway.ended()
    row = ended.exchange
    assert (row.request_model, row.upstream_model, row.price_model) == ("fast", "big", "big")
    assert Decimal(row.cost) == Decimal("0.0004")
    assert ended.attempts[0].model == "big"


def test_a_target_can_have_a_key_of_its_own_that_nobody_sees(begin, providers, monkeypatch):
    monkeypatch.setenv("OWN_KEY", "sk-of-this-target-0123456789abcdef")
    echo = {"error": {"message": "no such key: sk-of-this-target-0123456789abcdef"}}
    providers[0].answer = providers[0].json(echo, "400 Bad")
    gateway = begin([{"upstream": "a", "key": {"env": "OWN_KEY"}}])
    answer = ask(gateway)
    assert b"authorization: Bearer sk-of-this-target-0123456789abcdef" in providers[0].received[0][0]
    assert "sk-of-this-target" not in answer.text
    gateway.ended()
    segments = (gateway.settings.data_path / "journal").glob("*.log")
    assert not any(b"sk-of-this-target" in path.read_bytes() for path in segments)


def test_no_target_sees_the_clients_key_and_no_other_provider_its_account(start, providers):
    for each in providers[:2]:
        each.answer = each.json({"error": {"message": "busy"}}, "503 Busy")
    providers[2].answer = providers[2].json(whole())
    speaking = zip("abc", providers, (None, "deepseek", "openai"), strict=True)
    upstreams = {name: {"dialect": "openai.chat", "base_url": each.base_url, "provider": who} for name, each, who in speaking}
    targets = [{"upstream": name, "priority": at} for at, name in enumerate("abc")]
    gateway = start(upstreams=upstreams, routes=[{"models": ["*"], "targets": targets}])
    account = {"openai-organization": "org-of-the-client", "openai-project": "project-of-the-client"}
    ask(gateway, {"authorization": "Bearer key-of-the-client", "cookie": "login=of-the-client", "openai-beta": "x=v1", **account})
    heads = [each.received[0][0] for each in providers]
    assert [head.count(b"of-the-client") for head in heads] == [2, 0, 2]
    assert [b"openai-beta: x=v1" in head for head in heads] == [True] * 3
    assert not any(b"key-of-the-client" in head or b"cookie" in head for head in heads)


def test_a_target_without_its_key_is_never_asked_and_the_status_says_so(begin, providers):
    providers[1].answer = providers[1].json(whole())
    gateway = begin([{"upstream": "a", "key": {"env": "NOT_SET_ANYWHERE"}}, {"upstream": "b", "priority": 1}])
    assert ask(gateway).status_code == 200
    assert told(gateway.ended()[0]) == [("b", "primary", None, 200)]
    assert health(gateway)["a"]["state"] == "no_key"


def test_a_route_none_of_whose_targets_has_a_key_names_what_to_set(begin):
    answer = ask(begin([{"upstream": "a", "key": {"env": "NOT_SET_ANYWHERE"}}]))
    assert answer.status_code == 503
    assert "NOT_SET_ANYWHERE" in answer.json()["error"]["message"]


def test_an_unreachable_target_costs_nothing_but_its_row(begin, providers):
    with contextlib.closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        providers[1].answer = providers[1].json(whole())
        providers[0].base_url = dead
        gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}])
        assert ask(gateway).status_code == 200
    assert told(gateway.ended()[0]) == [("a", "primary", "upstream_unreachable", None), ("b", "fallback", None, 200)]
    assert not gateway.ended()[0].attempts[0].unsure


def test_what_may_have_been_carried_out_is_not_asked_again_unless_the_settings_say_so(begin, providers):
    providers[0].answer = providers[0].silent()
    providers[1].answer = providers[1].json(whole())
    targets = [{"upstream": "a", "timeouts": {"first_byte": 0.2}}, {"upstream": "b", "priority": 1}]
    gateway = begin(targets)
    assert ask(gateway).status_code == 504
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "upstream_timeout", None)]
    assert ended.attempts[0].unsure
    assert ended.exchange.state == "upstream_timeout"
    gateway = begin(targets, retries={"sent": True})
    assert ask(gateway).status_code == 200
    assert told(gateway.ended()[0]) == [("a", "primary", "upstream_timeout", None), ("b", "fallback", None, 200)]


def test_an_answer_must_be_whole_in_the_time_that_its_target_has(begin, providers):
    async def drop_by_drop(reader, writer, body):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)

    providers[0].answer = drop_by_drop
    gateway = begin([{"upstream": "a", "timeouts": {"total": 0.5}}])
    began = time.monotonic()
    answer = ask(gateway)
    assert answer.status_code == 504
    assert "not whole in the time" in answer.json()["error"]["message"]
    assert 0.5 <= time.monotonic() - began < 15


def test_a_call_is_judged_whichever_target_proposed_it(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "busy"}}, "503 Busy")
    providers[1].answer = providers[1].json(whole("", call="drop"))
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], POLICY)
    answer = ask(gateway, tools=TOOLS)
    assert "tool_calls" not in answer.json()["choices"][0]["message"]
    (ended,) = gateway.ended()
    assert {(call.name, call.released) for call in ended.calls} == {("drop", False)}
    assert ended.exchange.state == "denied"
    rounds = [(each.upstream, each.kind, each.round, each.answered) for each in ended.attempts]
    assert rounds[:2] == [("a", "primary", 0, False), ("b", "fallback", 0, True)]
    assert rounds[2:] == [("b", "primary", at, True) for at in range(1, ended.exchange.rounds)]  # told of the denial, the same is asked
    assert sum(Decimal(each.cost) for each in ended.attempts if each.answered) == Decimal(ended.exchange.cost)


def test_a_provider_of_another_dialect_takes_over(begin, providers, translating):
    said = {"id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn", "stop_sequence": None}
    said |= {"content": [{"type": "text", "text": "from elsewhere"}], "usage": {"input_tokens": 3, "output_tokens": 4}}
    providers[0].answer = providers[0].json({"error": {"message": "busy"}}, "503 Busy")
    providers[1].answer = providers[1].json(said)
    dialects = ("openai.chat", "anthropic.messages", "openai.chat")
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "model": "big", "priority": 1}], dialects=dialects)
    answer = ask(gateway, seed=3)
    assert answer.json()["choices"][0]["message"]["content"] == "from elsewhere"
    assert answer.headers["x-gateway-dropped-fields"] == "seed"
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "status_503", 503), ("b", "fallback", None, 200)]
    row = ended.exchange
    assert (row.upstream, row.upstream_dialect, row.dropped_fields, row.provider) == ("b", "anthropic.messages", ("seed",), "anthropic")


def test_a_target_in_whose_dialect_it_cannot_be_said_is_passed_over_and_the_client_hears_of_the_other(begin, providers, translating):
    providers[0].answer = providers[0].json({"error": {"message": "busy"}}, "503 Busy")
    dialects = ("openai.chat", "anthropic.messages", "openai.chat")
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], dialects=dialects, retries={"count": 1})
    answer = ask(gateway, n=2)
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "busy")
    (ended,) = gateway.ended()
    refused = ("b", "fallback", "untranslatable", None)
    assert told(ended) == [("a", "primary", "status_503", 503), refused, ("a", "retry", "status_503", 503)]
    assert (ended.exchange.upstream, ended.exchange.upstream_status, ended.exchange.upstream_dialect) == ("a", 503, None)


@pytest.mark.parametrize("how", ["says an error", "cannot be reached", "breaks"])
def test_a_client_that_leaves_in_the_pause_before_a_retry_costs_no_more_than_the_attempts_did(begin, providers, how):
    providers[0].answer = providers[0].sse(BUSY) if how == "says an error" else providers[0].cut(b"HTTP/1.1 200 OK", 5, "reset")
    if how == "cannot be reached":
        providers[0].stop()
    budget = {"id": "usd", "per": "all", "of": "money", "max": "9.00", "window": "1h"}
    gateway = begin([{"upstream": "a"}], retries={"wait": 20, "sent": True}, settings={"budgets": [budget]})
    body = {"model": "m", "messages": [{"role": "user", "content": "go"}], "max_tokens": 100, "stream": True}
    gateway.left("/v1/chat/completions", body, when=lambda: health(gateway)["a"]["failures"])
    (ended,) = gateway.ended()
    assert [(each.kind, each.unsure) for each in ended.attempts] == [("primary", how == "breaks")]
    row = ended.exchange
    assert (row.state, row.cost, row.estimated_cost, row.estimate) == ("client_gone", None, None, None)
    assert [amount > 0 for amount in spent(gateway)] == [how == "breaks"]


def test_a_session_stays_with_its_target(begin, providers):
    for each in providers:
        each.answer = each.json(whole())
    gateway = begin([{"upstream": name} for name in "abc"], sticky=True)
    for session in range(6):
        for _ in range(3):
            ask(gateway, {"x-session-id": f"s{session}"})
    by_session = {}
    for ended in gateway.ended(18):
        assert ended.attempts[0].why == "session"
        by_session.setdefault(ended.exchange.session, set()).add(ended.exchange.upstream)
    assert all(len(each) == 1 for each in by_session.values())
    assert len(set.union(*by_session.values())) > 1


def test_failures_open_the_breaker_and_one_request_tries_again(begin, providers):
    busy = providers[0].json({"error": {"message": "broken"}}, "500 No")
    providers[0].answer = busy
    gateway = begin([{"upstream": "a"}], retries={"count": 0}, breaker={"failures": 3, "open": 2.5})
    assert [ask(gateway).status_code for _ in range(4)] == [500, 500, 500, 503]
    refused = gateway.ended(4)[3]
    assert (refused.exchange.error_code, refused.exchange.state, refused.attempts) == ("no_target", "rejected", ())
    assert health(gateway)["a"]["state"] == "open"
    time.sleep(2.6)
    gate, others_answered = [], threading.Event()

    async def slow(*given):
        gate.append(1)
        await until_meanwhile(others_answered.is_set)
        await providers[0].json(whole())(*given)

    providers[0].answer = slow
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(ask, gateway) for _ in range(6)]
        answers = as_completed(asked, timeout=PATIENCE_S)
        first = [next(answers).result().status_code for _ in range(5)]
        others_answered.set()
        found = sorted([*first, *(each.result().status_code for each in answers)])
    assert found == [200, 503, 503, 503, 503, 503]
    assert len(gate) == 1
    assert health(gateway)["a"]["state"] == "closed"
    assert ask(gateway).status_code == 200


def test_retries_of_the_same_target_have_a_budget(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "broken"}}, "500 No")
    gateway = begin([{"upstream": "a"}], retries={"count": 2, "least": 3, "share": 0.1, "window": 60}, breaker={"failures": 1000})
    for _ in range(8):
        ask(gateway)
    assert len(providers[0].received) == 8 + 3


def test_a_mirror_is_asked_the_same_and_its_answer_is_only_on_record(begin, providers):
    providers[0].answer = providers[0].json(whole("for the client"))
    providers[1].answer = providers[1].json(whole("", call="drop", model="big"))
    mirror = {"upstream": "b", "model": "big", "region": "lab"}
    gateway = begin([{"upstream": "a"}], POLICY, mirror=mirror)
    assert ask(gateway, tools=TOOLS).json()["choices"][0]["message"]["content"] == "for the client"
    mirrored = mirrored_of(gateway, 1)[0].attempt
    (ended,) = gateway.ended()
    assert (ended.attempts[0].kind, len(ended.attempts), ended.calls) == ("primary", 1, ())
    assert (mirrored.kind, mirrored.upstream, mirrored.model, mirrored.region) == ("mirror", "b", "big", "lab")
    assert (mirrored.exchange_id, mirrored.ordinal, mirrored.answered) == (ended.exchange.id, 0, False)
    assert (mirrored.read_tokens, mirrored.written_tokens, mirrored.status) == (100, 10, 200)
    assert Decimal(mirrored.cost) == Decimal("0.0004")
    assert json.loads(providers[1].received[0][1])["model"] == "big"


def test_a_mirror_that_hangs_or_fails_delays_nobody(begin, providers):
    providers[0].answer = providers[0].json(whole())
    providers[1].answer = providers[1].silent()
    gateway = begin([{"upstream": "a"}], mirror={"upstream": "b", "timeouts": {"first_byte": 4}})
    assert ask(gateway).status_code == 200
    assert gateway.of(Mirrored) == []
    (row,) = mirrored_of(gateway, 1)
    assert (row.attempt.fault, row.attempt.unsure) == ("upstream_timeout", True)


@pytest.mark.parametrize("how", ["says an error", "ends too early", "has no form"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_mirror_whose_answer_comes_to_nothing_has_failed(begin, providers, wires, stream, how):
    events = wires["chat"].stream(["one"])
    providers[0].answer = providers[0].sse(*events) if stream else providers[0].json(whole())
    streamed = {"says an error": [events[0], BUSY], "ends too early": events[:2], "has no form": [b"data: [1]\n\n"]}[how]
    at_once = {"says an error": SAID["openai.chat"], "ends too early": b'{"id": "a", "cho', "has no form": [1]}[how]
    providers[1].answer = providers[1].sse(*streamed) if stream else providers[1].json(at_once)
    gateway = begin([{"upstream": "a"}], mirror={"upstream": "b"})
    assert ask(gateway, stream=stream).status_code == 200
    (row,) = mirrored_of(gateway, 1)
    fault = "provider_error" if how == "says an error" else "upstream_reset" if stream and how == "ends too early" else "protocol"
    assert (row.attempt.fault, row.attempt.status, row.attempt.unsure, row.attempt.cost) == (fault, 200, True, None)


def test_a_mirror_takes_its_share_of_the_requests(begin, providers):
    for each in providers[:2]:
        each.answer = each.json(whole())
    gateway = begin([{"upstream": "a"}], mirror={"upstream": "b", "share": 0.5})
    draws = iter([0.0, 0.49, 0.0, 0.5] * 2)  # one for the target, one for the mirror, of each request
    gateway.plane.gateway = replace(gateway.plane.gateway, chance=lambda: next(draws))
    for _ in range(4):
        ask(gateway)
    gateway.ended(4)
    assert len(mirrored_of(gateway, 2)) == 2
    assert len(providers[1].received) == 2


def spent(gateway):
    """Of each budget, in its units; nothing is held any more."""
    with contextlib.closing(sqlite3.connect(gateway.settings.data_path / "state.sqlite")) as state:
        assert state.execute("SELECT count(*) FROM limit_leases").fetchall() == [(0,)]
        return [amount for (amount,) in state.execute("SELECT spent FROM limit_accounts ORDER BY spent")]


def mirrored_of(gateway, count):
    until(lambda: len(gateway.of(Mirrored)) >= count)
    return gateway.of(Mirrored)


def test_each_attempt_that_may_be_charged_is_counted_in_budgets_and_others_are_not(begin, providers):
    providers[0].answer = providers[0].silent()
    providers[1].answer = providers[1].json({"error": {"message": "busy"}}, "503 Busy")
    providers[2].answer = providers[2].json(whole())
    targets = [{"upstream": name, "priority": at} for at, name in enumerate("abc")]
    targets[0]["timeouts"] = {"first_byte": 0.2}
    budgets = [
        {"id": "calls", "per": "all", "of": "requests", "max": 100, "window": "1h"},
        {"id": "usd", "per": "all", "of": "money", "max": "9.00", "window": "1h"},
    ]
    gateway = begin(targets, retries={"sent": True}, settings={"budgets": budgets})
    assert ask(gateway).status_code == 200
    (ended,) = gateway.ended()
    assert [each.fault for each in ended.attempts] == ["upstream_timeout", "status_503", None]
    requests, money = spent(gateway)
    assert requests == 3
    worst = 100 * 10_000  # 100 tokens of answer at ten dollars a million; some 200 bytes of request come on top
    assert 200_000 + worst < money < 200_000 + worst + 500_000


def test_a_key_for_some_upstreams_is_served_by_their_targets_only_and_mirrored_nowhere_else(begin, providers):
    for each in providers:
        each.answer = each.json(whole())
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], mirror={"upstream": "c"})
    keys = {name: gateway.plane.gateway.keys.create(agent="bot", now_us=1, scope=KeyScope(upstreams=(name,))) for name in "bc"}
    assert ask(gateway, {"authorization": f"Bearer {keys['b']}"}).status_code == 200
    assert told(gateway.ended()[0]) == [("b", "primary", None, 200)]
    refused = ask(gateway, {"authorization": f"Bearer {keys['c']}"})
    assert "This API key is not for the upstream 'a'" in refused.text
    assert gateway.ended(2)[1].exchange.error_code == "outside_key_scope"
    assert not providers[0].received
    assert not providers[2].received


def test_a_plain_route_has_no_attempts_on_record(start, provider):
    provider.answer = provider.json(whole())
    gateway = start(routes=[{"models": ["*"], "upstream": "openai"}])
    assert ask(gateway).status_code == 200
    (ended,) = gateway.ended()
    assert (ended.attempts, ended.exchange.attempts, ended.exchange.upstream_model) == ((), 0, None)
    assert gateway.plane.gateway.routes.report(Moment(0, 0)) == []


def test_embeddings_go_only_to_targets_that_speak_the_dialect(begin, providers):
    vector = {"object": "list", "model": "m", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
    providers[1].answer = providers[1].json(vector | {"usage": {"prompt_tokens": 1, "total_tokens": 1}})
    dialects = ("anthropic.messages", "openai.chat", "openai.chat")
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "model": "small", "priority": 1}], dialects=dialects)
    with gateway.client() as client:
        assert client.post("/v1/embeddings", json={"model": "m", "input": "x"}).status_code == 200
    assert json.loads(providers[1].received[0][1])["model"] == "small"
    assert told(gateway.ended()[0]) == [("b", "primary", None, 200)]


def test_a_budget_for_a_model_counts_what_is_asked_under_another_name(begin, providers):
    providers[0].answer = providers[0].json(whole())
    budget = {"id": "big", "per": "all", "of": "requests", "max": 1, "window": "total", "models": ["big"]}
    gateway = begin([{"upstream": "a", "model": "big"}], settings={"budgets": [budget]})
    assert [ask(gateway, model="fast").status_code for _ in range(2)] == [200, 402]
    assert gateway.ended(2)[1].attempts == ()
    assert gateway.ended(2)[1].exchange.state == "rejected"


def test_a_budget_with_no_room_for_another_attempt_leaves_the_failure_to_be_heard(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "busy"}}, "503 Busy")
    budget = {"id": "one", "per": "all", "of": "requests", "max": 1, "window": "total"}
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], settings={"budgets": [budget]})
    answer = ask(gateway)
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "busy")
    (ended,) = gateway.ended()
    assert told(ended) == [("a", "primary", "status_503", 503)]
    assert [finding.code for finding in ended.findings if finding.validator == "budget"] == ["hard_limit"]


def test_what_a_target_answered_is_given_again_without_an_attempt(begin, providers):
    providers[0].answer = providers[0].json({"error": {"message": "busy"}}, "503 Busy")
    providers[1].answer = providers[1].json(whole("from b"))
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], settings={"cache": {"per": "agent"}})
    answers = [ask(gateway, temperature=0).json()["choices"][0]["message"]["content"] for _ in range(2)]
    first, second = gateway.ended(2)
    assert answers == ["from b", "from b"]
    assert (len(first.attempts), len(second.attempts)) == (2, 0)
    assert (second.exchange.cache, second.exchange.cached_from) == ("hit", first.exchange.id)
    assert len(providers[1].received) == 1


def test_what_is_given_again_saves_what_the_model_of_its_target_costs(begin, providers):
    """The answer names a model that no table knows, and the target has another name for it than the request."""
    providers[0].answer = providers[0].json(whole(model="deployment-7"))
    gateway = begin([{"upstream": "a", "model": "big"}], settings={"cache": {"per": "agent"}})
    for _ in range(2):
        ask(gateway, temperature=0)
    made, given = (each.exchange for each in gateway.ended(2))
    assert (made.cost, given.cache, given.cost, given.saved_cost) == ("0.000400", "hit", "0", made.cost)
    assert (given.price_model, given.upstream_model) == (made.price_model, made.upstream_model) == ("big", "big")


@pytest.mark.parametrize("spoken", ["openai.chat", "anthropic.messages"])
def test_a_conversation_that_gemini_began_goes_on_with_another_provider(begin, providers, translating, spoken):
    """What Gemini wants back with its calls is a part of their ids; nobody else takes an id of that length, or with such signs."""
    busy = {"error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}}
    providers[0].answer = providers[0].json(busy, "503 Unavailable")
    providers[1].answer = providers[1].json({"error": {"message": "no"}}, "400 Bad Request")
    gateway = begin([{"upstream": "a"}, {"upstream": "b", "priority": 1}], dialects=("google.gemini", spoken, "openai.chat"))
    signed = "call_1__thought__" + "Q0FG+Rs/" * 500
    call = {"id": signed, "type": "function", "function": {"name": "get", "arguments": "{}"}}
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    ask(gateway, messages=[*turns, {"role": "tool", "tool_call_id": signed, "content": "1"}], tools=TOOLS)
    sent = [each.received[0][1] for each in providers[:2]]
    assert [b"Q0FG+Rs/" in body for body in sent] == [True, False]
    assert sent[1].count(b'"call_1"') == 2


def silent_after(first, rest, go_on):
    """A provider that gives a sign of life and then nothing until it is let."""

    async def answer(reader, writer, body):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + first)
        await writer.drain()
        await asyncio.to_thread(go_on.wait, PATIENCE_S)
        writer.write(rest)
        await writer.drain()

    return answer


STREAMED = {"model": "m", "messages": [{"role": "user", "content": "go"}], "stream": True, "stream_options": {"include_usage": True}}


def test_a_sign_of_life_is_not_kept_for_long_although_nothing_follows_it(begin, providers, wires, monkeypatch):
    monkeypatch.setattr("gateway.attempting.HELD_S", 0.2)
    words, go_on = b"".join(wires["chat"].stream(["one", "two"])), threading.Event()
    providers[0].answer = silent_after(b": PROCESSING\n\n", words, go_on)
    gateway = begin([{"upstream": "a"}])
    with gateway.client() as client, client.stream("POST", "/v1/chat/completions", json=STREAMED) as got:
        pieces = got.iter_raw()
        assert next(pieces) == b": PROCESSING\n\n"
        go_on.set()
        assert b"".join(pieces) == words
    (ended,) = gateway.ended()
    assert (ended.exchange.state, told(ended)) == ("complete", [("a", "primary", None, 200)])


@pytest.mark.parametrize("held_s", [0.1, 15])
def test_a_client_that_leaves_behind_a_sign_of_life_ends_the_attempt(begin, providers, monkeypatch, held_s):
    monkeypatch.setattr("gateway.attempting.HELD_S", held_s)
    go_on = threading.Event()
    providers[0].answer = silent_after(b": PROCESSING\n\n", b"data: [DONE]\n\n", go_on)
    gateway = begin([{"upstream": "a"}])
    patience = httpx.Timeout(PATIENCE_S, read=1)
    with gateway.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=STREAMED, timeout=patience)
    (ended,) = gateway.ended()
    go_on.set()
    assert ended.exchange.state == "client_gone"
