"""The power goes at any moment: what was not synced is gone, a file whose folder was not synced is gone, and of what was written since the
last sync any part may be there. From every such disk the ledger has each record acknowledged in `commit` mode, and the journal is never
called broken.

Simulated: the calls by which bytes become durable are watched, and around each sync the disk is put together as it would be found.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gateway import notary as notary_module
from gateway.book import Book
from gateway.heads_log import signing_key
from gateway.journal import Durability, Journal
from gateway.notary import Notary
from gateway.proof import prove
from gateway.storage_settings import Heads
from gateway.stores.memory import MemoryStore
from gateway.trace import frames
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Booted, PolicyLoaded

RUN, BOOT = "0" * 31 + "1", "0" * 31 + "2"
AT = 1_790_000_000_000_000


class Moment(NamedTuple):
    """What is on the disk around one sync."""

    files: dict[str, tuple[int, int]]
    """Path within the data folder → (bytes synced, bytes written)."""
    acknowledged: frozenset[str]


class Disk:
    """Watches `os` while a journal, a book and its notary are at work."""

    def __init__(self, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data, self.acknowledged = data, set[str]()
        self.moments: list[Moment] = []
        self._synced: dict[str, int] = {}
        self._listed: set[str] = {"heads.log"}
        self._lock = threading.RLock()
        self._real = {"fdatasync": os.fdatasync, "fsync": os.fsync}
        for name in self._real:
            monkeypatch.setattr(os, name, lambda fd, name=name: self._sync(name, fd))

    def _sync(self, name: str, fd: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        with self._lock:
            self._look()
            size = os.fstat(fd).st_size
            self._real[name](fd)
            if path.is_dir():
                self._listed |= {f"{path.relative_to(self.data)}/{each}" for each in os.listdir(path)}
            elif path.is_relative_to(self.data):
                key = str(path.relative_to(self.data))
                self._synced[key] = max(size, self._synced.get(key, 0))
            self._look()

    def _look(self) -> None:
        paths = [*(self.data / "journal").glob("*.log"), self.data / "heads.log"]
        sizes = {str(path.relative_to(self.data)): path.stat().st_size for path in paths if path.exists()}
        files = {name: (self._synced.get(name, 0), size) for name, size in sizes.items() if name in self._listed}
        self.moments.append(Moment(files, frozenset(self.acknowledged)))

    def found(self, moment: Moment, choose: random.Random, folder: Path) -> Path:
        """A data folder as it is found when the power is back."""
        (folder / "journal").mkdir(parents=True)
        (folder / "signing.key").write_bytes((self.data / "signing.key").read_bytes())
        (folder / "signing.key").chmod(0o600)
        for name, (synced, written) in moment.files.items():
            kept = choose.choice([synced, written, choose.randint(synced, written)])
            lost = written - kept  # a length may become durable before the bytes do
            tail = bytes(lost if lost >= frames.ZEROS and choose.random() < 0.3 else 0)
            (folder / name).write_bytes((self.data / name).read_bytes()[:kept] + tail)
        return folder


async def work(data: Path, durability: Durability, disk: Disk, book: Book) -> None:
    first = lambda: Booted(RUN, 0, BOOT, AT)  # noqa: E731
    journal = Journal(data / "journal", run=RUN, slot=0, boot=BOOT, durability=durability, first=first, max_segment_bytes=3000)

    async def write(writer: int) -> None:
        for n in range(12):
            name = f"{writer}.{n}"
            await journal.append(PolicyLoaded(PolicyRow(name, AT + n)))
            disk.acknowledged.add(name)

    for round_number in range(3):
        await asyncio.gather(*(write(10 * round_number + writer) for writer in range(4)))
        await asyncio.to_thread(book.round)
    await journal.close()


def rows_of(data: Path) -> Iterator[str]:
    """What a book finds, with nothing but the disk."""
    store, stop = MemoryStore(), threading.Event()
    stop.set()
    Book(data / "journal", lambda: store).run(stop)
    assert all(at.damage is None for at in store.offsets().values())
    return (row["hash"] for row in store.tables["policy_loads"])


@pytest.mark.parametrize("durability", ["commit", "interval"])
def test_from_every_moment_all_that_was_acknowledged_is_there_and_the_journal_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability
) -> None:
    monkeypatch.setattr("gateway.book.RELIST_S", 0.0)
    monkeypatch.setattr("gateway.journal.SYNC_EVERY_S", 0.005)
    monkeypatch.setattr(notary_module, "SIGN_EVERY_S", 0.0)
    data, choose = tmp_path / "data", random.Random(7)
    signing_key(data)
    with monkeypatch.context() as patched:
        disk = Disk(data, patched)
        notary = Notary(data, data / "journal", Heads(), lambda: AT)
        book = Book(data / "journal", MemoryStore, notary=notary)
        asyncio.run(work(data, durability, disk, book))
        notary.close()
    assert len(disk.moments) > 30
    states = set()
    for number, moment in enumerate(disk.moments):
        found = disk.found(moment, choose, tmp_path / f"{number}")
        rows = list(rows_of(found))
        assert len(rows) == len(set(rows))
        if durability == "commit":
            assert moment.acknowledged <= set(rows), number
        report = prove(found, signing_key(found).public_key(), None)
        assert report.findings == [], number
        states.add(report.state)
    print(f"{durability}: {len(disk.moments)} moments, {len(disk.acknowledged)} records acknowledged")
    assert states == {"sound", "unknown"}
