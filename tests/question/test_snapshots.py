"""Snapshots: consistent while the book writes, whole or not there, readable by what people have, and never more than are kept."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import duckdb
import pytest

from gateway.clock import now_us
from gateway.question.snapshots import LATEST, Snapshots
from gateway.stores import Batch, Refused
from gateway.stores.duckdb import Ledger
from gateway.stores.lending import Loan
from gateway.trace.people_rows import ApprovalRow
from gateway.trace.record import ApprovalChanged
from gateway.web import queries
from tests.patience import PATIENCE_S
from tests.question.conftest import SEGMENT, records

HOUR_US = 3_600_000_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "it's a folder" / "snapshots"


def rows(file: Path, sql: str) -> list[tuple[object, ...]]:
    con = duckdb.connect(str(file), read_only=True)
    try:
        return con.execute(sql).fetchall()
    finally:
        con.close()


def test_a_snapshot_says_what_the_ledger_says(ledger: Ledger, folder: Path) -> None:
    made = Snapshots(folder).make(ledger, ledger.views())
    for name in ledger.views():
        sql = f"SELECT count(*)::BIGINT, sum(hash(t::VARCHAR))::VARCHAR FROM {name} AS t"
        assert [list(row) for row in rows(made.path, sql)] == ledger.query(sql, 10).rows, name
    assert made.path.stat().st_mode & 0o077 == 0
    assert (folder / LATEST).samefile(made.path)


@pytest.mark.parametrize("name", sorted(queries.read_all()))
def test_saved_queries_work_on_a_snapshot(ledger: Ledger, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "saved"
    file = folder / LATEST if (folder / LATEST).exists() else Snapshots(folder).make(ledger, ledger.views()).path
    query = queries.read_all()[name]
    con = duckdb.connect(str(file), read_only=True)
    assert con.execute(query.sql, dict(query.params)).description
    con.close()


@pytest.fixture(scope="module")
def this_week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A snapshot of a book whose exchanges are of these days, one an hour, the last of them to come; a call waits, another one no more."""
    folder, now = tmp_path_factory.mktemp("week"), now_us()
    ledger = Ledger(folder / "ledger.duckdb")
    waits = [ApprovalRow(f"a{ends}", 0, "pending", now - 5 * HOUR_US, now + ends * HOUR_US, "coder") for ends in (-3, 3)]
    told = [*records(130, now - 100 * HOUR_US - HOUR_US // 2), *map(ApprovalChanged, waits)]
    ledger.apply([Batch(SEGMENT, list(enumerate(told)), 999_999, bytes(32))])
    made = Snapshots(folder).make(ledger, ledger.views())
    ledger.close()
    return made.path


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("name", sorted(queries.read_all()))
def test_a_saved_query_says_the_same_wherever_the_one_who_opens_a_snapshot_lives(this_week: Path, name: str, zone: str) -> None:
    query = queries.read_all()[name]
    given = {key: {"days": "1", "baseline": "2", "least": "1"}.get(key, default) for key, default in query.params.items()}

    def told(where: str) -> list[tuple[object, ...]]:
        con = duckdb.connect(str(this_week), read_only=True, config={"threads": 1})
        con.execute(f"SET TimeZone = '{where}'")
        answer = con.execute(query.sql, given)
        columns, found = [each[0] for each in answer.description], answer.fetchall()
        con.close()
        waits = columns.index("waits_s") if "waits_s" in columns else None
        return [tuple(round(each / 60) if n == waits else each for n, each in enumerate(row)) for row in found]

    assert told(zone) == told("UTC")


def test_since_leaves_out_what_was_before_and_is_not_the_latest(ledger: Ledger, folder: Path) -> None:
    snapshots = Snapshots(folder)
    part = snapshots.make(ledger, ledger.views(), since="2026-09-25")
    assert not (folder / LATEST).exists()
    expected = ledger.query("SELECT count(*) FROM exchanges WHERE started_at >= '2026-09-25'", 1).rows
    assert [list(row) for row in rows(part.path, "SELECT count(*) FROM exchanges")] == expected
    assert 0 < expected[0][0] < 300
    with pytest.raises(Refused, match="like 2026-01-31"):
        snapshots.make(ledger, ledger.views(), since="' OR 1=1")
    elsewhere = snapshots.make(ledger, ledger.views(), since="2026-09-25T02:00+02:00")
    assert rows(elsewhere.path, "SELECT count(*) FROM exchanges") == [tuple(expected[0])]
    assert [each.suffix for each in folder.iterdir()] == [".duckdb", ".duckdb"]


def test_one_that_fails_half_way_leaves_nothing(ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Loan, "rows", broken)
    with pytest.raises(Refused):
        Snapshots(folder).make(ledger, ledger.views())
    assert list(folder.iterdir()) == []


def broken(self: Loan, table: str) -> object:
    if table == "calls":
        raise Refused("sql_error", "the disk is gone")
    return whole(self, table)


whole = Loan.rows


def test_parquet_has_a_file_for_each_table_and_view(ledger: Ledger, folder: Path) -> None:
    made = Snapshots(folder).make(ledger, ledger.views(), parquet=True)
    assert {each.stem for each in made.path.iterdir()} == set(ledger.views())
    found = duckdb.execute(f"SELECT count(*) FROM '{str(made.path).replace(chr(39), chr(39) * 2)}/exchanges.parquet'").fetchall()
    assert found == [(300,)]
    assert [each.name for each in folder.iterdir()] == [made.path.name]


def test_only_the_newest_are_kept_and_what_was_cut_off_goes(ledger: Ledger, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "book-20200101T000000.000000Z.duckdb.part").write_text("half")
    (folder / "mine.duckdb").write_text("not ours")
    snapshots = Snapshots(folder, keep=2)
    made = [snapshots.make(ledger, ledger.views()).path.name for _ in range(3)]
    assert sorted(each.name for each in folder.iterdir()) == sorted([*made[1:], LATEST, "mine.duckdb"])


def test_a_reader_keeps_what_it_opened_while_the_latest_is_replaced(ledger: Ledger, folder: Path) -> None:
    snapshots = Snapshots(folder, keep=1)
    snapshots.make(ledger, ledger.views())
    con = duckdb.connect(str(folder / LATEST), read_only=True)
    snapshots.make(ledger, ledger.views())
    assert con.execute("SELECT count(*) FROM exchanges").fetchall() == [(300,)]
    con.close()


def test_one_at_a_time_and_a_closed_one_ends_what_it_makes(ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gateway.question import snapshots as module

    began = threading.Event()
    stuck: list[subprocess.Popen[bytes]] = []

    def start(program: object, connection: object) -> subprocess.Popen[bytes]:
        stuck.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], pass_fds=[connection.fileno()]))  # type: ignore[attr-defined]
        began.set()
        return stuck[0]

    monkeypatch.setattr(module, "start", start)
    snapshots, refused = Snapshots(folder), list[str]()

    def make() -> None:
        try:
            snapshots.make(ledger, ledger.views())
        except Refused as error:
            refused.append(error.code)

    making = threading.Thread(target=make)
    making.start()
    assert began.wait(PATIENCE_S)
    with pytest.raises(Refused, match="another snapshot"):
        snapshots.make(ledger, ledger.views())
    time.sleep(0.1)
    snapshots.close()
    making.join(PATIENCE_S)
    assert refused == ["unavailable"]
    assert stuck[0].wait() == -signal.SIGKILL


def test_a_place_that_cannot_be_written_is_said(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be put into"):
        Snapshots(tmp_path / "file" / "x").make(ledger, ledger.views())
