"""The book's own journal: what the admin plane writes is durable, is read back, and leaves the workers' exchanges alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway import book as module
from gateway.book import Book
from gateway.errors import JournalUnavailable
from gateway.own_journal import OwnJournal
from gateway.stores.intake import segments
from gateway.stores.memory import MemoryStore
from gateway.trace import frames, record
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Booted, Opened, PolicyLoaded, Record
from gateway.trace.segments import BOOK_SLOT, Segment, growing

RUN = f"{1:032x}"


def fact(text: str) -> Record:
    return PolicyLoaded(PolicyRow(hash=text, loaded_us=1))


def worker_with_an_open_exchange(folder: Path) -> Segment:
    segment = Segment(RUN, 0, f"{2:032x}", 0)
    row = ExchangeRow("e", 1, "openai.chat", "openai", "chat", "/v1/chat/completions", "coder")
    data, head = b"", frames.GENESIS
    for each in (Booted(RUN, 0, segment.boot, 1), Opened(row)):
        raw, head = frames.frame(head, record.encode(each))
        data += raw
    folder.mkdir(exist_ok=True)
    (folder / segment.name).write_bytes(data)
    return segment


def written(folder: Path) -> list[Record]:
    data = b"".join(path.read_bytes() for path in sorted(folder.glob("*--01-*.log")))
    return [record.decode(parts) for _, parts in frames.scan(data, 0, frames.GENESIS).payloads]


def test_nothing_is_begun_before_there_is_something_to_write(tmp_path: Path) -> None:
    own = OwnJournal(tmp_path / "journal", RUN)
    asyncio.run(own.close())
    assert not (tmp_path / "journal").exists()
    assert own.problem is None


def test_what_is_written_is_durable_when_it_returns_and_headed_by_the_books_boot(tmp_path: Path) -> None:
    async def write() -> list[Record]:
        own = OwnJournal(tmp_path, RUN)
        await asyncio.gather(*(own.write(fact(str(n))) for n in range(20)))
        seen = written(tmp_path)
        await own.close()
        return seen

    first, *rest = asyncio.run(write())
    assert isinstance(first, Booted)
    assert (first.run, first.slot) == (RUN, BOOK_SLOT)
    assert rest == [fact(str(n)) for n in range(20)]


def test_a_virtual_key_in_a_fact_is_not_written(tmp_path: Path) -> None:
    key = "th_" + "a" * 8 + "_" + "b" * 43

    async def write() -> None:
        own = OwnJournal(tmp_path, RUN)
        await own.write(fact(key))
        await own.close()

    asyncio.run(write())
    assert written(tmp_path)[1] == fact("[REDACTED:virtual_key]")


def test_a_book_on_its_own_continues_the_last_run_so_that_live_workers_stay_alive(tmp_path: Path) -> None:
    worker = worker_with_an_open_exchange(tmp_path)

    async def write() -> None:
        own = OwnJournal(tmp_path)
        await own.write(fact("x"))
        await own.close()

    asyncio.run(write())
    mine, other = segments(tmp_path)
    assert (mine.run, mine.slot, other) == (RUN, BOOK_SLOT, worker)
    assert growing([mine, other]) == {mine, other}


def test_an_old_segment_is_closed_so_that_what_is_in_it_can_age(tmp_path: Path) -> None:
    async def write() -> None:
        own = OwnJournal(tmp_path, RUN, max_segment_s=0.0)
        await own.turn_over()
        await own.write(fact("x"))
        await own.turn_over()
        await own.turn_over()
        await own.close()

    asyncio.run(write())
    assert len(segments(tmp_path)) == 3
    assert written(tmp_path)[-2] == fact("x")


def test_a_folder_that_cannot_be_written_is_said_and_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    folder.write_text("in the way")

    async def write() -> None:
        own = OwnJournal(folder, RUN)
        with pytest.raises(JournalUnavailable, match="start a journal segment"):
            await own.write(fact("lost"))
        assert own.problem is not None
        folder.unlink()
        await own.write(fact("kept"))
        assert own.problem is None
        await own.close()

    asyncio.run(write())
    assert written(folder)[1:] == [fact("kept")]


def test_the_book_reads_what_it_wrote_and_ends_no_workers_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELIST_S", 0.0)
    folder, store = tmp_path / "journal", MemoryStore()
    worker_with_an_open_exchange(folder)

    async def live(name: str) -> None:
        book = Book(folder, lambda: store, own=OwnJournal(folder, RUN))
        book.round()
        await book.write(fact(name))
        book.round()
        await book.close_own()

    asyncio.run(live("first"))
    asyncio.run(live("second"))
    assert [each["hash"] for each in store.tables["policy_loads"]] == ["first", "second"]
    assert [each["id"] for each in store.tables["exchanges_open"]] == ["e"]
    assert store.tables["exchanges_ended"] == []
