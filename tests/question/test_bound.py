"""Which questions have a bound, and that every other one has none. That the answers stay the same is shown beside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import duckdb
import msgspec
import pytest

from gateway.question import bound
from gateway.question.bound import Bound
from gateway.stores.lending import Condition, Need

ROW = {"id": "VARCHAR", "started_at": "TIMESTAMP", "n": "BIGINT", "agent": "VARCHAR"}
TABLES = {"exchanges_ended": ROW, "exchanges_open": ROW, "calls": {"decided_at": "TIMESTAMP", "id": "VARCHAR"}}
Find = Callable[[str], Bound | None]


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duckdb.connect(":memory:")
    yield opened
    opened.close()


def tree(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(con.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()[0][0])
    return found


@pytest.mark.parametrize(
    ("sql", "first"),
    [
        (
            "SELECT * FROM exchanges WHERE agent = $a ORDER BY started_at DESC, id LIMIT 10 OFFSET 2",
            "SELECT started_at FROM exchanges WHERE (agent = $a) ORDER BY started_at DESC LIMIT 1 OFFSET 11",
        ),
        ("FROM open_exchanges ORDER BY n LIMIT 1", "SELECT n FROM open_exchanges ORDER BY n LIMIT 1 OFFSET 0"),
        (
            "SELECT id, c.decided_at FROM calls AS c ORDER BY c.decided_at NULLS LAST LIMIT 3",
            "SELECT c.decided_at FROM calls AS c ORDER BY c.decided_at NULLS LAST LIMIT 1 OFFSET 2",
        ),
    ],
)
def test_the_last_place_is_asked_for_over_the_same_condition(con: duckdb.DuckDBPyConnection, sql: str, first: str) -> None:
    found = bound.find(tree(con, sql), TABLES)
    assert found is not None
    assert con.execute("SELECT json_deserialize_sql(?::JSON)", [msgspec.json.encode(found.tree).decode()]).fetchall() == [(first,)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM exchanges",
        "SELECT * FROM exchanges LIMIT 5",
        "SELECT * FROM exchanges ORDER BY started_at",
        "SELECT * FROM exchanges ORDER BY agent LIMIT 5",
        "SELECT * FROM exchanges ORDER BY 2 LIMIT 5",
        "SELECT * FROM exchanges ORDER BY ALL LIMIT 5",
        "SELECT * FROM exchanges ORDER BY -n LIMIT 5",
        "SELECT * FROM exchanges ORDER BY nope LIMIT 5",
        "SELECT * FROM exchanges ORDER BY n NULLS FIRST LIMIT 5",
        "SELECT * FROM exchanges ORDER BY n LIMIT 0",
        "SELECT * FROM exchanges ORDER BY n LIMIT 99999",
        "SELECT * FROM exchanges ORDER BY n LIMIT 5%",
        "SELECT * FROM exchanges ORDER BY n LIMIT $k",
        "SELECT * FROM exchanges ORDER BY n LIMIT 2 + 3",
        "SELECT * FROM exchanges ORDER BY n LIMIT 5 OFFSET (SELECT 1)",
        "SELECT DISTINCT agent FROM exchanges ORDER BY n LIMIT 5",
        "SELECT agent AS n FROM exchanges ORDER BY n LIMIT 5",
        "SELECT * REPLACE (-n AS n) FROM exchanges ORDER BY n LIMIT 5",
        "SELECT * RENAME (n AS m) FROM exchanges ORDER BY n LIMIT 5",
        "SELECT COLUMNS('n') FROM exchanges ORDER BY n LIMIT 5",
        "SELECT count(*) FROM exchanges ORDER BY n LIMIT 5",
        "SELECT n FROM exchanges GROUP BY n ORDER BY n LIMIT 5",
        "SELECT n FROM exchanges QUALIFY row_number() OVER () = 1 ORDER BY n LIMIT 5",
        "SELECT * FROM exchanges TABLESAMPLE 10% ORDER BY n LIMIT 5",
        "SELECT * FROM exchanges USING SAMPLE 10% ORDER BY n LIMIT 5",
        "SELECT * FROM exchanges AS e (n, id) ORDER BY n LIMIT 5",
        "SELECT * FROM exchanges WHERE id IN (SELECT id FROM exchanges) ORDER BY n LIMIT 5",
        "SELECT * FROM exchanges WHERE random() < 0.5 ORDER BY n LIMIT 5",
        "SELECT * FROM exchanges a JOIN exchanges b USING (id) ORDER BY n LIMIT 5",
        "SELECT * FROM cost_daily ORDER BY n LIMIT 5",
        "SELECT * FROM (SELECT * FROM exchanges) ORDER BY n LIMIT 5",
        "WITH exchanges AS (SELECT 1 AS n) SELECT * FROM exchanges ORDER BY n LIMIT 5",
        "SELECT * FROM exchanges UNION ALL SELECT * FROM exchanges ORDER BY n LIMIT 5",
    ],
)
def test_anything_else_has_no_bound(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert bound.find(tree(con, sql), TABLES) is None


def some(con: duckdb.DuckDBPyConnection, order: str) -> Bound:
    found = bound.find(tree(con, f"SELECT * FROM exchanges ORDER BY {order} LIMIT 5"), TABLES)
    assert found is not None
    return found


def test_rows_beyond_the_value_are_left_out_and_equal_ones_are_not(con: duckdb.DuckDBPyConnection) -> None:
    kept = Condition("agent", "=", "x")
    wanted = [Need("exchanges_ended", ["id"], [[kept], []]), Need("calls", ["id"], [[]])]
    newest = Condition("started_at", ">=", "2026-01-01")
    assert bound.narrowed(wanted, some(con, "started_at DESC"), "2026-01-01") == [
        Need("exchanges_ended", ["id"], [[kept, newest], [newest]]), wanted[1],
    ]  # fmt: skip
    assert bound.narrowed(wanted[:1], some(con, "n"), "7")[0].any_of[1] == [Condition("n", "<=", 7)]


def test_it_is_asked_only_where_it_saves_columns(con: duckdb.DuckDBPyConnection) -> None:
    few, many = ["id"], ["id", "a", "b", "c", "d"]
    found = some(con, "n")
    ended, opened = (lambda columns: Need("exchanges_ended", columns, [[]])), (lambda columns: Need("exchanges_open", columns, [[]]))
    assert bound.is_worth_it([ended(many), opened(many)], found, [ended(few), opened(few)])
    assert not bound.is_worth_it([ended(many), opened(few)], found, [ended(few), opened(few)])
    assert not bound.is_worth_it([ended(many)], found, [ended(few)])
