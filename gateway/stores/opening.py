"""Opens the ledger's file: creates it, brings its schema up to date, or sets it aside when it is no ledger any more.

The connection is DuckDB's in-memory catalogue with the file attached as `ledger`, because only ATTACH takes the row group size.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb

from gateway import shipped
from gateway.errors import StartError
from gateway.stores import contents, sums
from gateway.stores.catalogue import PLAIN
from gateway.stores.inserting import as_list
from gateway.stores.moving_out import move_content_out
from gateway.stores.setting_aside import SURROUNDINGS, quoted, set_aside, what_to_do

_CONFIG: dict[str, Any] = {"memory_limit": "640MB", **PLAIN}
LAYOUT = "STORAGE_VERSION 'v1.5.0', ROW_GROUP_SIZE 8192"
CONTENT_APART = 40
"""The migration since which content has files of its own."""
WITH_SUMS = 41
"""The migration that makes the tables of sums: they are filled in its transaction."""


def open_ledger(path: Path, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection that uses the ledger, its schema up to date. Raises StartError."""
    if not path.exists() and not read_only:
        set_aside(path, "the file was taken away and its write-ahead log left behind")
    try:
        return _attach(path, read_only=read_only)
    except duckdb.Error as error:
        if read_only or SURROUNDINGS.search(str(error)):
            raise StartError(what_to_do(path, str(error))) from error
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


def schema_version(con: duckdb.DuckDBPyConnection) -> str:
    rows = con.execute("SELECT number, name FROM ledger.schema_migrations ORDER BY number DESC LIMIT 1").fetchall()
    return str(rows[0][1])


_COLUMNS = """
SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = 'ledger' ORDER BY table_name, column_index
"""


def column_types(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """DuckDB's type of each column of each table and view: the SQL of the migrations is the only place where types are written."""
    rows = con.execute(_COLUMNS).fetchall()
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
        _migrate(con, path, read_only=read_only)
    except BaseException:
        con.close()
        raise
    return con


def _migrate(con: duckdb.DuckDBPyConnection, path: Path, *, read_only: bool) -> None:
    if not read_only:
        con.execute(_MIGRATIONS)
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
        if number == CONTENT_APART and done:
            move_content_out(con, path.parent)
        _apply(con, number, known[number])


def lay_out_facts(con: duckdb.DuckDBPyConnection, catalogue: str = "anew") -> None:
    """The ledger's tables and views as of now, in an empty catalogue."""
    contents.begin(con)
    con.execute(f"USE {catalogue}")
    con.execute(_MIGRATIONS)
    for file in migrations():
        con.execute(file.read_text(encoding="utf-8"))


_MIGRATIONS = "CREATE TABLE IF NOT EXISTS schema_migrations (number BIGINT NOT NULL, name VARCHAR NOT NULL, applied_at TIMESTAMP)"


def _apply(con: duckdb.DuckDBPyConnection, number: int, file: Path) -> None:
    """A migration that fails says nothing about the file: it is kept, and the start is refused."""
    try:
        con.execute("BEGIN TRANSACTION")
        con.execute(file.read_text(encoding="utf-8"))
        if number == WITH_SUMS:
            sums.fill(con)
        con.execute("INSERT INTO schema_migrations VALUES (?, ?, now()::TIMESTAMP)", [number, file.stem])
        con.execute("COMMIT")
    except duckdb.Error as error:
        raise StartError(f"the ledger's schema could not be brought up to date by {file.name}: {error}") from error
