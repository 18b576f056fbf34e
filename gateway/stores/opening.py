"""Opens the ledger's file: creates it, brings its schema up to date, or sets it aside when it is no ledger any more.

The connection is DuckDB's in-memory catalogue with the file attached as `ledger`, because only ATTACH takes the row group size.
"""

from __future__ import annotations

import logging
import os
import re
import time
from pathlib import Path
from typing import Any

import duckdb

from gateway import shipped
from gateway.errors import StartError
from gateway.stores.catalogue import PLAIN

log = logging.getLogger(__name__)

_CONFIG: dict[str, Any] = {"memory_limit": "1GB", **PLAIN}
SURROUNDINGS = re.compile(
    "set lock|no space left|permission denied|read-only|too many open files|cannot allocate|out of memory|newer version|does not exist",
    re.IGNORECASE,
)
"""What DuckDB says when not the file but its surroundings are at fault."""


def open_ledger(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection that uses the ledger, its schema up to date. Raises StartError."""
    if not path.exists() and not read_only:
        set_aside(path, "the file was taken away and its write-ahead log left behind")
    try:
        return _attach(path, read_only=read_only)
    except duckdb.Error as error:
        if read_only or SURROUNDINGS.search(str(error)):
            raise StartError(_advice(path, str(error))) from error
        set_aside(path, str(error))
    try:
        return _attach(path, read_only=False)
    except duckdb.Error as error:
        raise StartError(f"cannot create a new ledger at {path}: {error}") from error


def lock_down(con: duckdb.DuckDBPyConnection) -> None:
    """From here on the process can neither reach files nor change settings through SQL."""
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def schema_version(con: duckdb.DuckDBPyConnection) -> str:
    rows = con.execute("SELECT number, name FROM ledger.schema_migrations ORDER BY number DESC LIMIT 1").fetchall()
    return str(rows[0][1])


def column_types(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """DuckDB's type of each column of each base table: the SQL of the migrations is the only place where types are written."""
    rows = con.execute("SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = 'ledger'").fetchall()
    types: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        types.setdefault(table, {})[column] = kind
    return types


def migrations() -> list[Path]:
    """In the order in which they are applied."""
    return sorted((shipped.folder("traces") / "migrations").glob("[0-9]*.sql"))


def _attach(path: Path, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(":memory:", config=_CONFIG)
    try:
        options = "READ_ONLY" if read_only else "STORAGE_VERSION 'v1.5.0', ROW_GROUP_SIZE 2048"
        con.execute(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS ledger ({options})")
        con.execute("USE ledger")
        con.execute("SET GLOBAL TimeZone = 'UTC'")
        con.execute("SET GLOBAL checkpoint_threshold = '64MB'")
        con.execute(f"SET GLOBAL threads = {max(2, min(4, os.cpu_count() or 2))}")
        con.execute("SET GLOBAL temp_directory = ?", [str(path.with_suffix(".tmp"))])
        con.execute("SET GLOBAL max_temp_directory_size = '4GB'")
        _migrate(con, path, read_only=read_only)
    except BaseException:
        con.close()
        raise
    return con


def _migrate(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    if not read_only:
        con.execute("CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT NOT NULL, name VARCHAR NOT NULL, applied_at TIMESTAMP)")
    done = {number for (number,) in con.execute("SELECT number FROM ledger.schema_migrations").fetchall()}
    known = {int(file.name.split("_")[0]): file for file in migrations()}
    if not done <= known.keys():
        raise StartError(
            f"{path} has schema {max(done)}, this version knows {max(known)}: start the newer version, or move the file away "
            "and it is built again from the journal"
        )
    if read_only and known.keys() - done:
        raise StartError(f"{path} has an older schema; start the gateway once to bring it up to date")
    for number in sorted(known.keys() - done):
        _apply(con, number, known[number])


def _apply(con: duckdb.DuckDBPyConnection, number: int, file: Path) -> None:
    """A migration that fails says nothing about the file: it is kept, and the start is refused."""
    try:
        con.execute("BEGIN TRANSACTION")
        con.execute(file.read_text(encoding="utf-8"))
        con.execute("INSERT INTO schema_migrations VALUES (?, ?, now()::TIMESTAMP)", [number, file.stem])
        con.execute("COMMIT")
    except duckdb.Error as error:
        raise StartError(f"the ledger's schema could not be brought up to date by {file.name}: {error}") from error


def set_aside(path: Path, why: str) -> None:
    """For a file that is no ledger any more. Nothing is deleted: the file and its write-ahead log keep their bytes under another name."""
    files = [file for file in (path, path.with_name(path.name + ".wal")) if file.exists()]
    if not files:
        return
    mark = f".corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    log.error("%s cannot be used (%s); it is kept as %s%s and built again from the journal", path, why, path.name, mark)
    for file in files:
        file.rename(file.with_name(file.name + mark))


def _advice(path: Path, why: str) -> str:
    if "set lock" in why:
        return f"{path} is in use by another process; ask the running gateway, or stop it first"
    return f"cannot open the ledger {path}: {why}"
