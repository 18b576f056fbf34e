"""Work under a deadline: done at once it is as if there were none, waiting it is as under asyncio.timeout."""

import asyncio
import gc

import pytest

from gateway.deadlines import Alarm, InTime, within


def run(work):
    return asyncio.run(work)


async def at_once(value):
    return value


def test_work_that_need_not_wait_gives_its_result_and_arms_nothing(monkeypatch):
    monkeypatch.setattr(asyncio, "timeout", None)
    assert run(within(0, at_once(5))) == 5


def test_work_that_fails_at_once_fails():
    async def fails():
        raise KeyError("x")

    with pytest.raises(KeyError):
        run(within(1, fails()))


@pytest.mark.parametrize("seconds", [5, None])
@pytest.mark.parametrize("waits", [1, 2, 5])
def test_work_that_waits_gives_its_result(seconds, waits):
    async def slow():
        return [await asyncio.sleep(0.001 if n % 2 else 0, n) for n in range(waits)]

    assert run(within(seconds, slow())) == list(range(waits))


def test_work_that_fails_after_waiting_fails():
    async def fails():
        await asyncio.sleep(0)
        raise KeyError("x")

    for seconds in (1, None):
        with pytest.raises(KeyError):
            run(within(seconds, fails()))


def test_work_that_waits_too_long_is_ended_and_hears_of_it():
    heard = []

    async def slow():
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            heard.append("ended")
            raise

    with pytest.raises(TimeoutError):
        run(within(0.01, slow()))
    assert heard == ["ended"]


def test_time_counts_over_all_steps_of_the_work():
    async def drips():
        for _ in range(1000):
            await asyncio.sleep(0.005)

    with pytest.raises(TimeoutError):
        run(within(0.03, drips()))


@pytest.mark.parametrize("seconds", [5, None])
def test_whoever_waits_for_the_work_can_be_cancelled(seconds):
    async def scene():
        heard = asyncio.Event()

        async def slow():
            try:
                await asyncio.sleep(30)
            finally:
                heard.set()

        task = asyncio.create_task(within(seconds, slow()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return heard.is_set()

    assert run(scene())


def test_work_may_swallow_what_it_is_told_and_go_on():
    async def stubborn():
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "went on"

    async def scene():
        task = asyncio.create_task(within(None, stubborn()))
        await asyncio.sleep(0.01)
        task.cancel()
        return await task

    assert run(scene()) == "went on"


def test_the_next_item_of_an_iterator_is_work_too():
    async def numbers():
        yield 1
        await asyncio.sleep(0)
        yield 2
        await asyncio.sleep(30)

    async def scene():
        found = numbers()
        assert [await within(1, anext(found, None)), await within(1, anext(found, None))] == [1, 2]
        with pytest.raises(TimeoutError):
            await within(0.01, anext(found, None))
        assert await within(1, anext(found, None)) is None

    run(scene())


def test_a_queue_that_is_filled_later_wakes_the_work():
    async def scene():
        queue = asyncio.Queue()
        asyncio.get_running_loop().call_later(0.01, queue.put_nowait, "here")
        return await within(5, queue.get())

    assert run(scene()) == "here"


def rings(*sets: float, off: bool = False, end: bool = False, wait: float = 0.15) -> list[float]:
    """When an alarm rang that was set so, one after the other, in seconds from the beginning."""

    async def listen():
        loop = asyncio.get_running_loop()
        start, heard = loop.time(), []
        alarm = Alarm(loop, lambda: heard.append(loop.time() - start))
        for seconds in sets:
            alarm.set(seconds)
        if off:
            alarm.off()
        if end:
            alarm.end()
        await asyncio.sleep(wait)
        return heard

    return run(listen())


@pytest.mark.parametrize("sets", [(0.05,), (0.01, 0.05), (5, 0.05), (0.01, 5, 0.02, 0.05)])
def test_an_alarm_rings_once_when_it_was_last_set_for(sets):
    heard = rings(*sets)
    assert len(heard) == 1
    assert 0.045 <= heard[0] < 0.14


def test_an_alarm_that_is_off_or_ended_does_not_ring():
    assert rings(0.02, off=True) == rings(0.02, end=True) == rings(0.02, 0.04, off=True) == []


def test_an_alarm_can_be_set_again_after_it_was_off_or_rang():
    async def listen():
        heard = []
        alarm = Alarm(asyncio.get_running_loop(), lambda: heard.append(1))
        alarm.set(0.01)
        alarm.off()
        alarm.set(0.02)
        await asyncio.sleep(0.05)
        alarm.set(0.01)
        await asyncio.sleep(0.05)
        return heard

    assert run(listen()) == [1, 1]


class Pieces:
    """Comes piece by piece, as told."""

    def __init__(self):
        self.told = asyncio.Queue()

    async def __aiter__(self):
        while piece := await self.told.get():
            if isinstance(piece, Exception):
                raise piece
            yield piece


def test_a_piece_that_is_not_waited_for_any_longer_comes_all_the_same():
    async def go():
        pieces = Pieces()
        late = InTime(aiter(pieces))
        assert await late.within(0.01) is None
        assert await late.within(0) is None
        for piece in (b"one", b"two", b"three", b""):
            pieces.told.put_nowait(piece)
        assert await late.within(10) == b"one"
        assert [piece async for piece in late] == [b"two", b"three"]

    run(go())


@pytest.mark.parametrize("then", [b"", b"one"])
def test_whoever_goes_on_reads_what_was_on_its_way(then):
    async def go():
        pieces = Pieces()
        late = InTime(aiter(pieces))
        assert await late.within(0) is None
        pieces.told.put_nowait(then)
        pieces.told.put_nowait(b"")
        assert [piece async for piece in late] == [piece for piece in (then,) if piece]
        assert await late.within(10) == b""

    run(go())


def test_an_error_on_its_way_is_for_who_waits_and_for_nobody_else():
    async def go():
        unheard = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: unheard.append(told))
        for waits in (True, False):
            pieces = Pieces()
            late = InTime(aiter(pieces))
            assert await late.within(0) is None
            pieces.told.put_nowait(KeyError("gone"))
            if waits:
                with pytest.raises(KeyError):
                    await late.within(10)
            else:
                await asyncio.sleep(0.01)
                del late
                gc.collect()
        assert unheard == []

    run(go())


def test_whoever_is_cancelled_while_waiting_ends_the_wait():
    async def go():
        pieces = Pieces()
        late = InTime(aiter(pieces))
        waiting = asyncio.ensure_future(late.within(10))
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    run(go())
