"""Cursors that are let go in order.

A transaction that is still open when its cursor is closed is rolled back while the cursor is destroyed; where it reaches into a database
whose connection has broken meanwhile, that ends the whole process. So it is rolled back first, which only raises an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb


@contextlib.contextmanager
def cursor_of(con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Raises duckdb.Error where the connection is closed."""
    cursor = con.cursor()
    try:
        yield cursor
    finally:
        let_go(cursor)


def let_go(cursor: duckdb.DuckDBPyConnection) -> None:
    """Ends what is open in it, and closes it."""
    with contextlib.suppress(duckdb.Error):
        cursor.execute("ROLLBACK")
    with contextlib.suppress(duckdb.Error):
        cursor.close()
