"""An answer as bytes: JSON and CSV of plain values, Arrow IPC and Parquet with the ledger's types. Rows and bytes are bounded in each."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from gateway.stores import Answer
from gateway.stores.answers import MAX_ROWS, collect
from gateway.stores.media_types import Form
from gateway.stores.spreadsheet import csv_of

MAX_BINARY = 64 * 1024 * 1024
"""Bytes of the columns of an Arrow or Parquet answer."""
_BATCH = 1024


class Made(NamedTuple):
    body: bytes
    rows: int
    truncated: bool


def warm(con: duckdb.DuckDBPyConnection) -> None:
    """Makes each once, so that everything they import is there."""
    for make in MAKE.values():
        make(con.execute("SELECT 1 AS a, 'b' AS b, [1.5] AS c, now() AS d"), 1)


def _json(found: duckdb.DuckDBPyConnection, limit: int) -> Made:
    answer = _answer(found, limit)
    return Made(msgspec.json.encode(answer._asdict()), len(answer.rows), answer.truncated)


def _csv(found: duckdb.DuckDBPyConnection, limit: int) -> Made:
    answer = _answer(found, limit)
    return Made(csv_of(answer).encode("utf-8", "replace"), len(answer.rows), answer.truncated)


def _answer(found: duckdb.DuckDBPyConnection, limit: int) -> Answer:
    began = time.monotonic()
    columns, types, rows, truncated = collect(found, limit)
    return Answer(columns, types, rows, truncated, round((time.monotonic() - began) * 1000, 3))


def _arrow(found: duckdb.DuckDBPyConnection, limit: int) -> Made:
    table, truncated = _table(found, limit)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema) as stream:
        stream.write_table(table)
    return Made(out.getvalue(), table.num_rows, truncated)


def _parquet(found: duckdb.DuckDBPyConnection, limit: int) -> Made:
    table, truncated = _table(found, limit)
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return Made(out.getvalue(), table.num_rows, truncated)


def _table(found: duckdb.DuckDBPyConnection, limit: int) -> tuple[pa.Table, bool]:
    limit = max(1, min(limit, MAX_ROWS))
    reader = found.to_arrow_reader(_BATCH)
    batches, rows, size = list[pa.RecordBatch](), 0, 0
    for batch in reader:
        batches.append(batch.slice(0, limit - rows))
        if rows + batch.num_rows > limit or size + batch.nbytes > MAX_BINARY:
            cut = batches if size + batch.nbytes <= MAX_BINARY else batches[:-1]
            return pa.Table.from_batches(cut, reader.schema), True
        rows, size = rows + batch.num_rows, size + batch.nbytes
    return pa.Table.from_batches(batches, reader.schema), False


MAKE: Mapping[Form, Callable[[duckdb.DuckDBPyConnection, int], Made]] = {
    "json": _json,
    "csv": _csv,
    "arrow": _arrow,
    "parquet": _parquet,
}
