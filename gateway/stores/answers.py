"""From DuckDB's values to plain JSON values, within bounds: rows, bytes per cell, bytes in all. Content is hostile and may be huge."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import duckdb

from gateway.stores.arrow import Writer, batches

MAX_ROWS = 10_000
MAX_CELL = 65_536
"""Characters of one text; a longer one is cut and ends in `…`."""
MAX_TOTAL = 8 * 1024 * 1024
"""Characters of text in one answer, about."""
_EXACT = 2**53
_FETCH = 256
BATCH = 2048
"""Rows in one piece of a stream."""


def collect(found: duckdb.DuckDBPyConnection, limit: int) -> tuple[list[str], list[str], list[list[Any]], bool]:
    """(columns, types, rows, whether anything was left out)."""
    limit = max(1, min(limit, MAX_ROWS))
    columns = [str(each[0]) for each in found.description or ()]
    types = [str(each[1]) for each in found.description or ()]
    rows: list[list[Any]] = []
    budget = _Budget()
    while len(rows) <= limit and budget.left > 0:
        some = found.fetchmany(min(_FETCH, limit + 1 - len(rows)))
        if not some:
            return columns, types, rows, budget.cut
        rows.extend([plain(value, budget) for value in row] for row in some)
    return columns, types, rows[:limit], True


def arrow_stream(found: duckdb.DuckDBPyConnection) -> Iterator[bytes]:
    """Schema, batches, end: as Arrow's stream format has them."""
    pieces = _Pieces()
    with contextlib.closing(batches(found, BATCH)) as rows:
        stream = Writer(pieces, rows.schema)
        for batch in rows:
            stream.write(batch)
            yield pieces.taken()
        stream.close()
    yield pieces.taken()


class _Pieces:
    """What was written since it was taken the last time."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        whole, self._parts = b"".join(self._parts), []
        return whole


class _Budget:
    def __init__(self) -> None:
        self.left = MAX_TOTAL
        self.cut = False

    def text(self, value: str) -> str:
        if len(value) > MAX_CELL:
            self.cut = True
            value = value[:MAX_CELL] + "…"
        self.left -= len(value) + 1
        return value


class _Boundless(_Budget):
    def text(self, value: str) -> str:
        return value


def plain_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON values, none cut: for what is read one thing at a time."""
    return {name: plain(value, _Boundless()) for name, value in row.items()}


def plain(value: Any, budget: _Budget) -> Any:
    """A JSON value. Money, big integers, times and bytes become text; what is not a number (NaN) too."""
    match value:
        case None | bool():
            return value
        case str():
            return budget.text(value)
        case int():
            budget.left -= 8
            return value if -_EXACT <= value <= _EXACT else str(value)
        case float():
            budget.left -= 8
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {budget.text(str(key)): plain(each, budget) for key, each in value.items()}
        case list() | tuple():
            return [plain(each, budget) for each in value]
    return budget.text(_text(value))


def _text(value: Any) -> str:
    match value:
        case dt.datetime():
            return value.isoformat(timespec="microseconds") + ("Z" if value.tzinfo is None else "")
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return f"{value.total_seconds():.6f} s"
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex()
        case UUID():
            return str(value)
    return str(value)
