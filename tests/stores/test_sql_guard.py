"""The guard, asked through the ledger: what only reads the public views passes, everything else is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.stores import Refused, sql_guard
from gateway.stores.duckdb import Ledger
from gateway.stores.sql_guard import Catalogue, check


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = Ledger(tmp_path_factory.mktemp("ledger") / "ledger.duckdb")
    yield opened
    opened.close()


ALLOWED = [
    "SELECT 1",
    "FROM exchanges",
    "TABLE calls",
    "VALUES (1), (2)",
    "SELECT agent, sum(cost) FROM exchanges GROUP BY ALL ORDER BY 2 DESC NULLS LAST LIMIT 5 OFFSET 1",
    "SELECT DISTINCT ON (agent) * EXCLUDE (usage_raw) FROM exchanges ORDER BY agent",
    "WITH a AS (SELECT 1 AS x), b AS (SELECT * FROM a) SELECT * FROM b UNION ALL SELECT * FROM a",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r WHERE i < 3) SELECT * FROM r",
    "WITH calls AS (SELECT 1 AS x) SELECT * FROM calls",
    "SELECT * FROM calls c JOIN exchanges e ON c.exchange_id = e.id LEFT JOIN rule_hits h ON h.decision_id = c.id",
    "SELECT * FROM main.calls",
    "SELECT * FROM (SELECT 1 AS x) t, LATERAL (SELECT t.x + 1)",
    "SELECT unnest(request_messages) FROM exchanges",
    "SELECT * FROM range(3), generate_series(1, 2), unnest([1, 2])",
    "SELECT agent FROM exchanges WHERE id IN (SELECT exchange_id FROM calls) AND EXISTS (SELECT 1)",
    "SELECT row_number() OVER (PARTITION BY agent ORDER BY started_at), lag(cost) OVER () FROM exchanges QUALIFY 1 = 1",
    "SELECT now()::TIMESTAMP - INTERVAL 1 DAY, today(), date_trunc('hour', started_at), extract(dow FROM started_at) FROM exchanges",
    "SELECT quantile_cont(duration_us, 0.5), approx_quantile(duration_us, [0.5, 0.95]), mode(agent), list(agent) FROM exchanges",
    "SELECT CASE WHEN 1 = 1 THEN 'a' ELSE 'b' END, coalesce(NULL, 1), nullif(1, 2), 'a' || 'b', {'k': [1]}['k'][1], 5 // 2, 2 ** 3",
    "SELECT list_transform([1, 2], lambda x: x + 1), regexp_extract('ab', 'b'), 'x' LIKE '%', 'x' ILIKE 'X', try_cast('q' AS INT)",
    "SELECT usage_raw->>'$.total_tokens', json_extract(usage_raw, '$.a') FROM exchanges",
    "SELECT * FROM exchanges USING SAMPLE 10%",
    "SELECT cast(1 AS DECIMAL(9, 2)), count(*) FILTER (WHERE released) FROM calls",
    "SELECT * FROM messages ASOF JOIN exchanges ON messages.first_seen >= exchanges.started_at",
    "SELECT count(*) FROM cost_daily; ",
    "SELECT uuid() IS NOT NULL, random() < 2",
]

REFUSED = [
    "SELECT 1; SELECT 2",
    "INSERT INTO calls SELECT * FROM calls",
    "WITH x AS (SELECT 1) INSERT INTO boots SELECT 1",
    "UPDATE calls SET name = 'x'",
    "DELETE FROM calls",
    "DROP TABLE calls",
    "CREATE TABLE t (x INT)",
    "CREATE TEMP TABLE t AS SELECT 1",
    "ATTACH '/tmp/x.db'",
    "DETACH ledger",
    "COPY calls TO '/tmp/x.csv'",
    "COPY (SELECT 1) TO '/tmp/x.csv'",
    "EXPORT DATABASE '/tmp/x'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET memory_limit = '100GB'",
    "RESET memory_limit",
    "PRAGMA database_list",
    "CALL duckdb_settings()",
    "CHECKPOINT",
    "BEGIN",
    "COMMIT",
    "USE memory",
    "EXPLAIN SELECT 1",
    "DESCRIBE calls",
    "SHOW TABLES",
    "SUMMARIZE calls",
    "PIVOT calls ON effect USING count(*)",
    "PREPARE p AS SELECT 1",
    "SELECT * FROM 'x.csv'",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('ledger.duckdb')",
    "SELECT * FROM read_csv('x')",
    "SELECT * FROM glob('*')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_storage_info('calls')",
    "SELECT * FROM pragma_database_size()",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('calls')",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM duckdb_tables",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_class",
    "SELECT * FROM schema_migrations",
    "SELECT * FROM exchanges_ended",
    "SELECT * FROM message_bodies",
    "SELECT * FROM ledger.main.calls",
    "SELECT * FROM memory.main.x",
    "SELECT * FROM system.main.duckdb_tables",
    "SELECT (SELECT count(*) FROM schema_migrations)",
    "SELECT * FROM calls WHERE name IN (SELECT name FROM schema_migrations)",
    "WITH schema_migrations AS (SELECT 1) SELECT * FROM schema_migrations",
    "SELECT * FROM (WITH duckdb_tables AS (SELECT 1) SELECT 1), duckdb_tables",
    "WITH \"x.csv\" AS (SELECT 1) SELECT * FROM \"x.csv\"",
    "SELECT current_setting('memory_limit')",
    "SELECT getenv('HOME')",
    "SELECT getvariable('x')",
    "SELECT current_database()",
    "SELECT nextval('s')",
    "SELECT write_log('x')",
    "SELECT sleep_ms(1)",
    "SELECT json_execute_serialized_sql('{}')",
    "SELECT read_text('/etc/passwd')",
    "SELECT agent FROM exchanges ORDER BY current_setting('x')",
    "SELECT list_transform([1], lambda x: current_setting('y'))",
    "SELECT count(*) FILTER (WHERE current_setting('x') = '1') FROM calls",
    "VALUES (current_setting('x'))",
    "",
    ";",
    "-- nothing",
    "SELECT",
    "SELECT * FROM nowhere",
    "\0",
]


@pytest.mark.parametrize("sql", ALLOWED)
def test_reading_the_public_views_is_allowed(ledger: Ledger, sql: str) -> None:
    assert ledger.query(sql, 10).columns


@pytest.mark.parametrize("sql", REFUSED)
def test_everything_else_is_refused(ledger: Ledger, sql: str) -> None:
    with pytest.raises(Refused) as refused:
        ledger.query(sql, 10)
    assert refused.value.code in {"sql_refused", "sql_error"}
    assert refused.value.message


OTHERS = ["DROP TABLE calls", "SELECT 1; DELETE FROM calls", "SET threads = 9", "EXPLAIN SELECT 1", "PIVOT calls ON name"]


@pytest.mark.parametrize("sql", OTHERS)
def test_who_wants_another_statement_than_a_select_is_told_that_there_is_no_other(ledger: Ledger, sql: str) -> None:
    with pytest.raises(Refused, match="only one SELECT at a time is answered here"):
        ledger.query(sql, 10)


@pytest.mark.parametrize("sql", ["SHOW TABLES", "DESCRIBE calls", "SUMMARIZE calls"])
def test_who_wants_to_know_what_there_is_is_told(ledger: Ledger, sql: str) -> None:
    with pytest.raises(Refused, match=r"LIMIT 1, which shows its columns: .*calls, .*exchanges, "):
        ledger.query(sql, 10)


def test_every_public_table_and_view_can_be_read(ledger: Ledger) -> None:
    for name in ledger._catalogue.public:
        assert ledger.query(f"SELECT * FROM {name}", 1).columns


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40), st.sampled_from(["{}", "SELECT {}", "SELECT * FROM {}", "SELECT * FROM calls WHERE {}", "SELECT '{}'"]))
def test_no_text_gets_past_with_another_outcome_than_an_answer_or_a_refusal(ledger: Ledger, text: str, frame: str) -> None:
    with contextlib.suppress(Refused):
        assert len(ledger.query(frame.format(text), 2).rows) <= 2


def test_a_kind_of_table_reference_that_nobody_knows_is_refused() -> None:
    catalogue = Catalogue(frozenset(), frozenset(), frozenset())
    tree = {"error": False, "statements": [{"node": {"type": "SELECT_NODE", "from_table": {"type": "BRAND_NEW_REF"}}}]}
    with pytest.raises(Refused, match="BRAND_NEW_REF"):
        check(tree, catalogue)


def test_a_function_of_another_catalogue_is_refused() -> None:
    catalogue = Catalogue(frozenset(), frozenset(), frozenset({"lower"}))
    node = {"class": "FUNCTION", "type": "FUNCTION", "function_name": "lower", "schema": "", "catalog": "other", "children": []}
    with pytest.raises(Refused, match="'lower' is not available"):
        check({"statements": [node]}, catalogue)


def test_revealing_functions_are_never_in_the_list_of_computing_ones() -> None:
    assert not sql_guard.REVEALING & (sql_guard.COMPUTING | sql_guard.TABLE_FUNCTIONS)


def test_even_past_the_guard_nothing_can_be_written_or_reached(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_guard, "check", lambda *_: None)
    for sql in ("INSERT INTO boots (run, slot, boot) VALUES ('x', 0, 'y')", "SET threads = 1", "SELECT * FROM read_text('/etc/hostname')"):
        with pytest.raises(Refused):
            ledger.query(sql, 1)
    assert ledger.query("SELECT count(*) FROM boots", 1).rows == [[0]]
