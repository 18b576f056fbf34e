"""Credentials of the machine as they are held: who waits for whom, what is renewed when, and what is said where there are none."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from gateway.errors import GatewayError
from gateway.upstream import machine
from gateway.upstream.machine import Held
from tests.patience import PATIENCE_S, until_meanwhile


class Place:
    """Finds 1, 2, 3 …, when it is let."""

    def __init__(self, error=None):
        self.now, self.found, self.error, self.let = "ended", 0, error, threading.Event()
        self.threads = set()
        self.let.set()

    def state(self):
        return self.now

    def find(self):
        self.threads.add(threading.current_thread())
        assert self.let.wait(PATIENCE_S)
        self.found += 1
        if self.error:
            raise self.error
        self.now = "good"
        return self.found


def test_all_who_want_them_wait_for_one_search_in_a_thread_of_its_own():
    place = Place()

    async def many():
        held = Held(place, "none")
        return await asyncio.gather(*(held.get() for _ in range(50))), await held.get()

    assert asyncio.run(many()) == ([1] * 50, 1)
    assert place.found == 1
    assert threading.main_thread() not in place.threads


def test_nobody_else_waits_for_a_search_however_long_it_takes():
    place = Place()
    place.let.clear()

    async def beside():
        waiting = asyncio.ensure_future(Held(place, "none").get())
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert await asyncio.to_thread(lambda: 7) == 7
        assert not waiting.done()
        place.let.set()
        return await waiting

    assert asyncio.run(beside()) == 1


def test_what_ends_soon_is_renewed_while_it_is_in_use():
    place = Place()

    async def used():
        held = Held(place, "none")
        assert await held.get() == 1
        place.now = "ending"
        place.let.clear()
        assert [await held.get() for _ in range(5)] == [1] * 5
        place.let.set()
        await until_meanwhile(lambda: held._latest == 2)
        return await held.get()

    assert asyncio.run(used()) == 2


def test_what_ends_soon_is_used_to_its_end_where_it_cannot_be_renewed(monkeypatch):
    monkeypatch.setattr(machine, "PAUSE_S", 0.05)
    place = Place()

    async def used():
        held = Held(place, "there are none")
        await held.get()
        place.now, place.error = "ending", OSError("away")
        began = time.monotonic()
        while place.found < 3:
            assert await held.get() == 1
            await asyncio.sleep(0.001)
        assert time.monotonic() - began > 0.05  # once in a pause
        place.now = "ended"
        with pytest.raises(GatewayError, match=r"there are none \(OSError\)"):
            await held.get()
        place.error = None
        await asyncio.sleep(0.06)
        return await held.get()

    assert asyncio.run(used()) > 1


def test_after_a_search_that_found_nothing_nobody_searches_for_a_while():
    place = Place(LookupError("a secret word"))

    async def asked():
        held = Held(place, "there are none: do this")
        for _ in range(3):
            with pytest.raises(GatewayError, match=r"there are none: do this \(LookupError\)\.") as raised:
                await held.get()
            assert (raised.value.kind, raised.value.code) == ("upstream", "upstream_auth")
            assert "secret" not in raised.value.message

    asyncio.run(asked())
    assert place.found == 1


def test_who_waits_too_long_is_told_and_the_search_goes_on(monkeypatch):
    monkeypatch.setattr(machine, "PATIENCE_S", 0.05)
    place = Place()
    place.let.clear()

    async def asked():
        held = Held(place, "there are none")
        with pytest.raises(GatewayError, match=r"there are none \(TimeoutError\)"):
            await held.get()
        place.let.set()
        await until_meanwhile(held._search.done)
        return await held.get(), place.found

    assert asyncio.run(asked()) == (1, 1)


def test_a_client_that_leaves_does_not_end_the_search_of_others():
    place = Place()
    place.let.clear()

    async def asked():
        held = Held(place, "none")
        first, second = asyncio.ensure_future(held.get()), asyncio.ensure_future(held.get())
        await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.sleep(0.01)
        place.let.set()
        return await second

    assert asyncio.run(asked()) == 1


def test_a_search_that_ends_after_its_loop_troubles_nobody():
    place = Place()
    place.let.clear()

    async def asked():
        asyncio.ensure_future(Held(place, "none").get()).cancel()
        waiting = asyncio.ensure_future(Held(place, "none").get())
        await asyncio.sleep(0.01)
        waiting.cancel()

    asyncio.run(asked())
    place.let.set()
    for thread in place.threads:
        thread.join(PATIENCE_S)
    assert place.found == len(place.threads)
