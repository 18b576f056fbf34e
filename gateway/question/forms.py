"""An answer as bytes: JSON and CSV of plain values, Arrow IPC and Parquet with the ledger's types. Rows and bytes are bounded in each."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import duckdb
import msgspec

from gateway.stores import Answer
from gateway.stores.answers import MAX_ROWS, collect
from gateway.stores.arrow import CArray, CSchema, Scanned, Writer, batches, stream_of
from gateway.stores.media_types import Form
from gateway.stores.spreadsheet import csv_of

MAX_BINARY = 64 * 1024 * 1024
"""Bytes of the columns of an Arrow or Parquet answer."""
_BATCH = 1024
_PIECE = 1 << 18
_END = 16
"""Bytes of what is drawn to say that no more comes."""


class Made(NamedTuple):
    body: bytes
    rows: int
    truncated: bool


class Outlet:
    """A pipe that DuckDB writes a file to, for a reader has no files: the one path that it may write to there.

    Opening a path below `/dev/fd` opens, and empties, whatever stands under that number at the moment. So the number is one that the
    kernel gave, and both ends stay open until the outlet is closed: nothing else can ever come to stand there.
    """

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self.path = f"/dev/fd/{self._writing}"

    @contextlib.contextmanager
    def drained(self) -> Iterator[bytearray]:
        """What is written meanwhile is there afterwards."""
        end, written = os.urandom(_END), bytearray()
        drain = threading.Thread(target=self._drain, args=(end, written))
        drain.start()
        try:
            yield written
        finally:
            os.write(self._writing, end)
            drain.join()

    def _drain(self, end: bytes, into: bytearray) -> None:
        while not into.endswith(end):
            into += os.read(self._reading, _PIECE)
        del into[-len(end) :]

    def close(self) -> None:
        os.close(self._writing)
        os.close(self._reading)


def warm(con: duckdb.DuckDBPyConnection, outlet: Outlet) -> None:
    """Makes each once, so that everything they import is there."""
    for form in FORMS:
        make(form, con.execute("SELECT 1 AS a, 'b' AS b, [1.5] AS c, now() AS d"), 1, outlet)


def make(form: Form, found: duckdb.DuckDBPyConnection, limit: int, outlet: Outlet) -> Made:
    """The answer to what was executed last, of at most `limit` rows."""
    return _parquet(found, limit, outlet) if form == "parquet" else _MAKE[form](found, limit)


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
    held, out = _held(found, limit), io.BytesIO()
    with _asked_again(found, held) as con, contextlib.closing(batches(con.execute(f"FROM held LIMIT {held.rows}"), _BATCH)) as rows:
        stream = Writer(out, rows.schema if _has_dictionary(held.schema) else held.schema)
        for batch in rows:
            stream.write(batch)
        stream.close()
    return Made(out.getvalue(), held.rows, held.truncated)


def _has_dictionary(schema: CSchema) -> bool:
    """Whether an ENUM is in it. nanoarrow writes none of Arrow's dictionaries, and DuckDB reads them as text."""
    return schema.dictionary is not None or any(map(_has_dictionary, schema.children))


def _parquet(found: duckdb.DuckDBPyConnection, limit: int, outlet: Outlet) -> Made:
    held = _held(found, limit)
    with _asked_again(found, held) as con, outlet.drained() as written:
        con.execute(f"COPY (FROM held LIMIT {held.rows}) TO '{outlet.path}' (FORMAT parquet, COMPRESSION zstd)")
    return Made(bytes(written), held.rows, held.truncated)


@contextlib.contextmanager
def _asked_again(found: duckdb.DuckDBPyConnection, held: _Held) -> Iterator[duckdb.DuckDBPyConnection]:
    """Where `held` can be asked. Not where it was found: a question that was left before its end is tidied away there first, which waits,
    with the interpreter in its hands, for threads that want it to read what they are lent."""
    con = found.cursor()
    con.register("held", Scanned(lambda: stream_of(held.batches, held.schema), held.schema))
    try:
        yield con
    finally:
        con.close()


class _Held(NamedTuple):
    schema: CSchema
    batches: list[CArray]
    rows: int
    """How many of them are answered; the last of the batches may have more."""
    truncated: bool


def _held(found: duckdb.DuckDBPyConnection, limit: int) -> _Held:
    limit = max(1, min(limit, MAX_ROWS))
    held, rows, size = list[CArray](), 0, 0
    with contextlib.closing(batches(found, _BATCH)) as left:
        for batch in left:
            size += _bytes(batch.view())
            if size > MAX_BINARY:
                return _Held(left.schema, held, rows, truncated=True)
            held.append(batch)
            rows += len(batch)
            if rows > limit:
                return _Held(left.schema, held, limit, truncated=True)
        return _Held(left.schema, held, rows, truncated=False)


def _bytes(view: Any) -> int:
    return sum(int(buffer.size_bytes) for buffer in view.buffers) + sum(map(_bytes, view.children))


_MAKE: Mapping[Form, Callable[[duckdb.DuckDBPyConnection, int], Made]] = {"json": _json, "csv": _csv, "arrow": _arrow}
FORMS: tuple[Form, ...] = (*_MAKE, "parquet")
