"""Brings the content of a ledger from before it had files of its own into them. Once; the migration after it drops the old tables.

It may be killed at any moment: until that migration is committed the old tables hold everything, and the next start begins again.
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

from pathlib import Path

import duckdb

from gateway.stores.contents import Contents
from gateway.stores.setting_aside import set_aside
from gateway.trace.days import FIRST_MONTH, LAST_MONTH

_MONTH = "least(greatest(strftime(first_seen, '%Y-%m'), '" + FIRST_MONTH + "'), '" + LAST_MONTH + "')"
_OLD = {
    "message_bodies": "SELECT hash, role, body, first_seen FROM ledger.message_bodies",
    "prompt_bodies": "SELECT hash, agent, first_seen, system, tools, scope FROM ledger.prompt_bodies",
    "media_found": "SELECT m.*, b.first_seen FROM ledger.media_found AS m JOIN"
    " (SELECT hash, min(first_seen) AS first_seen FROM ledger.message_bodies GROUP BY hash) AS b ON b.hash = m.message",
}


def move_content_out(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    for half in folder.glob("content-*.duckdb"):
        set_aside(half, "the ledger beside it still holds its own content")
    offsets = dict(con.execute("SELECT segment, next_offset FROM ledger.journal_offsets").fetchall())
    found = Contents(con, folder)
    for month in _months(con):
        found.pour(month, {table: f"SELECT * FROM ({old}) WHERE {_MONTH} = $month" for table, old in _OLD.items()}, offsets)
    found.let_go()


def _months(con: duckdb.DuckDBPyConnection) -> list[str]:
    parts = " UNION ".join(f"SELECT {_MONTH} FROM ({old})" for old in _OLD.values())
    return sorted(month for (month,) in con.execute(parts).fetchall() if month)
