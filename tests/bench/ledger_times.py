"""Makes one ledger into many in one: `python tests/bench/ledger_times.py FOLDER TIMES`, TIMES at most ten.

Facts and content are copied by SQL, each copy thirty days before the other, with ids, addresses and sessions of its own and the times of
ids moved with the rest: ten million exchanges through the intake would take the better part of two hours. What is asked over a week or a
month finds as many rows as before, among many more; what is asked over all time finds all.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import duckdb

from gateway.stores import contents, opening, sums
from gateway.stores.bodies import CONTENT
from gateway.stores.contents import Contents

FACTS = ("exchanges_ended", "calls", "rule_hits", "findings", "approval_changes")
DAYS = 30
_MS = DAYS * 86_400_000
_TIMED_ID = f"format('{{:012x}}', ('0x' || left({{0}}, 12))::BIGINT - $k * {_MS}) || {{0}}[13:]"
_OTHER_ID = "CASE WHEN {0} <> '' THEN $k || {0}[2:] ELSE {0} END"
_LISTED = "list_transform({0}, lambda x: $k || x[2:])"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def moved(table: str, columns: dict[str, str]) -> str:
    """What of a row is another in the copy with the number `$k`."""
    found = {name: f"{{0}} - to_days({DAYS} * $k)" for name, kind in columns.items() if kind == "TIMESTAMP"}
    timed = {"exchanges_ended": "id"}.get(table, "exchange_id")
    others = ("id", "decision_id", "session", "approval", "hash", "message", "response_message")
    found |= {name: _OTHER_ID for name in others if name in columns and not (table == "rule_hits" and name == "message")}
    found |= {name: _TIMED_ID for name in (timed,) if name in columns}
    found |= {name: _LISTED for name in ("request_messages",) if name in columns}
    return ", ".join(f"{how.replace('{0}', name)} AS {name}" for name, how in found.items())


def columns_of(con: duckdb.DuckDBPyConnection, database: str, table: str) -> dict[str, str]:
    known = "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND table_name = ? AND schema_name = ?"
    schema = "nothing" if database == "content" else "main"
    return dict(con.execute(known, [database, table, schema]).fetchall())


def multiply_facts(con: duckdb.DuckDBPyConnection, times: int) -> None:
    for table in FACTS:
        fresh = moved(table, columns_of(con, "ledger", table))
        (rows,) = con.execute(f"SELECT count(*) FROM ledger.{table}").fetchall()[0]
        for k in range(1, times):
            copied = f"SELECT * REPLACE ({fresh}) FROM ledger.{table} WHERE rowid < $rows"
            con.execute(f"INSERT INTO ledger.{table} {copied}", {"k": k, "rows": rows})
        say(f"{table} times {times}")
    for each in sums.SUMS.values():
        con.execute(f"DELETE FROM ledger.{each.table}")
        con.execute(f"INSERT INTO ledger.{each.table} BY NAME {each.select('ledger.' + each.facts)}")
    con.execute("CHECKPOINT ledger")


def multiply_content(con: duckdb.DuckDBPyConnection, folder: Path, times: int) -> None:
    """Message bodies and prompts, each copy in the files of its months."""
    files = Contents(con, folder)
    (least,) = con.execute("SELECT min(first_seen) FROM content.main.message_bodies").fetchall()[0]
    for k in range(1, times):
        for table, names in CONTENT.items():
            fresh = moved("", columns_of(con, "content", table))
            source = f"SELECT {', '.join(names)} FROM content.main.{table} WHERE first_seen >= $least"
            copied = f"SELECT * REPLACE ({fresh}) FROM ({source})"
            months = con.execute(
                f"SELECT DISTINCT strftime(first_seen - to_days({DAYS} * $k), '%Y-%m') FROM ({source})", {"k": k, "least": least}
            ).fetchall()
            for (month,) in months:
                if month not in files.months:
                    files._create(month, refilling=False)
                into = f"{files._months[month].catalogue}.{table}"
                only = f"SELECT * FROM ({copied}) WHERE strftime(first_seen, '%Y-%m') = $month"
                con.execute(f"INSERT INTO {into} ({', '.join(names)}) {only}", {"k": k, "least": least, "month": month})
        files.checkpoint()
        say(f"content times {k + 1}")


def main() -> None:
    asked = argparse.ArgumentParser(description="Make one ledger into many in one.")
    asked.add_argument("folder", type=Path)
    asked.add_argument("times", type=int, choices=range(1, 11), metavar="TIMES")
    given = asked.parse_args()
    con = duckdb.connect(":memory:", config={"memory_limit": "3GB"})
    contents.begin(con)
    con.execute(f"ATTACH '{given.folder / 'ledger.duckdb'}' AS ledger ({opening.LAYOUT})")
    con.execute("USE ledger")
    multiply_content(con, given.folder, given.times)
    multiply_facts(con, given.times)
    con.close()


if __name__ == "__main__":
    main()
