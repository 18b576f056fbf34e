"""Whatever happens to the ledger's files, before the start or under a book at work: records go on being taken, the damaged file is set
aside or the start is refused with advice, and in the end every record is there once.

TOLLHOUSE_FLIPS sets how many random bits are turned in file and log (default 8)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gateway import book as module
from gateway.book import Book
from gateway.errors import LedgerInUse, StartError
from gateway.stores import Refused
from gateway.stores.duckdb import Ledger
from gateway.stores.setting_aside import set_aside
from gateway.trace import frames, record
from gateway.trace.exchange_rows import ExchangeRow, MessageRow
from gateway.trace.record import Booted, Ended
from gateway.trace.segments import Segment
from tests.patience import until

FLIPS = int(os.environ.get("TOLLHOUSE_FLIPS", "8"))
START_US = 1_790_000_000_000_000
OF = Segment("1" * 32, 0, "2" * 32, 0)
MONTH = "content-2026-09.duckdb"


class House:
    """A journal that grows, and a book on it as `main` makes one."""

    def __init__(self, data: Path) -> None:
        self.data, self.written = data, 0
        self._head = frames.GENESIS
        (data / "journal").mkdir(parents=True)
        self._put(Booted(OF.run, 0, OF.boot, START_US))
        self.add(40)

    def add(self, count: int) -> None:
        """What the data plane does, ledger or no ledger."""
        for key in range(self.written, self.written + count):
            row = ExchangeRow(f"{key:032x}", START_US + key, "openai.chat", "openai", "chat", "/v1", "coder", state="complete")
            self._put(Ended(row, messages=(MessageRow(f"{key:032x}", "user", f"body {key} " * 40, START_US + key),)))
        self.written += count

    def _put(self, each: Any) -> None:
        raw, self._head = frames.frame(self._head, record.encode(each))
        with (self.data / "journal" / OF.name).open("ab") as file:
            file.write(raw)

    def book(self) -> Book:
        path = self.data / "ledger.duckdb"
        return Book(self.data / "journal", lambda: Ledger(path), set_aside=lambda file: set_aside(file, "it was broken twice in a row"))

    def catch_up(self, book: Book) -> None:
        """Until every record is there, once, with its body."""
        for _ in range(30):
            book._listed_at = -10.0
            try:
                if book._safe_round() == 0 and self.state(book) == (self.written, self.written, self.written):
                    return
            except Refused:  # it came upon a damaged block: the next round looks for the file
                continue
        raise AssertionError((self.state(book), self.written, book.problem))

    def catch_up_when_it_can(self, book: Book) -> None:
        """The same, of a book that has no ledger yet."""
        assert until(lambda: book._safe_round() is not None, what="the ledger can be opened")
        self.catch_up(book)

    def state(self, book: Book) -> tuple[int, ...]:
        told = "SELECT count(*), count(DISTINCT id), (SELECT count(body) FROM messages) FROM exchanges"
        return tuple(book.query(told, 1).rows[0])


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    return House(tmp_path)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    path.write_bytes(b"garbage" * 4000)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def no_header(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(bytes(12288) + data[12288:])


def remove(path: Path) -> None:
    path.unlink()


HARMS: list[Callable[[Path], None]] = [cut, overwrite, empty, no_header, remove]


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["ledger.duckdb", MONTH])
def test_a_file_harmed_between_two_starts_is_made_again(house: House, name: str, harm: Callable[[Path], None]) -> None:
    book = house.book()
    house.catch_up(book)
    book.store.close()
    harm(house.data / name)
    house.add(10)
    again = house.book()
    house.catch_up(again)
    again.store.close()


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("name", ["ledger.duckdb.wal", f"{MONTH}.wal"])
def test_a_log_harmed_after_a_kill_loses_nothing(house: House, name: str, harm: Callable[[Path], None]) -> None:
    copy = killed(house)
    harm(copy / name)
    house.data = copy
    house.add(10)
    again = house.book()
    house.catch_up(again)
    again.store.close()


def killed(house: House) -> Path:
    """The data folder as a killed book leaves it: rows in the files, and later ones in their logs."""
    book = house.book()
    house.catch_up(book)
    book.store.close()
    book = house.book()
    house.add(20)
    house.catch_up(book)
    copy = house.data / "copy"
    (copy / "journal").mkdir(parents=True)
    for path in [*house.data.glob("*.duckdb*"), *house.data.glob("journal/*.log")]:
        (copy / path.relative_to(house.data)).write_bytes(path.read_bytes())
    book.store.close()
    assert (copy / "ledger.duckdb.wal").stat().st_size > 0
    assert (copy / f"{MONTH}.wal").stat().st_size > 0
    return copy


@pytest.mark.parametrize("harm", [remove, cut, overwrite])
@pytest.mark.parametrize("name", ["ledger.duckdb", MONTH])
def test_a_file_harmed_under_a_book_at_work_stops_neither_the_journal_nor_the_book(
    house: House, name: str, harm: Callable[[Path], None]
) -> None:
    book = house.book()
    house.catch_up(book)
    harm(house.data / name)
    house.add(10)
    for _ in range(5):
        book._listed_at = -10.0
        book._safe_round()
    book.store.close()
    house.add(5)
    again = house.book()
    house.catch_up(again)
    again.store.close()


@pytest.mark.slow
def test_any_bit_turned_in_a_file_or_its_log_ends_in_a_whole_ledger_or_a_refused_start(house: House) -> None:
    """A bit in a page that holds a value may go unseen by DuckDB's own checks only where nothing reads it: then the counts still hold."""
    chance = random.Random(int(os.environ.get("TOLLHOUSE_SEED", "7")))
    copy = killed(house)
    sound = {path: path.read_bytes() for path in copy.glob("*.duckdb*")}
    for _ in range(FLIPS):
        for stale in copy.glob("*.duckdb*"):
            stale.unlink()
        for path, data in sound.items():
            path.write_bytes(data)
        path = chance.choice(sorted(sound))
        turned = bytearray(sound[path])
        turned[chance.randrange(len(turned))] ^= 1 << chance.randrange(8)
        path.write_bytes(turned)
        house.data = copy
        again = house.book()
        house.catch_up(again)
        again.store.close()


def newer(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("INSERT INTO schema_migrations VALUES (9999, 'future', NULL)" if path.name == "ledger.duckdb"
                    else "UPDATE content_file SET schema = 99")  # fmt: skip


@pytest.mark.parametrize("name", ["ledger.duckdb", MONTH])
def test_a_file_of_a_newer_version_is_refused_with_advice_and_kept(house: House, name: str) -> None:
    book = house.book()
    house.catch_up(book)
    book.store.close()
    newer(house.data / name)
    with pytest.raises(StartError, match="start the newer version, or move"):
        house.book()
    assert not list(house.data.glob("*.corrupt-*"))


def test_a_ledger_from_before_the_first_release_is_set_aside_and_built_again(house: House) -> None:
    """Its content, in files of its own, is used on."""
    book = house.book()
    house.catch_up(book)
    book.store.close()
    with duckdb.connect(str(house.data / "ledger.duckdb")) as con:
        con.execute("UPDATE schema_migrations SET name = '0001_ledger'")
        con.execute("DROP TABLE schema_views")
    house.add(10)
    again = house.book()
    house.catch_up(again)
    assert again.query("SELECT count(*) FROM message_copies", 1).rows == [[house.written]]
    again.store.close()
    assert [path.name.partition(".corrupt-")[0] for path in house.data.glob("*.corrupt-*")] == ["ledger.duckdb"]


@pytest.mark.parametrize("name", ["ledger.duckdb", MONTH])
def test_a_file_that_another_process_holds_is_waited_for_and_kept(house: House, name: str) -> None:
    book = house.book()
    house.catch_up(book)
    book.store.close()
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", hold, str(house.data / name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        waiting = house.book()
        for _ in range(3):
            assert waiting._safe_round() is None
            status = waiting.status()
            assert (status.ready, f"{name} is in use by process {holder.pid}" in str(status.problem)) == (False, True)
            assert status.lag_bytes > 0
        for asked in (lambda: waiting.query("SELECT 1", 1), lambda: waiting.fetch("SELECT 1", {}), waiting.views, waiting.snapshot):
            with pytest.raises(Refused, match=f"cannot be asked now: .*process {holder.pid}"):
                asked()
    finally:
        holder.communicate()
    assert not list(house.data.glob("*.corrupt-*"))
    house.catch_up_when_it_can(waiting)
    assert waiting.status().ready
    waiting.store.close()


def test_waiting_for_a_ledger_is_said_once(house: House, caplog: pytest.LogCaptureFixture) -> None:
    def held() -> Ledger:
        raise LedgerInUse("ledger.duckdb is in use by process 7 (duckdb)")

    book = Book(house.data / "journal", held)
    for _ in range(5):
        book._safe_round()
    assert [each.message for each in caplog.records if "in use" in each.message] == ["ledger.duckdb is in use by process 7 (duckdb)"]
