"""What a lake takes: `python tests/bench/fleet.py --catalogue "dbname=bench host=…" [--exchanges N] [--writers 1 2] [--data PLACE]`.

For each number of writers: made-up traffic (`ledger_traffic.py`) is written into a journal for each, then that many books, each a process
of its own, bring theirs into one lake at the same time as fast as they can. Needs a PostgreSQL database that is empty or was used for this
before with the same `--data` (a folder, or s3://bucket/prefix; without it a new folder). Nothing here fails: figures are for people.
"""

from __future__ import annotations

import argparse
import json
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway.book import Book
from gateway.ledger_place import LakePlace, lake_place
from gateway.stores import Applied
from gateway.stores.ducklake import Lake

TRAFFIC = Path(__file__).with_name("ledger_traffic.py")
FACTS = ("exchanges_opened", "exchanges_ended", "calls", "rule_hits", "findings", "message_bodies", "prompt_bodies", "exchange_sums")


def journal(folder: Path, exchanges: int, turn_bytes: int) -> Path:
    folder.mkdir(parents=True)
    told = ["--total", str(exchanges), "--turn-bytes", str(turn_bytes), "--now-us", str(time.time_ns() // 1000)]
    command = [sys.executable, str(TRAFFIC), str(folder), *told]
    subprocess.run(command, input=f"{exchanges}\n", text=True, check=True, stdout=subprocess.DEVNULL)
    return folder


class Timed(Lake):
    """Tells how long each commit took."""

    took: list[float]

    def apply(self, batches: Any) -> Applied:
        began = time.monotonic()
        applied = super().apply(batches)
        self.took.append(time.monotonic() - began)
        return applied


def write(place: LakePlace, node: str, folder: Path) -> None:
    """One writer; its figures as JSON on standard output."""
    lake = Timed(place, node)
    lake.took = []
    book = Book(folder, lambda: lake)
    print("ready", flush=True)
    sys.stdin.readline()
    began, cpu = time.monotonic(), time.process_time()
    while book.round():
        continue
    used = resource.getrusage(resource.RUSAGE_SELF)
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    print(json.dumps({"records": book.records, "wall": wall, "cpu": cpu, "took": lake.took, "rss": used.ru_maxrss}), flush=True)
    lake.close()


def rows(place: LakePlace) -> int:
    lake = Lake(place, secrets.token_hex(16))
    try:
        names = [row["n"] for row in lake.fetch(" UNION ALL ".join(f"SELECT count(*) AS n FROM lake.{each}" for each in FACTS), {})]
        return int(sum(names))
    finally:
        lake.close()


def at_once(ledger: str, folders: list[Path]) -> dict[str, Any]:
    """As many writers as there are journals, begun together."""
    place = lake_place(ledger)
    assert place is not None, "a lake is measured here"
    before = rows(place)
    command = [sys.executable, __file__, "--write", ledger, "--node"]
    started = [
        subprocess.Popen([*command, secrets.token_hex(16), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for folder in folders
    ]
    for each in started:
        assert each.stdout is not None
        each.stdout.readline()
    began = time.monotonic()
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    told = [json.loads(each.communicate()[0].splitlines()[-1]) for each in started]
    wall = time.monotonic() - began
    took = sorted(second for each in told for second in each["took"])
    written = rows(place) - before
    return {
        "writers": len(folders), "records": sum(each["records"] for each in told), "rows": written, "seconds": round(wall, 1),
        "rows_per_s": round(written / wall), "rows_per_cpu_s": round(written / sum(each["cpu"] for each in told)),
        "records_per_s": round(sum(each["records"] for each in told) / wall), "commits": len(took),
        "commit_ms_p50": round(statistics.median(took) * 1000), "commit_ms_worst": round(took[-1] * 1000),
        "peak_rss_mib": max(each["rss"] for each in told) >> 10,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--catalogue", help="how to connect to PostgreSQL: dbname=… host=… (the password in PGPASSWORD)")
    parser.add_argument("--data", help="where the lake's files go; none = a new folder, deleted afterwards")
    parser.add_argument("--exchanges", type=int, default=20_000, help="for each writer")
    parser.add_argument("--turn-bytes", type=int, default=700)
    parser.add_argument("--writers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--node", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        place = lake_place(given.write)
        assert place is not None
        write(place, given.node[0], Path(given.node[1]))
        return
    if not given.catalogue:
        parser.error("name an empty database with --catalogue 'dbname=… host=…'")
    with tempfile.TemporaryDirectory(prefix="tollhouse-fleet-") as folder:
        ledger = f"ducklake:postgres:{given.catalogue};data={given.data or folder + '/lake'}"
        for count in given.writers:
            made = [journal(Path(folder) / f"{count}-{number}", given.exchanges, given.turn_bytes) for number in range(count)]
            print(json.dumps(at_once(ledger, made)), flush=True)


if __name__ == "__main__":
    main()
