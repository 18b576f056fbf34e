"""Which texts this journal stream has written already."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.trace.texts import Seen


def test_bodies_are_written_again_when_a_segment_begins():
    seen = Seen()
    assert [seen.first("a"), seen.first("a")] == [True, False]
    seen.begin_anew()
    assert [seen.first("a"), seen.first("b"), seen.first("a")] == [True, True, False]


def test_the_memory_of_written_bodies_is_bounded():
    seen = Seen(4)
    assert [seen.first(a) for a in ("a", "b", "a", "c", "a", "b")] == [True, True, False, True, False, True]
    assert sum(seen.first(f"{n}") for n in range(1000)) == 1000
    assert len(seen._young) + len(seen._old) <= 4


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=6), max_size=20), st.integers(1, 8))
def test_several_bodies_are_remembered_as_one_after_the_other(asked, size):
    one, several = Seen(size), Seen(size)
    for addresses in asked:
        assert several.firsts(addresses) == {each for each in addresses if one.first(each)}
