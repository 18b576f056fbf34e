"""The notary: what is signed when, that it is on the disk first, and that trouble is said and passes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gateway import notary as module
from gateway.heads_log import lines_of, read, signing_key
from gateway.notary import Notary
from gateway.storage_settings import Heads
from gateway.stores import Offset
from gateway.trace.heads import Line
from gateway.trace.segments import Segment

ONE, TWO = Segment("1" * 32, 0, "2" * 32, 0), Segment("1" * 32, 1, "2" * 32, 0)


def at(records: int) -> Offset:
    return Offset(10 * records, bytes(31) + bytes([records % 256]), records)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "journal").mkdir()
    for one in (ONE, TWO):
        (tmp_path / "journal" / one.name).write_bytes(b"x")
    return tmp_path


def opened(data: Path, to: str | None = None) -> Notary:
    return Notary(data, data / "journal", Heads(to=to), lambda: 7)


def said(data: Path) -> list[Line]:
    found = read(data / "heads.log", signing_key(data).public_key())
    assert found.problem is None
    return [line for line in found.lines if line.kind != "key"]


def begun(data: Path) -> Notary:
    """One that has signed a moment ago."""
    notary = opened(data)
    notary.note(ONE, at(1), ended=False)
    notary.sign_due()
    return notary


def test_the_first_records_are_signed_at_once_and_a_few_more_wait_for_the_minute(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notary = begun(data)
    assert len(said(data)) == 1
    notary.note(ONE, at(5), ended=False)
    notary.sign_due()
    assert len(said(data)) == 1
    monkeypatch.setattr(module, "SIGN_EVERY_S", 0.0)
    notary.sign_due()
    notary.sign_due()
    _, line = said(data)
    assert [(head.segment, head.records, head.offset, head.ended) for head in line.heads] == [(ONE.name, 5, 50, False)]
    assert line.heads[0].hash == at(5).head.hex()  # type: ignore[union-attr]
    assert line.heads[0].written_us == (data / "journal" / ONE.name).stat().st_mtime_ns // 1000


def test_many_new_records_are_signed_at_once_and_all_news_share_a_line(data: Path) -> None:
    notary = begun(data)
    notary.note(ONE, at(10_000), ended=False)
    notary.note(TWO, at(1), ended=False)
    notary.sign_due()
    notary.note(ONE, at(10_001), ended=False)
    notary.sign_due()
    assert [[head.records for head in line.heads] for line in said(data)] == [[1], [10_001, 1]]


def test_an_end_is_signed_at_once_and_for_good(data: Path) -> None:
    notary = opened(data)
    assert not notary.settled(ONE)
    notary.note(ONE, at(1), ended=True)
    notary.sign_due()
    assert notary.settled(ONE)
    notary.note(ONE, at(2), ended=True)
    notary.close()
    assert [line.heads[0].records for line in said(data)] == [1]
    again = opened(data)
    assert again.settled(ONE)
    again.close()


def test_what_is_not_due_is_signed_when_the_book_ends(data: Path) -> None:
    notary = opened(data)
    notary.note(ONE, at(3), ended=False)
    notary.close()
    assert [line.heads[0].records for line in said(data)] == [3]


def test_what_was_signed_before_is_not_signed_again(data: Path) -> None:
    first = opened(data)
    first.note(ONE, at(3), ended=False)
    first.close()
    second = opened(data)
    second.note(ONE, at(3), ended=False)
    second.note(TWO, Offset(), ended=False)
    second.close()
    assert len(said(data)) == 1


def test_a_segment_is_synced_before_it_is_signed(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real, names = os.fdatasync, lambda fd: Path(os.readlink(f"/proc/self/fd/{fd}")).name
    monkeypatch.setattr(module.os, "fdatasync", lambda fd: (real(fd), done.append(names(fd)))[0])
    real_write = os.write
    monkeypatch.setattr("gateway.heads_log.os.write", lambda fd, raw: (done.append(names(fd)), real_write(fd, raw))[1])
    notary = opened(data)
    done.clear()
    notary.note(ONE, at(1), ended=True)
    notary.sign_due()
    assert done == [ONE.name, "heads.log"]


def test_a_segment_that_cannot_be_synced_is_not_signed_and_that_is_said(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    notary = opened(data)
    notary.note(ONE, at(1), ended=True)
    with monkeypatch.context() as patched:
        patched.setattr(module.os, "fdatasync", lambda fd: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        notary.sign_due()
    assert "is not signed: Input/output error" in str(notary.problem)
    assert said(data) == []
    notary.sign_due()
    assert (notary.problem, len(said(data))) == (None, 1)


def test_a_full_disk_is_said_rested_from_and_got_over(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notary = opened(data)
    notary.note(ONE, at(1), ended=True)
    tries: list[int] = []

    def full(fd: int, raw: bytes) -> int:
        tries.append(1)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("gateway.heads_log.os.write", full)
        for _ in range(5):
            notary.sign_due()
    assert len(tries) == 1
    assert "No space left on device; free or repair the disk" in str(notary.problem)
    monkeypatch.setattr(notary, "_not_before", 0.0)
    notary.sign_due()
    assert (notary.problem, len(said(data))) == (None, 1)


def test_heads_that_cannot_be_believed_are_said_and_nothing_is_added_to_them(data: Path) -> None:
    opened(data).close()
    (data / "heads.log").write_bytes(b"something else\n")
    notary = opened(data)
    notary.note(ONE, at(1), ended=True)
    notary.close()
    assert "cannot be believed" in str(notary.problem)
    assert (data / "heads.log").read_bytes() == b"something else\n"
    assert not notary.delivered(ONE.name)
    assert not notary.settled(ONE)


def test_a_second_place_gets_every_line_and_a_head_counts_as_delivered_then(data: Path, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    notary = opened(data, f"file:{place}")
    notary.note(ONE, at(1), ended=True)
    notary.sign_due()
    notary.close()
    assert lines_of(place) == lines_of(data / "heads.log")
    assert notary.delivered(ONE.name)
    assert not notary.delivered(TWO.name)
    assert opened(data).delivered(ONE.name)


def test_a_second_place_that_is_away_is_said(data: Path, tmp_path: Path) -> None:
    notary = opened(data, f"file:{tmp_path}/away/heads")
    notary.note(ONE, at(1), ended=True)
    notary.sign_due()
    notary.close()
    assert "heads cannot be added to" in str(notary.problem)
    assert not notary.delivered(ONE.name)
