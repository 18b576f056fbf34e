"""The ledger's schema, as `traces/` says it: tables by migrations, each applied once; views over them, laid anew whenever either changes.

1. The ledger says what it is: `schema_migrations` names what was applied, `schema_views` has the hash of the views that were laid.
2. All that is to be done is done in one transaction: nobody meets half a schema, and a new ledger takes one sync.
3. The first migration makes every table. What was laid out before there was that one cannot be brought up to date (`EarlierSchema`).

Not here: the tables of a month's content (`contents.py`) and of a lake (`lake_layout.py`), whose columns follow these.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import duckdb

from gateway import shipped
from gateway.errors import StartError
from gateway.stores import contents


class EarlierSchema(Exception):  # noqa: N818 - names a state, not a mistake
    """Laid out by a version from before the first release: it is built again, not brought up to date."""


def migrations() -> list[Path]:
    """In the order in which they are applied."""
    return sorted((shipped.folder("traces") / "migrations").glob("[0-9]*.sql"))


def number_of(migration: Path) -> int:
    return int(migration.name.split("_")[0])


def outstanding(applied: Mapping[int, str], place: object, advice: str) -> list[Path]:
    """Migrations that are not among the applied ones (number → name). `place` is what they were applied to. Raises EarlierSchema, and
    StartError with the advice for a newer one."""
    known = {number_of(file): file for file in migrations()}
    first, last = min(known), max(known)
    if applied and applied.get(first) != known[first].stem:
        raise EarlierSchema("its schema is that of a version from before the first release")
    if not applied.keys() <= known.keys():
        raise StartError(f"{place} has schema {max(applied)}, this version knows {last}: {advice}")
    return [known[number] for number in sorted(known.keys() - applied.keys())]


def bring_up_to_date(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The database `ledger`, which is in use. Raises EarlierSchema, StartError: what fails here says nothing about the file."""
    waiting = _waiting(con, path)
    if not waiting and _views_are_laid(con):
        return
    con.execute("BEGIN TRANSACTION")
    for migration in waiting:
        _run(con, migration)
        con.execute("INSERT INTO schema_migrations VALUES (?, ?, now()::TIMESTAMP)", [number_of(migration), migration.stem])
    _lay_views(con)
    try:
        con.execute("COMMIT")
    except duckdb.Error as error:
        raise StartError(f"the schema of {path} could not be brought up to date: {error}") from error


def is_up_to_date(con: duckdb.DuckDBPyConnection, path: Path) -> bool:
    """The database `ledger`. Raises EarlierSchema, and StartError for a newer one."""
    return not _waiting(con, path) and _views_are_laid(con)


def lay_out_facts(con: duckdb.DuckDBPyConnection, catalogue: str = "anew") -> None:
    """The ledger's tables and views as of now, in an empty catalogue; who fills it says what was applied."""
    contents.begin(con)
    con.execute(f"USE {catalogue}")
    con.execute("BEGIN TRANSACTION")
    for file in (*migrations(), *_views()):
        _run(con, file)
    con.execute("COMMIT")


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


def _waiting(con: duckdb.DuckDBPyConnection, path: Path) -> list[Path]:
    return outstanding(_applied(con), path, "start the newer version, or move the file away and it is built again from the journal")


def _applied(con: duckdb.DuckDBPyConnection) -> dict[int, str]:
    """Number → name; nothing in a new file."""
    try:
        return dict(con.execute("SELECT number, name FROM ledger.schema_migrations").fetchall())
    except duckdb.CatalogException:
        return {}


def _views() -> list[Path]:
    """In the order in which they are laid: each file only names views of itself and of those before it."""
    return sorted((shipped.folder("traces") / "views").glob("[0-9]*.sql"))


def _hash_of_views() -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in _views())).hexdigest()


def _views_are_laid(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute("SELECT hash FROM ledger.schema_views").fetchall() == [(_hash_of_views(),)]


def _lay_views(con: duckdb.DuckDBPyConnection) -> None:
    """All of them anew: one keeps the columns that its tables had when it was laid."""
    for (view,) in con.execute("SELECT view_name FROM duckdb_views() WHERE database_name = 'ledger' AND NOT internal").fetchall():
        con.execute(f'DROP VIEW "{view}"')
    for file in _views():
        _run(con, file)
    con.execute("DELETE FROM schema_views")
    con.execute("INSERT INTO schema_views VALUES (?, now()::TIMESTAMP)", [_hash_of_views()])


def _run(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    try:
        con.execute(file.read_text(encoding="utf-8"))
    except duckdb.Error as error:
        raise StartError(f"the ledger's schema could not be laid out, {file.name} failed: {error}") from error
