"""The line of answers that wait for a model's opinion: bounded, in order, and never lost count of."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.afterwards import Afterwards, Due
from gateway.exchange import Caller


def due(name="x", size=1):
    return Due(name, 1, Caller("a"), "full", "", "x" * size, ())


def test_the_one_that_waits_longest_comes_first_and_waiting_wakes():
    line, woken = Afterwards(), []
    line.wake = lambda: woken.append(1)
    for name in "ab":
        assert line.reserve(due(name))
        line.put(due(name))
    assert [line.next().exchange, line.next().exchange, line.next(), len(woken)] == ["a", "b", None, 2]


@given(st.lists(st.tuples(st.sampled_from(["reserve", "put", "give_back", "next"]), st.integers(0, 7)), max_size=60))
def test_never_more_wait_than_may_and_every_place_comes_back(steps):
    line, held, waiting = Afterwards(most=3, most_characters=10), [], []
    for step, size in steps:
        if step == "reserve":
            fits = len(held) + len(waiting) < 3 and sum(one.size for one in held + waiting) + size <= 10
            assert line.reserve(due(size=size)) is fits
            held += [due(size=size)] if fits else []
        elif step == "next":
            assert line.next() == (waiting.pop(0) if waiting else None)
        elif held and step == "put":
            waiting.append(held.pop())
            line.put(waiting[-1])
        elif held:
            line.give_back(held.pop())
    for one in held:
        line.give_back(one)
    while line.next():
        pass
    assert all(line.reserve(due(size=3)) for _ in range(3))
