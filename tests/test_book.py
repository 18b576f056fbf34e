"""The book: the ledger follows the journal, damage stops one segment only, trouble heals, and a rebuilt ledger is the same ledger."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway import book as module
from gateway.book import Book
from gateway.errors import StartError
from gateway.stores import EMBEDDED_PACE, Applied, Batch, Pace, StoreTrouble
from gateway.stores.duckdb import Ledger
from gateway.stores.memory import MemoryStore
from gateway.trace import frames, record
from gateway.trace.exchange_rows import CallRow, ExchangeRow
from gateway.trace.record import Booted, Decided, Ended, Opened, Record
from gateway.trace.segments import Segment
from tests.patience import PATIENCE_S, until
from tests.ports import free_port

START_US = 1_790_000_000_000_000


def segment(run: int = 1, slot: int = 0, boot: int = 1, seq: int = 0) -> Segment:
    return Segment(f"{run:032x}", slot, f"{boot:032x}", seq)


def booted(of: Segment) -> Booted:
    return Booted(of.run, of.slot, of.boot, START_US)


def row(key: int, state: Any = "complete") -> ExchangeRow:
    return ExchangeRow(f"{key:032x}", START_US + key, "openai.chat", "openai", "chat", "/v1/chat/completions", "coder", state=state)


def call(key: int) -> CallRow:
    return CallRow(
        f"{key:032x}", f"dec_{key}", START_US + key, 0, "c", "send_money", "function", "{}", "ab", "deny", False, "rule", "no", "coder"
    )


def folder(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir(exist_ok=True)
    return made


class Pen:
    """Writes segments as a worker would."""

    def __init__(self, folder: Path, of: Segment, head: bytes = frames.GENESIS) -> None:
        self.path, self.head = folder / of.name, head
        self.add(booted(of))

    def add(self, *records: Record) -> None:
        with self.path.open("ab") as file:
            for each in records:
                raw, self.head = frames.frame(self.head, record.encode(each))
                file.write(raw)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def book(journal: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.setattr(module, "RELIST_S", 0.0)
    return Book(journal, lambda: store)


def states(store: MemoryStore) -> dict[str, str]:
    return {each["id"][-1]: each["state"] for table in ("exchanges_open", "exchanges_ended") for each in store.tables[table]}


def test_rounds_take_in_what_is_new_and_only_that(journal: Path, book: Book, store: MemoryStore) -> None:
    assert book.round() == 0
    pen = Pen(journal, segment())
    pen.add(Opened(row(1, "open")))
    assert book.round() == 2
    assert book.round() == 0
    pen.add(Ended(row(1)), Ended(row(2)))
    assert book.round() == 2
    assert states(store) == {"1": "complete", "2": "complete"}


def test_a_dead_segment_is_read_to_its_end_before_its_successor(
    journal: Path, book: Book, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.stores.intake.CHUNK", 300)
    dead, other = Pen(journal, segment()), Pen(journal, segment(slot=1))
    for key in range(1, 8):
        dead.add(Opened(row(key, "open")))
    dead.add(*(Ended(row(key)) for key in range(1, 7)))
    other.add(Opened(row(9, "open")))
    Pen(journal, segment(boot=2)).add(Ended(row(8)))
    applied = store.apply
    ended_late: list[str] = []

    def watched(batches: Sequence[Batch]) -> Applied:
        found = applied(batches)
        ended_late.extend(row.id for row in found.exchanges if row.id in interrupted)
        interrupted.update(found.interrupted)
        return found

    interrupted: set[str] = set()
    monkeypatch.setattr(store, "apply", watched)
    monkeypatch.setattr(module, "FLUSH_AT_BYTES", 1)
    while book.round():
        continue
    assert ended_late == []
    assert states(store) == {**dict.fromkeys("1234568", "complete"), "7": "interrupted", "9": "open"}


def test_rounds_are_apart_as_the_ledger_wants_them(journal: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(journal, lambda: store)
    assert [book._pause(applied, 0.15) for applied in (1, EMBEDDED_PACE.much)] == pytest.approx([EMBEDDED_PACE.every_s - 0.15, 0.0])
    monkeypatch.setattr(store, "pace", Pace(5.0, 10_000, 10_000))
    assert [book._pause(applied, 0.15) for applied in (1, 9_999, 10_000)] == pytest.approx([4.85, 4.85, 0.0])
    assert (book._pause(0, 0.15), book._pause(None, 0.15)) == (module.POLL_S, module.RETRY_S)


def test_a_book_that_has_much_to_catch_up_with_does_not_rest(journal: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.stores.intake.CHUNK", 300)
    monkeypatch.setattr(store, "pace", Pace(0.2, 2000, 2000, behind_bytes=500))
    pen, book = Pen(journal, segment()), Book(journal, lambda: store)
    for key in range(1, 12):
        pen.add(Ended(row(key)))
    rests = []
    while applied := book.round():
        rests.append(book._pause(applied, 0.0))
    assert len(rests) > 3
    assert rests[0] == 0.0
    assert rests[-1] == store.pace.every_s


@pytest.mark.parametrize(("pace", "commits"), [(Pace(0.0, 1, 3), [4, 4, 2]), (Pace(0.0, 1, 100), [10])])
def test_a_commit_holds_about_as_much_as_the_ledger_wants(
    journal: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, pace: Pace, commits: list[int]
) -> None:
    for slot in range(5):
        Pen(journal, segment(slot=slot)).add(Ended(row(slot)))
    monkeypatch.setattr(store, "pace", pace)
    applied, seen = store.apply, list[int]()
    monkeypatch.setattr(store, "apply", lambda batches: (found := applied(batches), seen.append(found.records))[0])
    assert Book(journal, lambda: store).round() == sum(commits)
    assert seen == commits


def test_a_restart_of_the_book_goes_on_where_the_store_stands(journal: Path, store: MemoryStore) -> None:
    pen = Pen(journal, segment())
    pen.add(Ended(row(1)))
    assert Book(journal, lambda: store).round() == 2
    pen.add(Ended(row(2)))
    assert Book(journal, lambda: store).round() == 1
    assert len(store.tables["exchanges_ended"]) == 2


def test_a_damaged_segment_is_quarantined_and_the_others_go_on(journal: Path, book: Book, store: MemoryStore) -> None:
    bad, good = Pen(journal, segment()), Pen(journal, segment(slot=1))
    bad.add(Ended(row(1)), Ended(row(2)))
    data = bytearray(bad.path.read_bytes())
    data[-1] ^= 1
    bad.path.write_bytes(data)
    for key in range(3, 6):
        good.add(Ended(row(key)))
        book.round()
    assert sorted(states(store)) == ["1", "3", "4", "5"]
    status = book.status()
    assert not status.ready
    assert list(status.quarantined) == [bad.path.name]
    assert "offset" in status.quarantined[bad.path.name]
    again = Book(journal, lambda: store)
    again.round()
    assert list(again.status().quarantined) == [bad.path.name]


def test_a_segment_that_does_not_follow_is_read_and_warned_about(journal: Path, book: Book, store: MemoryStore) -> None:
    first = Pen(journal, segment())
    Pen(journal, segment(seq=1), first.head).add(Ended(row(1)))
    Pen(journal, segment(seq=2), bytes(range(32))).add(Ended(row(2)))
    book.round()
    assert sorted(states(store)) == ["1", "2"]
    (warning,) = book.status().warnings
    assert segment(seq=2).name in warning
    assert book.status().ready is False
    book.round()
    assert book.status().ready is True


def test_lag_is_what_lies_in_the_journal_unread(journal: Path, book: Book) -> None:
    pen = Pen(journal, segment())
    book.round()
    assert book.status().lag_bytes == 0
    size = pen.path.stat().st_size
    pen.add(Ended(row(1)))
    assert book.status().lag_bytes == pen.path.stat().st_size - size


class Moody(MemoryStore):
    """Fails as often as it is told to."""

    def __init__(self, troubles: Sequence[StoreTrouble]) -> None:
        super().__init__()
        self.troubles = list(troubles)

    def apply(self, batches: Sequence[Batch]) -> Applied:
        if self.troubles:
            raise self.troubles.pop(0)
        return super().apply(batches)


def run_until(book: Book, done: Callable[[], bool]) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=book.run, args=(stop,))
    thread.start()
    try:
        until(done)
    finally:
        stop.set()
        thread.join()
    assert done()


def test_a_store_in_trouble_is_tried_again_and_nothing_is_lost(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    Pen(journal, segment()).add(Ended(row(1)))
    moody = Moody([StoreTrouble("disk full")] * 3)
    book = Book(journal, lambda: moody)
    assert book._safe_round() is None
    assert book.status().problem == "disk full"
    assert not book.status().ready
    assert book.status().lag_bytes == sum(path.stat().st_size for path in journal.iterdir())
    run_until(book, lambda: states(moody) == {"1": "complete"})
    assert book.problem is None


def test_a_broken_store_is_opened_anew_and_set_aside_when_that_does_not_help(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    Pen(journal, segment()).add(Ended(row(1)))
    fatal = StoreTrouble("fatal", broken=True, at_fault=Path("ledger.duckdb"))
    stores = [Moody([fatal]), Moody([fatal]), MemoryStore()]
    opened, happened = iter(stores), list[str]()
    book = Book(journal, lambda: (happened.append("open"), next(opened))[1], set_aside=lambda file: happened.append(f"set {file} aside"))
    run_until(book, lambda: states(stores[2]) == {"1": "complete"})
    assert happened == ["open", "open", "set ledger.duckdb aside", "open"]


def test_a_full_disk_never_sets_a_ledger_aside(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.001)
    Pen(journal, segment()).add(Ended(row(1)))
    stores = [Moody([StoreTrouble("No space left", broken=True)]) for _ in range(5)] + [MemoryStore()]
    opened, aside = iter(stores), list[str]()
    book = Book(journal, lambda: next(opened), set_aside=lambda file: aside.append(str(file)))
    run_until(book, lambda: states(stores[5]) == {"1": "complete"})
    assert aside == []


def test_a_store_that_cannot_be_opened_again_is_said_and_tried_again(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    Pen(journal, segment()).add(Ended(row(1)))
    first, last = Moody([StoreTrouble("fatal", broken=True), StoreTrouble("still", broken=True)]), MemoryStore()
    answers: Iterator[Any] = iter([first, StartError("no room"), last])

    def open_store() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    book = Book(journal, open_store)
    assert book._safe_round() is None
    assert book.problem == "no room"
    run_until(book, lambda: states(last) == {"1": "complete"})


def test_an_unreadable_journal_folder_is_a_problem_and_no_crash(journal: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> list[Segment]:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(module, "segments", broken)
        assert book._safe_round() is None
    assert "Input/output error" in str(book.problem)
    assert book._safe_round() == 0
    assert book.problem is None


def test_what_is_written_before_the_stop_is_applied_before_the_end(journal: Path, book: Book, store: MemoryStore) -> None:
    stop = threading.Event()
    stop.set()
    Pen(journal, segment()).add(*(Ended(row(key)) for key in range(5000)))
    book.run(stop)
    assert len(store.tables["exchanges_ended"]) == 5000


def test_a_ledger_rebuilt_from_the_journal_is_the_live_one(tmp_path: Path, journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELIST_S", 0.0)
    live = Book(journal, lambda: Ledger(folder(tmp_path, "live") / "ledger.duckdb"))
    pens = {slot: Pen(journal, segment(slot=slot)) for slot in range(3)}
    for key in range(60):
        pen = pens[key % 3]
        pen.add(Opened(row(key, "open")), Decided(call(key)))
        if key % 5:
            pen.add(Ended(row(key)))
        if key % 7 == 0:
            live.round()
        if key == 30:
            pens[1] = Pen(journal, segment(slot=1, boot=2))
        if key == 45:
            pens = {slot: Pen(journal, segment(run=2, slot=slot, boot=3)) for slot in range(3)}
    while live.round():
        continue
    rebuilt = Book(journal, lambda: Ledger(folder(tmp_path, "rebuilt") / "ledger.duckdb"))
    while rebuilt.round():
        continue
    for view in ("exchanges", "calls", "rule_hits", "findings", "messages", "prompt_versions", "policy_versions", "boots"):
        sql = f"SELECT * FROM {view} ORDER BY ALL"
        assert live.query(sql, 10_000).rows == rebuilt.query(sql, 10_000).rows, view
    assert len({each[0] for each in live.query("SELECT state FROM exchanges", 100).rows}) == 3
    live.store.close()
    rebuilt.store.close()


def test_a_tail_gets_calls_and_exchanges_as_they_are_applied_and_ends_with_the_book(journal: Path, book: Book) -> None:
    async def listen() -> list[dict[str, Any]]:
        tail = book.subscribe()
        pen = Pen(journal, segment())
        pen.add(Opened(row(1, "open")), Decided(call(1)), Ended(row(1)), Opened(row(2, "open")))
        Pen(journal, segment(boot=2))
        stop = threading.Event()
        stop.set()
        await asyncio.to_thread(book.run, stop)
        found = []
        while (line := await tail.next_line()) is not None:
            found.append(msgspec.json.decode(line))
        tail.close()
        tail.close()
        assert len(book._listeners) == 0
        return found

    lines = asyncio.run(listen())
    assert [(each["record"], each["id"][-1]) for each in lines] == [("call", "1"), ("exchange", "1"), ("interrupted", "2")]
    assert lines[0]["at"] == "2026-09-21T14:13:20.000001Z"
    assert lines[1]["state"] == "complete"


def test_a_slow_listener_is_told_how_much_was_left_out(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.web.tail.MAX_LINES", 3)

    async def listen() -> list[bytes | None]:
        tail = book.subscribe()
        tail.put([b"1", b"2", b"3", b"4", b"5"])  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return [await tail.next_line() for _ in range(4)]

    assert asyncio.run(listen()) == [b'{"record":"gap","lines":2}\n', b"3", b"4", b"5"]


def test_the_past_is_told_oldest_first(tmp_path: Path, journal: Path) -> None:
    book = Book(journal, lambda: Ledger(tmp_path / "ledger.duckdb"))
    Pen(journal, segment()).add(Ended(row(1), (call(1),)), Ended(row(3)), Opened(row(4, "open")))
    book.round()
    lines = [msgspec.json.decode(line) for _, line in book.history("2020-01-01")]
    assert sorted((each["record"], each["id"][-1]) for each in lines) == [("call", "1"), ("exchange", "1"), ("exchange", "3")]
    assert [each["at"] for each in lines] == sorted(each["at"] for each in lines)
    assert book.history("2030-01-01") == []
    book.store.close()


def start(data: Path, port: int, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway.book_process", "--data", str(data), "--port", str(port), *more]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    def ready() -> bool:
        assert process.poll() is None, process.stderr.read().decode() if process.stderr else ""
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=PATIENCE_S).status_code == 200

    until(ready, what="the book becomes ready", despite=httpx.HTTPError)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "stdin"])
def test_the_process_serves_until_it_is_told_to_stop_and_then_ends_in_order(tmp_path: Path, port: int, how: str) -> None:
    data = tmp_path / "data"
    (data / "journal").mkdir(parents=True)
    pen = Pen(data / "journal", segment())
    process = start(data, port, *(["--watch-stdin"] if how == "stdin" else []))
    wait_ready(port, process)
    token = (data / "admin.token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=PATIENCE_S) as client, client.stream(
        "GET", "/tail"
    ) as tail:
        pen.add(Ended(row(1)))
        assert next(tail.iter_lines()).startswith('{"record":"exchange"')
        pen.add(Ended(row(2)))
        if how == "stdin":
            assert process.stdin is not None
            process.stdin.close()
        else:
            os.kill(process.pid, getattr(signal, how))
        assert process.wait(PATIENCE_S) == 0
    assert not (data / "ledger.duckdb.wal").exists()
    reader = Ledger(data / "ledger.duckdb", read_only=True)
    assert reader.query("SELECT count(*) FROM exchanges", 1).rows == [[2]]
    reader.close()
    for private in ("ledger.duckdb", "admin.token", "book.lock"):
        assert (data / private).stat().st_mode & 0o077 == 0, private


def test_one_data_folder_has_one_book(tmp_path: Path, port: int) -> None:
    first = start(tmp_path, port)
    wait_ready(port, first)
    second = start(tmp_path, free_port())
    _, said = second.communicate(timeout=20)
    assert second.returncode == 3
    assert b"another book is at work" in said
    assert b"Traceback" not in said
    first.terminate()
    assert first.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("gone", [False, True])
def test_a_segment_that_lost_its_end_or_is_gone_is_warned_of(journal: Path, book: Book, gone: bool) -> None:
    pen = Pen(journal, segment())
    pen.add(Ended(row(1)))
    book.round()
    assert list(book.status().warnings) == []
    pen.path.unlink() if gone else os.truncate(pen.path, 200)
    assert list(book.status().warnings) == [f"{segment().name} is shorter than what was read of it: see 'tollhouse verify'"]


def test_commits_are_further_apart_while_much_comes_and_without_a_pause_while_much_is_unread(
    journal: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    pen = Pen(journal, segment())
    assert book._pause(None, 0.0) == module.RETRY_S
    assert book._pause(0, 0.0) == module.POLL_S
    assert book._pause(module.BUSY - 1, 0.05) == pytest.approx(EMBEDDED_PACE.every_s - 0.05)
    assert book._pause(module.BUSY, 0.1) == pytest.approx(EMBEDDED_PACE.steady_s - 0.1)
    assert book._pause(module.BUSY, 60.0) == 0.0
    book.round()
    pen.add(Ended(row(1)))
    assert book._pause(module.BUSY, 0.1) > 0
    monkeypatch.setattr(MemoryStore, "pace", EMBEDDED_PACE._replace(steady_s=0.0))
    assert book._pause(module.BUSY, 0.1) == pytest.approx(EMBEDDED_PACE.every_s - 0.1)
    assert book._pause(EMBEDDED_PACE.much, 0.1) == 0.0
    monkeypatch.setattr(MemoryStore, "pace", EMBEDDED_PACE._replace(behind_bytes=1))
    assert book._pause(1, 0.0) == book._pause(module.BUSY, 0.1) == 0.0
