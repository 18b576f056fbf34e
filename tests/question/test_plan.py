"""What is read out of a plan: which comparisons are understood, and that nothing is understood wrongly."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.question import plan
from gateway.stores.lending import Condition, Need

COLUMNS = {"id": "VARCHAR", "user": "VARCHAR", "at": "TIMESTAMP", "n": "BIGINT", "cost": "DECIMAL(18,9)", "big": "VARCHAR[]"}
TABLES = {"t": COLUMNS}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["id='x'"], [Condition("id", "=", "x")]),
        (['"user"=\'x\''], [Condition("user", "=", "x")]),
        (["id='it''s'"], [Condition("id", "=", "it's")]),
        (["id='a AND n=1'"], [Condition("id", "=", "a AND n=1")]),
        (["n>=-5 AND n<7"], [Condition("n", ">=", -5), Condition("n", "<", 7)]),
        (["at>'2026-01-01 00:00:00'::TIMESTAMP"], [Condition("at", ">", "2026-01-01 00:00:00")]),
        (["(id IS NULL)", "(n IS NOT NULL)"], [Condition("id", "is null"), Condition("n", "is not null")]),
        (["id='a", "b'"], [Condition("id", "=", "a\nb")]),
        (["id='a", "n=5", "b'"], [Condition("id", "=", "a\nn=5\nb")]),
        (["id='never closed", "n=5"], []),
        (["id='x' OR n=5"], []),
        (["n=5 OR id='x'"], []),
        (["n=5 AND (id = 'x')"], []),
        (["optional: n=5"], []),
        (["id!='x'", "lower(id)='x'", "id ~~ 'x%'", "n=5.0", "n='5'", "id=5", "at='x'", "id='x'::TIMESTAMP", "cost=5", "other=5", ""], []),
        (["(lower(id) IS NULL)", "(n IS NULL) OR n=4"], []),
    ],
)  # fmt: skip
def test_only_plain_comparisons_joined_by_and_are_understood(filters: list[str], expected: list[Condition]) -> None:
    assert plan.conditions(filters, COLUMNS) == expected


def scan(projections: object, filters: object = None, table: str = "ledger.main.t") -> dict[str, object]:
    info = {"Table": table, "Projections": projections, **({"Filters": filters} if filters else {})}
    return {"name": "UNION", "children": [{"name": "SEQ_SCAN", "children": [], "extra_info": info}], "extra_info": {}}


def test_a_need_has_the_columns_that_are_shown_and_compared_in_the_tables_order() -> None:
    assert plan.needs([scan(["n", "at"], "id='x'")], TABLES) == [Need("t", ["id", "at", "n"], [[Condition("id", "=", "x")]])]


def test_where_only_rows_are_counted_the_narrowest_column_is_read() -> None:
    assert plan.needs([scan("")], TABLES)[0].columns == ["at"]


def test_a_column_nobody_knows_means_all() -> None:
    assert plan.needs([scan(["n", "brand_new()"])], TABLES)[0].columns == list(COLUMNS)


def test_two_scans_of_a_table_need_the_rows_and_columns_of_both() -> None:
    both = plan.needs([scan("n", "id='x'"), scan("id", "n=4")], TABLES)
    assert both == [Need("t", ["id", "n"], [[Condition("n", "=", 4)], [Condition("id", "=", "x")]], 2)]
    assert plan.needs([scan("n", "id='x'"), scan("id")], TABLES) == [Need("t", ["id", "n"], [[]], 2)]


def test_many_scans_or_conditions_are_not_told_one_by_one() -> None:
    assert plan.needs([scan("n", f"n={k}") for k in range(40)], TABLES)[0].any_of == [[]]
    assert len(plan.needs([scan("n", [f"n>{k}" for k in range(40)])], TABLES)[0].any_of[0]) == 16


def test_a_table_nobody_knows_is_not_passed_over() -> None:
    with pytest.raises(KeyError):
        plan.needs([scan("n", table="ledger.main.other")], TABLES)


def test_a_node_without_anything_reads_nothing() -> None:
    assert plan.needs([{"name": "DUMMY_SCAN"}, {"name": "X", "children": None, "extra_info": None}], TABLES) == []


@pytest.fixture(scope="module")
def planner() -> Iterator[duckdb.DuckDBPyConnection]:
    con = duckdb.connect(":memory:")
    con.execute('CREATE TABLE t (id VARCHAR, "user" VARCHAR, n BIGINT)')
    con.execute("SET disabled_optimizers = 'statistics_propagation'")
    yield con
    con.close()


@given(st.text(max_size=12), st.text(max_size=12))
def test_a_text_is_never_taken_for_another_condition(planner: duckdb.DuckDBPyConnection, one: str, other: str) -> None:
    """Whatever DuckDB writes for it, the conditions that are understood hold for the row that has exactly these values."""
    told = planner.execute('EXPLAIN (FORMAT JSON) SELECT n FROM t WHERE id = $a AND "user" >= $b', {"a": one, "b": other}).fetchall()
    tables = {"t": {"id": "VARCHAR", "user": "VARCHAR", "n": "BIGINT"}}
    for need in plan.needs(msgspec.json.decode(told[0][1]), tables):
        for found in need.any_of[0]:
            assert (found.column, found.op, found.value) in {("id", "=", one), ("user", ">=", other)}
