"""Segment names: read back as written, in an order that is the order of time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.trace.segments import Segment, growing, parse

HEX = st.text("0123456789abcdef", min_size=32, max_size=32)
SEGMENTS = st.builds(Segment, HEX, st.integers(-1, 999), HEX, st.integers(0, 99_999_999))


@given(SEGMENTS)
def test_a_name_is_read_back(segment: Segment) -> None:
    assert parse(segment.name) == segment


@given(st.lists(SEGMENTS))
def test_name_order_is_tuple_order(segments: list[Segment]) -> None:
    assert [s.name for s in sorted(segments)] == sorted(s.name for s in segments)


@given(st.text(max_size=90))
def test_other_files_are_not_segments(name: str) -> None:
    found = parse(name)
    assert found is None or found.name == name


def test_the_first_segment_of_a_boot_follows_none() -> None:
    first = Segment("a" * 32, 0, "b" * 32, 0)
    assert first.before is None
    assert first._replace(seq=1).before == first


def test_only_the_last_segment_of_each_slot_of_the_last_run_grows() -> None:
    run, boot = "1" * 32, "2" * 32
    old = Segment("0" * 32, 5, boot, 0)
    rotated, live = Segment(run, 0, boot, 0), Segment(run, 0, boot, 1)
    dead, reborn = Segment(run, 1, boot, 0), Segment(run, 1, "3" * 32, 0)
    assert growing([live, reborn, old, dead, rotated]) == {live, reborn}
    assert growing([]) == frozenset()
