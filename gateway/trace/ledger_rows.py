"""Rows of the ledger's views `exchanges` and `calls` as the records that they were made of, so that what is told of a record has one form
wherever it is read. What a view says otherwise than the record (a revised cost) is taken from the view. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gateway.trace.exchange_rows import CallRow, ExchangeRow

_Row = TypeVar("_Row", bound=Struct)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def exchange(row: Mapping[str, Any]) -> ExchangeRow:
    return _made(ExchangeRow, row, {"started_us": "started_at"})


def call(row: Mapping[str, Any]) -> CallRow:
    return _made(CallRow, row, {"decided_us": "decided_at"})


def _made(kind: type[_Row], row: Mapping[str, Any], renamed: Mapping[str, str]) -> _Row:
    """What is NULL has the record's default."""
    given = {field: _plain(row.get(renamed.get(field, field))) for field in kind.__struct_fields__}
    return msgspec.convert({field: value for field, value in given.items() if value is not None}, kind)


def _plain(value: Any) -> Any:
    match value:
        case dt.datetime():  # the ledger's times are UTC without saying so
            return (value.replace(tzinfo=dt.UTC) - _EPOCH) // dt.timedelta(microseconds=1)
        case Decimal():
            return format(value, "f")
    return value
