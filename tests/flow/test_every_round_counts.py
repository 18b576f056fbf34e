"""A model that is asked again: however its second answer ends, the book and the budgets have what each of the two took, in each dialect,
whole and streamed, with a plain upstream and with a route's target."""

from __future__ import annotations

import contextlib
from decimal import Decimal

import httpx
import pytest

from gateway import identify
from gateway.budget_settings import nano
from gateway.exchange import Caller
from gateway.installation import open_limits
from gateway.spending import charge
from gateway.state.sessions import Denial
from tests.patience import until

EVERY = ["openai.chat", "openai.responses", "anthropic.messages", "google.gemini"]
PRICE = {"input": "1", "output": "1000"}
PRICES = {"gpt-4o-mini": PRICE, "claude-sonnet-4-5": PRICE, "gemini-2.5-flash": PRICE, "g": PRICE}
FIRST = Decimal("0.00501")
"""What each whole answer costs: 10 tokens read and 5 written."""
WORST = 99 * 1_000_000
"""Billionths of a dollar that 99 tokens of answer cost: what each request asks for."""
POLICY = "policy: 1\nid: p\nagents: ['*']\nallow: [look]\non_deny: steer\n"
REPAIRS = """policy: 1
id: p
agents: ['*']
allow: [get]
rules:
- {id: brief, at: output, effect: repair, validate: [{length: {max: 20}}]}
"""
WAYS = {"plain": {"upstream": "all"}, "targets": {"targets": [{"upstream": "all"}], "retries": {"count": 0}}}


DIALECTS = ("chat", "messages", "responses", "gemini")
CASES = [(name, stream, ("plain", "targets")[(at + stream) % 2]) for at, name in enumerate(DIALECTS) for stream in (False, True)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{'stream' if case[1] else 'whole'}-{case[2]}")
def case(request):
    return request.param


@pytest.fixture
def wire(case, wires):
    return wires[case[0]]


@pytest.fixture
def stream(case):
    return case[1]


class House:
    """A gateway that counts, its provider, and what budgets have taken."""

    def __init__(self, start, provider, way, policy, **more):
        budgets = [{"id": of, "per": "all", "of": of, "max": most, "window": "1h"} for of, most in (("money", "100.00"), ("requests", 99))]
        upstreams = {"all": {"dialect": EVERY, "base_url": provider.base_url}}
        routes = [{"models": ["*"], **WAYS[way]}]
        self.gateway = start({"p.yaml": policy}, upstreams=upstreams, routes=routes, prices=PRICES, budgets=budgets, **more)
        self.provider, self._budgets, self._limits = provider, self.gateway.settings.budgets, open_limits(self.gateway.settings)

    def answers(self, *made):
        """One after the other."""
        left = list(made)

        async def answer(reader, writer, body):
            await left.pop(0)(reader, writer, body)

        self.provider.answer = answer

    def ask(self, wire, stream, headers=None):
        path, body = wire.asked(stream)
        with self.gateway.client() as client:
            return client.post(path, json=body, headers=headers or {})

    def taken(self):
        """(billionths of a dollar, requests), once nothing is held any more."""
        until(lambda: not self.gateway.plane.gateway.leases._held, what="what is held is settled")
        at = self._limits.steady_us()
        return tuple(self._limits.look([charge(each, "", (), 0, at, most=each.most) for each in self._budgets], at))


@pytest.fixture
def house(case, start, provider):
    return lambda policy=POLICY, **more: House(start, provider, case[2], policy, **more)


def said(provider, wire, stream, text="", *, call=False):
    """In one piece, so that nothing of it leaves before its call is judged."""
    return provider.sse(b"".join(wire.stream([text] if text else [], call))) if stream else provider.json(wire.whole(text, call))


def costs_of_attempts(ended):
    return [None if each.cost is None else Decimal(each.cost) for each in ended.attempts]


def test_two_whole_answers_cost_what_both_cost(house, wire, stream, provider):
    at = house()
    at.answers(said(provider, wire, stream, call=True), said(provider, wire, stream, "Then not."))
    assert "Then not." in at.ask(wire, stream).text
    (ended,) = at.gateway.ended()
    row = ended.exchange
    assert (Decimal(row.cost), row.rounds, row.estimated_cost) == (2 * FIRST, 2, None)
    assert at.taken() == (nano(2 * FIRST), 2)
    assert costs_of_attempts(ended) in ([], [FIRST, FIRST])


def gone(provider):
    """The provider's last answer, which says that its connection is not for another: nobody answers at its address any more."""

    def answering(answer):
        async def last(reader, writer, body):
            provider._server.close()
            send = writer.write
            writer.write = lambda data: send(data.replace(b"\r\ncontent-type:", b"\r\nconnection: close\r\ncontent-type:", 1))
            await answer(reader, writer, body)
            writer.close()

        return last

    return answering


@pytest.mark.parametrize("again", ["refused", "unreachable"])
def test_a_second_question_that_cost_nothing_leaves_what_the_first_answer_cost(house, wire, stream, provider, again):
    at = house()
    first = said(provider, wire, stream, call=True)
    if again == "unreachable":
        at.answers(gone(provider)(first))
    else:
        at.answers(first, provider.json({"error": {"message": "no"}}, "503 Busy"))
    assert "NOT executed" in at.ask(wire, stream).text
    (ended,) = at.gateway.ended()
    row = ended.exchange
    assert (Decimal(row.cost), row.rounds, row.estimated_cost) == (FIRST, 1, None)
    assert at.taken() == (nano(FIRST), 2)
    assert costs_of_attempts(ended) in ([], [FIRST, None])


def test_a_second_question_that_nobody_answers_may_be_charged(house, wire, stream, provider):
    at = house(timeouts={"first_byte": 0.3})
    at.answers(said(provider, wire, stream, call=True), provider.silent())
    assert "NOT executed" in at.ask(wire, stream).text
    (ended,) = at.gateway.ended()
    assert (Decimal(ended.exchange.cost), ended.exchange.rounds) == (FIRST, 1)
    money, requests = at.taken()
    assert (nano(FIRST) + WORST <= money < nano(FIRST) + WORST + 5_000_000, requests) == (True, 2)
    assert costs_of_attempts(ended) in ([], [FIRST, None])


def cut(provider, wire, stream):
    if not stream:
        return provider.json(b"[1]")
    events = wire.stream(["Then not."])
    return provider.sse(events[0] if b"Then not." not in events[0] else b'data: {"responseId": "r", "modelVersion": "g"}\n\n')


def is_first_and_a_guess(at, ended):
    """The first answer at its price; of the second what it took about, and each is said to be what it is."""
    row = ended.exchange
    guessed = Decimal(row.estimated_cost) - FIRST
    assert (row.cost, row.rounds, row.output_tokens) == (None, 2, None)
    assert 0 < nano(guessed) < WORST + 5_000_000
    assert row.estimate
    assert at.taken() == (nano(Decimal(row.estimated_cost)), 2)
    assert costs_of_attempts(ended) in ([], [FIRST, None])


def test_a_second_answer_that_breaks_leaves_the_price_of_the_first(house, wire, stream, provider):
    at = house()
    at.answers(said(provider, wire, stream, call=True), cut(provider, wire, stream))
    assert "NOT executed" in at.ask(wire, stream).text
    (ended,) = at.gateway.ended()
    assert ended.exchange.state == "denied"
    is_first_and_a_guess(at, ended)


def test_a_repaired_answer_that_breaks_leaves_the_price_of_the_first(house, wire, stream, provider):
    at = house(REPAIRS)
    at.answers(said(provider, wire, stream, "This answer has more words than it may have."), cut(provider, wire, stream))
    at.ask(wire, stream)
    (ended,) = at.gateway.ended()
    assert ended.exchange.state == "denied"
    is_first_and_a_guess(at, ended)


def test_a_client_that_leaves_while_the_model_is_asked_again_has_both_questions_counted(house, wire, stream, provider):
    at = house()
    at.answers(said(provider, wire, stream, call=True), provider.silent())
    path, body = wire.asked(stream)
    at.gateway.left(path, body, when=lambda: len(provider.received) == 2, after=0.1)
    (ended,) = at.gateway.ended()
    assert ended.exchange.state == "client_gone"
    is_first_and_a_guess(at, ended)


def stop_session(gateway):
    owner, now = identify.owner(Caller(agent="anonymous")), gateway.clock.now_us()
    gateway.sessions.denied(Denial(owner, "s", "anonymous", None, None, now, "p", "never", "x", "dec_x"), most=1)


def pause_agent(gateway):
    gateway.sessions.pause("anonymous", by="ann", why="it loops", at_us=gateway.clock.now_us())


@pytest.mark.parametrize(("policy", "meanwhile"), [(POLICY, stop_session), (POLICY, pause_agent), (REPAIRS, stop_session)])
def test_a_model_is_not_asked_again_for_who_was_stopped_meanwhile(house, wire, stream, provider, policy, meanwhile):
    """By another request of the session, or by a person."""
    at = house(policy)
    too_long = "" if policy == POLICY else "This answer has more words than it may have."
    first = said(provider, wire, stream, too_long, call=policy == POLICY)

    async def answer(reader, writer, body):
        meanwhile(at.gateway.plane.gateway)
        await first(reader, writer, body)

    provider.answer = answer
    told = at.ask(wire, stream, {"x-session-id": "s"})
    assert (told.status_code, "policy" in told.text, "more words" in told.text) == (200, True, False)
    (ended,) = at.gateway.ended()
    row = ended.exchange
    assert (len(provider.received), row.state, row.rounds, Decimal(row.cost)) == (1, "denied", 1, FIRST)
    assert [finding.code for finding in ended.findings if finding.code in ("steered", "repaired", "not_steered")] == ["not_steered"]
    assert at.taken() == (nano(FIRST), 1)
    assert at.ask(wire, stream, {"x-session-id": "s"}).status_code >= 400


@pytest.mark.parametrize(("name", "way"), [(name, tuple(WAYS)[at % 2]) for at, name in enumerate(DIALECTS)])
def test_a_client_that_leaves_behind_words_of_the_second_answer_has_both_counted(start, wires, provider, name, way):
    at, wire = House(start, provider, way, POLICY), wires[name]
    events = wire.stream(["Then not.", " Never sent."])
    last = next(at for at, event in enumerate(events) if b"Then not." in event)
    at.answers(said(provider, wire, True, call=True), provider.sse(*events[: last + 1], hang=True))
    path, body = wire.asked(True)
    with contextlib.suppress(httpx.HTTPError), at.gateway.client() as client, client.stream("POST", path, json=body) as answer:
        assert any("Then not." in piece for piece in answer.iter_text())
    (ended,) = at.gateway.ended()
    assert ended.exchange.state == "client_gone"
    is_first_and_a_guess(at, ended)


def test_of_a_second_answer_that_was_left_all_of_its_own_question_counts_as_read(start, wires, provider):
    """The second question holds the first answer and what was wrong with it, so more of it was read than of the first."""
    at = House(start, provider, "targets", POLICY)
    at.answers(said(provider, wires["chat"], False, "Long words before it. " * 300, call=True), provider.silent())
    path, body = wires["chat"].asked(False)
    at.gateway.left(path, body, when=lambda: len(provider.received) == 2)
    (ended,) = at.gateway.ended()
    assert ended.exchange.estimate.startswith(f"read {-(-len(provider.received[1][1]) // 3)}: ")


@pytest.mark.parametrize("way", WAYS)
def test_what_a_first_answer_did_not_say_of_itself_is_not_held_against_the_second(start, wires, provider, way):
    """Of the first nobody knows what it took: it counts as the worst case, and the second as what it said."""
    at = House(start, provider, way, POLICY)
    wire = wires["chat"]
    first = {name: value for name, value in wire.whole("", True).items() if name != "usage"}
    at.answers(provider.json(first), said(provider, wire, False, "Then not."))
    assert "Then not." in at.ask(wire, False).text
    (ended,) = at.gateway.ended()
    row = ended.exchange
    assert (row.cost, row.rounds) == (None, 2)
    money, _ = at.taken()
    assert nano(FIRST) + WORST <= money < nano(FIRST) + WORST + 5_000_000
    assert costs_of_attempts(ended) in ([], [None, FIRST])
