"""Hostile SQL: what it can reach (nothing), change (nothing), and use up (a process of its own, for ten seconds).

Everything is asked twice: as anybody may ask it, and past the first door, of readers that judge no parse tree. The second must not matter.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.question import office as office_module
from gateway.question.office import Office
from gateway.question.wire import Question
from gateway.stores import Batch, Refused
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import CallRow, ExchangeRow
from gateway.trace.record import Booted, Ended
from gateway.trace.segments import Segment

SECRET = "canary-7f3a91d2"
SEGMENT = Segment("5" * 32, 0, "6" * 32, 0)
UNJUDGED = (
    "import sys; from gateway.stores import sql_guard; sql_guard.check = lambda *_: None;"
    "from gateway.question import nursery; nursery.main(int(sys.argv[1]))"
)
"""A nursery whose readers have lost the first door."""


class House:
    """A ledger, files and a listener that nobody may reach, and two offices: with and without the first door."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "secret.txt").write_text(SECRET)
        (folder / "secret.csv").write_text(f"a,b\n1,{SECRET}\n")
        (folder / "secret.json").write_text(f'{{"a": "{SECRET}"}}')
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.ledger = Ledger(folder / "ledger.duckdb")
        row = ExchangeRow("a" * 32, 1, "openai.chat", "openai", "chat", "/v1", "agent", state="complete")
        call = CallRow("a" * 32, "d", 2, 0, "c", "bash", "function", "<img src=x onerror=alert(1)>\x1b[2J", "h", "deny", False, "rule", "=cmd|' /C calc'!A0", "agent")  # fmt: skip
        self.ledger.apply([Batch(SEGMENT, [(0, Booted(SEGMENT.run, 0, SEGMENT.boot, 1)), (1, Ended(row, (call,)))], 9, bytes(32))])
        self.judged, self.unjudged = Office(), Office(("-c", UNJUDGED))

    def close(self) -> None:
        for office in (self.judged, self.unjudged):
            office.close()
        self.ledger.close()
        self.listener.close()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def fill(self, sql: str) -> str:
        return sql.replace("{db}", str(self.folder / "ledger.duckdb")).replace("{dir}", str(self.folder)).replace("{port}", str(self.port))

    def files(self) -> dict[str, tuple[int, int]]:
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in self.folder.rglob("*")}

    def visited(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            self.listener.accept()[0].close()
            return True
        return False

    def body(self, office: Office, sql: str) -> bytes:
        """The answer or the refusal, as bytes that were sent out."""
        try:
            return office.ask(self.ledger, Question(self.fill(sql))).body
        except Refused as refused:
            return refused.message.encode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    os.environ["CANARY_SQL"] = SECRET
    opened = House(tmp_path_factory.mktemp("house"))
    yield opened
    opened.close()
    del os.environ["CANARY_SQL"]


REACHING = [
    "SELECT * FROM read_blob('{db}')",
    "SELECT * FROM read_blob('{db}.wal')",
    "SELECT * FROM read_text('{dir}/secret.txt')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_blob('/proc/self/maps')",
    "SELECT * FROM read_text('/dev/fd/63')",
    "COPY (SELECT 1) TO '/dev/fd/63'",
    "COPY (SELECT 1) TO '/dev/fd/../../{dir}/copied'",
    "SELECT * FROM read_csv('{dir}/secret.csv')",
    "SELECT * FROM read_csv_auto('{dir}/secret.csv')",
    "SELECT * FROM sniff_csv('{dir}/secret.csv')",
    "SELECT * FROM read_json('{dir}/secret.json')",
    "SELECT * FROM read_ndjson_objects('{dir}/secret.json')",
    "SELECT * FROM read_parquet('{dir}/*')",
    "SELECT * FROM parquet_metadata('{dir}/secret.csv')",
    "SELECT * FROM '{dir}/secret.csv'",
    "SELECT * FROM \"{dir}/secret.csv\"",
    "SELECT * FROM glob('{dir}/*')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM which_secret('x', 's3')",
    "SELECT getenv('CANARY_SQL')",
    "SELECT * FROM read_csv('http://127.0.0.1:{port}/x.csv')",
    "SELECT * FROM 'http://127.0.0.1:{port}/x.parquet'",
    "SELECT * FROM read_text('s3://127.0.0.1:{port}/x')",
    "ATTACH '{db}' AS other",
    "ATTACH '{db}' AS other (READ_ONLY)",
    "ATTACH '{dir}/new.duckdb' AS other",
    "ATTACH 'http://127.0.0.1:{port}/x.duckdb' AS other",
    "ATTACH ':memory:' AS other; CREATE TABLE other.t AS SELECT 1",
    "USE other",
    "COPY (SELECT 1) TO '{db}.wal'",
    "COPY (SELECT 1) TO '{db}.wal.recovery'",
    "COPY (SELECT 1) TO '{dir}/out.csv'",
    "COPY calls TO '{dir}/out.parquet' (FORMAT parquet)",
    "COPY calls FROM '{dir}/secret.csv'",
    "COPY FROM DATABASE ledger TO memory",
    "EXPORT DATABASE '{dir}/export'",
    "IMPORT DATABASE '{dir}/export'",
    "INSTALL httpfs",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:{port}'",
    "LOAD httpfs",
    "LOAD '{dir}/evil.duckdb_extension'",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET temp_directory = '{dir}'",
    "SET memory_limit = '100GB'",
    "SET log_query_path = '{dir}/log'",
    "SET GLOBAL threads = 64",
    "RESET ALL",
    "PRAGMA database_list",
    "PRAGMA enable_profiling = 'json'",
    "PRAGMA profiling_output = '{dir}/profile'",
    "CALL pragma_version()",
    "CALL enable_logging(storage_path = '{dir}')",
    "CREATE SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')",
    "CREATE TABLE t AS SELECT * FROM read_text('{dir}/secret.txt')",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE MACRO m() AS TABLE SELECT * FROM read_text('{dir}/secret.txt')",
    "CREATE OR REPLACE VIEW calls AS SELECT 1",
    "INSERT INTO boots SELECT * FROM boots",
    "UPDATE calls SET released = true",
    "DELETE FROM calls",
    "TRUNCATE calls",
    "DROP VIEW exchanges",
    "ALTER TABLE calls RENAME TO c",
    "CHECKPOINT",
    "FORCE CHECKPOINT ledger",
    "VACUUM",
    "DETACH ledger",
    "BEGIN; DELETE FROM calls; COMMIT",
    "SELECT 1; SELECT * FROM read_text('{dir}/secret.txt')",
    "SELECT 1 /* ; */; -- */\nCOPY (SELECT 1) TO '{dir}/out.csv'",
    "SELECT 1 --\r; ATTACH '{db}'",
    "PREPARE p AS SELECT * FROM read_text('{dir}/secret.txt'); EXECUTE p",
    "EXPLAIN ANALYZE SELECT * FROM read_text('{dir}/secret.txt')",
    "SELECT * FROM query('SELECT * FROM read_text(''{dir}/secret.txt'')')",
    "SELECT * FROM query_table('{dir}/secret.csv')",
    "SELECT json_execute_serialized_sql(json_serialize_sql('SELECT * FROM read_text(''{dir}/secret.txt'')'))",
    "FROM json_execute_serialized_sql(json_serialize_sql('SELECT content FROM read_text(''{dir}/secret.txt'')'))",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_databases()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM pragma_storage_info('calls')",
    "SELECT * FROM pragma_table_info('calls')",
    "SELECT * FROM exchanges_ended",
    "SELECT current_setting('temp_directory')",
    "SELECT write_log('x')",
    "SELECT * FROM test_vector_types(1)",
    "WITH x AS (SELECT * FROM read_text('{dir}/secret.txt')) SELECT * FROM x",
    "SELECT (SELECT content FROM read_text('{dir}/secret.txt'))",
    "SELECT list_transform([1], lambda x: getenv('CANARY_SQL'))",
    "FROM (SUMMARIZE calls)",
    "SHOW ALL TABLES",
    "DESCRIBE calls",
]


def test_nothing_can_be_reached_or_changed(house: House) -> None:
    """Q1, Q2, Q3, Q5. Those that are refused for their text are still run past the judge: then nothing is there to be reached."""
    before = house.files()
    for sql in REACHING:
        with pytest.raises(Refused) as refused:
            house.judged.ask(house.ledger, Question(house.fill(sql)))
        assert refused.value.code in {"sql_refused", "sql_error"}, sql
        assert SECRET not in refused.value.message
        found = house.body(house.unjudged, sql)
        assert SECRET.encode() not in found, (sql, found)
        assert b"root:" not in found, sql
    assert str(house.folder).encode() not in house.body(house.unjudged, "SELECT path FROM duckdb_databases()")
    assert house.files() == before
    assert not house.visited()
    assert house.ledger.query("SELECT count(*) FROM calls WHERE NOT released", 1).rows == [[1]]


def test_past_the_judge_the_process_is_as_empty_as_it_should_be(house: House) -> None:
    """What the unjudged door is for: it must really be open, or the test above shows nothing."""
    assert b'"memory"' in house.body(house.unjudged, "SELECT database_name FROM duckdb_databases() WHERE database_name = 'memory'")
    assert b"false" in house.body(house.unjudged, "SELECT current_setting('enable_external_access')")


BOMBS = [
    "SELECT repeat('x', 1000000000)",
    "SELECT count(*) FROM range(100000000000) r(i) WHERE hash(i) % 7 = 9",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r",
    "SELECT list_transform(range(100000000), lambda x: x * x)",
    "SELECT len(list(a.range)) FROM range(100000) a, range(100000) b",
    "SELECT count(*) FROM range(100000) a, range(100000) b WHERE a.range * b.range % 7 = 9",
    "SELECT string_agg(repeat('y', 100000), ',') FROM range(100000)",
    "SELECT " + ", ".join(f"{n} AS c{n}" for n in range(20_000)),
    "SELECT " + "(" * 20_000 + "1" + ")" * 20_000,
    "SELECT " + "-" * 30_000 + "1",
    "SELECT regexp_matches(repeat('a', 10000000), '(a*)*b')",
    "SELECT * FROM range(1000000000) ORDER BY hash(range)",
    "SELECT format('{:>1000000000}', 'x')",
    "SELECT lpad('x', 2000000000, 'y')",
    "SELECT generate_series(1, 1000000000)",
]
UNJUDGED_BOMBS = ["SELECT sleep_ms(1000000)", "SELECT count(*) FROM repeat('x', 100000000000)"]


class Watched:
    """The most memory that any reader had."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.peak_kib = 0
        self._pids: set[int] = set()
        self._stop = threading.Event()
        begun = office_module.begun

        def noted(connection: socket.socket) -> Any:
            visit = begun(connection)
            if visit is not None:
                self._pids.add(visit.ready.pid)
            return visit

        monkeypatch.setattr(office_module, "begun", noted)
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            for pid in list(self._pids):
                with contextlib.suppress(OSError):
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    self.peak_kib = max(self.peak_kib, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def test_bombs_end_with_their_process_and_the_book_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Q4. With a shorter deadline than the real one, which the next test waits for."""
    monkeypatch.setattr(office_module, "QUERY_SECONDS", 1.0)
    watched = Watched(monkeypatch)
    try:
        for office, sql in [*((house.judged, sql) for sql in BOMBS), *((house.unjudged, sql) for sql in UNJUDGED_BOMBS)]:
            began = time.monotonic()
            with contextlib.suppress(Refused):
                office.ask(house.ledger, Question(sql))
            assert time.monotonic() - began < 8, sql[:80]
            assert house.ledger.query("SELECT count(*) FROM calls", 1).rows == [[1]]
    finally:
        watched.stop()
    assert 0 < watched.peak_kib < 1024 * 1024
    monkeypatch.undo()
    assert house.judged.ask(house.ledger, Question("SELECT 1")).rows == 1


def test_the_real_deadline_is_ten_seconds_and_rows_are_written_meanwhile(house: House, tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.apply([Batch(SEGMENT, [(0, Booted(SEGMENT.run, 0, SEGMENT.boot, 1))], 1, bytes(32))])
    over = threading.Event()
    said: list[str] = []

    def ask() -> None:
        try:
            house.unjudged.ask(ledger, Question("SELECT sleep_ms(1000000)"))
        except Refused as refused:
            said.append(refused.code)
        over.set()

    began = time.monotonic()
    asking = threading.Thread(target=ask)
    asking.start()
    at = 1
    while not over.is_set():
        row = ExchangeRow(f"{at:032x}", at, "openai.chat", "openai", "chat", "/v1", "a", state="complete")
        ledger.apply([Batch(SEGMENT, [(at, Ended(row, ()))], at + 1, bytes(32))])
        at += 1
        over.wait(0.2)
    asking.join()
    assert said == ["sql_timeout"]
    assert 9.5 < time.monotonic() - began < 15
    assert at > 10
    ledger.close()


def test_cells_are_inert_and_wide_ones_are_cut(house: House) -> None:
    """Q6: JSON escapes control characters, CSV tames formulas, and nothing is longer than 64 Ki characters."""
    answer = msgspec.json.decode(house.body(house.judged, "SELECT arguments, reason, repeat('z', 50000000) AS wide FROM calls"))
    assert answer["truncated"] is True
    assert len(answer["rows"][0][2]) <= 65_537
    raw = house.judged.ask(house.ledger, Question("SELECT arguments, reason FROM calls", form="csv")).body.decode()
    assert "'=cmd|" in raw
    assert b"\x1b" not in house.body(house.judged, "SELECT arguments FROM calls")


FRAGMENTS = st.sampled_from([
    "SELECT", "FROM", "WHERE", "UNION ALL", "WITH x AS (SELECT 1)", "COPY", "TO", "ATTACH", "INSTALL", "LOAD", "SET", "PRAGMA", "CALL", "EXPLAIN",
    "*", "1", "NULL", "'{dir}/secret.txt'", "'{dir}/out'", "'{db}'", "'http://127.0.0.1:{port}/'", "calls", "exchanges", "exchanges_ended", "x",
    "read_text(", "read_blob(", "glob(", "getenv('CANARY_SQL')", "query(", "duckdb_settings()", "range(5)", "(", ")", ",", ";", "--", "/*", "*/",
    "LIMIT 3", "ORDER BY 1", "::VARCHAR", "LATERAL", "PIVOT", "ON", "USING", "lambda v: v", "[1]", "{'a': 1}", "$p", "?", "\n", "'", '"', "\\",
    "memory.main.calls", "temp.", "main.", "CREATE TABLE t AS", "INSERT INTO boots", "DROP VIEW calls", "json_execute_serialized_sql('{}')",
])  # fmt: skip
STATEMENTS = st.one_of(
    st.lists(FRAGMENTS, min_size=1, max_size=14).map(" ".join),
    st.tuples(st.sampled_from(REACHING), st.lists(FRAGMENTS, max_size=4)).map(lambda t: t[0] + " " + " ".join(t[1])),
    st.tuples(st.lists(FRAGMENTS, max_size=3), st.sampled_from(REACHING)).map(lambda t: " ".join(t[0]) + " " + t[1]),
    st.text(max_size=60),
)
EXAMPLES = int(os.environ.get("TOLLHOUSE_EXAMPLES", "30"))
Asking = Callable[[str], bytes]


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STATEMENTS)
def test_no_statement_reaches_anything(house: House, sql: str) -> None:
    before = house.files()
    for office in (house.judged, house.unjudged):
        assert SECRET.encode() not in house.body(office, sql)
    assert house.files() == before
    assert not house.visited()
