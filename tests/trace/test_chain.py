"""A segment walked as a sceptic: every kind of tampering is found, at its record, between its neighbours' times."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.trace import chain, frames
from gateway.trace.chain import Mark, walk
from gateway.trace.frames import GENESIS, HEADER_BYTES, Parts, frame

START_US = 1_790_000_000_000_000


def parts(n: int) -> Parts:
    if n == 0:
        return Parts(msgspec.json.encode({"type": "booted", "run": "r", "slot": 2, "boot": "b", "at_us": START_US}))
    facts = {"type": "ended", "exchange": {"started_us": START_US + n, "duration_us": 5}, "calls": [{"decided_us": 1}, 7]}
    return Parts(msgspec.json.encode(facts), b"body %d" % n)


def chained(of: list[Parts], head: bytes = GENESIS) -> list[bytes]:
    made = []
    for each in of:
        raw, head = frame(head, each)
        made.append(raw)
    return made


def whole(count: int) -> list[bytes]:
    return chained([parts(n) for n in range(count)])


def only(found: chain.Walked) -> chain.Break:
    (one,) = found.breaks
    return one


def test_a_sound_segment_has_no_break_and_says_what_it_holds():
    data = b"".join(whole(6))
    found = walk(data, {1, 6, 99})
    assert found.breaks == ()
    assert (found.records, found.end, found.size, found.shed) == (6, len(data), len(data), 0)
    assert found.first_previous == GENESIS
    assert found.booted == ("r", 2, "b")
    assert found.last_us == START_US + 5
    assert found.marks == {
        1: Mark(frames.scan(whole(1)[0], 0, GENESIS).head, START_US),
        6: Mark(found.head, START_US + 5),
    }


def test_nothing_is_found_in_an_empty_file():
    assert walk(b"") == chain.Walked(None, 0, None, 0, 0, 0, None, None, (), {})


def test_shed_records_are_counted_and_break_nothing():
    data, head = frames.shed(b"".join(whole(4)), GENESIS)
    found = walk(data)
    assert (found.records, found.shed, found.head, found.breaks) == (4, 3, head, ())


@given(st.integers(0, 60))
def test_a_torn_tail_is_no_break(cut):
    made = whole(4)
    found = walk(b"".join(made)[: len(b"".join(made)) - cut])
    assert found.breaks == ()
    assert found.records == (4 if cut == 0 else 3 if cut <= len(made[-1]) else 2)


@settings(max_examples=200)
@given(st.integers(1, 5), st.data())
def test_changed_bytes_are_found_at_their_record_and_the_rest_is_read(at, data):
    made = whole(7)
    place = data.draw(st.integers(4, len(made[at]) - 1))
    changed = bytearray(made[at])
    changed[place] ^= data.draw(st.integers(1, 255))
    found = walk(b"".join([*made[:at], bytes(changed), *made[at + 1 :]]), {at + 1, 7})
    one = only(found)
    assert (one.record, one.offset) == (at, len(b"".join(made[:at])))
    assert one.before_us == START_US + at - 1
    assert one.after_us == START_US + at + 1
    assert "not those that were written" in one.what
    assert found.records == 7
    assert found.marks[7].hash == walk(b"".join(made)).head


@pytest.mark.parametrize("bit", range(30))
def test_a_damaged_length_is_found_at_its_record_and_the_rest_is_read(bit):
    made = whole(4)
    changed = bytearray(made[1])
    changed[bit // 8] ^= 1 << bit % 8
    found = walk(b"".join([made[0], bytes(changed), *made[2:]]))
    assert only(found).record == 1
    assert found.records == 4


def test_what_stands_behind_bytes_of_unknown_length_cannot_be_read_and_that_is_said():
    made = whole(4)
    changed = b"\xff" * len(made[1])
    one = only(walk(b"".join([made[0], changed, *made[2:]])))
    assert one.record == 1
    assert "what follows cannot be read" in one.what


def test_a_changed_last_record_is_found_too():
    made = whole(3)
    changed = made[2][:-1] + b"?"
    found = walk(b"".join([*made[:2], changed]))
    assert (only(found).record, only(found).after_us, found.records) == (2, None, 3)


@given(st.integers(1, 5))
def test_a_record_changed_with_its_checksum_made_to_fit_breaks_the_chain_behind_it(at):
    made = whole(7)
    named = made[at][8:HEADER_BYTES]
    forged, _ = frame(named, Parts(parts(at).facts.replace(b"ended", b"other"), b"x"))
    found = walk(b"".join([*made[:at], forged, *made[at + 1 :]]))
    one = only(found)
    assert one.record == at + 1
    assert "the record before was changed" in one.what
    assert (one.before_us, one.after_us) == (START_US + at, START_US + at + 1)


@given(st.integers(1, 5))
def test_a_record_taken_out_is_found_between_its_neighbours(at):
    made = whole(7)
    one = only(walk(b"".join([*made[:at], *made[at + 1 :]])))
    assert one.record == at
    assert (one.before_us, one.after_us) == (START_US + at - 1, START_US + at + 1)


@given(st.integers(1, 5))
def test_a_record_put_in_is_told_from_one_that_is_missing(at):
    made = whole(7)
    strange, _ = frame(made[at][8:HEADER_BYTES], parts(99))
    one = only(walk(b"".join([*made[:at], strange, *made[at:]])))
    assert one.record == at + 1
    assert "records were put in before this one" in one.what


def test_two_places_are_both_found():
    made = whole(7)
    made[1] = made[1][:-1] + b"?"
    strange, _ = frame(made[5][8:HEADER_BYTES], parts(99))
    assert [one.record for one in walk(b"".join([*made[:5], strange, *made[5:]])).breaks] == [1, 6]


@given(st.integers(1, 3), st.integers(4, 5))
def test_records_that_changed_places_are_found_at_the_first_of_them(one, other):
    made = whole(7)
    made[one], made[other] = made[other], made[one]
    found = walk(b"".join(made))
    assert found.breaks[0].record == one
    assert len(found.breaks) >= 3


def test_every_place_is_found_up_to_a_bound():
    made = whole(60)
    found = walk(b"".join(made[n] for n in range(60) if n % 2 == 0))
    assert len(found.breaks) == chain.MOST_BREAKS
    noise = [raw if n % 3 else raw[:-1] + bytes([raw[-1] ^ 1]) for n, raw in enumerate(whole(90))]
    assert len(walk(b"".join(noise)).breaks) == chain.MOST_BREAKS


@pytest.mark.parametrize(
    "facts",
    [b"[]", b"null", b"\xff", b"{", b'{"type":"ended"}', b'{"type":"booted"}', b'{"type":"booted","run":"r","slot":"x","boot":"b"}'],
)
def test_a_first_record_that_says_nothing_of_its_writer_says_nothing(facts):
    found = walk(b"".join(chained([Parts(facts)])))
    assert (found.booted, found.last_us, found.breaks) == (None, None, ())


def test_a_first_record_that_cannot_be_read_says_nothing_of_its_writer():
    made = whole(2)
    found = walk(made[0][:-1] + b"?" + made[1])
    assert found.booted is None
    assert only(found).record == 0
