"""Rows into a table, many at once: what stands there is what was brought, in every type that the ledger has."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.inserting import INCOMING, insert

TYPES = {
    "t": "VARCHAR", "n": "BIGINT", "b": "BLOB", "f": "BOOLEAN", "d": "DOUBLE", "s": "TIMESTAMP", "l": "VARCHAR[]", "m": "DECIMAL(18,9)",
}  # fmt: skip
NAMES = tuple(TYPES)
EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - the ledger's times are UTC and do not say so
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
WHOLE = st.integers(-(2**63) + 1, 2**63 - 1)
ROWS = st.lists(
    st.tuples(
        *(
            st.none() | values
            for values in (
                TEXTS, WHOLE, st.binary(max_size=5), st.booleans(), st.floats(allow_nan=False),
                st.integers(0, 4 * 10**15), st.lists(st.none() | TEXTS, max_size=3),
                st.decimals(-(10**8), 10**8, places=9).map(lambda amount: format(amount, "f")),
            )
        )
    ),
    min_size=1, max_size=20,
)  # fmt: skip


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as opened:
        yield opened


@pytest.fixture(autouse=True)
def kept(con: duckdb.DuckDBPyConnection) -> None:
    con.execute(f"CREATE OR REPLACE TABLE kept ({', '.join(f'{name} {kind}' for name, kind in TYPES.items())})")


def column(con: duckdb.DuckDBPyConnection, name: str, values: list[Any]) -> list[Any]:
    insert(con, "kept", (name,), TYPES, [(value,) for value in values])
    return [row[0] for row in con.execute(f"SELECT {name} FROM kept").fetchall()]


@given(rows=ROWS)
def test_what_stands_there_is_what_was_brought(con: duckdb.DuckDBPyConnection, rows: list[tuple[Any, ...]]) -> None:
    con.execute("TRUNCATE kept")
    insert(con, "kept", NAMES, TYPES, rows)
    assert con.execute("FROM kept").fetchall() == [(*row[:5], at(row[5]), row[6], amount(row[7])) for row in rows]


def at(us: int | None) -> dt.datetime | None:
    return None if us is None else EPOCH + dt.timedelta(microseconds=us)


def amount(told: str | None) -> Decimal | None:
    return None if told is None else Decimal(told)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64, 65])
@pytest.mark.parametrize("name", ["n", "f", "l"])
def test_what_is_missing_is_missing_where_it_was(con: duckdb.DuckDBPyConnection, name: str, count: int) -> None:
    value = {"n": 5, "f": True, "l": ["a", None]}[name]
    values = [None if each % 3 == 0 else value for each in range(count)]
    assert column(con, name, values) == values


def test_a_number_beyond_all_numbers_becomes_the_greatest(con: duckdb.DuckDBPyConnection) -> None:
    assert column(con, "n", [10**30, None, -(10**30), 3]) == [2**63 - 1, None, -(2**63) + 1, 3]


def test_money_that_is_no_money_is_left_out(con: duckdb.DuckDBPyConnection) -> None:
    assert column(con, "m", ["0.125", "a lot", None]) == [Decimal("0.125"), None, None]


@pytest.mark.parametrize(("name", "value"), [("n", "five"), ("t", 5), ("b", "text"), ("s", EPOCH), ("t", "\ud800")])
def test_what_is_of_another_type_is_an_error_and_nothing_of_it_stands_there(con: duckdb.DuckDBPyConnection, name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        insert(con, "kept", (name,), TYPES, [(None,), (value,)])
    assert con.execute("FROM kept").fetchall() == []


def test_statements_beside_see_the_rows_on_their_way_in_and_nobody_does_afterwards(con: duckdb.DuckDBPyConnection) -> None:
    insert(con, "kept", ("n",), TYPES, [(1,), (2,)], [f"INSERT INTO kept (n) SELECT n + 10 FROM {INCOMING}"] * 2)
    assert sorted(con.execute("SELECT n FROM kept").fetchall()) == [(1,), (2,), (11,), (11,), (12,), (12,)]
    with pytest.raises(duckdb.CatalogException):
        con.execute(f"FROM {INCOMING}")
