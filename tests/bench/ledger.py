"""What the ledger takes and gives: `python tests/bench/ledger.py [--exchanges N] [--turn-bytes B] [--times 10] [--keep DIR] [--json]`.

Another process writes made-up traffic into a real journal (`ledger_traffic.py`); the real book applies it here, chunk by chunk, and is
timed alone. Then every saved query is asked, warm, through the guard; the ledger is closed and opened again. `--times 10` makes ten
ledgers of one afterwards (`ledger_times.py`) and asks again. `--keep` leaves the data in a folder; where that holds a ledger already, it
is asked and nothing is written.

Each figure stands beside what is wanted of it; exit code 1 when something misses. Wall time is what people wait for, CPU time is what other
programs on the machine hardly lengthen: questions show the median of both.
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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from verdicts import Goal, Verdict, machine, summary, table

from gateway.book import Book
from gateway.stores import Applied, Batch, Refused
from gateway.stores.duckdb import Ledger
from gateway.stores.unwanted import refuse_unwanted
from gateway.trace import segments as names
from gateway.web.queries import read_all

CHUNK = 20_000
ASKED = 5
MANY = 3_000_000
"""Exchanges from which on a saved query may take longer."""
INTAKE = Goal("intake, per second of CPU", 2000, "exchanges", at_least=True)
STORED = Goal("stored, of the requests' bytes", 15, "times less", at_least=True)
MEMORY = Goal("memory while it writes, most", 1024, "MiB")
MEMORY_ASKED = Goal("memory after all questions", 1024, "MiB")
RESTART = Goal("restart", 3, "s")
ONE_TRACE, SAVED, SAVED_OF_MANY = 100, 300, 2000
"""Milliseconds for the question about one exchange, and for any other."""


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Timed(Ledger):
    """A ledger that remembers its longest transaction."""

    slowest = 0.0

    def apply(self, batches: Sequence[Batch]) -> Applied:
        began = time.monotonic()
        try:
            return super().apply(batches)
        finally:
            Timed.slowest = max(Timed.slowest, time.monotonic() - began)


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
    journal.mkdir(parents=True, exist_ok=True)
    writer = Writer(journal, exchanges, turn_bytes)
    book = Book(journal, lambda: Timed(data / "ledger.duckdb"))
    wall = cpu = 0.0
    raw = journaled = made = peak = 0
    while made < exchanges:
        count = min(CHUNK, exchanges - made)
        raw = writer.add(count)
        began, began_cpu = time.monotonic(), time.process_time()
        while book.round():
            peak = max(peak, rss())
        wall, cpu, made = wall + time.monotonic() - began, cpu + time.process_time() - began_cpu, made + count
        journaled += forget(journal)
        say(f"{made} exchanges  {made / wall:.0f}/s  {made / cpu:.0f}/s of CPU  {rss() >> 20} MiB")
    writer.end()
    journaled += sum(path.stat().st_size for path in journal.glob("*.log"))
    book.store.close()
    return {
        "made": made, "per_s": round(made / wall), "per_cpu_s": round(made / cpu), "slowest_commit_s": round(Timed.slowest, 2),
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
    return {"files_mb": files, "times_less": round(raw / 1e6 / sum(files.values()), 1)}


def restart(data: Path) -> tuple[Ledger, float]:
    began = time.monotonic()
    ledger = Ledger(data / "ledger.duckdb")
    ledger.query("SELECT 1", 1)
    return ledger, round(time.monotonic() - began, 2)


def questions(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Each saved query, warm: milliseconds that pass and that are worked, and how many rows it finds."""
    return {name: asked(ledger, query.sql, {**query.params, **some(ledger, query.params)}) for name, query in read_all().items()}


def asked(ledger: Ledger, sql: str, params: Mapping[str, str]) -> dict[str, Any]:
    times = []
    try:
        for _ in range(ASKED + 1):
            began = time.process_time()
            answer = ledger.query(sql, 1000, params)
            times.append((answer.elapsed_ms, (time.process_time() - began) * 1000))
    except Refused as refused:
        return {"ms": float("inf"), "best_ms": float("inf"), "cpu_ms": 0.0, "rows": 0, "refused": refused.code}
    walls, works = zip(*times[1:], strict=True)
    found = {"ms": statistics.median(walls), "best_ms": min(walls), "cpu_ms": statistics.median(works)}
    return {**{name: round(value, 1) for name, value in found.items()}, "rows": len(answer.rows)}


def some(ledger: Ledger, wanted: Mapping[str, str]) -> dict[str, str]:
    """Values for parameters that have no default: an exchange of many messages, and its session."""
    row = ledger.query("SELECT id, session FROM exchanges WHERE len(request_messages) > 10 ORDER BY started_at DESC LIMIT 1", 1).rows[0]
    given = {"id": str(row[0]), "session": str(row[1])}
    return {name: given[name] for name, default in wanted.items() if not default and name in given}


def standing(data: Path) -> dict[str, Any]:
    """Of the ledger that lies there: how long it takes to open, and all questions."""
    ledger, seconds = restart(data)
    (exchanges,) = ledger.query("SELECT count(*) FROM exchanges", 1).rows[0]
    say(f"{exchanges} exchanges in the ledger")
    found = {"exchanges": exchanges, "restart_s": seconds, "queries": questions(ledger), "rss_mib": rss() >> 20}
    ledger.close()
    return found


def figures(data: Path, exchanges: int, turn_bytes: int, times: int, more: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = {"machine": [machine()]}
    if not (data / "ledger.duckdb").exists():
        found["intake"] = intake(data, exchanges, turn_bytes)
    found["standing"] = [standing(data)]
    if times > 1:
        subprocess.run([sys.executable, str(Path(__file__).with_name("ledger_times.py")), str(data), str(times)], check=True)
        found["standing"].append(standing(data))
    if more:
        found["more"] = intake(data, more, turn_bytes)
    found["machine"].append(machine())
    return found


def verdicts(found: Mapping[str, Any]) -> Iterator[Verdict]:
    if written := found.get("intake"):
        beside = f"{written['per_s']} per second that passed; slowest commit {written['slowest_commit_s']} s"
        yield Verdict(INTAKE, written["per_cpu_s"], beside)
        beside = f"requests of {written['request_kb_each']} KB, {sum(written['files_mb'].values()):g} MB in files"
        yield Verdict(STORED, written["times_less"], beside)
        yield Verdict(MEMORY, written["peak_rss_mib"])
    for each in found["standing"]:
        count = f"{each['exchanges']:,} exchanges"
        yield Verdict(RESTART, each["restart_s"], count)
        yield Verdict(MEMORY_ASKED, each["rss_mib"], count)
        for name, seen in each["queries"].items():
            yield _of_question(name, seen, many=each["exchanges"] >= MANY)


def _of_question(name: str, seen: Mapping[str, Any], *, many: bool) -> Verdict:
    most = SAVED_OF_MANY if many else ONE_TRACE if name == "exchange" else SAVED
    beside = seen.get("refused") or f"{seen['cpu_ms']:g} ms of CPU, at best {seen['best_ms']:g} ms, {seen['rows']} rows"
    return Verdict(Goal(f"  {name}", most, "ms"), seen["ms"], beside)


def main() -> int:
    asked = argparse.ArgumentParser(description="Measure the ledger: intake, size, questions, restart.")
    asked.add_argument("--exchanges", type=int, default=50_000)
    asked.add_argument("--turn-bytes", type=int, default=400, help="mean of what a turn adds; 400 makes requests of 14 KB, 8000 of 160 KB")
    asked.add_argument("--times", type=int, default=1, help="make that many ledgers of one and ask again; at most 10")
    asked.add_argument("--more", type=int, default=0, help="at the end, apply so many more and time that")
    asked.add_argument("--keep", type=Path, help="keep the data here; what is here already is asked and not written")
    asked.add_argument("--json", action="store_true", help="print JSON")
    given = asked.parse_args()
    refuse_unwanted()  # as the book's process does: by way of pyarrow, which tests bring, few rows take three times as long
    data = given.keep or Path(tempfile.mkdtemp(prefix="ledger-bench-"))
    try:
        found = figures(data, given.exchanges, given.turn_bytes, given.times, given.more)
    finally:
        if given.keep is None:
            shutil.rmtree(data)
    judged = list(verdicts(found))
    print(json.dumps(found) if given.json else "\n".join([*found["machine"], "", table(judged), "", summary(judged)]))
    return int(not all(each.holds for each in judged))


if __name__ == "__main__":
    sys.exit(main())
