"""Frames: what was written is read back exactly; what was cut is cut exactly; what was changed is seen."""

from __future__ import annotations

import hashlib
import struct

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.trace import frames
from gateway.trace.frames import GENESIS, HEADER_BYTES, MAX_PAYLOAD, Parts, frame, hides_frame, length_at, scan, shed

PARTS = st.builds(Parts, st.binary(max_size=60), st.just(b"") | st.binary(max_size=60))
PAYLOADS = st.lists(PARTS, min_size=1, max_size=6)


def first_form(previous: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """A frame as it was written before records had two parts."""
    checksum = google_crc32c.extend(google_crc32c.value(previous), payload)
    return struct.pack("<II32s", len(payload), checksum, previous) + payload, hashlib.sha256(previous + payload).digest()


def packed(form: int, previous: bytes, rest: bytes) -> bytes:
    """A frame with whatever inside, its checksum right."""
    checksum = google_crc32c.value(bytes([form]) + previous + rest)
    return struct.pack("<II32s", form << 30 | len(rest), checksum, previous) + rest


def segment(payloads: list[Parts], start: bytes = GENESIS) -> tuple[bytes, list[int], bytes]:
    data, ends, head = b"", [], start
    for payload in payloads:
        raw, head = frame(head, payload)
        data += raw
        ends.append(len(data))
    return data, ends, head


@given(PAYLOADS, st.binary(min_size=32, max_size=32))
def test_frames_are_read_back_as_they_were_written(payloads: list[Parts], start: bytes) -> None:
    data, ends, head = segment(payloads, start)
    seen = scan(data, 0, start)
    assert [payload for _, payload in seen.payloads] == payloads
    assert [offset for offset, _ in seen.payloads] == [0, *ends[:-1]]
    assert (seen.next, seen.head, seen.damage) == (len(data), head, None)


@given(PAYLOADS, st.data())
def test_any_truncation_yields_exactly_the_whole_frames_before_it(payloads: list[Parts], data: st.DataObject) -> None:
    whole, ends, _ = segment(payloads)
    cut = data.draw(st.integers(0, len(whole)))
    seen = scan(whole[:cut], 0, GENESIS)
    complete = [end for end in ends if end <= cut]
    assert [payload for _, payload in seen.payloads] == payloads[: len(complete)]
    assert seen.next == (complete[-1] if complete else 0)
    assert seen.damage == (None if cut == seen.next else "torn")
    assert not hides_frame(whole[:cut], seen.next)


@settings(max_examples=300)
@given(PAYLOADS, st.data())
def test_any_flipped_bit_is_found_and_nothing_after_it_is_trusted(payloads: list[Parts], data: st.DataObject) -> None:
    whole, ends, _ = segment(payloads)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    bad = bytearray(whole)
    bad[bit // 8] ^= 1 << bit % 8
    intact = [end for end in ends if end <= bit // 8]
    seen = scan(bytes(bad), 0, GENESIS)
    assert seen.next == (intact[-1] if intact else 0)
    assert [payload for _, payload in seen.payloads] == payloads[: len(intact)]
    assert seen.damage == "corrupt" or (seen.damage == "torn" and hides_frame(bytes(bad), seen.next))


def test_every_single_flipped_byte_of_a_segment_is_found() -> None:
    whole, _, _ = segment([Parts(b'{"type":"booted"}'), Parts(b""), Parts(b'{"n":1}' * 9, b"bodies" * 5)])
    for at in range(len(whole)):
        bad = bytes([*whole[:at], whole[at] ^ 0xFF, *whole[at + 1 :]])
        seen = scan(bad, 0, GENESIS)
        assert seen.damage == "corrupt" or hides_frame(bad, seen.next), at


@given(PAYLOADS, st.data())
def test_reading_may_stop_and_go_on_at_any_frame(payloads: list[Parts], data: st.DataObject) -> None:
    whole, ends, head = segment(payloads)
    first = scan(whole[: data.draw(st.sampled_from(ends))], 0, GENESIS)
    rest = scan(whole, first.next, first.head)
    assert [p for _, p in first.payloads + rest.payloads] == payloads
    assert rest.head == head


def test_a_frame_taken_out_of_the_middle_is_a_break_of_the_chain() -> None:
    whole, ends, _ = segment([Parts(b"one"), Parts(b"two"), Parts(b"three")])
    assert scan(whole[: ends[0]] + whole[ends[1] :], 0, GENESIS).damage == "corrupt"


def test_two_frames_swapped_are_a_break_of_the_chain() -> None:
    whole, ends, _ = segment([Parts(b"a"), Parts(b"b"), Parts(b"c")])
    swapped = whole[: ends[0]] + whole[ends[1] :] + whole[ends[0] : ends[1]]
    assert scan(swapped, 0, GENESIS).next == ends[0]


def test_the_head_is_sha256_of_the_previous_head_the_facts_and_the_digest_of_the_bodies() -> None:
    _, head = frame(GENESIS, Parts(b"facts", b"bodies"))
    assert head == hashlib.sha256(GENESIS + b"\x02facts" + hashlib.sha256(b"bodies").digest()).digest()


@given(PAYLOADS, st.binary(min_size=32, max_size=32))
def test_frames_of_the_first_form_are_read_and_the_chain_goes_through_them(payloads: list[Parts], start: bytes) -> None:
    data, head = b"", start
    for n, parts in enumerate(payloads):
        raw, head = first_form(head, parts.facts) if n % 2 else frame(head, parts)
        data += raw
    seen = scan(data, 0, start)
    assert [parts for _, parts in seen.payloads] == [Parts(p.facts) if n % 2 else p for n, p in enumerate(payloads)]
    assert (seen.head, seen.damage) == (head, None)


@given(PAYLOADS, st.binary(min_size=32, max_size=32))
def test_shed_bodies_are_gone_and_the_chain_is_what_it_was(payloads: list[Parts], start: bytes) -> None:
    whole, _, head = segment(payloads, start)
    short, last = shed(whole, start)
    seen = scan(short, 0, start)
    assert (last, seen.head, seen.damage) == (head, head, None)
    assert [parts for _, parts in seen.payloads] == [Parts(p.facts, None if p.bodies else b"") for p in payloads]
    assert shed(short, start) == (short, head)


def test_shed_bodies_are_in_the_file_no_more_and_the_facts_are() -> None:
    whole, _, _ = segment([Parts(b"a fact", b"a body"), Parts(b"another fact", b"another body")])
    short, _ = shed(whole, None)
    assert b"body" not in short
    assert short.count(b"fact") == 2


@settings(max_examples=300)
@given(PAYLOADS, st.data())
def test_any_flipped_bit_of_a_shed_segment_is_found(payloads: list[Parts], data: st.DataObject) -> None:
    whole, _ = shed(segment(payloads)[0], GENESIS)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    bad = bytearray(whole)
    bad[bit // 8] ^= 1 << bit % 8
    seen = scan(bytes(bad), 0, GENESIS)
    assert seen.next <= bit // 8
    assert seen.damage == "corrupt" or (seen.damage == "torn" and hides_frame(bytes(bad), seen.next))


def test_a_frame_of_the_first_form_keeps_what_it_holds() -> None:
    raw, head = first_form(GENESIS, b"all of it")
    assert shed(raw, GENESIS) == (raw, head)


def test_what_is_not_whole_and_sound_is_not_shed() -> None:
    whole, ends, _ = segment([Parts(b"a", b"b"), Parts(b"c", b"d")])
    for bad, place in ((whole[:-1], ends[0]), (whole[:45] + b"?" + whole[46:], 0)):
        with pytest.raises(ValueError, match=f"offset {place}"):
            shed(bad, GENESIS)


def test_a_record_without_its_bodies_is_not_written_again() -> None:
    with pytest.raises(ValueError, match="write the whole record"):
        frame(GENESIS, Parts(b"x", None))
    assert Parts(b"x", None).size == 4 + 1 + 32


@pytest.mark.parametrize(
    ("form", "rest"),
    [(1, bytes(4)), (2, b""), (2, bytes(3)), (2, b"\x09\0\0\0short"), (3, bytes(4) + b"x" * 31), (3, bytes(4) + b"x" * 33)],
)
def test_a_frame_whose_parts_are_not_what_its_form_says_is_corrupt(form: int, rest: bytes) -> None:
    assert scan(packed(form, GENESIS, rest), 0, GENESIS).damage == "corrupt"


def test_the_length_a_frame_says_is_without_its_form() -> None:
    raw, _ = frame(GENESIS, Parts(b"x", b"yz"))
    assert length_at(raw) == Parts(b"x", b"yz").size == len(raw) - HEADER_BYTES
    assert length_at(raw) < MAX_PAYLOAD


def test_a_segment_whose_start_is_unknown_names_it_itself() -> None:
    start = bytes(range(32))
    whole, _, head = segment([Parts(b"x")], start)
    assert scan(whole, 0, None).head == head
    assert scan(whole, 0, GENESIS).damage == "corrupt"


def test_a_tail_of_zeros_left_by_a_power_cut_is_torn() -> None:
    whole, _, head = segment([Parts(b"x"), Parts(b"y")])
    seen = scan(whole + bytes(4096), 0, GENESIS)
    assert (seen.next, seen.head, seen.damage) == (len(whole), head, "torn")


@pytest.mark.parametrize("written", [1, 3, 8, 39, 41, 60, 200])
@pytest.mark.parametrize("more", [b"", b"z" * 500])
def test_a_frame_whose_later_sectors_a_power_cut_left_as_zeros_is_torn(written: int, more: bytes) -> None:
    whole, _, head = segment([Parts(b"x")])
    raw, next_head = frame(head, Parts(b"y" * 400))
    lost = len(raw) - written + len(frame(next_head, Parts(more))[0])
    assert scan(whole + raw[:written] + bytes(lost), 0, GENESIS).damage == "torn"
    assert scan(whole + raw[:-100] + bytes(100), 0, GENESIS).damage == "corrupt"
    assert scan(whole + raw[:written] + bytes(lost) + b"z", 0, GENESIS).damage == "corrupt"


def test_a_length_over_the_limit_is_damage_at_once_and_not_a_wait() -> None:
    whole, _, head = segment([Parts(b"x")])
    raw, _ = frame(head, Parts(b"y" * 100))
    huge = (frames.MAX_PAYLOAD + 1).to_bytes(4, "little") + raw[4:]
    assert scan(whole + huge, 0, GENESIS).damage == "corrupt"


def test_a_payload_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_PAYLOAD", 10)
    with pytest.raises(ValueError, match="limit of 10"):
        frame(GENESIS, Parts(b"x" * 5, b"y" * 2))


def test_a_torn_frame_whose_start_belongs_elsewhere_is_corrupt() -> None:
    raw, _ = frame(bytes(range(32)), Parts(b"y" * 100))
    assert scan(raw[: HEADER_BYTES + 5], 0, GENESIS).damage == "corrupt"
