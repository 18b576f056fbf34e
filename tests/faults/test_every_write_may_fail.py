"""Every call by which the journal and its heads reach the disk fails once, one run per call: what was acknowledged is in the ledger exactly
once, what was refused is not, both together are all, and the journal proves sound.

The faults are made in this process, by standing in for the calls of `os`, because each run needs *the n-th* call to fail, which tools from
outside (libfiu) do not offer. `TOLLHOUSE_FAULTS` sets how many of the first calls are tried (default 60, one in three; 300 tries all).
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import notary as notary_module
from gateway.book import Book
from gateway.errors import JournalUnavailable
from gateway.heads_log import signing_key
from gateway.journal import Durability, Journal
from gateway.notary import Notary
from gateway.proof import prove
from gateway.storage_settings import Heads
from gateway.stores.memory import MemoryStore
from gateway.trace.policy_rows import PolicyRow
from gateway.trace.record import Booted, PolicyLoaded

FAULTS = int(os.environ.get("TOLLHOUSE_FAULTS", "60"))
RUN, BOOT = "0" * 31 + "1", "0" * 31 + "2"
AT = 1_790_000_000_000_000
RECORDS = 70
REAL = {name: getattr(os, name) for name in ("write", "fdatasync", "fsync", "open", "ftruncate")}


def failing(name: str, nth: Iterator[int], at: int, code: int) -> Callable[..., object]:
    """The `at`-th of all calls that share `nth` fails; a write writes half of it first."""

    def call(*given: object, **more: object) -> object:
        if next(nth) != at:
            return REAL[name](*given, **more)
        if name == "write":
            REAL["write"](given[0], bytes(given[1])[: len(given[1]) // 2])  # type: ignore[arg-type, call-overload]
        raise OSError(code, os.strerror(code))

    return call


async def write(folder: Path, durability: Durability, book: Book) -> tuple[list[str], int]:
    """(acknowledged, number of refused)."""
    first = lambda: Booted(RUN, 0, BOOT, AT)  # noqa: E731
    journal = Journal(folder, run=RUN, slot=0, boot=BOOT, durability=durability, first=first, max_segment_bytes=2000)
    kept, refused = [], 0
    for n in range(RECORDS):
        try:
            await journal.append(PolicyLoaded(PolicyRow(f"{n}", AT + n)))
            kept.append(f"{n}")
        except JournalUnavailable:
            refused += 1
        if n % 7 == 0:
            book.round()
    await journal.close()
    return kept, refused


@pytest.mark.parametrize("durability", ["commit", "interval"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_whichever_call_fails_the_rows_and_the_refused_are_all_there_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durability: Durability, code: int
) -> None:
    monkeypatch.setattr("gateway.book.RELIST_S", 0.0)
    monkeypatch.setattr(notary_module, "SIGN_EVERY_S", 0.0)
    monkeypatch.setattr(notary_module, "RETRY_S", 0.0)
    refusals = calls = 0
    for at in range(0, FAULTS, 1 if FAULTS >= 300 else 3):
        data = tmp_path / f"{at}"
        signing_key(data)
        notary = Notary(data, data / "journal", Heads(), lambda: AT)
        store, count = MemoryStore(), itertools.count()
        book = Book(data / "journal", lambda store=store: store, notary=notary)
        with monkeypatch.context() as patched:
            for name in REAL:
                patched.setattr(os, name, failing(name, count, at, code))
            kept, refused = asyncio.run(write(data / "journal", durability, book))
        stop = threading.Event()
        stop.set()
        book.run(stop)
        rows = [row["hash"] for row in store.tables["policy_loads"]]
        report = prove(data, signing_key(data).public_key(), None)
        assert rows == kept, at
        assert len(rows) + refused == RECORDS
        assert (report.state, report.findings) == ("sound", []), at
        refusals += refused
        calls = max(calls, next(count))
    print(f"{durability}, {errno.errorcode[code]}: up to {calls} calls in a run, {refusals} records refused in all")
    assert calls > 60, "there were too few calls to fail"
    assert refusals > 0
