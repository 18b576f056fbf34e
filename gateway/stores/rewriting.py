"""Writes a DuckDB file anew, so that what was deleted in it is gone from the disk: DuckDB's DELETE, CHECKPOINT and VACUUM leave the bytes.

The new file is made beside the old one and takes its name when it is whole; after a crash the old one is there as it was. For files that
nobody has open.
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

import duckdb

from gateway.stores.setting_aside import quoted

log = logging.getLogger(__name__)

ENDING = ".anew"


def rewrite(path: Path, layout: str, lay_out: Callable[[duckdb.DuckDBPyConnection], None]) -> bool:
    """False when the file was not closed in order: then it stays as it is. `layout` is how the new file is attached, `lay_out` makes the
    tables in the catalogue `anew`. Raises duckdb.Error, OSError."""
    fresh = path.with_name(path.name + ENDING)
    fresh.unlink(missing_ok=True)
    if path.with_name(path.name + ".wal").exists():
        return False
    before = path.stat().st_size
    con = duckdb.connect(":memory:")
    try:
        con.execute("SET memory_limit = '640MB'")
        con.execute(f"ATTACH {quoted(path)} AS worn (READ_ONLY)")
        con.execute(f"ATTACH {quoted(fresh)} AS anew ({layout})")
        lay_out(con)
        for table in _tables(con):
            con.execute(f"DELETE FROM anew.{table}")
            con.execute(f"INSERT INTO anew.{table} BY NAME SELECT * FROM worn.{table}")
        con.execute("CHECKPOINT anew")
    finally:
        con.close()
    _put_in_place(fresh, path)
    log.info("%s was written anew: %d MB, before %d MB", path.name, path.stat().st_size // 10**6, before // 10**6)
    return True


def _tables(con: duckdb.DuckDBPyConnection) -> list[str]:
    rows = con.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'anew' AND table_name <> 'wear'").fetchall()
    return [name for (name,) in rows]


def _put_in_place(fresh: Path, path: Path) -> None:
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
