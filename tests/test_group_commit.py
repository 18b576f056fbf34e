"""The group commit: who waits is told about the very group its items were in, in whatever event loop, and nobody is forgotten."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from gateway.errors import JournalUnavailable
from gateway.group_commit import GroupCommit
from tests.patience import PATIENCE_S, until_meanwhile


class Disk:
    """Remembers each group; waits for `free`, fails where it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.free = threading.Event()
        self.free.set()
        self.fails = False
        self.begun = 0

    def commit(self, items: Sequence[int], ready: int) -> None:
        self.begun += 1
        self.free.wait(PATIENCE_S)
        if self.fails:
            raise JournalUnavailable("the disk is gone")
        assert ready == sum(items)
        self.groups.append(list(items))


def grouped(disk: Disk, gather: float = 0.0, most: int = 1000) -> GroupCommit[int, int]:
    return GroupCommit(sum, disk.commit, gather=gather, most=most)


def test_all_who_add_in_one_turn_of_the_loop_are_one_group() -> None:
    disk = Disk()

    async def adding() -> None:
        groups = grouped(disk)
        await asyncio.gather(*(groups.add([n, n + 100], 1) for n in range(20)))
        await groups.close()

    asyncio.run(adding())
    assert disk.groups == [[each for n in range(20) for each in (n, n + 100)]]


def test_what_comes_while_a_group_is_under_way_is_the_next_one() -> None:
    disk = Disk()

    async def adding() -> None:
        groups = grouped(disk)
        disk.free.clear()
        first = asyncio.ensure_future(groups.add([1], 1))
        await until_meanwhile(lambda: disk.begun)
        others = [asyncio.ensure_future(groups.add([n], 1)) for n in (2, 3)]
        await asyncio.sleep(0.05)
        assert not any(each.done() for each in (first, *others))
        disk.free.set()
        await asyncio.gather(first, *others)
        await groups.close()

    asyncio.run(adding())
    assert disk.groups == [[1], [2, 3]]


def test_a_group_that_fails_is_told_to_its_own_and_the_next_one_is_tried() -> None:
    disk = Disk()

    async def adding() -> None:
        groups = grouped(disk)
        disk.fails = True
        told = await asyncio.gather(groups.add([1], 1), groups.add([2], 1), return_exceptions=True)
        assert [str(each) for each in told] == ["the disk is gone"] * 2
        disk.fails = False
        await groups.add([3], 1)
        await groups.close()

    asyncio.run(adding())
    assert disk.groups == [[3]]


def test_closing_writes_what_has_only_just_been_added() -> None:
    disk = Disk()

    async def adding() -> None:
        groups = grouped(disk, gather=60.0)
        waiting = [asyncio.ensure_future(groups.add([n], 1)) for n in range(3)]
        await asyncio.sleep(0)
        await groups.close()
        await asyncio.gather(*waiting)

    asyncio.run(adding())
    assert disk.groups == [[0, 1, 2]]


def test_a_loop_that_ended_while_it_waited_keeps_nobody_else_waiting() -> None:
    disk = Disk()
    groups = grouped(disk, gather=60.0)

    async def left_in_the_middle() -> None:
        await asyncio.gather(groups.add([1], 1), groups.add([2], 1))
        disk.free.clear()
        asyncio.ensure_future(groups.add([3], 1))  # noqa: RUF006 - nobody waits for it, that is the point
        await asyncio.sleep(0)

    async def another() -> None:
        disk.free.set()
        async with asyncio.timeout(PATIENCE_S):
            await groups.add([4], 1)
        await groups.close()

    asyncio.run(left_in_the_middle())
    asyncio.run(another())
    assert disk.groups[0] == [1, 2]
    assert [n for group in disk.groups[1:] for n in group] == [3, 4]


def test_what_waits_is_bounded_and_room_comes_back() -> None:
    disk = Disk()

    async def adding() -> None:
        groups = grouped(disk, most=10)
        disk.free.clear()
        first = asyncio.ensure_future(groups.add([1], 8))
        await asyncio.sleep(0)
        with pytest.raises(JournalUnavailable, match="8 bytes wait for a slow disk"):
            await groups.add([2], 3)
        disk.free.set()
        await first
        await groups.add([3], 10)
        await groups.close()

    asyncio.run(adding())
    assert disk.groups == [[1], [3]]


def test_a_commit_that_fails_in_an_unforeseen_way_is_told_to_those_who_wait_and_the_next_one_goes_on() -> None:
    disk, wrong = Disk(), [True]

    def commit(items: Sequence[int], ready: int) -> None:
        if wrong:
            wrong.clear()
            raise ValueError("never thought of")
        disk.commit(items, ready)

    async def adding() -> None:
        groups: GroupCommit[int, int] = GroupCommit(sum, commit, gather=0.0, most=1000)
        with pytest.raises(JournalUnavailable, match="never thought of"):
            await asyncio.wait_for(groups.add([1], 1), PATIENCE_S)
        await asyncio.wait_for(groups.add([2], 1), PATIENCE_S)
        await groups.close()

    asyncio.run(adding())
    assert disk.groups == [[2]]
