"""A client's `idempotency-key`: a provider that honours it answers as it did before, so it goes with nothing but the client's own request,
to whom that goes first."""

from __future__ import annotations

import pytest

from tests.patience import until

STEERS = "policy: 1\nid: p\nagents: ['*']\nallow: [look]\non_deny: steer\n"
KEY = {"idempotency-key": "one-and-only"}
DIALECTS = ("chat", "responses", "messages")


@pytest.fixture(params=DIALECTS)
def wire(request, wires):
    return wires[request.param]


@pytest.fixture
def providers(provider):
    """Two."""
    other = type(provider)()
    yield provider, other
    other.stop()


@pytest.fixture
def begin(start, providers):
    def made(policies=None, **route):
        speaks = ["openai.chat", "openai.responses", "anthropic.messages"]
        upstreams = {name: {"dialect": speaks, "base_url": each.base_url} for name, each in zip("ab", providers, strict=True)}
        return start(policies, upstreams=upstreams, routes=[{"models": ["*"], **route}])

    return made


def ask(gateway, wire):
    path, body = wire.asked(False)
    with gateway.client() as client:
        return client.post(path, json=body, headers=KEY)


def keys(provider):
    """Of each request that came, whether it had the client's key."""
    return [b"one-and-only" in head for head, _ in provider.received]


def one_after_the_other(provider, *answers):
    left = list(answers)

    async def answer(reader, writer, body):
        await left.pop(0)(reader, writer, body)

    provider.answer = answer


@pytest.mark.parametrize("route", [{"upstream": "a"}, {"targets": [{"upstream": "a"}]}], ids=["plain", "targets"])
def test_a_model_that_is_asked_again_is_not_asked_under_the_same_key(begin, wire, provider, route):
    gateway = begin({"p.yaml": STEERS}, **route)
    one_after_the_other(provider, provider.json(wire.whole("", True)), provider.json(wire.whole("Then not.")))
    assert "Then not." in ask(gateway, wire).text
    assert keys(provider) == [True, False]


def test_the_same_target_is_asked_once_more_under_the_same_key_and_another_one_without_it(begin, wire, providers):
    first, second = providers
    targets = [{"upstream": "a"}, {"upstream": "b", "priority": 1}]
    gateway = begin(targets=targets, retries={"count": 2, "wait": 0.01, "jitter": 0})
    busy = first.json({"error": {"message": "busy"}}, "503 Busy")
    one_after_the_other(first, busy, first.json(wire.whole("Hello.")))
    second.answer = busy
    assert "Hello." in ask(gateway, wire).text
    assert (keys(first), keys(second)) == ([True, True], [False])


def test_a_mirror_does_not_take_the_key(begin, wire, providers):
    first, second = providers
    first.answer = second.answer = first.json(wire.whole("Hello."))
    gateway = begin(upstream="a", mirror={"upstream": "b", "share": 1})
    assert ask(gateway, wire).status_code == 200
    until(lambda: second.received, what="the mirror is asked")
    assert (keys(first), keys(second)) == ([True], [False])
