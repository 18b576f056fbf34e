"""The schema: tables are made once, views are defined once; a later version adds to a ledger that has rows, and lays its views anew."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gateway import shipped
from gateway.errors import StartError
from gateway.ledger_place import LakePlace
from gateway.stores import schema
from gateway.stores.duckdb import Ledger
from gateway.stores.ducklake import Lake

ADDED = """
ALTER TABLE exchanges_open ADD COLUMN mood VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN weather VARCHAR;
ALTER TABLE exchanges_ended ADD COLUMN mood VARCHAR;
ALTER TABLE exchanges_open ADD COLUMN weather VARCHAR;
ALTER TABLE call_sums ADD COLUMN refused BIGINT;
ALTER TABLE exchange_sums ADD COLUMN slow BIGINT;
CREATE TABLE moods (name VARCHAR);
"""
CALM = "CREATE VIEW calm AS SELECT id, mood FROM exchanges WHERE mood IS NULL;"


class Later:
    """`traces/` as a later version may have it, in a copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add_a_migration(self, text: str) -> None:
        (self.folder / "migrations" / "9000_moods.sql").write_text(text)

    def change_a_view(self, file: str, before: str, after: str) -> None:
        path = self.folder / "views" / file
        assert path.read_text().count(before) == 1
        path.write_text(path.read_text().replace(before, after))


@pytest.fixture
def later(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Later:
    folder = tmp_path_factory.mktemp("later") / "traces"
    shutil.copytree(shipped.folder("traces"), folder)
    known = shipped.folder
    monkeypatch.setattr(shipped, "folder", lambda name: folder if name == "traces" else known(name))
    return Later(folder)


def rows(ledger: Ledger | Lake, sql: str) -> list[list[Any]]:
    return [list(row) for row in ledger.query(sql, 10_000).rows]


def filled(ledger: Ledger | Lake, make: Any) -> None:
    """An exchange that ended, and one that is open."""
    segment = make.segment()
    ledger.apply([make.batch(segment, [make.booted(segment), make.ended(1, calls=[make.call(1, 1)]), make.opened(2)])])


def more(ledger: Ledger | Lake, make: Any) -> None:
    """The next start of the worker: what was open is interrupted."""
    segment = make.segment(boot=2)
    ledger.apply([make.batch(segment, [make.booted(segment), make.ended(3, calls=[make.call(3, 3)])])])


def names_in(folder: str, kind: str) -> Counter[str]:
    texts = [path.read_text() for path in sorted((shipped.folder("traces") / folder).glob("*.sql"))]
    return Counter(re.findall(rf"^CREATE (?:OR REPLACE )?{kind} (\w+)", "\n".join(texts), re.MULTILINE))


def test_a_view_is_defined_once_and_migrations_define_none(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    there = {name for (name,) in ledger._con.execute("SELECT view_name FROM duckdb_views() WHERE database_name = 'ledger'").fetchall()}
    ledger.close()
    assert names_in("views", "VIEW") == Counter(there)
    assert not names_in("migrations", "VIEW")
    assert not names_in("views", "TABLE")


def test_no_two_migrations_have_one_number() -> None:
    numbers = [schema.number_of(file) for file in schema.migrations()]
    assert len(set(numbers)) == len(numbers)


def test_a_later_version_adds_columns_to_a_ledger_that_has_rows(tmp_path: Path, make: Any, later: Later) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    filled(ledger, make)
    ledger.close()
    later.add_a_migration(ADDED)
    again = Ledger(tmp_path / "ledger.duckdb")
    assert again.version == "9000_moods"
    assert rows(again, "SELECT id, state, mood, weather FROM exchanges ORDER BY id") == [
        [f"{1:032x}", "complete", None, None],
        [f"{2:032x}", "open", None, None],
    ]
    again._con.execute("UPDATE ledger.exchanges_open SET mood = 'calm', weather = 'rain'")
    more(again, make)
    assert rows(again, "SELECT state, mood, weather FROM exchanges ORDER BY id") == [
        ["complete", None, None],
        ["interrupted", "calm", "rain"],
        ["complete", None, None],
    ]
    assert rows(again, "SELECT name, calls FROM tools_seen") == [["send_money", 2]]
    again.close()


def test_a_new_ledger_has_what_one_that_was_brought_up_to_date_has(tmp_path: Path, make: Any, later: Later) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    filled(ledger, make)
    ledger.close()
    later.add_a_migration(ADDED)
    later.change_a_view("10_exchanges.sql", "CREATE VIEW open_exchanges", f"{CALM}\nCREATE VIEW open_exchanges")
    brought, new = Ledger(tmp_path / "ledger.duckdb"), Ledger(tmp_path / "new.duckdb")
    assert brought._types == new._types
    assert brought.views() == new.views()
    assert "mood" in new.views()["calm"]
    brought.close()
    new.close()


def test_a_view_that_a_later_version_changes_adds_or_drops_is_so_in_an_old_ledger(tmp_path: Path, make: Any, later: Later) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    filled(ledger, make)
    assert rows(ledger, "SELECT count(*) FROM open_exchanges") == [[1]]
    ledger.close()
    later.change_a_view("10_exchanges.sql", "CREATE VIEW open_exchanges AS SELECT *", "CREATE VIEW waiting AS SELECT id, agent")
    later.change_a_view("50_people.sql", "CREATE VIEW feedback AS SELECT *", "CREATE VIEW feedback AS SELECT *, 'word' AS kind")
    again = Ledger(tmp_path / "ledger.duckdb")
    assert rows(again, "FROM waiting") == [[f"{2:032x}", "coder"]]
    assert list(again.views()["feedback"])[-1] == "kind"
    assert "open_exchanges" not in again.views()
    assert again.version == schema.migrations()[-1].stem
    again.close()


def test_views_that_did_not_change_are_not_laid_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    laid = []
    for _ in range(2):
        ledger = Ledger(path)
        laid.append(ledger._con.execute("SELECT laid_at FROM ledger.schema_views").fetchall())
        ledger.close()
    assert laid[0] == laid[1]


def test_a_kill_after_it_was_brought_up_to_date_leaves_all_of_it(tmp_path: Path, make: Any, later: Later) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    filled(ledger, make)
    ledger.close()
    later.add_a_migration(ADDED)
    later.change_a_view("10_exchanges.sql", "CREATE VIEW open_exchanges", f"{CALM}\nCREATE VIEW open_exchanges")
    again = Ledger(tmp_path / "ledger.duckdb")
    left = tmp_path / "left"
    left.mkdir()
    for file in tmp_path.glob("*.duckdb*"):
        shutil.copy(file, left)
    again.close()
    assert (left / "ledger.duckdb.wal").stat().st_size > 0
    killed = Ledger(left / "ledger.duckdb")
    assert not list(left.glob("*.corrupt-*"))
    assert rows(killed, "SELECT count(*) FROM calm") == [[2]]
    killed.close()


@pytest.mark.parametrize("rows_before", [True, False])
def test_a_schema_that_cannot_be_laid_out_refuses_the_start_and_leaves_the_file_as_it_was(
    tmp_path: Path, make: Any, later: Later, rows_before: bool
) -> None:
    path = tmp_path / "ledger.duckdb"
    if rows_before:
        ledger = Ledger(path)
        filled(ledger, make)
        ledger.close()
    good = later.folder.parent / "good"
    shutil.copytree(later.folder, good)
    later.add_a_migration(ADDED)
    later.change_a_view("90_gen_ai.sql", "FROM calls;", "FROM calls; SELEC")
    with pytest.raises(StartError, match=r"90_gen_ai\.sql failed"):
        Ledger(path)
    assert not list(tmp_path.glob("*.corrupt-*"))
    with duckdb.connect(str(path)) as con:
        tables = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert "moods" not in tables
    assert ("calls" in tables) == rows_before
    shutil.rmtree(later.folder)
    good.rename(later.folder)
    mended = Ledger(path)
    assert mended.version == schema.migrations()[-1].stem
    assert rows(mended, "SELECT count(*) FROM exchanges") == [[2 if rows_before else 0]]
    mended.close()


def from_before_the_first_release(path: Path) -> None:
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE schema_migrations SET name = '0001_ledger' WHERE number = 1")
        con.execute("INSERT INTO schema_migrations VALUES (161, '0161_orgs', now()::TIMESTAMP)")
        con.execute("DROP TABLE schema_views")


def test_a_ledger_from_before_the_first_release_is_set_aside_whole_and_read_only_left_alone(
    tmp_path: Path, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.duckdb"
    ledger = Ledger(path)
    filled(ledger, make)
    ledger.close()
    from_before_the_first_release(path)
    with pytest.raises(StartError, match="laid out by another version; start the gateway once"):
        Ledger(path, read_only=True)
    assert not list(tmp_path.glob("*.corrupt-*"))
    again = Ledger(path)
    assert "from before the first release); it is kept as ledger.duckdb.corrupt-" in caplog.text
    assert again.offsets() == {}
    filled(again, make)
    assert rows(again, "SELECT (SELECT count(*) FROM exchanges), (SELECT count(*) FROM message_copies)") == [[2, 2]]
    again.close()
    (aside,) = tmp_path.glob("ledger.duckdb.corrupt-*")
    with duckdb.connect(str(aside), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM exchanges_ended").fetchall() == [(1,)]


def test_a_later_version_adds_columns_and_changes_views_of_a_lake_that_has_rows(lake_place: LakePlace, make: Any, later: Later) -> None:
    lake = Lake(lake_place, "1" * 32)
    filled(lake, make)
    lake.close()
    later.add_a_migration(ADDED)
    later.change_a_view("10_exchanges.sql", "CREATE VIEW open_exchanges", f"{CALM}\nCREATE VIEW open_exchanges")
    again = Lake(lake_place, "1" * 32)
    assert again.version == "9000_moods"
    more(again, make)
    assert rows(again, "SELECT e.state, c.mood FROM exchanges AS e JOIN calm AS c USING (id) ORDER BY id") == [
        ["complete", None],
        ["interrupted", None],
        ["complete", None],
    ]
    assert rows(again, "SELECT name, calls FROM tools_seen") == [["send_money", 2]]
    again.close()


def test_a_lake_from_before_the_first_release_refuses_the_start_and_says_where_to(lake_place: LakePlace) -> None:
    lake = Lake(lake_place, "1" * 32)
    lake._session.con.execute("UPDATE lake.schema_migrations SET name = '0001_ledger' WHERE number = 1")
    lake.close()
    with pytest.raises(StartError, match=r"before the first release; name another database.*filled from the journals"):
        Lake(lake_place, "1" * 32)
