"""What is older than retention says is gone: from every answer at once, from the disk when the file is written anew."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from gateway.book import Book
from gateway.retention import Cutoffs
from gateway.stores import duckdb as module
from gateway.stores import forgetting, opening
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import CallRow, MediaRow, MessageRow
from gateway.trace.prompt_rows import PromptRow
from gateway.trace.record import Ended


@pytest.fixture(autouse=True)
def small_files_wear_out_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "DEAD_LEAST", 0)


def us(text: str) -> int:
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1e6)


def said(make: Any, key: int, when: str) -> Ended:
    """Everything in it that was said holds `marker-<key>-`, and does not compress away."""
    at, text = us(when), f"marker-{key}-" + "".join(f"{key * 7919 + n:x}" for n in range(40))
    call = CallRow(
        f"{key:032x}", f"dec_{key}", at, 0, "c", "bash", "function", f'{{"to": "{text}"}}', "ab", "deny", False, "rule", f"no: {text}",
        "coder", hits=make.call(1, 1, released=False).hits,
    )  # fmt: skip
    row = make.exchange(key, started_us=at, state="denied", input_preview=text, error_message=None, cost="0.5", calls=1)
    media = (MediaRow("file", url=f"https://files.example/{text}"),)
    prompt = PromptRow(f"p{key}", at, "coder", text, "[]")
    return Ended(row, (call,), messages=(MessageRow(f"{key:032x}", "user", text, at, media),), prompt=prompt)


DAYS = [f"2026-{day}T12:00:00" for day in ("08-15", "09-10", "09-20", "10-05", "10-25", "11-20")]


def filled(path: Path, make: Any, cutoffs: Cutoffs) -> Ledger:
    ledger = Ledger(path, cutoffs=lambda: cutoffs)
    segment = make.segment()
    ledger.apply([make.batch(segment, [make.booted(segment), *(said(make, n, when) for n, when in enumerate(DAYS))])])
    return ledger


def tend_to_the_end(ledger: Ledger) -> None:
    while not ledger._forget_at:
        ledger.tend()


def rows(ledger: Ledger, sql: str) -> list[list[Any]]:
    return [list(row) for row in ledger.query(sql, 10_000).rows]


def on_disk(folder: Path, marker: str) -> list[str]:
    return sorted(path.name for path in folder.glob("*.duckdb*") if marker.encode() in path.read_bytes())


def test_bodies_go_by_month_and_within_the_month_by_row_and_facts_stay(tmp_path: Path, make: Any) -> None:
    ledger = filled(tmp_path / "ledger.duckdb", make, Cutoffs(us("2026-10-10T00:00:00"), None))
    tend_to_the_end(ledger)
    assert sorted(path.name for path in tmp_path.glob("content-*.duckdb")) == ["content-2026-10.duckdb", "content-2026-11.duckdb"]
    assert [body[:9] for (body,) in rows(ledger, "SELECT body FROM messages ORDER BY ALL")] == ["marker-4-", "marker-5-"]
    assert rows(ledger, "SELECT id[-1], input_preview[:9], cost, error_message FROM exchanges ORDER BY id")[2:5] == [
        ["2", "", "0.500000000", None], ["3", "", "0.500000000", None], ["4", "marker-4-", "0.500000000", None],
    ]
    assert rows(ledger, "SELECT count(*) FILTER (arguments = '' AND reason = ''), count(*), count(DISTINCT rule) FROM calls") == [[4, 6, 1]]
    assert rows(ledger, "SELECT count(*) FILTER (message = '') FROM rule_hits") == [[4]]
    assert len(rows(ledger, "SELECT * FROM prompt_versions WHERE system IS NULL")) == 0  # nobody asked with a prompt hash
    ledger.close()


def test_decisions_go_with_all_their_rows_and_what_they_cost_stays_known(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "SLICE", 1)
    ledger = filled(tmp_path / "ledger.duckdb", make, Cutoffs(us("2026-10-10T00:00:00"), us("2026-09-15T00:00:00")))
    tend_to_the_end(ledger)
    for table in ("exchanges", "calls", "rule_hits"):
        assert rows(ledger, f"SELECT count(*) FROM {table}") == [[4]], table
    assert rows(ledger, "SELECT sum(cost), sum(exchanges) FROM cost_daily") == [["3.000000000", 6]]
    ledger.close()


def test_without_cutoffs_nothing_ever_goes(tmp_path: Path, make: Any) -> None:
    ledger = filled(tmp_path / "ledger.duckdb", make, Cutoffs(None, None))
    tend_to_the_end(ledger)
    assert rows(ledger, "SELECT count(*) FROM messages") == [[6]]
    ledger.close()


def test_a_slice_is_bounded_and_the_next_one_goes_on(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "SLICE", 2)
    ledger = filled(tmp_path / "ledger.duckdb", make, Cutoffs(None, us("2026-11-30T00:00:00")))
    left = []
    while not ledger._forget_at:
        ledger.tend()
        left.append(rows(ledger, "SELECT count(*) FROM exchanges")[0][0])
    assert left[:4] == [4, 2, 0, 0]
    ledger.close()


def test_when_a_file_is_written_anew_no_byte_is_left_of_what_went(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORGET_EVERY_S", 0.0)
    monkeypatch.setitem(opening._CONFIG, "force_compression", "uncompressed")  # or nothing could be found in the files
    path, cutoffs = tmp_path / "ledger.duckdb", Cutoffs(us("2026-10-10T00:00:00"), us("2026-09-01T00:00:00"))
    filled(path, make, cutoffs).close()
    assert on_disk(tmp_path, "marker-3-") == ["content-2026-10.duckdb", "ledger.duckdb"]
    ledger = Ledger(path, cutoffs=lambda: cutoffs)
    recent = "SELECT * FROM {} WHERE started_at >= '2026-10-10' ORDER BY ALL"
    wanted = {view: rows(ledger, recent.format(view)) for view in ("exchanges", "findings")}
    while not ledger.worn:
        ledger.tend()
    ledger.close()
    assert on_disk(tmp_path, "marker-3-"), "DuckDB clears what it deletes: there is no need to write anything anew"
    again = Ledger(path)
    again.close()
    for gone in ("marker-0-", "marker-1-", "marker-2-", "marker-3-"):
        assert on_disk(tmp_path, gone) == [], gone
    assert on_disk(tmp_path, "marker-4-")
    whole = Ledger(path)
    assert {view: rows(whole, recent.format(view)) for view in wanted} == wanted
    assert rows(whole, "SELECT count(*) FROM messages") == [[2]]
    assert rows(whole, "SELECT count(*) FROM prompt_versions") == [[0]]
    assert rows(whole, "SELECT name, calls FROM tools_seen") == [["bash", 6]]
    assert whole.offsets()[make.segment().name].next == 70
    assert not whole.worn
    whole.close()
    assert not list(tmp_path.glob("*.anew*"))


def test_the_book_opens_a_worn_ledger_anew_and_goes_on(
    tmp_path: Path, make: Any, journal: Path, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FORGET_EVERY_S", 0.0)
    cutoffs = Cutoffs(us("2026-10-10T00:00:00"), None)
    first, second = make.segment(), make.segment(boot=2)
    write(first, make.booted(first), *(said(make, n, when) for n, when in enumerate(DAYS)))
    opened = []

    def open_store() -> Ledger:
        opened.append(Ledger(tmp_path / "ledger.duckdb", cutoffs=lambda: cutoffs))
        return opened[-1]

    book = Book(journal, open_store)
    for _ in range(30):
        book.round()
    assert len(opened) == 2
    assert on_disk(tmp_path, "marker-3-") == []
    write(second, make.booted(second), said(make, 9, "2026-11-21T00:00:00"))
    monkeypatch.setattr("gateway.book.RELIST_S", 0.0)
    book._listed_at = -10.0
    book.round()
    assert rows(opened[-1], "SELECT count(*) FROM exchanges") == [[7]]
    book.store.close()


def test_a_file_that_cannot_be_written_anew_stays_and_is_used(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FORGET_EVERY_S", 0.0)
    path = tmp_path / "ledger.duckdb"
    ledger = filled(path, make, Cutoffs(us("2026-10-10T00:00:00"), None))
    while not ledger.worn:
        ledger.tend()
    ledger.close()
    (tmp_path / "ledger.duckdb.anew").mkdir()
    (tmp_path / "ledger.duckdb.anew" / "in the way").touch()
    again = Ledger(path)
    assert rows(again, "SELECT count(*) FROM exchanges") == [[6]]
    again.close()


def test_a_file_is_worn_when_much_of_it_is_dead_or_little_has_been_for_a_week(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forgetting, "DEAD_LEAST", 50)
    ledger = filled(tmp_path / "ledger.duckdb", make, Cutoffs(None, us("2026-10-10T00:00:00")))
    tend_to_the_end(ledger)
    con = ledger._con
    assert con.execute("SELECT sum(dead) FROM ledger.wear").fetchall()[0][0] > 0
    assert not forgetting.worn(con, "ledger")
    con.execute("UPDATE ledger.wear SET since = since - to_days(8)")
    assert forgetting.worn(con, "ledger")
    con.execute("UPDATE ledger.wear SET since = since + to_days(8), dead = 51")
    assert forgetting.worn(con, "ledger")
    ledger.close()
