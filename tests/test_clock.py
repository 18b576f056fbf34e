"""Ids that are ordered in time."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock import Clock, mono_us, new_id, now_us, uuid7

MICROSECONDS = st.integers(min_value=0, max_value=2**48 * 1000 - 1)


@given(MICROSECONDS)
def test_an_id_is_a_version_7_uuid_that_holds_its_millisecond(at):
    found = uuid7(at)
    assert (found.version, found.variant) == (7, "specified in RFC 4122")
    assert found.int >> 80 == at // 1000


@given(MICROSECONDS, MICROSECONDS)
def test_later_ids_sort_after_earlier_ones(one, other):
    if one // 1000 < other // 1000:
        assert str(uuid7(one)) < str(uuid7(other))


def test_ids_are_not_repeated():
    assert len({uuid7(0) for _ in range(1000)}) == len({new_id() for _ in range(1000)}) == 1000


def test_an_id_as_text_is_such_a_uuid_of_now():
    before, text = now_us() // 1000, new_id()
    found = uuid.UUID(text)
    assert (str(found), found.version, found.variant) == (text, 7, "specified in RFC 4122")
    assert before <= found.int >> 80 <= now_us() // 1000


def test_the_real_clock_goes_forward():
    clock = Clock()
    assert clock.now_us() <= now_us()
    assert clock.mono_us() <= mono_us()
    assert clock.new_id() != clock.new_id()
