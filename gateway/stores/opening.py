"""Opens the ledger's file: creates it, brings its schema up to date, or sets it aside when it is no ledger any more.

The connection is DuckDB's in-memory catalogue with the file attached as `ledger`, because only ATTACH takes the row group size.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb

from gateway.errors import StartError
from gateway.stores import contents, schema
from gateway.stores.catalogue import PLAIN
from gateway.stores.inserting import as_list
from gateway.stores.setting_aside import SURROUNDINGS, quoted, set_aside, unusable

_CONFIG: dict[str, Any] = {"memory_limit": "640MB", **PLAIN}
LAYOUT = "STORAGE_VERSION 'v1.5.0', ROW_GROUP_SIZE 8192"


def open_ledger(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection that uses the ledger, its schema up to date. Raises StartError."""
    if not path.exists() and not read_only:
        set_aside(path, "the file was taken away and its write-ahead log left behind")
    try:
        return _attach(path, read_only=read_only)
    except schema.EarlierSchema as error:
        if read_only:
            raise StartError(_start_once(path)) from error
        set_aside(path, str(error))
    except duckdb.Error as error:
        if read_only or SURROUNDINGS.search(str(error)):
            raise unusable(path, str(error)) from error
        set_aside(path, str(error))
    try:
        return _attach(path, read_only=False)
    except duckdb.Error as error:
        raise StartError(f"cannot create a new ledger at {path}: {error}") from error


def lock_down(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """From here on the process can neither change settings through SQL nor reach files other than those of content."""
    con.execute("SET allowed_paths = from_json(?, '[\"VARCHAR\"]')", [as_list(contents.reachable(folder))])
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def _attach(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(":memory:", config=_CONFIG)
    try:
        options = "READ_ONLY" if read_only else LAYOUT
        contents.begin(con)
        con.execute(f"ATTACH {quoted(path)} AS ledger ({options})")
        con.execute("USE ledger")
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        con.execute("SET GLOBAL checkpoint_threshold = '64MB'")
        con.execute(f"SET GLOBAL threads = {max(2, min(4, os.cpu_count() or 2))}")
        con.execute("SET GLOBAL temp_directory = ?", [str(path.with_suffix(".tmp"))])
        con.execute("SET GLOBAL max_temp_directory_size = '4GB'")
        con.execute("SET GLOBAL dynamic_or_filter_threshold = 1000")  # a conversation's messages are looked up by their times at once
        _see_to_the_schema(con, path, read_only=read_only)
    except BaseException:
        con.close()
        raise
    return con


def _see_to_the_schema(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    if not read_only:
        schema.bring_up_to_date(con, path)
    elif not schema.is_up_to_date(con, path):
        raise StartError(_start_once(path))


def _start_once(path: Path) -> str:
    return f"{path} was laid out by another version; start the gateway once to bring it up to date"
