"""Rows into a DuckDB table, many at once, by way of Arrow: 60 to 90 times cheaper than row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import duckdb
import msgspec
import pyarrow as pa

from gateway.stores.fold import Row

INCOMING = "incoming"
"""Under which name rows on their way in can be asked, inside `incoming`."""
_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "BLOB": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
    "TIMESTAMP": pa.timestamp("us"),
    "VARCHAR[]": pa.list_(pa.string()),
}
"""Money is brought as text and cast by the ledger, exactly."""
_INT64 = 2**63 - 1


def insert(
    con: duckdb.DuckDBPyConnection,
    table: str,
    names: Sequence[str],
    types: Mapping[str, str],
    rows: Sequence[Row],
    also: Iterable[str] = (),
) -> None:
    """`table` with its catalogue, columns by name; `types` are the table's own. `also` are statements over `incoming`."""
    if not rows:
        return
    columns = [_column(values, types[name]) for name, values in zip(names, zip(*rows, strict=True), strict=True)]
    quoted = ", ".join(f'"{name}"' for name in names)
    picked = ", ".join(f'TRY_CAST("{name}" AS {types[name]})' if "DECIMAL" in types[name] else f'"{name}"' for name in names)
    con.register(INCOMING, pa.Table.from_arrays(columns, names=list(names)))
    try:
        con.execute(f"INSERT INTO {table} ({quoted}) SELECT {picked} FROM {INCOMING}")  # noqa: S608 - names are ours
        for statement in also:
            con.execute(statement)
    finally:
        con.unregister(INCOMING)


def as_list(values: Iterable[str]) -> str:
    """The parameter for `LISTED`. DuckDB's client tries to import pandas for every element of a Python list: 0.2 ms each."""
    return msgspec.json.encode(list(values)).decode()


LISTED = "unnest(from_json(?, '[\"VARCHAR\"]'))"


def _column(values: Sequence[Any], kind: str) -> pa.Array:
    arrow = _ARROW.get(kind, pa.string())
    try:
        return pa.array(values, arrow)
    except OverflowError:  # a provider or a client made up a number; one absurd value must not stop the book
        return pa.array([v if v is None else max(-_INT64, min(v, _INT64)) for v in values], pa.int64()).cast(arrow)
