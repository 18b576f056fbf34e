"""One request whose provider fails, in each dialect, on real sockets: broken at any byte, silent at any moment, busy, out of order.

`TOLLHOUSE_EXAMPLES=2000 pytest tests/flow/test_cut_answers.py` cuts at so many places."""

from __future__ import annotations

import json
import os
import time
from decimal import Decimal

import anthropic
import openai
import pytest
from google.genai import errors as gemini_errors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.trace.record import Decided, Ended
from tests.patience import until

POLICY = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get]\non_deny: explain\n"}
BOTH = [{"upstream": "a"}, {"upstream": "b", "priority": 1}]
DIALECTS = ("chat", "messages", "responses", "gemini")
EVERY = ["openai.chat", "openai.responses", "anthropic.messages", "google.gemini"]
PRICE = {"input": "1", "output": "10"}
PRICES = {"gpt-4o-mini": PRICE, "claude-sonnet-4-5": PRICE, "gemini-2.5-flash": PRICE, "g": PRICE}
COST = Decimal("0.00006")
"""Of ten tokens read and five written."""
ERRORS = {
    "chat": (openai.APIError,),
    "messages": (anthropic.APIError,),
    "responses": (openai.APIError,),
    "gemini": (gemini_errors.APIError,),
}
"""What each SDK raises for an error in the dialect; not what it raises for an answer that it does not understand."""


@pytest.fixture
def second(provider):
    made = type(provider)()
    yield made
    made.stop()


@pytest.fixture
def begin(start, provider, second):
    def made(targets=BOTH, **retries):
        upstreams = {name: {"dialect": EVERY, "base_url": each.base_url} for name, each in (("a", provider), ("b", second))}
        retries = {"wait": 0.01, "jitter": 0, "least": 1000} | retries
        breaker = {"failures": 1000, "of": 100_000}
        route = {"models": ["*"], "targets": targets, "retries": retries, "breaker": breaker}
        return start(POLICY, upstreams=upstreams, routes=[route], prices=PRICES, durability="interval")

    return made


@pytest.fixture(scope="module")
def answers(wires):
    """(dialect, stream, words) → the bytes of an answer that says them and calls `get`, and where its body begins."""

    def wire(dialect, stream, words):
        pieces = words.split()
        if stream:
            frames = wires[dialect].stream(pieces, call=True)
            body = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames) + b"0\r\n\r\n"
            return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + body
        body = json.dumps(wires[dialect].whole("".join(pieces), call=True)).encode()
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body

    return {(d, s, w): wire(d, s, w) for d in DIALECTS for s in (False, True) for w in ("one two three", "four five six")}


def last_ended(gateway, exchange):
    """The record of the end of this exchange, and the names of its calls that were let go."""

    def found():
        records = gateway.records()
        for each in records:
            if isinstance(each, Ended) and each.exchange.id == exchange:
                calls = [*each.calls, *(one.call for one in records if isinstance(one, Decided) and one.call.exchange_id == exchange)]
                return each, {call.name for call in calls if call.released}
        return None

    return until(found, what="the exchange ends")


def ask(client, wire, stream):
    path, body = wire.asked(stream)
    return client.post(path, json=body)


cuts = st.tuples(st.sampled_from(DIALECTS), st.booleans(), st.floats(0, 1), st.sampled_from(["reset", "end"]), st.booleans())


MANY = int(os.environ.get("TOLLHOUSE_EXAMPLES", "120"))


@settings(max_examples=MANY, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts)
def _cut_anywhere(clients, wires, answers, provider, second, made):
    dialect, stream, share, how, again = made
    wire, other = answers[dialect, stream, "one two three"], answers[dialect, stream, "four five six"]
    at = int(share * (len(wire) - 1))
    gateway, client = clients[again]
    provider.answer, second.answer = provider.cut(wire, at, how), provider.sent(other)
    answer = ask(client, wires[dialect], stream)
    ended, released = last_ended(gateway, answer.headers["x-gateway-trace-id"])
    text, calls, finished = wires[dialect].read(answer)
    first, rest = ended.attempts[0], ended.attempts[1:]
    body = wire.index(b"\r\n\r\n") + 4
    began = stream and at >= body + wire[body:].index(b"\n\n")  # one whole event
    if rest:
        assert again
        assert not began
        assert (text, calls, finished) == ("fourfivesix", ["get"], True)
        assert [(each.upstream, each.kind, each.answered, each.fault) for each in rest] == [("b", "fallback", True, None)]
        assert (ended.exchange.upstream, ended.exchange.state) == ("b", "complete")
        assert Decimal(rest[0].cost) == Decimal(ended.exchange.cost) == COST
    else:
        assert "onetwothree".startswith(text)
        assert began or not again or (stream and at > body)
        assert ended.exchange.upstream == "a"
        assert finished == (ended.exchange.state == "complete")
        if not finished:
            assert ended.exchange.error_code in ("upstream_reset", "truncated")
    assert released >= set(calls)
    assert (first.fault, first.unsure) == (("upstream_reset", True) if rest or not finished else (None, False))


def test_an_answer_that_breaks_at_any_byte_is_never_mixed_with_another_and_never_ends_as_if_it_were_whole(
    begin, wires, answers, provider, second
):
    gateways = {again: begin(sent=again) for again in (False, True)}
    clients = {}
    try:
        for again, gateway in gateways.items():
            clients[again] = gateway, gateway.client()
        _cut_anywhere(clients, wires, answers, provider, second)
    finally:
        for _, client in clients.values():
            client.close()


@pytest.fixture
def failing(provider, answers):
    """`failing(dialect, fault)`: what the provider does from then on, to a request for a stream."""

    def made(dialect, fault):
        wire = answers[dialect, True, "one two three"]
        inside = len(wire) - len(wire) // 4
        doing = {
            "reset before the head": lambda: provider.cut(wire, 0, "reset"),
            "reset inside": lambda: provider.cut(wire, inside, "reset"),
            "end inside": lambda: provider.cut(wire, inside, "end"),
            "silent before the head": lambda: provider.silent_after(wire, 0),
            "silent before the first byte": lambda: provider.silent_after(wire, wire.index(b"\r\n\r\n") + 4),
            "silent inside": lambda: provider.silent_after(wire, inside),
        }
        provider.answer = doing[fault]() if fault in doing else busy(provider, dialect, *fault.split(" ", 1))

    return made


def busy(provider, dialect, status, more=""):
    """A refusal in the provider's own words."""
    said = {
        "messages": {"type": "error", "error": {"type": "overloaded_error", "message": "too busy"}},
        "gemini": {"error": {"code": int(status), "message": "too busy", "status": "UNAVAILABLE"}},
    }
    body = said.get(dialect, {"error": {"message": "too busy", "type": "server_error", "code": None, "param": None}})
    return provider.json(body, f"{status} Busy", more and f"{more}\r\n")


TOLD = {
    "reset before the head": ("upstream_reset", "upstream_reset", True),
    "reset inside": ("upstream_reset", "upstream_reset", True),
    "end inside": ("upstream_reset", "upstream_reset", True),
    "silent before the head": ("upstream_timeout", "upstream_timeout", True),
    "silent before the first byte": ("upstream_timeout", "upstream_timeout", True),
    "silent inside": ("upstream_timeout", "upstream_timeout", True),
    "500": ("upstream_error", "status_500", False),
    "529": ("upstream_error", "status_529", False),
    "503": ("upstream_error", "status_503", False),
    "429 retry-after: 60": ("upstream_error", "status_429", False),
}
"""What a provider does → state of the exchange, fault of its attempt, whether the provider may charge for it. Who asks for a pause
comes last: it is left alone from then on."""
OURS = ("The provider", "too busy")
"""How the words begin that tell it: the gateway's own, or the provider's as they came."""


HURRIED = {"first_byte": 0.3, "idle": 0.3}


@pytest.fixture
def both(begin):
    """`both(targets, **retries)`: a gateway for each fault, of two: one that waits as long as usual, one that is in a hurry."""

    def made(*targets, **retries):
        patient, hurried = (begin([each | more for each in targets], **retries) for more in ({}, {"timeouts": HURRIED}))
        return lambda fault: hurried if fault.startswith("silent") else patient

    return made


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_client_is_told_in_words_that_its_sdk_raises_and_the_book_says_what_happened(both, failing, wires, dialect):
    gateways = both({"upstream": "a"}, count=0)
    for fault, (state, code, unsure) in TOLD.items():
        failing(dialect, fault)
        gateway = gateways(fault)
        before = len(gateway.of(Ended))
        with pytest.raises(ERRORS[dialect]) as raised:
            wires[dialect].ask(gateway.url, stream=True)
        assert not isinstance(raised.value, openai.APIConnectionError | anthropic.APIConnectionError), fault
        assert any(words in str(raised.value) for words in OURS), fault
        ended = gateway.ended(before + 1)[-1]
        (attempt,) = ended.attempts
        assert (ended.exchange.state, attempt.fault, attempt.unsure) == (state, code, unsure), fault
        assert attempt.retry_after_ms == (60_000 if "retry-after" in fault else None), fault
        assert unsure or (ended.exchange.cost, attempt.cost) == (None, None), fault


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_another_target_is_asked_only_before_the_first_byte_and_where_that_is_allowed(
    both, failing, wires, answers, second, provider, dialect, again
):
    gateways = both({"upstream": "a"}, {"upstream": "b", "priority": 1}, sent=again)
    second.answer = second.sent(answers[dialect, True, "four five six"])
    for fault, (state, code, unsure) in TOLD.items():
        gateway = gateways(fault)
        failing(dialect, fault)
        provider.received.clear()
        second.received.clear()
        began = time.monotonic()
        with gateway.client() as client:
            answer = ask(client, wires[dialect], stream=True)
        assert time.monotonic() - began < 15, fault
        ended, released = last_ended(gateway, answer.headers["x-gateway-trace-id"])
        text, calls, finished = wires[dialect].read(answer)
        assert (ended.attempts[0].fault, ended.attempts[0].unsure) == (code, unsure), fault
        if "inside" not in fault and (again or not unsure):
            assert (text, calls, finished, ended.exchange.state, released) == ("fourfivesix", ["get"], True, "complete", {"get"}), fault
            assert [(each.upstream, each.kind, each.why) for each in ended.attempts[1:]] == [("b", "fallback", f"a: {code}")], fault
            assert (Decimal(ended.attempts[1].cost), len(provider.received), len(second.received)) == (COST, 1, 1), fault
        else:
            assert (ended.exchange.state, finished, len(ended.attempts), second.received) == (state, False, 1, []), fault
            assert released >= set(calls), fault
