"""A lake whose PostgreSQL goes away: rows stay in the journal, questions are refused and say why, and then all is there once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.book import Book
from gateway.errors import StartError
from gateway.ledger_place import LakePlace
from gateway.stores import Refused, StoreTrouble
from gateway.stores.ducklake import Lake
from gateway.stores.lake_connecting import CatalogueAway, reach
from gateway.stores.lending import Need
from tests.patience import until


@pytest.fixture
def outage(postgres: Any) -> Iterator[Any]:
    """PostgreSQL, which runs again afterwards whatever happened."""
    yield postgres
    if not (postgres.folder / "data" / "postmaster.pid").exists():
        postgres.start()


def ended(make: Any, segment: Any, numbers: range, start: int) -> Any:
    return make.batch(segment, [make.ended(number) for number in numbers], start)


def test_a_book_reads_on_when_its_catalogue_is_back_and_loses_and_doubles_nothing(
    outage: Any, lake_place: LakePlace, journal: Path, make: Any, embedded: Any, same_everywhere: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    first, second = make.segment(), make.segment(seq=1)
    head = make.write(journal, first, [make.booted(first), *(make.opened(number) for number in range(20))])
    lake = Lake(lake_place, "1" * 32)
    book = Book(journal, lambda: lake)
    assert book.round() == 21
    outage.stop()
    make.write(journal, second, [make.booted(second), *(make.ended(number) for number in range(10, 40))], head)
    for _ in range(3):
        assert book._safe_round() is None
        assert "stay in the journal" in str(book.status().problem) or "could not take new rows" in str(book.status().problem)
        assert not book.status().ready
    for ask in (lambda: lake.query("SELECT 1", 1), lambda: lake.fetch("SELECT 1", {}), lambda: lake.loan([Need("calls", ["id"], [[]])])):
        with pytest.raises(Refused, match="ask again"):
            ask()
    assert lake.offsets()[first.name].records == 21
    outage.start()
    until(book._safe_round)
    assert book._safe_round() == 0
    assert (book.status().problem, book.status().ready, book.records) == (None, True, 52)
    ledger = embedded()
    Book(journal, lambda: ledger).round()
    same_everywhere(lake, [ledger], copies=False)
    lake.close()
    assert outage.PASSWORD not in caplog.text + "".join(map(str, lake_place))


def test_who_reads_when_the_catalogue_goes_away_is_refused_and_the_process_lives(outage: Any, lake_place: LakePlace, make: Any) -> None:
    segment = make.segment()
    lake = Lake(lake_place, "1" * 32)
    lake.apply([make.batch(segment, [make.booted(segment), *(make.ended(number) for number in range(20))])])
    begun, lent = lake.arrow("SELECT * FROM exchanges", {}), lake.loan([Need("calls", ["id"], [[]]), Need("exchanges_ended", ["id"], [[]])])
    next(begun)
    next(lent.rows("exchanges_ended"))
    outage.stop()
    lent.close()
    begun.close()
    with pytest.raises(Refused, match="could not be read"):
        lake.fetch("SELECT * FROM exchanges", {})
    with pytest.raises(StoreTrouble, match="does not answer"):
        lake.tend()
    lake.close()


def test_a_book_that_starts_without_its_catalogue_waits_for_it(outage: Any, lake_place: LakePlace, make: Any) -> None:
    segment = make.segment()
    batch = make.batch(segment, [make.booted(segment), make.ended(1)])
    outage.stop()
    lake = Lake(lake_place, "1" * 32)
    assert (lake.offsets(), lake.version[:4].isdigit(), "exchanges" in lake.views()) == ({}, True, True)
    with pytest.raises(StoreTrouble, match="stay in the journal"):
        lake.apply([batch])
    with pytest.raises(StoreTrouble, match="stay in the journal"):
        lake.tend()
    outage.start()
    lake.tend()
    assert (lake.apply([batch]).records, lake.apply([batch]).records) == (2, 0)
    lake.close()


def test_a_commit_of_which_nobody_knows_whether_it_was_made_is_made_once(outage: Any, lake_place: LakePlace, make: Any) -> None:
    """PostgreSQL is stopped at any moment of many commits, the last one included."""
    lake, segment = Lake(lake_place, "1" * 32), make.segment()
    batches = [ended(make, segment, range(5 * number, 5 * number + 5), 50 * number) for number in range(20)]
    for pause in (0.05, 0.4):
        stopping = threading.Timer(pause, outage.stop)
        stopping.start()
        applied = applied_until_trouble(lake, batches)
        stopping.join()
        outage.start()
        assert lake.offsets().get(segment.name, None) is None or lake.offsets()[segment.name].records >= applied
    applied_until_trouble(lake, batches)
    assert lake.query("SELECT count(*), count(DISTINCT id) FROM exchanges", 1).rows == [[100, 100]]
    assert lake.offsets()[segment.name].records == 100
    lake.close()


def applied_until_trouble(lake: Lake, batches: list[Any]) -> int:
    """Always from the first: what is there is left out."""
    applied = 0
    try:
        for batch in batches:
            applied += lake.apply([batch]).records
    except StoreTrouble:
        return applied
    return applied


def test_a_lake_whose_data_is_elsewhere_refuses_the_start_and_says_what_to_write(lake_place: LakePlace, tmp_path: Path) -> None:
    Lake(lake_place, "1" * 32).close()
    with pytest.raises(StartError, match=r"has its data in .*/lake/, not in .*/other/; write the lake's own place"):
        Lake(lake_place._replace(data=f"{tmp_path}/other/"), "1" * 32)


def test_a_lake_of_a_newer_version_refuses_the_start(lake_place: LakePlace) -> None:
    lake = Lake(lake_place, "1" * 32)
    lake._session.con.execute("INSERT INTO lake.schema_migrations VALUES (9999, 'later', now()::TIMESTAMP)")
    lake.close()
    with pytest.raises(StartError, match=r"has schema 9999.*start the newer version"):
        Lake(lake_place, "1" * 32)


def test_a_wrong_password_is_told_without_it(
    lake_place: LakePlace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PGPASSWORD", "made-up-and-wrong")
    lake = Lake(lake_place, "1" * 32)
    with pytest.raises(StoreTrouble, match="password authentication failed") as told:
        lake.tend()
    assert "made-up-and-wrong" not in str(told.value) + caplog.text
    lake.close()


def test_whether_a_catalogue_is_there_is_found_without_changing_it(postgres: Any) -> None:
    place = LakePlace(postgres.fresh(), "/nowhere/lake/")
    reach(place)
    database = place.catalogue.split()[0].partition("=")[2]
    assert postgres.ask("SELECT count(*) FROM pg_namespace WHERE nspname = 'tollhouse'", database) == "0"
    with pytest.raises(CatalogueAway, match='database "not-there" does not exist'):
        reach(place._replace(catalogue=" ".join(["dbname=not-there", *place.catalogue.split()[1:]])))
