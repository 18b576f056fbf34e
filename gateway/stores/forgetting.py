"""What is older than retention says leaves the ledger, a slice at a time between batches.

1. Content: a month that has passed whole is removed with its file. Of the month in which the limit lies, rows are deleted.
2. Facts: texts that quote what was said (arguments, reasons, previews) are blanked with the bodies, as in the journal; when decisions go,
   their rows are deleted. Sums stay: they name agents and amounts, and no text.
3. DuckDB leaves deleted bytes in its file. `wear` in each file counts rows and says since when; a file is written anew (`rewriting.py`)
   when a fifth of it is dead and that is worth the trouble, and at the latest after a week.

Not here: how long what is kept (`gateway/retention.py`), the journal's own files (`gateway/ageing.py`).
"""

# ruff: noqa: S608 - the names in these statements are ours

from __future__ import annotations

import duckdb

from gateway.retention import Cutoffs
from gateway.stores.bodies import CONTENT

SLICE = 20_000
"""Rows treated in one transaction."""
DEAD_SHARE, DEAD_LEAST = 0.2, 50_000
DEAD_DAYS = 7

TIMES = {
    "exchanges_ended": "started_at", "calls": "decided_at", "rule_hits": "decided_at", "findings": "started_at",
    "validations_told": "started_at",
    "approval_changes": "created_at", "feedback_told": "given_at", "content_reads_told": "read_at",
    "prompts_rendered": "rendered_at", "attempts": "started_at",
}  # fmt: skip
"""Facts that go with decisions, and what their age is. That content was erased stays on record."""
TEXTS = {
    "exchanges_ended": ("error_message", "input_preview", "output_preview"),
    "calls": ("arguments", "reason"),
    "rule_hits": ("message",),
    "approval_changes": ("arguments", "edited", "message", "reason"),
    "feedback_told": ("comment",),
    "prompts_rendered": ("variables",),
}
"""Columns of facts that go with bodies (`BODIES` in `trace/record.py`)."""


def forget_facts(con: duckdb.DuckDBPyConnection, cutoffs: Cutoffs) -> bool:
    """One slice; whether there was anything."""
    if cutoffs.decisions_us is not None:
        for table, at in TIMES.items():
            if _slice(con, "ledger", f"DELETE FROM ledger.{table}", table, f"{at} < make_timestamp({cutoffs.decisions_us})"):
                return True
    if cutoffs.bodies_us is not None:
        for table, texts in TEXTS.items():
            blank = ", ".join(f"{each} = CASE WHEN {each} IS NOT NULL THEN '' END" for each in texts)
            told = " OR ".join(f"{each} <> ''" for each in texts)
            old = f"{TIMES[table]} < make_timestamp({cutoffs.bodies_us}) AND ({told})"
            if _slice(con, "ledger", f"UPDATE ledger.{table} SET {blank}", table, old):
                return True
    return False


def forget_content(con: duckdb.DuckDBPyConnection, catalogue: str, before_us: int) -> bool:
    """One slice of one month's file; whether there was anything."""
    old = f"first_seen < make_timestamp({before_us})"
    return any(_slice(con, catalogue, f"DELETE FROM {catalogue}.{table}", table, old) for table in CONTENT)


def _slice(con: duckdb.DuckDBPyConnection, catalogue: str, change: str, table: str, old: str) -> bool:
    con.execute("BEGIN TRANSACTION")
    done = con.execute(f"{change} WHERE rowid IN (SELECT rowid FROM {catalogue}.{table} WHERE {old} LIMIT {SLICE})").fetchall()[0][0]
    if done:
        con.execute(f"INSERT INTO {catalogue}.wear SELECT {done}, now()::TIMESTAMP")
    con.execute("COMMIT")
    return bool(done)


def worn(con: duckdb.DuckDBPyConnection, catalogue: str) -> bool:
    """Whether the file should be written anew."""
    if con.execute(f"FROM {catalogue}.wear LIMIT 1").fetchone() is None:
        return False
    tables = CONTENT if catalogue != "ledger" else TIMES
    rows = " + ".join(f"(SELECT count(*) FROM {catalogue}.{table})" for table in tables)
    much = f"sum(dead) > greatest({DEAD_LEAST}, {DEAD_SHARE} * ({rows}))"
    due = f"(min(since) < now()::TIMESTAMP - to_days({DEAD_DAYS}) OR {much})"
    return bool(con.execute(f"SELECT {due} FROM {catalogue}.wear").fetchall()[0][0])
