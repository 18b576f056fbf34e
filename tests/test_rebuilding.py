"""A rebuilt ledger answers as the live one does, whatever happened while that was filled; nothing is lost by rebuilding."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from gateway.book import Book
from gateway.book_process import only_one
from gateway.errors import StartError
from gateway.rebuilding import BESIDE, Progress, rebuild
from gateway.stores.duckdb import Ledger
from gateway.trace import frames, record
from gateway.trace.exchange_rows import CallRow, ExchangeRow, MessageRow
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.prompt_rows import PromptRow
from gateway.trace.record import Booted, Decided, Ended, Opened, PolicyLoaded, Record
from gateway.trace.segments import Segment

START_US = 1_790_000_000_000_000
DAY_US = 86_400_000_000


class Pen:
    """Writes segments as a worker would."""

    def __init__(self, folder: Path, run: int, slot: int, boot: int) -> None:
        of = Segment(f"{run:032x}", slot, f"{boot:032x}", 0)
        self.path, self.head = folder / of.name, frames.GENESIS
        self.add(Booted(of.run, of.slot, of.boot, START_US))

    def add(self, *records: Record) -> None:
        with self.path.open("ab") as file:
            for each in records:
                raw, self.head = frames.frame(self.head, record.encode(each))
                file.write(raw)


def row(key: int, state: Any) -> ExchangeRow:
    return ExchangeRow(
        f"{key:032x}", START_US + key * DAY_US, "openai.chat", "openai", "chat", "/v1/chat/completions", f"agent-{key % 3}", state=state,
        cost=None if key % 4 == 0 else "0.25", prompt_hash=f"p{key % 5}", request_messages=(f"{key % 9:032x}",), calls=1,
        unevaluated=("no_policy",) if key % 6 == 0 else (),
    )  # fmt: skip


def records(key: int) -> list[Record]:
    at = START_US + key * DAY_US
    call = CallRow(f"{key:032x}", f"dec_{key}", at, 0, "c", "bash", "function", "{}", "ab", "deny", key % 2 == 0, "rule", "no", "coder")
    message = MessageRow(f"{key % 9:032x}", "user", f"body {key % 9}", at)
    prompt = PromptRow(f"p{key % 5}", at, f"agent-{key % 3}", f"prompt {key % 5}", '[{"name": "bash"}]')
    return [Opened(row(key, "open"), (message,), prompt), Decided(call), Ended(row(key, "complete"), messages=(message,))]


def lived(data: Path, seed: int) -> dict[str, list[Any]]:
    """A journal with dead workers, left open exchanges, a late end and damage; a ledger that followed it, and was killed meanwhile."""
    journal, chance = data / "journal", random.Random(seed)
    journal.mkdir(parents=True)
    book = Book(journal, lambda: Ledger(data / "ledger.duckdb"))
    pens = {slot: Pen(journal, 1, slot, 1) for slot in range(3)}
    pens[0].add(PolicyLoaded(PolicyRow("h", START_US, "abc", (("a.yaml", "x: 1"),))))
    for key in range(45):
        opened, decided, ended = records(key)
        slot = key % 3
        pens[slot].add(opened, decided)
        if chance.random() < 0.8:
            pens[slot].add(ended)
        if chance.random() < 0.2:
            book.round()
        if key == 20:
            book.store._con.close()  # type: ignore[attr-defined]  # as if killed
            book = Book(journal, lambda: Ledger(data / "ledger.duckdb"))
        if key in (10, 25):
            pens[slot] = Pen(journal, 1, slot, key)
        if key == 35:
            pens = {slot: Pen(journal, 2, slot, 35) for slot in range(3)}
    pens[1].add(*(each for key in range(45, 54) for each in records(key)))
    harm(pens[1].path, 0.9)
    for _ in range(5):
        book._rest_until.clear()
        book._listed_at = -10.0
        book.round()
    found = answers(book.store)  # type: ignore[arg-type]
    book.store.close()
    return found


def harm(path: Path, where: float) -> None:
    """One bit, at that part of the file."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 1
    path.write_bytes(data)


def answers(ledger: Ledger) -> dict[str, list[Any]]:
    """Everything that anybody can ask for."""
    once = {"message_copies": "DISTINCT"}  # a copy more is harmless
    views = sorted(ledger._catalogue.public)
    return {view: list(ledger.query(f"SELECT {once.get(view, '')} * FROM {view} ORDER BY ALL", 10_000).rows) for view in views}


def silent(_: Progress) -> None:
    """Nobody looks."""


def test_a_ledger_rebuilt_in_place_answers_as_the_old_one_did(tmp_path: Path) -> None:
    before = lived(tmp_path, 1)
    assert {each[0] for each in asked(tmp_path, "SELECT DISTINCT state FROM exchanges")} == {"complete", "open", "interrupted"}
    told: list[Progress] = []
    done = rebuild(tmp_path, None, told.append)
    assert told
    assert told[-1].read_bytes <= told[-1].total_bytes
    assert done.exchanges == len(before["exchanges"])
    assert len(done.damaged) == 1
    after = Ledger(tmp_path / "ledger.duckdb", read_only=True)
    found = answers(after)
    after.close()
    for view, rows in before.items():
        assert found[view] == rows, view
    kept = Ledger(Path(str(done.kept)) / "ledger.duckdb", read_only=True)
    assert answers(kept) == before
    kept.close()
    assert not (tmp_path / BESIDE).exists()


def asked(data: Path, sql: str) -> list[Any]:
    ledger = Ledger(data / "ledger.duckdb", read_only=True)
    try:
        return list(ledger.query(sql, 1000).rows)
    finally:
        ledger.close()


def test_with_a_book_at_work_it_is_built_beside_or_not_at_all(tmp_path: Path) -> None:
    before = lived(tmp_path, 3)
    with only_one(tmp_path / "book.lock"):
        with pytest.raises(StartError, match="another book is at work"):
            rebuild(tmp_path, None, silent)
        done = rebuild(tmp_path, tmp_path / "copy", silent)
    assert (done.kept, done.into) == (None, str(tmp_path / "copy"))
    copy = Ledger(tmp_path / "copy" / "ledger.duckdb", read_only=True)
    assert answers(copy) == before
    copy.close()
    with pytest.raises(StartError, match="not empty"):
        rebuild(tmp_path, tmp_path / "copy", silent)


def test_what_the_journal_no_longer_has_stops_a_rebuild_in_place(tmp_path: Path) -> None:
    before = lived(tmp_path, 4)
    gone = min((tmp_path / "journal").glob("*.log"))
    gone.unlink()
    with pytest.raises(StartError, match=rf"1 segments.*{gone.name}.*--into"):
        rebuild(tmp_path, None, silent)
    still = Ledger(tmp_path / "ledger.duckdb", read_only=True)
    assert answers(still) == before
    still.close()
    assert rebuild(tmp_path, tmp_path / "copy", silent).exchanges < len(before["exchanges"])


def test_what_was_damaged_after_it_was_applied_stops_a_rebuild_in_place(tmp_path: Path) -> None:
    before = lived(tmp_path, 6)
    harm(min((tmp_path / "journal").glob("*.log")), 0.3)
    with pytest.raises(StartError, match=r"1 segments.*read.*--into"):
        rebuild(tmp_path, None, silent)
    still = Ledger(tmp_path / "ledger.duckdb", read_only=True)
    assert answers(still) == before
    still.close()
    assert not (tmp_path / BESIDE).exists()


def test_a_ledger_that_nobody_can_read_is_no_obstacle_and_a_killed_rebuild_neither(tmp_path: Path) -> None:
    before = lived(tmp_path, 5)
    (tmp_path / "ledger.duckdb").write_bytes(b"garbage" * 999)
    (tmp_path / BESIDE).mkdir()
    (tmp_path / BESIDE / "ledger.duckdb").write_bytes(b"half")
    done = rebuild(tmp_path, None, silent)
    after = Ledger(tmp_path / "ledger.duckdb", read_only=True)
    assert answers(after) == before
    after.close()
    assert (Path(str(done.kept)) / "ledger.duckdb").read_bytes() == b"garbage" * 999


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"no journal.*--data"):
        rebuild(tmp_path, None, silent)
