"""Reading segments: growing ones are waited for, dead tails cut, damage believed the second time and then never read past."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.stores import Offset, intake
from gateway.stores.intake import SegmentReader, head_before, segments
from gateway.trace import frames


@pytest.fixture
def reader(make: Any, journal: Path) -> Callable[..., SegmentReader]:
    return lambda segment=None, offset=None: SegmentReader(journal, segment or make.segment(), offset or Offset())


def ids(batch: Any) -> list[str]:
    return [record.exchange.id[-1] for _, record in batch.records]


def test_a_segment_is_read_from_where_the_store_stands(make: Any, write: Any, reader: Any) -> None:
    write(make.segment(), make.ended(1), make.ended(2), make.ended(3))
    whole = reader().read(complete=False)
    place, (second, _) = whole.records[0][0], whole.records[1]
    assert ids(whole) == ["1", "2", "3"]
    assert place == 0
    rest = reader(offset=Offset(second, frames.scan(reader().path.read_bytes()[:second], 0, None).head)).read(complete=False)
    assert ids(rest) == ["2", "3"]
    assert (rest.next, rest.head) == (whole.next, whole.head)


def test_a_torn_tail_of_a_growing_segment_is_waited_for(make: Any, write: Any, reader: Any) -> None:
    write(make.segment(), make.ended(1), make.ended(2))
    reading = reader()
    data = reading.path.read_bytes()
    reading.path.write_bytes(data[:-5])
    assert ids(reading.read(complete=False)) == ["1"]
    assert reading.read(complete=False) is None
    assert reading.lag > 0
    reading.path.write_bytes(data)
    assert ids(reading.read(complete=False)) == ["2"]
    assert reading.lag == 0
    assert reading.damage is None


def test_a_torn_tail_of_a_dead_segment_is_left_out(make: Any, write: Any, reader: Any) -> None:
    write(make.segment(), make.ended(1), make.ended(2))
    reading = reader()
    reading.path.write_bytes(reading.path.read_bytes()[:-5])
    assert ids(reading.read(complete=True)) == ["1"]
    for _ in range(3):
        assert reading.read(complete=True) is None
    assert (reading.lag, reading.damage) == (0, None)


@pytest.mark.parametrize("complete", [True, False])
def test_a_changed_byte_stops_the_reading_there_once_it_is_seen_twice(make: Any, write: Any, reader: Any, complete: bool) -> None:
    write(make.segment(), make.ended(1), make.ended(2), make.ended(3))
    reading = reader()
    place = reader().read(complete=False).records[1][0]
    data = bytearray(reading.path.read_bytes())
    data[place + 60] ^= 1
    reading.path.write_bytes(data)
    assert ids(reading.read(complete=complete)) == ["1"]
    assert reading.damage is None
    assert reading.read(complete=complete) is None
    assert reading.damage is not None
    assert str(place) in reading.damage
    assert reading.read(complete=complete) is None


def test_a_changed_byte_that_was_a_write_under_way_is_forgiven(make: Any, write: Any, reader: Any) -> None:
    write(make.segment(), make.ended(1), make.ended(2))
    reading = reader()
    data = reading.path.read_bytes()
    reading.path.write_bytes(data[:-1] + b"?")
    assert ids(reading.read(complete=False)) == ["1"]
    reading.path.write_bytes(data)
    assert ids(reading.read(complete=False)) == ["2"]
    assert reading.damage is None


def test_a_damaged_length_in_the_middle_is_damage_and_no_torn_tail(make: Any, write: Any, reader: Any) -> None:
    write(make.segment(), make.ended(1), make.ended(2), make.ended(3))
    reading = reader()
    place = reader().read(complete=False).records[1][0]
    data = bytearray(reading.path.read_bytes())
    data[place + 2] ^= 0x10
    reading.path.write_bytes(data)
    for _ in range(3):
        reading.read(complete=True)
    assert reading.damage is not None
    assert str(place) in reading.damage


def test_a_damaged_length_in_a_growing_segment_is_found_when_the_segment_grows(make: Any, write: Any, reader: Any) -> None:
    write(make.segment(), make.ended(1), make.ended(2))
    reading = reader()
    place = reader().read(complete=False).records[1][0]
    data = bytearray(reading.path.read_bytes())
    data[place + 2] ^= 0x10
    for more in range(4):
        reading.path.write_bytes(bytes(data) + b"x" * more)
        reading.read(complete=False)
    assert reading.damage is not None


def test_a_whole_frame_with_an_unknown_record_is_damage(make: Any, write: Any, reader: Any) -> None:
    head = write(make.segment(), make.ended(1))
    reading = reader()
    for payload in (b'{"type":"unheard_of"}', b"\xff"):
        raw, _ = frames.frame(head, frames.Parts(payload))
        whole = reading.path.read_bytes()
        odd = reader()
        odd.path.write_bytes(whole + raw)
        batch = odd.read(complete=False)
        assert ids(batch) == ["1"]
        assert (batch.next, batch.head) == (len(whole), head)
        assert "no record this version knows" in odd.damage
        odd.path.write_bytes(whole)


def test_a_first_frame_with_an_unknown_record_gives_no_batch(make: Any, reader: Any) -> None:
    reading = reader()
    reading.path.write_bytes(frames.frame(frames.GENESIS, frames.Parts(b"{}"))[0])
    assert reading.read(complete=False) is None
    assert reading.damage.startswith("offset 0")


def test_frames_longer_than_a_chunk_and_many_chunks_are_read(make: Any, write: Any, reader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "CHUNK", 300)
    write(make.segment(), make.ended(1), make.ended(2, input_preview="x" * 5000), *(make.ended(n) for n in range(3, 9)))
    reading, found = reader(), []
    while (batch := reading.read(complete=True)) is not None:
        found += ids(batch)
    assert found == list("12345678")
    assert reading.damage is None


def test_a_segment_that_is_gone_has_nothing(reader: Any) -> None:
    assert reader().read(complete=True) is None
    assert reader().lag == 0


def test_a_segment_must_follow_the_one_before(make: Any, write: Any, reader: Any) -> None:
    first, second = make.segment(), make.segment(seq=1)
    head = write(first, make.ended(1))
    write(second, make.ended(2), head=head)
    good, bad, unknown = reader(second), reader(second), reader(second)
    good.follow(head)
    bad.follow(frames.GENESIS)
    unknown.follow(None)
    assert good.warning is None
    assert bad.warning is not None
    assert "may be missing" in bad.warning
    assert unknown.warning is None


def test_the_head_before_is_that_of_the_last_earlier_segment_of_the_same_boot(make: Any) -> None:
    first, third, other = make.segment(), make.segment(seq=2), make.segment(boot=2, seq=1)
    offsets = {first.name: Offset(1, b"head")}
    known = [first, third, other]
    assert head_before(third, offsets, known) == b"head"
    assert head_before(first, offsets, known) == frames.GENESIS
    assert head_before(other, offsets, known) is None
    assert head_before(third, {}, known) is None
    assert head_before(third, {first.name: Offset(1, b"head", 1, "damaged")}, known) is None


def test_segments_are_listed_in_order_and_other_files_left_out(make: Any, journal: Path, write: Any) -> None:
    for segment in (make.segment(slot=1), make.segment(seq=1), make.segment()):
        write(segment)
    (journal / "notes.txt").write_text("x")
    assert segments(journal) == [make.segment(), make.segment(seq=1), make.segment(slot=1)]
    assert segments(journal / "absent") == []
