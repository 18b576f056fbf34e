"""What the journal costs: records a second at group commit, and how long a journal takes to be proven.

    python tests/bench/journal.py [--json] [--seconds 3] [--times 3] [--writers 128] [--records 1000000] [--data DIR]

Writers await each append before they make the next record, as requests do. The journal that is proven is written by four workers,
signed by a book's notary, and checked as `tollhouse verify` does. Everything is done `--times` times and the best counts; exit code 1 when
it misses what is wanted. CPU time is given beside, which other programs on the machine hardly lengthen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verdicts import Goal, Verdict, machine, summary, table

from gateway.clock import now_us, uuid7
from gateway.heads_log import signing_key
from gateway.journal import Durability, Journal
from gateway.notary import Notary
from gateway.proof import prove
from gateway.storage_settings import Heads
from gateway.stores import Offset
from gateway.stores.intake import segments
from gateway.trace import frames
from gateway.trace.exchange_rows import CallRow, ExchangeRow, MessageRow
from gateway.trace.record import Booted, Decided, Ended, Opened, Record

COMMITTED = Goal("records on the disk, in groups", 15_000, "per second", at_least=True)
PROVEN = Goal("proof of a million records", 10, "s")
SLOTS = 4


def exchange() -> list[Record]:
    """The three records of one streamed exchange with one call: 0.4 to 2.4 KB."""
    key, at = uuid7().hex, now_us()
    row = ExchangeRow(key, at, "openai.chat", "openai", "chat", "/v1/chat/completions", "coder", input_preview="asked " * 30)
    call = CallRow(key, "dec_" + key, at, 0, "c", "bash", "function", '{"command":"ls -la"}', "ab", "deny", False, "rule", "no", "coder")
    return [Opened(row, (MessageRow(key, "user", "said " * 300, at),)), Decided(call), Ended(row)]


def journal_in(folder: Path, slot: int, run: str, durability: Durability) -> Journal:
    boot = uuid7().hex
    return Journal(folder, run=run, slot=slot, boot=boot, durability=durability, first=lambda: Booted(run, slot, boot, now_us()))


async def rate(folder: Path, durability: Durability, writers: int, seconds: float) -> dict[str, float]:
    """Records a second, and how long one append takes."""
    journal, until, took = journal_in(folder, 0, uuid7().hex, durability), time.monotonic() + seconds, list[float]()

    async def write() -> None:
        while time.monotonic() < until:
            for each in exchange():
                began = time.perf_counter()
                await journal.append(each)
                took.append(time.perf_counter() - began)
            await asyncio.sleep(0)

    began, worked = time.monotonic(), cpu_s()
    await asyncio.gather(*(write() for _ in range(writers)))
    elapsed, work = time.monotonic() - began, cpu_s() - worked
    await journal.close()
    cuts = statistics.quantiles(took, n=100)
    return {
        "records_per_s": round(len(took) / elapsed),
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "cpu_us_per_record": round(work / len(took) * 1e6, 1),
    }


async def fill(folder: Path, count: int) -> None:
    run = uuid7().hex
    for slot in range(SLOTS):
        journal = journal_in(folder, slot, run, "interval")
        for _ in range(count // SLOTS // 30):
            await journal.append(*(each for _ in range(10) for each in exchange()))
        await journal.close()


def sign(data: Path) -> None:
    """As the book does once it has read everything."""
    notary = Notary(data, data / "journal", Heads(), now_us)
    for segment in segments(data / "journal"):
        found = frames.scan((data / "journal" / segment.name).read_bytes(), 0, None)
        notary.note(segment, Offset(found.next, found.head, len(found.payloads)), ended=True)
    notary.close()


def measured(data: Path, given: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    modes: tuple[Durability, ...] = ("commit", "interval")
    for durability in modes:
        found = [written(data / durability, durability, given) for _ in range(given.times)]
        yield durability, max(found, key=lambda each: each["records_per_s"])
    if given.records:
        asyncio.run(fill(data / "journal", given.records))
        sign(data)
        yield "verify", min((proven(data) for _ in range(given.times)), key=lambda each: each["seconds"])


def written(folder: Path, durability: Durability, given: argparse.Namespace) -> dict[str, float]:
    found = asyncio.run(rate(folder, durability, given.writers, given.seconds))
    shutil.rmtree(folder)
    return found


def proven(data: Path) -> dict[str, Any]:
    began, worked = time.monotonic(), cpu_s()
    report = prove(data, signing_key(data).public_key(), None)
    took, work = time.monotonic() - began, cpu_s() - worked
    found = {"state": report.state, "records": report.records, "bytes": report.bytes}
    return {**found, "seconds": round(took, 2), "cpu_seconds": round(work, 2)}


def cpu_s() -> float:
    """Of this process and those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def verdicts(found: dict[str, Any]) -> Iterator[Verdict]:
    committed = found["commit"]
    waits = f"half wait {committed['p50_ms']} ms at most, 99 % {committed['p99_ms']} ms"
    beside = f"{committed['cpu_us_per_record']} µs of CPU each; {waits}"
    yield Verdict(COMMITTED, committed["records_per_s"], beside)
    if verify := found.get("verify"):
        a_million = verify["seconds"] * 1_000_000 / verify["records"]
        beside = f"{verify['records']:,} records, {verify['bytes'] / 1e6:,.0f} MB, {verify['state']}, {verify['cpu_seconds']} s of CPU"
        yield Verdict(PROVEN, round(a_million, 2), beside)


def main() -> int:
    parser = argparse.ArgumentParser(description="records a second at group commit, and the time to prove a journal")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--seconds", type=float, default=3.0, help="of writing per mode")
    parser.add_argument("--times", type=int, default=3, help="each is measured; the best counts")
    parser.add_argument("--writers", type=int, default=128, help="that wait at once")
    parser.add_argument("--records", type=int, default=1_000_000, help="of the journal that is proven; 0 = none")
    parser.add_argument("--data", type=Path, help="folder on the disk that is to be measured; emptied afterwards")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.data) as folder:
        before = machine()
        found = dict(measured(Path(folder), given))
    found["machine"] = {"before": before, "after": machine()}
    judged = list(verdicts(found))
    if given.json:
        print(json.dumps(found))
    else:
        for name, figures in found.items():
            print(name, *(f"{key}={value}" for key, value in figures.items()))
        print("", table(judged), "", summary(judged), sep="\n")
    return int(not all(each.holds for each in judged))


if __name__ == "__main__":
    sys.exit(main())
