"""The forms of an answer: the same rows in each, bounded."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gateway.question import forms
from gateway.question.office import Office
from gateway.question.wire import Question
from gateway.stores.duckdb import Ledger


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    opened = duckdb.connect(":memory:")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def outlet() -> Iterator[forms.Outlet]:
    opened = forms.Outlet()
    yield opened
    opened.close()


VALUES = "SELECT i, 'x' || i AS s, i::DECIMAL(18,9) / 8 AS d, [i] AS l FROM range(5) r(i)"


def table_of(body: bytes, form: str) -> pa.Table:
    return pq.read_table(io.BytesIO(body)) if form == "parquet" else pa.ipc.open_stream(body).read_all()


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_arrow_and_parquet_keep_the_ledgers_types(
    con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, form: forms.Form
) -> None:
    made = forms.make(form, con.execute(VALUES), 100, outlet)
    table = table_of(made.body, form)
    assert (made.rows, made.truncated) == (5, False)
    assert table.column_names == ["i", "s", "d", "l"]
    assert table["d"].to_pylist()[1] == Decimal("0.125")
    assert table["l"].to_pylist()[4] == [4]


@pytest.mark.parametrize("form", forms.FORMS)
@pytest.mark.parametrize(("limit", "rows", "truncated"), [(3, 3, True), (5, 5, False), (0, 1, True), (10**9, 5, False)])
def test_an_answer_is_cut_at_its_limit_and_says_so(
    con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, form: forms.Form, limit: int, rows: int, truncated: bool
) -> None:
    made = forms.make(form, con.execute(VALUES), limit, outlet)
    assert (made.rows, made.truncated) == (rows, truncated)
    if form in {"arrow", "parquet"}:
        assert table_of(made.body, form).num_rows == rows


NESTED = (
    "SELECT i, [i, i + 1] AS l, {'a': 'x' || i, 'b': [{'c': i}]} AS s, MAP {'k' || i: [i]} AS m, if(i % 3 = 0, NULL, [['n' || i]]) AS n"
    " FROM range(3000) r(i)"
)


@pytest.mark.parametrize("form", ["arrow", "parquet"])
@pytest.mark.parametrize("limit", [1, 1000, 1024, 1025, 2047, 2999, 3000])
def test_what_is_cut_is_whole_up_to_the_cut(
    con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, form: forms.Form, limit: int
) -> None:
    table = table_of(forms.make(form, con.execute(NESTED), limit, outlet).body, form)
    table.validate(full=True)
    assert table.to_pylist() == con.execute(f"{NESTED} LIMIT {limit}").to_arrow_table().to_pylist()


LENT = """
import contextlib, os, sys, threading
import duckdb
from gateway.question import forms
from gateway.stores.arrow import Scanned, Writer, batches, read_stream
from gateway.stores.unwanted import refuse_unwanted
refuse_unwanted()
ledger, kept = duckdb.connect(), []
def pour(descriptor):
    rows = batches(ledger.cursor().execute("SELECT i, repeat('x', 500) || i AS s FROM range(60000) t(i)"), 8192)
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        stream = Writer(pipe, rows.schema)
        for batch in rows:
            stream.write(batch)
        stream.close()
def begin():
    reading, writing = os.pipe()
    threading.Thread(target=pour, args=(writing,), daemon=True).start()
    return read_stream(open(reading, "rb"))
schema, outlet = begin().get_schema(), forms.Outlet()
for _ in range(3):
    con = duckdb.connect(config={"threads": 2})
    con.execute("SET enable_progress_bar = false")
    for name in ("a", "b"):
        con.register(name, Scanned(begin, schema))
    made = forms.make(sys.argv[1], con.execute("SELECT * FROM a JOIN b USING (i)"), 1000, outlet)
    print(made.rows, made.truncated)
    kept.append(con)
os._exit(0)
"""


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_an_answer_that_is_cut_does_not_wait_for_those_who_bring_the_rest(form: forms.Form) -> None:
    done = subprocess.run([sys.executable, "-u", "-c", LENT, form], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("1000 True\n" * 3, "")


def test_columns_of_one_name_keep_it(ledger: Ledger, office: Office) -> None:
    reply = office.ask(ledger, Question("SELECT name AS a, effect AS a FROM calls", 2, {}, "arrow"))
    assert table_of(reply.body, "arrow").column_names == ["a", "a"]


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_a_choice_of_words_is_text(con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, form: forms.Form) -> None:
    question = "SELECT 'b'::ENUM('a', 'b') AS e, ['a'::ENUM('a', 'b'), NULL] AS l, {'f': 'a'::ENUM('a', 'b')} AS s FROM range(3)"
    made = forms.make(form, con.execute(question), 2, outlet)
    assert (made.rows, made.truncated) == (2, True)
    assert table_of(made.body, form).to_pylist() == [{"e": "b", "l": ["a", None], "s": {"f": "a"}}] * 2


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_what_breaks_off_on_the_way_is_an_error_and_the_next_answer_is_whole(
    con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, form: forms.Form
) -> None:
    with pytest.raises((duckdb.Error, RuntimeError), match="no further"):
        forms.make(
            form,
            con.execute("SELECT if(i = 200000, error('no further'), i) FROM range(300000) t(i) WHERE i > 199000"),
            10_000,
            outlet,
        )
    assert table_of(forms.make(form, con.execute(VALUES), 100, outlet).body, form).num_rows == 5


@pytest.mark.parametrize("form", forms.FORMS)
def test_no_rows_are_an_answer_too(con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, form: forms.Form) -> None:
    made = forms.make(form, con.execute("SELECT 1 AS one WHERE false"), 10, outlet)
    assert (made.rows, made.truncated) == (0, False)
    assert b"one" in made.body


@pytest.mark.parametrize("form", forms.FORMS)
def test_what_is_wide_is_cut_before_it_fills_the_memory(
    con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, form: forms.Form
) -> None:
    made = forms.make(form, con.execute("SELECT repeat('x', 1000000) AS wide FROM range(200)"), 10_000, outlet)
    assert made.truncated
    assert len(made.body) < 80 * 1024 * 1024


def test_a_file_that_is_opened_and_closed_while_parquet_is_written_stays_what_it_is(
    con: duckdb.DuckDBPyConnection, outlet: forms.Outlet, tmp_path: Path
) -> None:
    """A path below `/dev/fd` means whatever stands there at the moment."""
    (tmp_path / "other").write_text("mine")
    stop = threading.Event()

    def open_and_close() -> None:
        while not stop.is_set():
            for file in [(tmp_path / "other").open() for _ in range(40)]:
                file.close()

    busy = threading.Thread(target=open_and_close)
    busy.start()
    try:
        for _ in range(30):
            assert table_of(forms.make("parquet", con.execute(VALUES), 100, outlet).body, "parquet").num_rows == 5
    finally:
        stop.set()
        busy.join()
    assert (tmp_path / "other").read_text() == "mine"


def test_json_is_the_plain_answer(con: duckdb.DuckDBPyConnection, outlet: forms.Outlet) -> None:
    answer = msgspec.json.decode(
        forms.make("json", con.execute("SELECT 0.5::DECIMAL(18,9) AS d, 2::HUGEINT ** 70 AS h"), 5, outlet).body
    )
    assert answer["rows"] == [["0.500000000", answer["rows"][0][1]]]
    assert answer["truncated"] is False
