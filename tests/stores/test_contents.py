"""Content files: one per month, each with its own place, each replaceable alone; together with the ledger everything is there once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gateway.book import Book
from gateway.errors import StartError
from gateway.stores import StoreTrouble, contents
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import MediaRow, MessageRow
from gateway.trace.record import Ended

DAY = 86_400_000_000


def us(text: str) -> int:
    return int(dt.datetime.fromisoformat(text + "+00:00").timestamp() * 1e6)


def said(make: Any, key: int, when: str, *, media: tuple[MediaRow, ...] = ()) -> Ended:
    """An exchange with one message, and a prompt of its own."""
    at = us(when)
    prompt = type(make.prompt("p", "a", ""))(f"p{key}", at, "coder", f"prompt {key}", "[]")
    row = make.exchange(key, started_us=at, state="complete", prompt_hash=f"p{key}", request_messages=(f"{key:032x}",))
    return Ended(row, messages=(MessageRow(f"{key:032x}", "user", f"body {key}", at, media),), prompt=prompt)


def rows(ledger: Ledger, sql: str) -> list[list[Any]]:
    return [list(row) for row in ledger.query(sql, 10_000).rows]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("content-*.duckdb"))


def test_each_month_has_a_file_and_the_views_unite_them(ledger: Ledger, tmp_path: Path, make: Any) -> None:
    media = (MediaRow("image", "image/png", "ab", 3),)
    second = said(make, 2, "2026-10-01T00:00:00", media=media)
    ledger.apply([make.batch(make.segment(), [said(make, 1, "2026-09-30T23:59:59"), second, said(make, 3, "2026-11-21T10:00:00")])])
    assert files(tmp_path) == ["content-2026-09.duckdb", "content-2026-10.duckdb", "content-2026-11.duckdb"]
    assert rows(ledger, "SELECT body FROM messages ORDER BY body") == [["body 1"], ["body 2"], ["body 3"]]
    assert rows(ledger, "SELECT system FROM prompt_versions ORDER BY ALL") == [["prompt 1"], ["prompt 2"], ["prompt 3"]]
    assert rows(ledger, "SELECT message[-1], sha256 FROM media") == [["2", "ab"]]


def test_a_time_that_no_clock_says_in_earnest_is_filed_at_the_edge(ledger: Ledger, tmp_path: Path, make: Any) -> None:
    odd = [said(make, n, when) for n, when in enumerate(("1970-01-01T00:00:00", "2019-12-31T00:00:00", "2099-01-01T00:00:00"))]
    ledger.apply([make.batch(make.segment(), odd)])
    assert files(tmp_path) == ["content-2020-01.duckdb", "content-2059-12.duckdb"]
    assert len(rows(ledger, "SELECT * FROM messages")) == 3


def test_a_body_that_is_written_again_another_day_is_on_record_again_and_shown_once(ledger: Ledger, make: Any) -> None:
    first = us("2026-11-20T10:00:00")
    copies = [MessageRow("0" * 32, "user", "hi", first + at) for at in (0, 5, DAY, DAY + 5)]
    ledger.apply([make.batch(make.segment(), [Ended(make.exchange(n), messages=(copy,)) for n, copy in enumerate(copies)])])
    assert rows(ledger, "SELECT count(*) FROM message_copies") == [[2]]
    assert rows(ledger, "SELECT first_seen FROM messages") == [["2026-11-20T10:00:00.000000Z"]]


def test_content_that_is_ahead_of_the_facts_after_a_kill_is_not_taken_twice(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    batch = make.batch(segment, [make.booted(segment), said(make, 1, "2026-10-31T23:00:00"), said(make, 2, "2026-11-01T01:00:00")])
    ledger = Ledger(path)

    def killed(_: Any) -> None:
        raise duckdb.IOException("killed here")

    monkeypatch.setattr(ledger, "_commit", killed)
    with pytest.raises(StoreTrouble):
        ledger.apply([batch])
    ledger._con.close()
    again = Ledger(path)
    assert again.offsets() == {}
    assert rows(again, "SELECT count(*) FROM message_copies") == [[2]]
    again.apply([batch, make.batch(segment, [said(make, 3, "2026-11-01T02:00:00")], 30)])
    assert rows(again, "SELECT (SELECT count(*) FROM exchanges), (SELECT count(*) FROM message_copies)") == [[3, 3]]
    again.close()


@pytest.mark.parametrize("harm", ["removed", "garbage", "emptied", "header"])
def test_a_lost_month_alone_is_filled_again_from_the_journal(
    tmp_path: Path, make: Any, journal: Path, write: Callable[..., bytes], harm: str
) -> None:
    first, second = make.segment(), make.segment(boot=2)
    write(first, make.booted(first), said(make, 1, "2026-09-03T00:00:00"), said(make, 2, "2026-10-03T00:00:00"), make.decided(1, 2))
    write(second, make.booted(second), said(make, 3, "2026-10-04T00:00:00"), said(make, 4, "2026-11-05T00:00:00"))
    book = Book(journal, lambda: Ledger(tmp_path / "ledger.duckdb"))
    while book.round():
        continue
    views = ("exchanges", "calls", "messages", "message_copies", "prompt_versions", "cost_daily")
    whole = {view: rows(book.store, f"SELECT * FROM {view} ORDER BY ALL") for view in views}  # type: ignore[arg-type]
    book.store.close()
    damage(tmp_path / "content-2026-10.duckdb", harm)
    again = Book(journal, lambda: Ledger(tmp_path / "ledger.duckdb"))
    assert rows(again.store, "SELECT count(*) FROM message_copies") == [[2]]  # type: ignore[arg-type]
    while again.round():
        continue
    assert {view: rows(again.store, f"SELECT * FROM {view} ORDER BY ALL") for view in views} == whole  # type: ignore[arg-type]
    assert again.store._contents.refilling == []  # type: ignore[attr-defined]
    again.store.close()
    assert len(list(tmp_path.glob("content-2026-10.duckdb.corrupt-*"))) == (harm != "removed")
    assert not list(tmp_path.glob("ledger.duckdb.corrupt-*"))


def damage(path: Path, harm: str) -> None:
    data = path.read_bytes()
    if harm == "removed":
        path.unlink()
    else:
        path.write_bytes({"garbage": b"garbage" * 3000, "emptied": b"", "header": bytes(12288) + data[12288:]}[harm])


def test_a_filling_that_is_killed_goes_on_where_it_was(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    batches = [make.batch(segment, [said(make, n, f"2026-10-0{n + 1}T00:00:00")], 10 * n) for n in range(4)]
    ledger = Ledger(path)
    ledger.apply(batches)
    ledger.close()
    (tmp_path / "content-2026-10.duckdb").unlink()
    ledger = Ledger(path)
    assert ledger.offsets()[segment.name].next == 0
    assert ledger.apply(batches[:2]).records == 0
    ledger._con.close()
    ledger = Ledger(path)
    assert ledger.offsets()[segment.name].next == 20
    ledger.apply(batches[2:])
    ledger.tend()
    assert ledger.offsets()[segment.name] == (40, bytes(32), 4, None)
    assert rows(ledger, "SELECT count(*), count(DISTINCT hash) FROM message_copies") == [[4, 4]]
    ledger.close()


def test_a_month_taken_away_while_in_use_is_made_anew(tmp_path: Path, make: Any) -> None:
    path, segment = tmp_path / "ledger.duckdb", make.segment()
    ledger = Ledger(path)
    ledger.apply([make.batch(segment, [said(make, 1, "2026-10-01T00:00:00")])])
    (tmp_path / "content-2026-10.duckdb").unlink()
    with pytest.raises(StoreTrouble, match="taken away") as caught:
        ledger.apply([make.batch(segment, [said(make, 2, "2026-10-02T00:00:00")], 10)])
    assert caught.value.broken
    assert caught.value.at_fault is None
    ledger.close()
    again = Ledger(path)
    assert again._contents.refilling == ["2026-10"]
    again.close()


def test_a_month_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path, make: Any) -> None:
    path = tmp_path / "ledger.duckdb"
    ledger = Ledger(path)
    ledger.apply([make.batch(make.segment(), [said(make, 1, "2026-10-01T00:00:00")])])
    ledger.close()
    with duckdb.connect(str(tmp_path / "content-2026-10.duckdb")) as con:
        con.execute("UPDATE content_file SET schema = 99")
    for read_only in (False, True):
        with pytest.raises(StartError, match=r"content-2026-10.*schema 99.*newer version"):
            Ledger(path, read_only=read_only)
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_read_only_shows_every_month(tmp_path: Path, make: Any) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([make.batch(make.segment(), [said(make, 1, "2026-09-01T00:00:00"), said(make, 2, "2026-10-01T00:00:00")])])
    ledger.close()
    reader = Ledger(tmp_path / "ledger.duckdb", read_only=True)
    assert rows(reader, "SELECT body FROM messages ORDER BY ALL") == [["body 1"], ["body 2"]]
    reader.close()


def test_other_files_stay_out_of_reach_of_questions(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "admin.token").write_text("secret")
    for statement in ("SELECT * FROM read_blob('{}')", "ATTACH '{}' AS other", "COPY (SELECT 1) TO '{}'"):
        with pytest.raises(duckdb.Error, match="disabled by configuration"):
            ledger._con.execute(statement.format(tmp_path / "admin.token"))


def block_size(file: Path) -> int:
    con = duckdb.connect(str(file), read_only=True)
    (size,) = con.execute("SELECT block_size FROM pragma_database_size()").fetchall()[0]
    con.close()
    return int(size)


@pytest.mark.parametrize("before", [16_384, 262_144])
def test_a_month_keeps_the_blocks_it_was_made_with_and_a_new_one_has_small_ones(tmp_path: Path, make: Any, before: int) -> None:
    file = tmp_path / "content-2026-11.duckdb"
    con = duckdb.connect()
    con.execute(f"ATTACH '{file}' AS old (BLOCK_SIZE {before})")
    con.close()
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([make.batch(make.segment(), [said(make, 1, "2026-11-01T10:00:00"), said(make, 2, "2026-12-01T10:00:00")])])
    ledger.close()
    again = Ledger(tmp_path / "ledger.duckdb")
    assert rows(again, "SELECT body FROM messages ORDER BY body") == [["body 1"], ["body 2"]]
    again.close()
    assert block_size(file) == before
    assert block_size(tmp_path / "content-2026-12.duckdb") == 65_536


def test_a_month_that_was_laid_out_in_smaller_row_groups_is_filled_further(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2048 rows were in one before."""

    def apply(first: int, count: int, start: int) -> None:
        ledger = Ledger(tmp_path / "ledger.duckdb")
        told = [said(make, key, "2026-11-01T10:00:00") for key in range(first, first + count)]
        ledger.apply([make.batch(make.segment(), told, start)])
        ledger.close()

    monkeypatch.setattr(contents, "LAYOUT", contents.LAYOUT.replace("8192", "2048"))
    apply(0, 5000, 0)
    assert largest_row_group(tmp_path / "content-2026-11.duckdb") == 2048
    monkeypatch.undo()
    apply(5000, 5000, 50_000)
    assert largest_row_group(tmp_path / "content-2026-11.duckdb") > 2048
    again = Ledger(tmp_path / "ledger.duckdb")
    bodies = [[f"{key:032x}", f"body {key}"] for key in range(10_000)]
    assert rows(again, "SELECT hash, body FROM messages ORDER BY hash") == bodies
    again.close()


def largest_row_group(file: Path) -> int:
    con = duckdb.connect(str(file), read_only=True)
    found = con.execute("SELECT max(count) FROM pragma_storage_info('message_bodies') WHERE column_name = 'hash'").fetchall()
    con.close()
    return int(found[0][0])
