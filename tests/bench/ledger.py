"""What the ledger takes and gives: `python tests/bench/ledger.py [--exchanges N] [--turn-bytes B] [--times 10] [--json]`.

Another process writes made-up traffic into a real journal (`ledger_traffic.py`); the real book applies it here, chunk by chunk, and is
timed alone. Then every saved query is asked, warm, through the guard; the ledger is closed and opened again. `--times 10` multiplies the
facts (not the bodies) by SQL afterwards and asks again: ten million exchanges through the intake would take the better part of two hours.
Nothing here fails: figures are for people.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.book import Book
from gateway.stores import Refused, opening, sums
from gateway.stores.duckdb import Ledger
from gateway.trace import segments as names
from gateway.web.queries import read_all

CHUNK = 20_000
ASKED = 5
MULTIPLIED = ("exchanges_ended", "calls", "rule_hits", "findings")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Writer:
    """The other process."""

    def __init__(self, folder: Path, total: int, turn_bytes: int) -> None:
        now_us = time.time_ns() // 1000
        command = [sys.executable, str(Path(__file__).with_name("ledger_traffic.py")), str(folder), "--total", str(total)]
        command += ["--turn-bytes", str(turn_bytes), "--now-us", str(now_us)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def add(self, count: int) -> int:
        """Bytes of all requests so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline().split()[1])

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def rss() -> int:
    """Now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def intake(data: Path, exchanges: int, turn_bytes: int) -> dict[str, Any]:
    """Applies that many, forgetting segments that are done with so that the disk holds."""
    journal = data / "journal"
    journal.mkdir(parents=True)
    writer = Writer(journal, exchanges, turn_bytes)
    book = Book(journal, lambda: Ledger(data / "ledger.duckdb"))
    wall = cpu = 0.0
    raw = journaled = made = peak = 0
    slowest = 0.0
    while made < exchanges:
        count = min(CHUNK, exchanges - made)
        raw = writer.add(count)
        began, began_cpu = time.monotonic(), time.process_time()
        while True:
            round_began = time.monotonic()
            if not book.round():
                break
            slowest = max(slowest, time.monotonic() - round_began)
            peak = max(peak, rss())
        wall, cpu, made = wall + time.monotonic() - began, cpu + time.process_time() - began_cpu, made + count
        journaled += forget(journal)
        say(f"{made} exchanges  {made / wall:.0f}/s  {made / cpu:.0f}/s of CPU  {rss() >> 20} MiB")
    writer.end()
    journaled += sum(path.stat().st_size for path in journal.glob("*.log"))
    book.store.close()
    return {
        "exchanges": made, "per_s": round(made / wall), "per_cpu_s": round(made / cpu), "slowest_round_s": round(slowest, 2),
        "journal_kb_each": round(journaled / made / 1000, 2), "request_kb_each": round(raw / made / 1000, 2),
        "peak_rss_mib": peak >> 20, **sizes(data, raw),
    }  # fmt: skip


def forget(journal: Path) -> int:
    """Deletes all segments but the last; their bytes."""
    done = sorted(each for each in map(names.parse, (path.name for path in journal.iterdir())) if each)[:-1]
    size = 0
    for each in done:
        size += (journal / each.name).stat().st_size
        (journal / each.name).unlink()
    return size


def sizes(data: Path, raw: int) -> dict[str, Any]:
    files = {path.name: round(path.stat().st_size / 1e6, 1) for path in sorted(data.glob("*.duckdb*"))}
    return {"files_mb": files, "stored_bytes_per_raw_bytes": f"1/{raw / 1e6 / sum(files.values()):.1f}"}


def restart(data: Path) -> tuple[Ledger, float]:
    began = time.monotonic()
    ledger = Ledger(data / "ledger.duckdb")
    ledger.query("SELECT 1", 1)
    return ledger, round(time.monotonic() - began, 2)


def questions(ledger: Ledger) -> dict[str, Any]:
    """Each saved query's milliseconds, warm."""
    found: dict[str, Any] = {}
    say(f"{ledger.query('SELECT count(*) FROM exchanges', 1).rows[0][0]} exchanges in the ledger")
    for query in read_all().values():
        params = {**query.params, **some(ledger, query.params)}
        try:
            times = [ledger.query(query.sql, 1000, params).elapsed_ms for _ in range(ASKED + 1)][1:]
            found[query.name] = round(statistics.median(times), 1)
        except Refused as refused:
            found[query.name] = refused.code
        say(f"{query.name:<28} {found[query.name]}")
    return found


def some(ledger: Ledger, wanted: Mapping[str, str]) -> dict[str, str]:
    """Values for parameters that have no default: an exchange of many messages, and its session."""
    row = ledger.query("SELECT id, session FROM exchanges WHERE len(request_messages) > 10 ORDER BY started_at DESC LIMIT 1", 1).rows[0]
    given = {"id": str(row[0]), "session": str(row[1])}
    return {name: given[name] for name, default in wanted.items() if not default and name in given}


def multiply(data: Path, times: int) -> None:
    """As many ledgers' facts in one, each thirty days before the other."""
    import duckdb

    con = duckdb.connect(":memory:", config={"memory_limit": "4GB"})
    con.execute(f"ATTACH '{data / 'ledger.duckdb'}' AS ledger ({opening.LAYOUT})")
    con.execute("USE ledger")
    for table in MULTIPLIED:
        known = f"SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'ledger' AND table_name = '{table}'"
        columns = dict(con.execute(known).fetchall())
        moved = [f"{name} - to_days(30 * $k) AS {name}" for name, kind in columns.items() if kind == "TIMESTAMP"]
        told = [f"$k || {name}[2:] AS {name}" for name in ("id", "exchange_id", "decision_id", "session") if name in columns]
        (rows,) = con.execute(f"SELECT count(*) FROM {table}").fetchone()
        fresh = ", ".join(moved + told)
        for k in range(1, times):
            con.execute(f"INSERT INTO {table} SELECT * REPLACE ({fresh}) FROM {table} WHERE rowid < $rows", {"k": k, "rows": rows})
            say(f"{table} times {k + 1}")
    sums.fill(con)
    con.execute("CHECKPOINT ledger")
    con.close()


def figures(data: Path, exchanges: int, turn_bytes: int, times: int) -> dict[str, Any]:
    found: dict[str, Any] = intake(data, exchanges, turn_bytes)
    ledger, found["restart_s"] = restart(data)
    found["queries_ms"] = questions(ledger)
    found["rss_after_queries_mib"] = rss() >> 20
    ledger.close()
    if times > 1:
        multiply(data, times)
        ledger, found["restart_multiplied_s"] = restart(data)
        found["queries_multiplied_ms"] = questions(ledger)
        found["rss_multiplied_mib"] = rss() >> 20
        ledger.close()
    return found


def main() -> None:
    asked = argparse.ArgumentParser(description="Measure the ledger: intake, size, queries, restart.")
    asked.add_argument("--exchanges", type=int, default=50_000)
    asked.add_argument("--turn-bytes", type=int, default=400, help="mean of what a turn adds; 400 makes requests of 10 KB, 8000 of 160 KB")
    asked.add_argument("--times", type=int, default=1, help="multiply the facts by SQL and ask again")
    asked.add_argument("--data", type=Path, help="keep the data here")
    asked.add_argument("--json", action="store_true", help="print JSON")
    given = asked.parse_args()
    data = given.data or Path(tempfile.mkdtemp(prefix="ledger-bench-"))
    try:
        found = figures(data, given.exchanges, given.turn_bytes, given.times)
    finally:
        if given.data is None:
            shutil.rmtree(data)
    print(json.dumps(found) if given.json else "\n".join(f"{name:<28} {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
