"""Clients that leave before the end of their answer, in each dialect, on SQLite and on Redis: what their budgets then count, and what the
book says of it."""

from __future__ import annotations

import socket
from decimal import Decimal

import pytest

from gateway.budget_settings import nano
from gateway.installation import open_limits
from gateway.spending import charge
from tests.patience import until

EVERY = ["openai.chat", "openai.responses", "anthropic.messages", "google.gemini"]
DIALECTS = ("chat", "messages", "responses", "gemini")
TOLD = {"messages": 10}
"""Tokens read, where the provider says so at the beginning of its answer."""
PRICE = {"input": "1", "output": "1000"}
PRICES = {"gpt-4o-mini": PRICE, "claude-sonnet-4-5": PRICE, "gemini-2.5-flash": PRICE, "g": PRICE}
WORST = 99 * 1_000_000
"""What 99 tokens of answer cost, in billionths of a dollar: what each request of these asks for."""
WORDS = "onetwothree"
SAID = 4
"""Tokens, at three bytes each."""


@pytest.fixture(params=["sqlite", "redis"])
def begin(request, start, provider):
    """A gateway with budgets of money and of tokens, and what was taken of them."""
    state = request.getfixturevalue("redis_server").url() if request.param == "redis" else None
    budgets = [{"id": of, "per": "all", "of": of, "max": most, "window": "1h"} for of, most in (("money", "100.00"), ("tokens", 100_000))]

    def made(address=provider.base_url, **more):
        upstreams = {"all": {"dialect": EVERY, "base_url": address}}
        stored = {"state": state, "keys": "optional"} if state else {}
        gateway = start(upstreams=upstreams, prices=PRICES, budgets=budgets, **stored, **more)
        return gateway, Taken(gateway)

    return made


class Taken:
    def __init__(self, gateway):
        self._limits, self._budgets = open_limits(gateway.settings), gateway.settings.budgets

    def now(self):
        """(billionths of a dollar, tokens)."""
        at = self._limits.steady_us()
        return tuple(self._limits.look([charge(each, "", (), 0, at, most=each.most) for each in self._budgets], at))

    def settled(self, before):
        """Once it is no longer what was held."""
        until(lambda: self.now() != before, what=f"more or less than {before}")
        return self.now()


def leave(gateway, wire, taken, words):
    """Asks for a stream and goes when it has said so much; what was held until then."""
    path, body = wire.asked(True)
    with gateway.client() as client, client.stream("POST", path, json=body) as answer:
        seen = ""
        for piece in answer.iter_text():
            seen += piece
            if words in seen:
                return taken.now(), len(answer.request.content)
    raise AssertionError("the answer ended")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_its_client_leaves_counts_as_what_was_seen_of_it(begin, wires, provider, dialect):
    gateway, taken = begin()
    events = wires[dialect].stream([WORDS, "never sent"])
    last = next(at for at, event in enumerate(events) if WORDS.encode() in event)
    provider.answer = provider.sse(*events[: last + 1], hang=True)
    held, length = leave(gateway, wires[dialect], taken, WORDS)
    assert held[0] > WORST
    (ended,) = gateway.ended()
    money, tokens = taken.settled(held)
    row = ended.exchange
    read = TOLD.get(dialect, -(-length // 3))
    assert (row.state, row.cost, row.output_tokens) == ("client_gone", None, None)
    assert nano(Decimal(row.estimated_cost)) == money
    written = tokens - read
    assert SAID <= written < 99
    assert money == read * 1000 + written * 1_000_000
    source = "told by the provider" if dialect in TOLD else f"{length} bytes of request"
    assert row.estimate.startswith(f"read {read}: {source}; written {written}: ")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_that_is_given_up_before_its_answer_counts_by_its_length_and_its_time(begin, wires, provider, dialect, stream):
    gateway, taken = begin()
    provider.answer = provider.silent()
    path, body = wires[dialect].asked(stream)
    gateway.left(path, body, when=lambda: provider.received, after=0.3)
    row = gateway.ended()[0].exchange
    until(lambda: 0 < taken.now()[0] <= WORST, what=taken.now)
    money, tokens = taken.now()
    read = -(-row.request_bytes // 3)
    assert (row.state, row.cost, nano(Decimal(row.estimated_cost))) == ("client_gone", None, money)
    assert 1 <= tokens - read < 99
    assert money == read * 1000 + (tokens - read) * 1_000_000
    assert row.estimate.endswith(" s of writing")


@pytest.mark.parametrize("route", [{"upstream": "all"}, {"targets": [{"upstream": "all"}]}])
def test_a_request_that_is_given_up_before_it_was_sent_counts_nothing(begin, wires, route, full_backlog):
    gateway, taken = begin(full_backlog, routes=[{"models": ["*"], **route}])
    path, body = wires["chat"].asked(False)
    gateway.left(path, body, when=lambda: taken.now() != (0, 0), after=0.3)
    row = gateway.ended()[0].exchange
    until(lambda: taken.now() == (0, 0), what=taken.now)
    assert (row.state, row.cost, row.estimated_cost, row.estimate, taken.now()) == ("client_gone", None, None, None, (0, 0))


@pytest.fixture
def full_backlog():
    """The address of a server that takes no connection."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        place = listening.getsockname()
        waiting = []
        for _ in range(8):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(place)
            waiting.append(each)
        yield f"http://127.0.0.1:{place[1]}/v1"
        for each in waiting:
            each.close()
