"""Judging in rounds: the same verdicts, and the same counted, as where the store is asked inside the judgement."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Settings
from gateway.exchange import Caller
from gateway.installation import open_limits
from gateway.judge import Court, judge, session_facts
from gateway.metering import metered
from gateway.policy import Conversation, load
from gateway.request import Request, Tool
from gateway.state.asking import InThreads, at_once
from gateway.state.reservations import Reservations
from gateway.verdict import Call
from tests.patience import PATIENCE_S

NOW = 1_700_000_000_000_000
POLICY = b"""policy: 1
id: p
agents: ['*']
allow: [pay, look]
rules:
- {id: huge, tools: [pay], when: args.amount > 90}
limits:
- {id: few, tools: [pay], per: agent, window: 1h, max: 4}
- {id: spend, tools: [pay, look], sum: args.amount, per: agent, window: 24h, max: 100}
- {id: tried, tools: [pay], per: session, max: 2, mode: shadow}
- {id: asked, tools: [look], per: agent, window: 1h, max: 2, effect: ask}
"""


class Side:
    """A gateway's state of its own, asked in one way."""

    def __init__(self, folder, ask) -> None:
        self.store, self.asked_in = open_limits(Settings(data=str(folder))), set[str]()
        tools = tuple(Tool(name, "function", b"{}") for name in ("pay", "look"))
        request, caller = Request("openai.chat", "m", False, (), tools, b""), Caller("bot", session="s")
        facts = session_facts(caller, request)
        self.reserved = Reservations(self.store)
        self.court = Court(
            load({"p.yaml": POLICY}), caller, request, facts, lambda text: False, lambda schema: "", Conversation(()), self.reserved
        )
        self.gateway = SimpleNamespace(ask=ask)

    def verdict(self, name: str, amount: object, *, approved: bool):
        call = Call("c", name, "{}", {"amount": amount}, 0)
        return asyncio.run(metered(self, lambda court: judge(court, call, NOW, approved=approved))).verdict


@pytest.fixture(scope="module")
def threads():
    return InThreads()


CALLS = st.lists(st.tuples(st.sampled_from(["pay", "look"]), st.sampled_from([0, 1, 30, 60, 95, None, -1]), st.booleans()), max_size=12)


@given(CALLS)
def test_in_rounds_the_same_is_decided_and_the_same_is_taken(tmp_path_factory, threads, calls):
    here, there = Side(tmp_path_factory.mktemp("here"), at_once), Side(tmp_path_factory.mktemp("there"), threads)
    for name, amount, approved in calls:
        assert there.verdict(name, amount, approved=approved) == here.verdict(name, amount, approved=approved)
        assert [(one.account, one.amount) for one in there.reserved._taken] == [(one.account, one.amount) for one in here.reserved._taken]
    here.reserved.give_back()
    there.reserved.give_back()
    assert there.verdict("pay", 1, approved=False) == here.verdict("pay", 1, approved=False)
    here.store.close()
    there.store.close()


def test_a_store_that_cannot_be_asked_denies_in_rounds_too(tmp_path, threads):
    side = Side(tmp_path, threads)
    side.store.close()
    verdict = side.verdict("pay", 1, approved=False)
    assert (verdict.effect, verdict.released) == ("deny", False)
    assert "cannot be read now" in verdict.reason


def test_nothing_is_judged_in_another_thread_and_nothing_asked_in_this_one(tmp_path, threads):
    side, judged_in, asked_in = Side(tmp_path, threads), set(), set()
    side.reserved = Reservations(Noting(side.store, asked_in))
    call = Call("c", "pay", "{}", {"amount": 1}, 0)

    def judging(court):
        judged_in.add(threading.current_thread())
        return judge(court, call, NOW)

    assert asyncio.run(metered(side, judging)).verdict.released
    assert judged_in == {threading.main_thread()}
    assert asked_in
    assert threading.main_thread() not in asked_in


class Noting:
    """A store of limits that notes who asks."""

    def __init__(self, store, asked_in: set) -> None:
        self._store, self._asked_in = store, asked_in

    def take(self, charges, now_us):
        self._asked_in.add(threading.current_thread())
        return self._store.take(charges, now_us)

    def look(self, charges, now_us):
        self._asked_in.add(threading.current_thread())
        return self._store.look(charges, now_us)


def test_what_was_begun_in_a_thread_is_seen_to_its_end_although_its_request_is_cancelled():
    begun, go_on, done = threading.Event(), threading.Event(), []

    def slow() -> None:
        begun.set()
        go_on.wait(PATIENCE_S)
        done.append(True)

    async def run() -> None:
        ask = InThreads()
        task = asyncio.create_task(ask(slow))
        await asyncio.to_thread(begun.wait, PATIENCE_S)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        task.cancel()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert done == [True]

    asyncio.run(run())
