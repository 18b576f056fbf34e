"""Opens a lake: extensions, keys, its catalogue in PostgreSQL; and makes sure that no dead book is still writing for this one.

1. Extensions are those of the installed wheels (`tollhouse[fleet]`), loaded from their files; nothing is ever fetched.
2. A commit is one transaction in PostgreSQL. A book that was killed while it committed, or whose connection broke, cannot know whether it
   did, and the server may still be at it. So every session of a book carries the book's name, and a book that connects ends all earlier
   sessions of that name and waits until they are gone: then what is there is all there will be (`_fence`).
3. Tables are made, and brought up to date, under an advisory lock.
4. Afterwards the process can reach no other file and change no setting through SQL.

Keys of S3 are where Amazon's own tools look for them; PostgreSQL's password is where libpq looks for it. They appear in no text of ours.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from gateway.errors import StartError
from gateway.ledger_place import LakePlace
from gateway.stores.catalogue import PLAIN
from gateway.stores.cursors import cursor_of
from gateway.stores.inserting import as_list
from gateway.stores.lake_layout import Pattern, bring_up_to_date, lake_tables

SCHEMA = "tollhouse"
"""Of the catalogue's tables in PostgreSQL: the database may hold other things."""
MAKING = 7_055_241_001
"""Key of the advisory lock under which tables are made."""
CONFIG: dict[str, Any] = {"memory_limit": "1GB", **PLAIN}
_PATIENCE = "connect_timeout=5 keepalives_idle=10 keepalives_interval=5 keepalives_count=3 tcp_user_timeout=20000"
"""A server that says nothing any more is gone after 20 s, not after two hours."""
FENCE_S = 30.0
_FILES = {"postgres": "postgres_scanner", "ducklake": "ducklake", "httpfs": "httpfs"}
"""Extension → what DuckDB calls its file."""


class CatalogueAway(Exception):  # noqa: N818 - names a state, not a mistake
    """PostgreSQL cannot be reached, or not now: try again."""


def load_extensions(con: duckdb.DuckDBPyConnection, place: LakePlace) -> None:
    """Raises StartError."""
    for name in ("postgres", "ducklake", *(["httpfs"] if place.in_s3 else [])):
        try:
            _load(con, name)
        except duckdb.Error as error:
            raise StartError(f"DuckDB's extension {name} cannot be loaded: {error}; install tollhouse[fleet] anew") from error


def _load(con: duckdb.DuckDBPyConnection, name: str) -> None:
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is None or found.origin is None:
        raise StartError("this ledger needs DuckDB's extensions for a lake; run: pip install 'tollhouse[fleet]'")
    file = Path(found.origin).parent / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.is_file():
        raise StartError(f"DuckDB's extension {name} is not of DuckDB {duckdb.__version__}; run: pip install 'tollhouse[fleet]'")
    with tempfile.TemporaryDirectory() as folder:  # DuckDB looks for the function named like the file
        link = Path(folder) / f"{_FILES[name]}.duckdb_extension"
        link.symlink_to(file)
        con.execute(f"LOAD '{link}'")


def attach(con: duckdb.DuckDBPyConnection, place: LakePlace, node: str, found: Pattern) -> None:
    """Attaches `lake`, its tables up to date, and `sessions` for what is asked of PostgreSQL itself. Raises CatalogueAway, StartError."""
    if place.in_s3:
        give_keys(con, place)
    try:
        _attach_sessions(con, place, node)
        _fence(con, node)
        with cursor_of(con) as alone:
            alone.execute("BEGIN TRANSACTION")
            ask_postgres(alone, f"SELECT pg_advisory_xact_lock({MAKING})::text AS got")
            _attach_lake(con, place, node)
            bring_up_to_date(con, lake_tables(found))
    except duckdb.Error as error:
        if "does not match existing data path" in str(error):
            there = re.search(r'in the catalog "([^"]*)"', str(error))
            where = f"in {there[1]}, not " if there else "not "
            raise StartError(f"this lake has its data {where}in {place.data}; write the lake's own place after data=") from error
        raise CatalogueAway(f"the lake cannot be opened: {in_a_line(error)}") from error


def reach(place: LakePlace) -> None:
    """Looks whether the catalogue's database is there, and changes nothing. Raises CatalogueAway, StartError."""
    with duckdb.connect(":memory:", config=PLAIN) as con:
        load_extensions(con, place._replace(data="/"))
        try:
            _attach_sessions(con, place, "doctor")
            ask_postgres(con, "SELECT 1 AS here")
        except duckdb.Error as error:
            raise CatalogueAway(in_a_line(error)) from error


def lock_down(con: duckdb.DuckDBPyConnection, place: LakePlace) -> None:
    con.execute("SET allowed_directories = from_json(?, '[\"VARCHAR\"]')", [as_list([place.data])])
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def ask_postgres(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    """Our own SQL. In a transaction of `con` it is all one session and one transaction there."""
    return con.execute("FROM postgres_query('sessions', ?)", [sql]).fetchall()


def give_keys(con: duckdb.DuckDBPyConnection, place: LakePlace) -> None:
    """The keys of S3 as they are now: those of a role change every few hours. Raises StartError where there are none."""
    import boto3

    session = boto3.Session()
    found = session.get_credentials()
    if found is None:
        raise StartError(f"there are no keys for {place.data}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role")
    keys = found.get_frozen_credentials()
    options = {
        "KEY_ID": keys.access_key,
        "SECRET": keys.secret_key,
        "SESSION_TOKEN": keys.token or "",
        "REGION": session.region_name or "us-east-1",
        "SCOPE": place.data,
        **_endpoint(os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")),
    }
    listed = ", ".join(f"{name} {_text(value)}" for name, value in options.items())
    try:
        con.execute(f"CREATE OR REPLACE TEMPORARY SECRET lake_data (TYPE s3, {listed})")
    except duckdb.Error:
        raise StartError(f"the keys for {place.data} cannot be used by DuckDB; see AWS_ENDPOINT_URL, AWS_REGION and the keys") from None


def _endpoint(url: str | None) -> dict[str, str]:
    """Of a service other than Amazon's."""
    if not url:
        return {}
    parts = urlsplit(url)
    return {"ENDPOINT": parts.netloc, "URL_STYLE": "path", "USE_SSL": str(parts.scheme == "https").lower()}


def in_a_line(error: Exception) -> str:
    """What DuckDB says, without the SQL it says it about."""
    return " ".join(str(error).partition("\nLINE ")[0].split()).replace(f" {_PATIENCE}", "")


def in_conflict(error: Exception) -> bool:
    """Whether a commit was refused because of another: nothing of it was made."""
    return isinstance(error, duckdb.TransactionException) and "Transaction conflict" in str(error)


def _attach_sessions(con: duckdb.DuckDBPyConnection, place: LakePlace, node: str) -> None:
    """Raises StartError for a pooler between here and the server that shares sessions or transactions (of one that shares statements
    nothing can be asked: duckdb.Error)."""
    name = f"{_book(node)}.sessions"
    con.execute(f"ATTACH {_text(f'{place.catalogue} {_PATIENCE} application_name={_text(name)}')} AS sessions (TYPE postgres, READ_ONLY)")
    for _ in range(2):  # DuckDB resets a session that it lays aside, and behind a pooler that takes its name away
        if ask_postgres(con, "SELECT current_setting('application_name') AS name")[0][0] != name:
            raise StartError(
                "PostgreSQL does not see whose sessions these are (application_name): something that pools connections is between. A book "
                "could not end what an earlier process of it left behind; name the server itself in 'ledger'"
            )


def _attach_lake(con: duckdb.DuckDBPyConnection, place: LakePlace, node: str) -> None:
    address = f"ducklake:postgres:{place.catalogue} {_PATIENCE} application_name={_book(node)}"
    options = f"DATA_PATH {_text(place.data)}, METADATA_SCHEMA '{SCHEMA}', DATA_INLINING_ROW_LIMIT 0"
    con.execute(f"ATTACH {_text(address)} AS lake ({options})")


def _fence(con: duckdb.DuckDBPyConnection, node: str) -> None:
    """Ends what earlier processes of this book left behind in PostgreSQL."""
    ours = f"FROM pg_stat_activity WHERE application_name = '{_book(node)}'"
    deadline = time.monotonic() + FENCE_S
    while ask_postgres(con, f"SELECT count(pg_terminate_backend(pid))::bigint AS ended {ours}")[0][0]:
        if time.monotonic() > deadline:
            raise CatalogueAway("earlier sessions of this book do not end in PostgreSQL; see pg_stat_activity there")
        time.sleep(0.05)


def _book(node: str) -> str:
    return f"tollhouse.{node}"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
