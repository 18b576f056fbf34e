"""The journal: what it acknowledged is in the files, in order, exactly; what it refused is not; and it recovers by itself."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway import journal as module
from gateway.errors import JournalUnavailable
from gateway.journal import Durability, Journal
from gateway.trace import frames, record
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Booted, PolicyLoaded, Record
from gateway.trace.segments import parse
from tests.patience import PATIENCE_S, until_meanwhile

RUN, BOOT = "0" * 31 + "1", "0" * 31 + "2"
BOTH: list[Durability] = ["commit", "interval"]


def note(text: object) -> Record:
    return PolicyLoaded(PolicyRow(hash=str(text), loaded_us=1))


def open_journal(directory: Path, durability: Durability = "commit", **more: Any) -> Journal:
    return Journal(directory, run=RUN, slot=3, boot=BOOT, durability=durability, first=lambda: Booted(RUN, 3, BOOT, 7), **more)


def read_back(directory: Path) -> list[list[Record]]:
    """The records of each segment; fails when the chain does not hold from the first frame of the first to the last of the last."""
    head, found = frames.GENESIS, []
    for path in sorted(directory.glob("*.log")):
        seen = frames.scan(path.read_bytes(), 0, head)
        assert seen.damage is None, path.name
        assert seen.head is not None
        head = seen.head
        found.append([record.decode(payload) for _, payload in seen.payloads])
    return found


def notes(directory: Path) -> list[str]:
    return [each.policy.hash for segment in read_back(directory) for each in segment if isinstance(each, PolicyLoaded)]


@pytest.mark.parametrize("durability", BOTH)
def test_records_are_read_back_in_the_order_of_the_calls(tmp_path: Path, durability: Durability) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path, durability)
        await asyncio.gather(*(journal.append(note(f"{n}a"), note(f"{n}b")) for n in range(200)))
        await journal.close()

    asyncio.run(write())
    assert notes(tmp_path) == [f"{n}{letter}" for n in range(200) for letter in "ab"]


@pytest.mark.parametrize("durability", BOTH)
def test_what_is_not_to_be_kept_is_taken_out_of_every_record(tmp_path: Path, durability: Durability) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path, durability, clean=lambda data: data.replace(b"secret", b"***"))
        await journal.append(note("a secret"), note("none"))
        await journal.close()

    asyncio.run(write())
    assert notes(tmp_path) == ["a ***", "none"]


@pytest.mark.parametrize("durability", BOTH)
def test_what_was_acknowledged_is_in_the_file_before_the_journal_is_closed(tmp_path: Path, durability: Durability) -> None:
    async def write() -> list[str]:
        journal = open_journal(tmp_path, durability)
        await journal.append(note("x"))
        seen = notes(tmp_path)
        await journal.close()
        return seen

    assert asyncio.run(write()) == ["x"]


@pytest.mark.parametrize("durability", BOTH)
def test_each_segment_begins_with_the_boot_and_goes_on_from_the_one_before(tmp_path: Path, durability: Durability) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path, durability, max_segment_bytes=500)
        for n in range(40):
            await journal.append(note(n))
        await journal.close()

    asyncio.run(write())
    segments = read_back(tmp_path)
    assert len(segments) > 3
    assert all(segment[0] == Booted(RUN, 3, BOOT, 7) for segment in segments)
    assert notes(tmp_path) == [str(n) for n in range(40)]
    names = [parse(path.name) for path in sorted(tmp_path.glob("*.log"))]
    assert [name.seq for name in names if name] == list(range(len(segments)))


def test_a_group_is_synced_once_and_before_it_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_write, real_sync = os.write, os.fdatasync
    monkeypatch.setattr(module.os, "write", lambda fd, data: (calls.append("write"), real_write(fd, data))[1])
    monkeypatch.setattr(module.os, "fdatasync", lambda fd: (real_sync(fd), calls.append("sync"))[0])

    async def write() -> None:
        journal = open_journal(tmp_path)
        calls.clear()
        await asyncio.gather(*(journal.append(note(n)) for n in range(100)))
        calls.append("acknowledged")
        await journal.close()

    asyncio.run(write())
    assert calls[-2:] == ["sync", "acknowledged"]
    assert calls.count("sync") < 20
    assert calls[:-1] == ["write", "sync"] * calls.count("sync")


def failing(real: Callable[..., object], nth: Iterator[int], at: int, code: int, *, short: bool = False) -> Callable[..., object]:
    """The `at`-th call of all that share `nth` fails, a write perhaps after it wrote half."""

    def call(*given: object) -> object:
        if next(nth) != at:
            return real(*given)
        if short:
            os_write(given[0], bytes(given[1])[: len(given[1]) // 2])  # type: ignore[arg-type, call-overload]
        raise OSError(code, os.strerror(code))

    return call


os_write, os_sync, os_open = os.write, os.fdatasync, os.open


@pytest.mark.parametrize("durability", BOTH)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_whatever_call_fails_acknowledged_and_written_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability, code: int
) -> None:
    async def write(directory: Path) -> list[str]:
        journal = open_journal(directory, durability, max_segment_bytes=300)
        kept = []
        for n in range(12):
            try:
                await journal.append(note(n))
                kept.append(str(n))
                assert journal.healthy
            except JournalUnavailable:
                assert not journal.healthy
        await journal.close()
        return kept

    refused = 0
    for at in range(40):
        count = itertools.count()
        directory = tmp_path / f"{at}"
        with monkeypatch.context() as patched:
            patched.setattr(module.os, "write", failing(os_write, count, at, code, short=True))
            patched.setattr(module.os, "open", failing(os_open, count, at, code))
            if durability == "commit":
                patched.setattr(module.os, "fdatasync", failing(os_sync, count, at, code))
            kept = asyncio.run(write(directory))
        assert notes(directory) == kept, at
        refused += 12 - len(kept)
    assert refused > 5


def test_after_a_failed_sync_the_file_is_never_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path)
        await journal.append(note("before"))
        with monkeypatch.context() as patched:
            patched.setattr(module.os, "fdatasync", failing(os_sync, itertools.count(), 0, errno.EIO))
            with pytest.raises(JournalUnavailable, match=r"Input/output error.*free or repair the disk"):
                await journal.append(note("lost"))
        assert journal.problem is not None
        await journal.append(note("after"))
        assert journal.healthy
        await journal.close()

    asyncio.run(write())
    assert [len(segment) for segment in read_back(tmp_path)] == [2, 2]
    assert notes(tmp_path) == ["before", "after"]


def test_all_who_wait_for_a_failed_group_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def write() -> list[object]:
        journal = open_journal(tmp_path)
        monkeypatch.setattr(module.os, "fdatasync", failing(os_sync, itertools.repeat(0), 0, errno.EIO))
        told = await asyncio.gather(*(journal.append(note(n)) for n in range(50)), return_exceptions=True)
        monkeypatch.setattr(module.os, "fdatasync", os_sync)
        await journal.close()
        return list(told)

    assert {type(each) for each in asyncio.run(write())} == {JournalUnavailable}
    assert notes(tmp_path) == []


def test_when_the_failed_write_cannot_be_cut_back_a_new_segment_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(module.os, "write", failing(os_write, itertools.count(), 0, errno.ENOSPC, short=True))
            patched.setattr(module.os, "ftruncate", failing(os.ftruncate, itertools.count(), 0, errno.EIO))
            with pytest.raises(JournalUnavailable):
                await journal.append(note("lost"))
        await journal.append(note("kept"))
        await journal.close()

    asyncio.run(write())
    first, second = sorted(tmp_path.glob("*.log"))
    torn = frames.scan(first.read_bytes(), 0, frames.GENESIS)
    assert torn.damage == "torn"
    whole = frames.scan(second.read_bytes(), 0, torn.head)
    assert [record.decode(payload) for _, payload in whole.payloads][1:] == [note("kept")]


def test_a_sync_that_fails_later_in_interval_mode_is_said_and_the_next_append_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SYNC_EVERY_S", 0.01)
    synced = threading.Event()

    def fail(fd: int) -> None:
        synced.set()
        raise OSError(errno.EIO, "Input/output error")

    async def write() -> None:
        journal = open_journal(tmp_path, "interval")
        with monkeypatch.context() as patched:
            patched.setattr(module.os, "fdatasync", fail)
            await journal.append(note("kept"))
            assert await asyncio.to_thread(synced.wait, PATIENCE_S)
            await until_meanwhile(lambda: not journal.healthy)
        await journal.append(note("after"))
        assert journal.healthy
        await journal.close()

    asyncio.run(write())
    assert len(read_back(tmp_path)) == 2
    assert notes(tmp_path) == ["kept", "after"]


def test_a_journal_that_cannot_start_says_so_and_starts_when_it_can(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    directory.write_text("in the way")

    async def write() -> None:
        journal = open_journal(directory)
        assert not journal.healthy
        with pytest.raises(JournalUnavailable, match="start a journal segment"):
            await journal.append(note("lost"))
        directory.unlink()
        await journal.append(note("kept"))
        await journal.close()

    asyncio.run(write())
    assert notes(directory) == ["kept"]


def test_waiting_records_are_bounded_and_the_rest_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = threading.Event()

    async def write() -> int:
        journal = open_journal(tmp_path, max_queued_bytes=2000)
        monkeypatch.setattr(module.os, "fdatasync", lambda fd: (disk.wait(PATIENCE_S), os_sync(fd))[1])
        tasks = [asyncio.ensure_future(journal.append(note(n))) for n in range(200)]
        await asyncio.sleep(0)
        refused = sum(task.done() and isinstance(task.exception(), JournalUnavailable) for task in tasks)
        disk.set()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(each is None for each in told) == 200 - refused
        await journal.append(note("again"))
        await journal.close()
        return 200 - refused

    accepted = asyncio.run(write())
    assert 0 < accepted < 100
    assert len(notes(tmp_path)) == accepted + 1


@pytest.mark.parametrize("durability", BOTH)
def test_at_the_cap_of_the_folder_appends_are_refused_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    monkeypatch.setattr(module, "SIZE_CHECK_EVERY_S", 0.0)
    other = tmp_path / "other.log"

    async def write() -> None:
        journal = open_journal(tmp_path, durability, max_total_bytes=5000)
        await journal.append(note("kept"))
        other.write_bytes(bytes(5000))
        with pytest.raises(JournalUnavailable, match=r"its cap is 5000; raise journal\.max_bytes"):
            await journal.append(note("lost"))
        assert not journal.healthy
        other.unlink()
        await journal.append(note("after"))
        assert journal.healthy
        await journal.close()

    asyncio.run(write())
    assert notes(tmp_path) == ["kept", "after"]


def test_one_who_stops_waiting_does_not_disturb_the_others(tmp_path: Path) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path)
        tasks = [asyncio.ensure_future(journal.append(note(n))) for n in range(10)]
        await asyncio.sleep(0)
        tasks[4].cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in told].count(asyncio.CancelledError) <= 1
        assert told.count(None) >= 9
        await journal.close()

    asyncio.run(write())
    assert notes(tmp_path) == [str(n) for n in range(10)]


@pytest.mark.parametrize("durability", BOTH)
def test_a_closed_journal_refuses(tmp_path: Path, durability: Durability) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path, durability)
        await journal.close()
        with pytest.raises(JournalUnavailable, match="closed"):
            await journal.append(note("lost"))

    asyncio.run(write())
    assert notes(tmp_path) == []


def test_a_record_over_the_frame_limit_is_refused_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_PAYLOAD", 1000)

    async def write() -> None:
        journal = open_journal(tmp_path)
        with pytest.raises(JournalUnavailable, match="over 1000 bytes"):
            await journal.append(note("small"), note("x" * 2000))
        await journal.close()

    asyncio.run(write())
    assert notes(tmp_path) == []


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal")
    asyncio.run(journal.close())
    (segment,) = (tmp_path / "journal").glob("*.log")
    assert segment.stat().st_mode & 0o777 == 0o600
    assert segment.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("durability", BOTH)
def test_a_segment_that_is_old_is_closed_by_the_next_append_and_by_turning_over(tmp_path: Path, durability: Durability) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path, durability, max_segment_s=0.0)
        await journal.turn_over()
        await journal.append(note("a"))
        await journal.turn_over()
        await journal.turn_over()
        await journal.append(note("b"))
        await journal.close()
        await journal.turn_over()

    asyncio.run(write())
    assert [len(segment) for segment in read_back(tmp_path)] == [1, 2, 1, 2]
    assert notes(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("durability", BOTH)
def test_a_young_segment_is_not_turned_over(tmp_path: Path, durability: Durability) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path, durability, max_segment_s=3600.0)
        await journal.append(note("a"))
        await journal.turn_over()
        await journal.append(note("b"))
        await journal.close()

    asyncio.run(write())
    assert len(read_back(tmp_path)) == 1


def test_a_turn_over_that_fails_is_said_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def write() -> None:
        journal = open_journal(tmp_path, max_segment_s=0.0)
        await journal.append(note("a"))
        with monkeypatch.context() as patched:
            patched.setattr(module.os, "open", failing(os_open, itertools.repeat(0), 0, errno.ENOSPC))
            await journal.turn_over()
            assert not journal.healthy
        await journal.append(note("b"))
        assert journal.healthy
        await journal.close()

    asyncio.run(write())
    assert notes(tmp_path) == ["a", "b"]


def test_what_is_written_between_two_looks_at_the_folder_counts_for_the_cap(tmp_path: Path) -> None:
    async def write() -> int:
        journal = open_journal(tmp_path, max_total_bytes=4000)
        told = [await asyncio.gather(journal.append(note("x" * 200)), return_exceptions=True) for _ in range(40)]
        await journal.close()
        return sum(each == [None] for each in told)

    accepted = asyncio.run(write())
    assert 0 < accepted < 20
    assert sum(path.stat().st_size for path in tmp_path.glob("*.log")) < 4000 + 1000
    assert len(notes(tmp_path)) == accepted


def test_whoever_appends_alone_waits_for_nothing_but_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 60.0)

    async def write() -> None:
        journal = open_journal(tmp_path)
        async with asyncio.timeout(30):  # half of what a group is gathered for here
            for n in range(20):
                await journal.append(note(n))
        await journal.close()

    asyncio.run(write())
    assert notes(tmp_path) == [str(n) for n in range(20)]


def test_while_several_append_at_a_time_groups_are_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.25)
    synced: list[float] = []
    sync = os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: (synced.append(time.monotonic()), sync(fd))[1])

    async def write() -> None:
        journal = open_journal(tmp_path)
        waiting = [asyncio.create_task(journal.append(note(name))) for name in "ab"]
        for n in range(5):
            await asyncio.sleep(0.01)
            waiting.append(asyncio.create_task(journal.append(note(n))))
        await asyncio.gather(*waiting)
        await journal.close()

    asyncio.run(write())
    groups = synced[1:]
    assert len(groups) <= 4  # of seven appends
    assert groups[-1] - groups[0] >= 0.2
    assert notes(tmp_path) == ["a", "b", *map(str, range(5))]
