"""Books that write one lake at the same time, from processes of their own that are killed while they do."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.book import Book
from gateway.ledger_place import LakePlace
from gateway.stores.ducklake import Lake
from gateway.trace.frames import GENESIS

_WRITER = """
import sys
from pathlib import Path
from gateway.book import Book
from gateway.ledger_place import LakePlace
from gateway.stores import Pace, intake
from gateway.stores.ducklake import Lake

intake.CHUNK = 4_000
Lake.pace = Pace(0.0, 1, 1)
_, catalogue, data, node, journal = sys.argv
lake = Lake(LakePlace(catalogue, data), node)
commit = lake.apply
lake.apply = lambda batches: (found := commit(batches), print(found.records, flush=True))[0]
book = Book(Path(journal), lambda: lake)
while book.round():
    continue
lake.close()
print("done", flush=True)
"""


@pytest.fixture
def begin(lake_place: LakePlace) -> Iterator[Callable[[str, Path], subprocess.Popen[str]]]:
    """Starts a process that reads a journal into the lake, a few records at a time, and says so after each commit."""
    begun: list[subprocess.Popen[str]] = []

    def start(node: str, journal: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _WRITER, *lake_place, node, str(journal)]
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.wait()


def written(make: Any, life: Any, folder: Path) -> None:
    """A journal: one segment after another, each whole."""
    records: dict[Any, list[Any]] = {}
    for batch in life.batches(16):
        records.setdefault(batch.segment, []).extend(record for _, record in batch.records)
    for segment, told in records.items():
        make.write(folder, segment, told, GENESIS)


def kill_in_the_middle(process: subprocess.Popen[str], chance: random.Random) -> int:
    """After some commits, at any moment of the next; how many records are known to be committed."""
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(chance.randint(1, 4))]
    time.sleep(chance.random() * 0.25)
    process.kill()
    process.wait()
    return sum(int(line) for line in lines if line.strip().isdigit())


def test_two_books_that_are_killed_while_they_write_leave_everything_once(
    tmp_path: Path, lake_place: LakePlace, embedded: Any, make: Any, life: Any, begin: Any, same_everywhere: Any
) -> None:
    journals = {number: tmp_path / f"journal{number}" for number in (1, 2)}
    for number, journal in journals.items():
        written(make, life(number), journal)
    chance = random.Random(7)
    running = [begin(f"{number}" * 32, journal) for number, journal in journals.items()]
    known = sum(kill_in_the_middle(process, chance) for process in running)
    ledgers = [embedded() for _ in journals]
    total = sum(read(journal, ledger) for journal, ledger in zip(journals.values(), ledgers, strict=True))
    assert 0 < known < total
    running = [begin(f"{number}" * 32, journal) for number, journal in journals.items()]
    for process in running:
        assert process.communicate(timeout=60)[0].endswith("done\n")
    lake = Lake(lake_place, "3" * 32)
    same_everywhere(lake, ledgers, copies=False, whole=True)
    lake.close()


def read(journal: Path, ledger: Any) -> int:
    book, records = Book(journal, lambda: ledger), 0
    while found := book.round():
        records += found
    return records


