"""Frames: what was written is read back exactly; what was cut is cut exactly; what was changed is seen."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.trace import frames
from gateway.trace.frames import GENESIS, HEADER_BYTES, frame, hides_frame, scan

PAYLOADS = st.lists(st.binary(max_size=60), min_size=1, max_size=6)


def segment(payloads: list[bytes], start: bytes = GENESIS) -> tuple[bytes, list[int], bytes]:
    data, ends, head = b"", [], start
    for payload in payloads:
        raw, head = frame(head, payload)
        data += raw
        ends.append(len(data))
    return data, ends, head


@given(PAYLOADS, st.binary(min_size=32, max_size=32))
def test_frames_are_read_back_as_they_were_written(payloads: list[bytes], start: bytes) -> None:
    data, ends, head = segment(payloads, start)
    seen = scan(data, 0, start)
    assert [payload for _, payload in seen.payloads] == payloads
    assert [offset for offset, _ in seen.payloads] == [0, *ends[:-1]]
    assert (seen.next, seen.head, seen.damage) == (len(data), head, None)


@given(PAYLOADS, st.data())
def test_any_truncation_yields_exactly_the_whole_frames_before_it(payloads: list[bytes], data: st.DataObject) -> None:
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
def test_any_flipped_bit_is_found_and_nothing_after_it_is_trusted(payloads: list[bytes], data: st.DataObject) -> None:
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
    whole, _, _ = segment([b'{"type":"booted"}', b"", b'{"n":1}' * 9])
    for at in range(len(whole)):
        bad = bytes([*whole[:at], whole[at] ^ 0xFF, *whole[at + 1 :]])
        seen = scan(bad, 0, GENESIS)
        assert seen.damage == "corrupt" or hides_frame(bad, seen.next), at


@given(PAYLOADS, st.data())
def test_reading_may_stop_and_go_on_at_any_frame(payloads: list[bytes], data: st.DataObject) -> None:
    whole, ends, head = segment(payloads)
    first = scan(whole[: data.draw(st.sampled_from(ends))], 0, GENESIS)
    rest = scan(whole, first.next, first.head)
    assert [p for _, p in first.payloads + rest.payloads] == payloads
    assert rest.head == head


def test_a_frame_taken_out_of_the_middle_is_a_break_of_the_chain() -> None:
    whole, ends, _ = segment([b"one", b"two", b"three"])
    assert scan(whole[: ends[0]] + whole[ends[1] :], 0, GENESIS).damage == "corrupt"


def test_two_frames_swapped_are_a_break_of_the_chain() -> None:
    whole, ends, _ = segment([b"a", b"b", b"c"])
    swapped = whole[: ends[0]] + whole[ends[1] :] + whole[ends[0] : ends[1]]
    assert scan(swapped, 0, GENESIS).next == ends[0]


def test_the_head_is_sha256_of_the_previous_head_and_the_payload() -> None:
    _, head = frame(GENESIS, b"x")
    assert head == hashlib.sha256(GENESIS + b"x").digest()


def test_a_segment_whose_start_is_unknown_names_it_itself() -> None:
    start = bytes(range(32))
    whole, _, head = segment([b"x"], start)
    assert scan(whole, 0, None).head == head
    assert scan(whole, 0, GENESIS).damage == "corrupt"


def test_a_tail_of_zeros_left_by_a_power_cut_is_torn() -> None:
    whole, _, head = segment([b"x", b"y"])
    seen = scan(whole + bytes(4096), 0, GENESIS)
    assert (seen.next, seen.head, seen.damage) == (len(whole), head, "torn")


def test_a_length_over_the_limit_is_damage_at_once_and_not_a_wait() -> None:
    whole, _, head = segment([b"x"])
    raw, _ = frame(head, b"y" * 100)
    huge = (frames.MAX_PAYLOAD + 1).to_bytes(4, "little") + raw[4:]
    assert scan(whole + huge, 0, GENESIS).damage == "corrupt"


def test_a_payload_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_PAYLOAD", 10)
    with pytest.raises(ValueError, match="limit of 10"):
        frame(GENESIS, b"x" * 11)


def test_a_torn_frame_whose_start_belongs_elsewhere_is_corrupt() -> None:
    raw, _ = frame(bytes(range(32)), b"y" * 100)
    assert scan(raw[: HEADER_BYTES + 5], 0, GENESIS).damage == "corrupt"
