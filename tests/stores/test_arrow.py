"""Rows in Arrow's form: in pieces of a bounded size, without stopping anybody, and as Arrow's own library reads them."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nanoarrow import c_array_stream

from gateway.stores import arrow
from tests.patience import until

KINDS = (
    "(i % 100)::TINYINT", "i::UBIGINT", "i::HUGEINT", "i::FLOAT", "i / 3.0", "i::DECIMAL(18,9) / 8", "i % 2 = 0", "if(i % 3 = 0, NULL, i)",
    "'x' || i", "repeat('é', i::INTEGER)", "('x' || i)::BLOB", "'101'::BIT", "md5(i::VARCHAR)::UUID", "DATE '2026-01-01' + i::INTEGER",
    "TIME '01:00'", "make_timestamp(i * 1000003)", "TIMESTAMP_NS '2026-01-01'", "TIMESTAMPTZ '2026-01-01 12:00:00+02'", "INTERVAL (i) DAY",
    "range(i % 5)", "[NULL, 'a' || i]", "[[i], []]", "array_value(i, 2)", "{'a': i, 'b': {'c': 'x' || i}}", "MAP {'k' || i: [i]}",
    "union_value(number := i)", "NULL", "json_object('a', i)",
)  # fmt: skip
"""Of every kind that a question can find, over a column `i`."""
LONG = "SELECT sha256(sha256(i::VARCHAR)) AS h FROM range(2000000) t(i)"
GREEDY = """
import resource, duckdb
from gateway.stores.arrow import Writer, batches
from gateway.stores.unwanted import refuse_unwanted
class Nothing:
    def write(self, data): return len(data)
refuse_unwanted()
con = duckdb.connect(config={"threads": 2})
con.execute("SET enable_progress_bar = false")
rows = batches(con.execute("SELECT i, repeat('x', 200) || i FROM range(3000000) t(i)"), 2048)
stream = Writer(Nothing(), rows.schema)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for batch in rows:
    stream.write(batch)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": 1}) as opened:
        yield opened


def written(rows: arrow.Batches) -> bytes:
    out = io.BytesIO()
    stream = arrow.Writer(out, rows.schema)
    for batch in rows:
        stream.write(batch)
    stream.close()
    return out.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_what_arrows_own_library_makes_of_the_same_rows(con: duckdb.DuckDBPyConnection, kind: str) -> None:
    question = f"SELECT {kind} AS v, i FROM range(1000) t(i)"
    read = pa.ipc.open_stream(written(arrow.batches(con.execute(question), 300))).read_all()
    read.validate(full=True)
    assert read.equals(con.execute(question).to_arrow_table())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_arrows_own_library_wrote(con: duckdb.DuckDBPyConnection, kind: str) -> None:
    table = con.execute(f"SELECT {kind} AS v, i FROM range(1000) t(i)").to_arrow_table()
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table, max_chunksize=300)
    lent = arrow.read_stream(io.BytesIO(out.getvalue()))
    con.register("lent", arrow.Scanned(lambda: lent, lent.get_schema()))
    assert con.execute("FROM lent").to_arrow_table().equals(table)


def test_rows_come_in_pieces_of_the_size_that_was_asked_for(con: duckdb.DuckDBPyConnection) -> None:
    assert [len(batch) for batch in arrow.batches(con.execute("FROM range(1000)"), 300)] == [300, 300, 300, 100]
    assert list(arrow.batches(con.execute("FROM range(0)"), 300)) == []


def test_the_real_library_is_where_it_was(con: duckdb.DuckDBPyConnection) -> None:
    arrow.batches(con.execute("FROM range(1)"), 1).close()
    assert sys.modules["pyarrow"] is pa


def test_rows_that_are_held_are_streamed_as_often_as_they_are_scanned(con: duckdb.DuckDBPyConnection) -> None:
    rows = arrow.batches(con.execute("FROM range(1000) t(i)"), 300)
    held, schema = list(rows), rows.schema
    con.register("held", arrow.Scanned(lambda: arrow.stream_of(held, schema), schema))
    assert con.execute("SELECT count(*), sum(a.i) FROM held AS a JOIN held AS b USING (i)").fetchall() == [(1000, 499500)]


def test_a_result_of_600_mb_goes_through_some_20() -> None:
    done = subprocess.run([sys.executable, "-c", GREEDY], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40 * 1024


def test_others_run_while_a_piece_is_computed(con: duckdb.DuckDBPyConnection) -> None:
    rows, beats, over = arrow.batches(con.execute(LONG), 200_000), 0, threading.Event()

    def beat() -> None:
        nonlocal beats
        while not over.wait(0.001):
            beats += 1

    other = threading.Thread(target=beat)
    other.start()
    until(lambda: beats)
    before = beats
    next(rows)
    during = beats - before
    over.set()
    other.join()
    rows.close()
    assert during > 20


def test_an_interruption_ends_a_piece_that_is_being_computed(con: duckdb.DuckDBPyConnection) -> None:
    rows = arrow.batches(con.execute(LONG), 2_000_000)
    threading.Timer(0.05, con.interrupt).start()
    with pytest.raises(arrow.ArrowError, match=r"(?i)interrupt"):
        next(rows)
    rows.close()


def test_what_breaks_off_says_so_in_duckdbs_words(con: duckdb.DuckDBPyConnection) -> None:
    rows = arrow.batches(con.execute("SELECT if(i = 200000, error('no further'), i) FROM range(300000) t(i)"), 2048)
    with pytest.raises(arrow.ArrowError, match="no further"):
        list(rows)


def test_a_closed_stream_has_no_more_rows(con: duckdb.DuckDBPyConnection) -> None:
    rows = arrow.batches(con.execute("FROM range(1000)"), 300)
    next(rows)
    rows.close()
    rows.close()
    assert list(rows) == []


def test_who_hangs_up_leaves_no_rows_behind_for_a_search_for_garbage(con: duckdb.DuckDBPyConnection) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, arrow.Writer) for each in gc.get_objects())
        with open(writing, "wb", buffering=0) as pipe, pytest.raises(BrokenPipeError):
            arrow.Writer(pipe, arrow.batches(con.execute("FROM range(10)"), 5).schema)
        assert sum(isinstance(each, arrow.Writer) for each in gc.get_objects()) == before
    finally:
        gc.enable()


def test_what_a_file_raises_is_raised(con: duckdb.DuckDBPyConnection) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

    rows = arrow.batches(con.execute("FROM range(10)"), 5)
    with pytest.raises(OSError, match="No space left"):
        arrow.Writer(Full(), rows.schema)


def left_over(width: int, valid: list[bool]) -> pa.Array:
    """Values of so many bytes, none of them 0, in the place of NULLs too."""
    bitmap = sum(bit << at for at, bit in enumerate(valid)).to_bytes(-(-len(valid) // 8), "little")
    data = bytearray(b"".join(bytes([at % 255 + 1]) * width for at in range(len(valid))))
    kind = {1: pa.uint8(), 2: pa.int16(), 4: pa.float32(), 8: pa.int64(), 16: pa.decimal128(38, 0)}[width]
    return pa.Array.from_buffers(kind, len(valid), [pa.py_buffer(bytearray(bitmap)), pa.py_buffer(data)])


def streamed(array: pa.Array) -> pa.Array:
    """As it comes out of a stream of batches."""
    batch = pa.record_batch([array], ["a"])
    [found] = arrow.Batches(c_array_stream(pa.RecordBatchReader.from_batches(batch.schema, [batch])))
    return pa.record_batch(found).column(0)


@pytest.mark.parametrize("inside", [False, True])
@given(width=st.sampled_from([1, 2, 4, 8, 16]), valid=st.lists(st.booleans(), min_size=1, max_size=40))
def test_nothing_of_what_lay_in_memory_is_in_the_place_of_nulls(inside, width, valid):
    wanted = left_over(width, valid).to_pylist()
    array = left_over(width, valid)
    found = streamed(pa.ListArray.from_arrays(pa.array([0, len(valid)], pa.int32()), array) if inside else array)
    found = found.values if inside else found
    assert found.to_pylist() == wanted
    data = found.buffers()[1].to_pybytes()
    assert [data[at * width : (at + 1) * width] == bytes(width) for at in range(len(valid))] == [not bit for bit in valid]
