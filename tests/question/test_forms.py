"""The forms of an answer: the same rows in each, bounded."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.question import forms


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duckdb.connect(":memory:")
    yield opened
    opened.close()


VALUES = "SELECT i, 'x' || i AS s, i::DECIMAL(18,9) / 8 AS d, [i] AS l FROM range(5) r(i)"


def table_of(body: bytes, form: str) -> pa.Table:
    return pq.read_table(io.BytesIO(body)) if form == "parquet" else pa.ipc.open_stream(body).read_all()


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_arrow_and_parquet_keep_the_ledgers_types(con: duckdb.DuckDBPyConnection, form: forms.Form) -> None:
    made = forms.MAKE[form](con.execute(VALUES), 100)
    table = table_of(made.body, form)
    assert (made.rows, made.truncated) == (5, False)
    assert table.column_names == ["i", "s", "d", "l"]
    assert table["d"].to_pylist()[1] == Decimal("0.125")
    assert table["l"].to_pylist()[4] == [4]


@pytest.mark.parametrize("form", list(forms.MAKE))
@pytest.mark.parametrize(("limit", "rows", "truncated"), [(3, 3, True), (5, 5, False), (0, 1, True), (10**9, 5, False)])
def test_an_answer_is_cut_at_its_limit_and_says_so(
    con: duckdb.DuckDBPyConnection, form: forms.Form, limit: int, rows: int, truncated: bool
) -> None:
    made = forms.MAKE[form](con.execute(VALUES), limit)
    assert (made.rows, made.truncated) == (rows, truncated)
    if form in {"arrow", "parquet"}:
        assert table_of(made.body, form).num_rows == rows


@pytest.mark.parametrize("form", list(forms.MAKE))
def test_no_rows_are_an_answer_too(con: duckdb.DuckDBPyConnection, form: forms.Form) -> None:
    made = forms.MAKE[form](con.execute("SELECT 1 AS one WHERE false"), 10)
    assert (made.rows, made.truncated) == (0, False)
    assert b"one" in made.body


@pytest.mark.parametrize("form", list(forms.MAKE))
def test_what_is_wide_is_cut_before_it_fills_the_memory(con: duckdb.DuckDBPyConnection, form: forms.Form) -> None:
    made = forms.MAKE[form](con.execute("SELECT repeat('x', 1000000) AS wide FROM range(200)"), 10_000)
    assert made.truncated
    assert len(made.body) < 80 * 1024 * 1024


def test_json_is_the_plain_answer(con: duckdb.DuckDBPyConnection) -> None:
    answer = msgspec.json.decode(forms.MAKE["json"](con.execute("SELECT 0.5::DECIMAL(18,9) AS d, 2::HUGEINT ** 70 AS h"), 5).body)
    assert answer["rows"] == [["0.500000000", answer["rows"][0][1]]]
    assert answer["truncated"] is False
