"""The waiting room: who waits is woken when it matters, at most so long, and only so many."""

from __future__ import annotations

import asyncio
import time

from gateway.errors import GatewayError
from gateway.state.approvals import Approval, Bindings
from gateway.waiting import LOOK_EVERY_S, WaitingRoom


def approval(name: str) -> Approval:
    bound = {"agent": "a", "session": "s", "tool": "t", "arguments": "{}", "policy": "p", "rule": "r", "message": "m"}
    return Approval(name, 1, 2, Bindings("o", "s", "a"), decision="d", exchange="x", **bound)


class Decided:
    """A store's answer that is set; counts how often it was asked."""

    def __init__(self, *names: str) -> None:
        self.names, self.asked, self.fails = set(names), 0, False

    def __call__(self, names) -> list[Approval]:
        self.asked += 1
        if self.fails:
            self.fails = False
            raise GatewayError("unavailable", "state_unavailable", "no")
        return [approval(name) for name in names if name in self.names]


def test_all_who_wait_for_one_decision_are_woken_and_nobody_else():
    decided = Decided()

    async def run():
        room = WaitingRoom(decided, 9)
        waiting = [asyncio.create_task(room.wait(name, 2)) for name in ("one", "one", "two")]
        await asyncio.sleep(0)
        decided.names.add("one")
        began = time.monotonic()
        assert await asyncio.gather(*waiting) == [True, True, False]
        assert time.monotonic() - began < 8  # the last one leaves after its two seconds

    asyncio.run(run())


def test_one_look_serves_all_and_none_is_taken_when_nobody_waits():
    decided = Decided()

    async def run():
        room = WaitingRoom(decided, 999)
        await asyncio.gather(*(room.wait(f"n{number}", 2.5 * LOOK_EVERY_S) for number in range(100)))
        looks = decided.asked
        assert looks <= 4
        await asyncio.sleep(3 * LOOK_EVERY_S)
        assert decided.asked <= looks + 1
        assert await room.wait("late", 0.01) is False

    asyncio.run(run())


def test_a_store_that_fails_once_is_asked_again():
    decided = Decided("one")
    decided.fails = True

    async def run():
        assert await WaitingRoom(decided, 9).wait("one", 5)

    asyncio.run(run())
    assert decided.asked == 2


def test_seats_are_counted_and_given_back():
    async def run():
        room = WaitingRoom(Decided(), 1)
        with room.seat() as first, room.seat() as second:
            assert (first, second) == (True, False)
        with room.seat() as again:
            assert again
        room.close()
        with room.seat() as closed:
            assert not closed

    asyncio.run(run())


def test_a_room_that_closes_wakes_all_and_lets_nobody_wait():
    async def run():
        room = WaitingRoom(Decided(), 9)
        waiting = asyncio.create_task(room.wait("one", 60))
        await asyncio.sleep(0.01)
        room.close()
        assert await waiting
        assert room.closed
        assert await room.wait("two", 60)

    asyncio.run(run())
