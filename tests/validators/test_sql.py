"""What SQL would do, told from its syntax tree."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.sql import SQL, Sql
from gateway.validators.validator import Subject, Unjudged


def codes(text: str, dialect: str = "postgres", **options):
    return [one.code for one in SQL.make(Sql(dialect=dialect, **options))(Subject(text))]


READS = [
    "SELECT 1",
    "select a, sum(b) from orders group by 1 order by 2 desc limit 5;",
    "WITH t AS (SELECT 1 AS a) SELECT * FROM t JOIN t AS u ON t.a = u.a",
    "SELECT a FROM b UNION ALL (SELECT c FROM d)",
    "SELECT CASE WHEN a THEN 1 ELSE 2 END FROM b WHERE c IN (SELECT d FROM e) AND f LIKE 'x%'",
    "SELECT row_number() OVER (PARTITION BY a ORDER BY b) FROM c",
    "SELECT 'it''s; DROP TABLE x' FROM a",
]


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "sqlite", "duckdb", "snowflake", "tsql"])
@pytest.mark.parametrize("sql", READS)
def test_what_reads_passes(sql, dialect):
    if dialect != "tsql" or "limit" not in sql:
        assert codes(sql, dialect) == []


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("DELETE FROM a", "postgres"),
        ("INSERT INTO a VALUES (1)", "postgres"),
        ("UPDATE a SET b = 1", "postgres"),
        ("DROP TABLE a", "postgres"),
        ("TRUNCATE a", "postgres"),
        ("CREATE TABLE a AS SELECT 1", "postgres"),
        ("WITH x AS (DELETE FROM a RETURNING b) SELECT * FROM x", "postgres"),
        ("SELECT a INTO b FROM c", "postgres"),
        ("SELECT a FROM b FOR UPDATE", "postgres"),
        ("EXPLAIN ANALYZE DELETE FROM a", "postgres"),
        ("COPY a TO '/tmp/x'", "postgres"),
        ("SET role = 'x'", "postgres"),
        ("CALL f()", "postgres"),
        ("DO $$ BEGIN END $$", "postgres"),
        ("GRANT ALL ON a TO b", "postgres"),
        ("SELECT @a := 1", "mysql"),
        ("ATTACH 'x.db'", "duckdb"),
        ("PRAGMA table_info(a)", "sqlite"),
    ],
)
def test_what_does_not_only_read_is_seen(sql, dialect):
    assert "writes" in codes(sql, dialect)


@pytest.mark.parametrize("name", ["secrets", "main.secrets", '"secrets"', "'secrets'"])
def test_a_table_behind_in_is_a_table(name):
    """In SQLite it is; DuckDB and others have a column there that holds a list."""
    assert codes(f"SELECT 1 IN {name} FROM orders", "sqlite", tables=("orders",)) == ["table"]
    assert codes("SELECT 1 IN orders, 2 NOT IN (1, 2), 3 IN (SELECT a FROM orders) FROM orders", "sqlite", tables=("orders",)) == []
    assert codes("WITH t AS (SELECT 1) SELECT 1 IN t FROM orders", "sqlite", tables=("orders",)) == []
    assert codes("SELECT 1 IN names FROM orders", "duckdb", tables=("orders",)) == []


def test_where_writing_is_allowed_the_rest_still_holds():
    assert codes("DELETE FROM a WHERE b = 1", read_only=False) == []
    assert codes("DELETE FROM a WHERE b = 1", read_only=False, tables=("b",)) == ["table"]


@pytest.mark.parametrize(
    ("sql", "allowed"),
    [
        ("SELECT * FROM orders", True),
        ("SELECT * FROM ORDERS AS o, sales.anything", True),
        ('SELECT * FROM "orders"', True),
        ('SELECT * FROM "Orders"', False),
        ("SELECT * FROM other.orders", False),
        ("SELECT * FROM db.sales.x", False),
        ("SELECT (SELECT max(a) FROM secrets) FROM orders", False),
        ("SELECT * FROM orders WHERE EXISTS (SELECT 1 FROM secrets)", False),
        ("SELECT * FROM orders UNION SELECT * FROM secrets", False),
        ("WITH t AS (SELECT * FROM orders) SELECT * FROM t", True),
        ("WITH secrets AS (SELECT * FROM orders) SELECT * FROM secrets", True),
        ("WITH secrets AS (SELECT * FROM secrets) SELECT * FROM secrets", False),
        ("WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t", True),
        ("WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a", False),
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b", True),
        ("SELECT * FROM secrets, (WITH secrets AS (SELECT 1) SELECT * FROM secrets) x", False),
        ("SELECT * FROM (WITH t AS (SELECT 1) SELECT * FROM (SELECT * FROM t) y) x", True),
        ("TABLE secrets", False),
    ],
)
def test_tables_are_those_allowed_and_names_of_a_with_are_no_tables(sql, allowed):
    assert codes(sql, tables=("orders", "sales.*")) == ([] if allowed else ["table"])


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("SELECT * FROM @stage/x", "snowflake"),
        ("SELECT * FROM IDENTIFIER('secrets')", "snowflake"),
        ("SELECT * FROM $1", "snowflake"),
        ("SELECT * FROM :x", "postgres"),
        ("SELECT * FROM orders JOIN LATERAL secrets ON true", "postgres"),
        ("SELECT * FROM orders CROSS APPLY secrets", "tsql"),
    ],
)
def test_a_table_that_is_not_called_by_its_name_is_seen(sql, dialect):
    assert codes(sql, dialect) == ["table"]


def test_queries_and_functions_in_the_place_of_a_table_are_looked_at_by_themselves():
    assert codes("SELECT * FROM orders CROSS APPLY (SELECT 1 AS a) AS x", "tsql", tables=("orders",)) == []
    assert codes("SELECT * FROM orders CROSS APPLY (SELECT a FROM secrets) AS x", "tsql", tables=("orders",)) == ["table"]
    assert codes("SELECT * FROM orders, LATERAL FLATTEN(input => a)", "snowflake", tables=("orders",)) == []


def test_a_table_in_quotes_is_another_where_the_database_says_so():
    assert codes('SELECT * FROM "Orders"', tables=('"Orders"',)) == []
    assert codes("SELECT * FROM Orders", tables=('"Orders"',)) == ["table"]
    assert codes('WITH "t" AS (SELECT 1) SELECT * FROM T', "snowflake", tables=()) == ["table"]


@pytest.mark.parametrize(
    ("sql", "dialect", "code"),
    [
        ("SELECT pg_read_file('/etc/passwd')", "postgres", "function"),
        ("SELECT pg_sleep(100)", "postgres", "function"),
        ("SELECT nextval('a')", "postgres", "function"),
        ("SELECT * FROM dblink('x', 'SELECT 1')", "postgres", "function"),
        ("SELECT load_file('/etc/passwd')", "mysql", "function"),
        ("SELECT * FROM read_csv('x')", "duckdb", "function"),
        ("SELECT * FROM read_parquet('x')", "duckdb", "function"),
        ("SELECT getenv('HOME')", "duckdb", "function"),
        ("SELECT * FROM 'a.csv'", "duckdb", "file"),
        ("SELECT * FROM \"/etc/passwd\"", "duckdb", "file"),
    ],
)
def test_functions_and_files_that_leave_the_database_are_seen(sql, dialect, code):
    assert codes(sql, dialect) == [code]


def test_a_function_can_be_admitted_by_name():
    assert codes("SELECT my_total(1), Read_Csv('x')", functions=("my_total", "read_csv")) == []


@pytest.mark.parametrize("sql", ["SELECT 1 -- x", "SELECT /* x */ 1", "SELECT /*!50000 sleep(9) */ 1", "SELECT 1 # x", "-- x\nSELECT 1"])
def test_comments_are_seen_unless_allowed(sql):
    assert codes(sql, "mysql") == ["comment"]
    assert codes(sql, "mysql", comments=True) == []


@pytest.mark.parametrize(
    ("sql", "statements", "expected"),
    [
        ("SELECT 1; SELECT 2", 1, ["statements"]),
        ("SELECT 1; SELECT 2", 2, []),
        ("SELECT 1;;", 1, []),
        ("", 1, ["statements"]),
        ("-- x", 1, ["comment", "statements"]),
        ("SELECT 1; -- x", 1, ["comment"]),
        ("SELECT 1; DROP TABLE a", 2, ["writes"]),
    ],
)
def test_how_many_statements_there_are(sql, statements, expected):
    assert codes(sql, statements=statements) == expected


@pytest.mark.parametrize(
    "sql", ["SELEC 1", "SELECT FROM WHERE", "Here is the query: SELECT 1", "SELECT 'a", "SELECT (1", "(" * 5000 + "1" + ")" * 5000]
)
def test_what_does_not_parse_is_seen(sql):
    assert codes(sql) == ["unparsed"]


@pytest.mark.parametrize("sql", ["SELECT '\\' OR 1=1", "SELECT 1\0", "SELECT\u200b1", "SELECT '\u202e'"])
def test_what_can_be_read_in_two_ways_is_seen(sql):
    assert codes(sql) == ["ambiguous"]


def test_in_fences_only_what_is_called_sql_is_looked_at_and_found_where_it_stands():
    text = "Grüße\n```sql\nDROP TABLE a\n```\n```python\nDROP\n```\n```postgres\nSELECT 1\n```"
    [one] = SQL.make(Sql(dialect="postgres", where="fenced"))(Subject(text))
    assert (one.code, text[one.start : one.end]) == ("writes", "DROP TABLE a\n")


def test_a_dialect_that_does_not_exist_is_an_error_of_the_rule():
    with pytest.raises(ValueError, match="did you mean 'postgres'"):
        SQL.make(Sql(dialect="postgre"))


def test_no_detail_and_no_log_shows_the_statement(caplog):
    found = list(SQL.make(Sql(dialect="postgres", tables=()))(Subject("GRANT private ON private.private TO private")))
    assert found
    assert "private" not in str(found) + caplog.text


@pytest.mark.parametrize(
    "piece", ["JOIN b ", "JOIN b 'x' ", "(", "CASE WHEN ", "a::", "[", "a,", "NOT ", "SELECT 1 UNION ", "INTERVAL JOIN ", "'"]
)
@pytest.mark.parametrize("dialect", ["postgres", "bigquery"])
def test_no_text_takes_longer_than_its_length_allows(piece, dialect, cpu_at_most):
    for times in (40, 1500):
        with cpu_at_most(5):
            try:
                codes("SELECT " + (piece * times)[:2500] + "1", dialect)
            except Unjudged as error:
                assert "too long to parse" in str(error)  # noqa: PT017 - it may also be told


def test_joins_that_the_parser_would_try_again_and_again_are_unjudged():
    with pytest.raises(Unjudged, match="write its joins with ON"):
        codes("SELECT * FROM a " + "JOIN b " * 30)


def test_a_text_beyond_the_limit_is_unjudged():
    with pytest.raises(Unjudged, match="20001 characters"):
        codes("S" * 20_001)


WORDS = ["SELECT", "a", "FROM", ",", "(", ")", "1", "JOIN", "ON", "WITH", "AS", "'x'", ";", "*", "DELETE"]


@given(st.lists(st.sampled_from(WORDS), max_size=25))
def test_what_passes_is_one_query(words):
    import sqlglot

    try:
        found = codes(" ".join(words))
    except Unjudged:
        return
    if not found:
        [one] = [statement for statement in sqlglot.parse(" ".join(words), read="postgres") if statement]
        assert isinstance(one, sqlglot.exp.Query)
        assert one.find(sqlglot.exp.Delete) is None


def test_the_parser_is_not_loaded_before_a_rule_asks():
    import subprocess

    code = "import sys, gateway.validators; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
