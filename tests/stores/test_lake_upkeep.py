"""Tending a lake: nothing that is asked changes but what retention takes; one book does it at a time, and disturbs nobody who writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gateway.ledger_place import LakePlace
from gateway.retention import DAY_US, Cutoffs
from gateway.stores import lake_upkeep
from gateway.stores.ducklake import Lake
from gateway.stores.lake_connecting import ask_postgres
from gateway.stores.lake_upkeep import LEADING, Upkeep


@pytest.fixture
def lake(lake_place: LakePlace) -> Iterator[Lake]:
    opened = Lake(lake_place, "1" * 32)
    yield opened
    opened.close()


def upkeep(lake: Lake, cutoffs: Cutoffs | None = None) -> Upkeep:
    return Upkeep(lake._session.con, "1" * 32, lambda: cutoffs or Cutoffs(None, None))


def files(place: LakePlace) -> list[Path]:
    return list(Path(place.data).rglob("*.parquet"))


def rows(lake: Lake, table: str) -> int:
    return int(lake._session.con.cursor().execute(f"SELECT count(*) FROM lake.{table}").fetchall()[0][0])


@pytest.fixture
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither old snapshots nor a pause between two times."""
    for name in ("SNAPSHOTS_KEPT", "EVERY"):
        monkeypatch.setattr(lake_upkeep, name, timedelta(0))


@pytest.mark.usefixtures("nothing_is_kept")
def test_few_files_and_rows_are_left_and_every_answer_is_the_same(
    lake: Lake, lake_place: LakePlace, life: Any, embedded: Any, same_everywhere: Any
) -> None:
    ledger = embedded()
    for batch in life(1).batches(8):
        lake.apply([batch])
        ledger.apply([batch])
    before, opened, offsets = len(files(lake_place)), rows(lake, "exchanges_opened"), rows(lake, "journal_offsets")
    assert upkeep(lake).run()
    assert upkeep(lake).run()
    assert len(files(lake_place)) < before / 2
    assert len(files(lake_place)) < 3 * len({each.parent for each in files(lake_place)})  # a table and day has some, however few rows
    assert rows(lake, "exchanges_opened") == lake.query("SELECT count(*) FROM open_exchanges", 1).rows[0][0] < opened
    assert rows(lake, "journal_offsets") == len(lake.offsets()) < offsets
    same_everywhere(lake, [ledger])
    lake.close()
    again = Lake(lake_place, "1" * 32)
    assert again.offsets() == ledger.offsets()
    again.close()


def test_one_book_at_a_time_and_none_soon_after_another(lake: Lake, lake_place: LakePlace) -> None:
    other = Lake(lake_place, "2" * 32)
    holder = other._session.con.cursor()
    holder.execute("BEGIN TRANSACTION")
    assert ask_postgres(holder, f"SELECT pg_try_advisory_xact_lock({LEADING}) AS got") == [(True,)]
    assert not upkeep(lake).run()
    holder.execute("ROLLBACK")
    assert upkeep(lake).run()
    assert not upkeep(other).run()
    other.close()


def test_who_lost_the_lock_stops(lake: Lake, monkeypatch: pytest.MonkeyPatch, postgres: Any, lake_place: LakePlace) -> None:
    database = lake_place.catalogue.split()[0].partition("=")[2]
    waiting = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'tollhouse.%.sessions'"
    steps, done = Upkeep._steps, []

    def counted(self: Upkeep) -> Iterator[list[str]]:
        for step in steps(self):
            if len(done) == 2:
                postgres.ask(waiting, database)
            done.append(step)
            yield step

    monkeypatch.setattr(Upkeep, "_steps", counted)
    with pytest.raises(duckdb.Error):
        upkeep(lake).run()
    assert len(done) == 3
    assert rows(lake, "upkeep") == 0


@pytest.mark.usefixtures("nothing_is_kept")
def test_who_writes_meanwhile_loses_and_doubles_nothing(
    lake: Lake, lake_place: LakePlace, life: Any, embedded: Any, same_everywhere: Any
) -> None:
    lakes, ledgers = [lake, Lake(lake_place, "2" * 32)], [embedded(), embedded()]
    lives = [list(life(number).batches(6)) for number in (1, 2)]
    for ledger, batches in zip(ledgers, lives, strict=True):
        applied(ledger, batches)
    writing = [threading.Thread(target=applied, args=each) for each in zip(lakes, lives, strict=True)]
    for thread in writing:
        thread.start()
    tended = 0
    while any(thread.is_alive() for thread in writing):
        tended += upkeep(lake).run()
    for thread in writing:
        thread.join()
    assert tended
    same_everywhere(lake, ledgers, copies=False)
    lakes[1].close()


def applied(store: Any, batches: list[Any]) -> None:
    for batch in batches:
        store.apply([batch])


@pytest.mark.usefixtures("nothing_is_kept")
def test_what_is_older_than_retention_says_leaves_the_rows_and_the_storage(lake: Lake, lake_place: LakePlace, make: Any) -> None:
    day = 1_790_000_000_000_000
    segment = make.segment()
    records: list[Any] = [make.booted(segment)]
    for number, age in enumerate((0, 1, 2, 3)):
        about = {"started_us": day - age * DAY_US, "input_preview": f"preview of day {age}"}
        records += [make.opened(number, **about), make.ended(number, **about)]
    lake.apply([make.batch(segment, records)])
    lake.apply([make.batch(segment, [make.opened(9, started_us=day - 3 * DAY_US, input_preview="preview of day 3")], 90)])
    cutoffs = Cutoffs(day - 1 * DAY_US + 5, day - 2 * DAY_US + 5)
    assert upkeep(lake, cutoffs).run()
    assert upkeep(lake, cutoffs).run()
    told = lake.query("SELECT input_preview FROM exchanges ORDER BY started_at", 9).rows
    assert told == [[""], ["preview of day 1"], ["preview of day 0"]]
    stored = duckdb.connect().execute("SELECT input_preview FROM read_parquet(?, union_by_name=true) WHERE input_preview IS NOT NULL",
                                      [[str(file) for file in files(lake_place) if "exchanges" in str(file)]]).fetchall()
    assert {text for (text,) in stored} == {"", "preview of day 1", "preview of day 0"}
