"""Kill -9 at random moments, of a writer, of the book, of both: every record that was acknowledged is in the ledger exactly once.

TOLLHOUSE_KILLS sets the number of kills (20). The writer appends under load from many tasks and says over a pipe what was acknowledged; the
test kills, starts anew, and at the end compares.
"""

from __future__ import annotations

import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from gateway.stores.duckdb import Ledger
from tests.patience import PATIENCE_S, until
from tests.ports import free_port

KILLS = int(os.environ.get("TOLLHOUSE_KILLS", "20"))
RUN = uuid.UUID(int=1).hex

WRITER = """
import asyncio, sys
from pathlib import Path
from gateway.clock import now_us, uuid7
from gateway.journal import Journal
from gateway.trace.record import Booted, CallRow, Decided, Ended, ExchangeRow, Opened

folder, run, slot, durability = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
boot = uuid7().hex

def row(key, state):
    return ExchangeRow(key, now_us(), "openai.chat", "openai", "chat", "/v1/chat/completions", "coder", state=state,
                       output_preview="x" * 300)

def call(key):
    return CallRow(key, "dec_" + key, now_us(), 0, "c", "bash", "function", "{}", "ab", "deny", False, "rule", "no", "coder")

def say(what, key):
    # Only after the journal acknowledged: what the test reads, the ledger must have.
    sys.stdout.buffer.write(f"{what} {key}\\n".encode())
    sys.stdout.buffer.flush()

async def exchange(journal):
    key = uuid7().hex
    await journal.append(Opened(row(key, "open")))
    say("opened", key)
    await asyncio.sleep(0.005)
    await journal.append(Decided(call(key)))
    say("decided", key)
    await journal.append(Ended(row(key, "complete")))
    say("ended", key)

async def agent(journal):
    while True:
        await exchange(journal)

async def main():
    journal = Journal(folder, run=run, slot=slot, boot=boot, durability=durability,
                      first=lambda: Booted(run, slot, boot, now_us()), max_segment_bytes=200_000)
    await asyncio.gather(*(agent(journal) for _ in range(8)))

asyncio.run(main())
"""


class Harness:
    """One writer and one book on a data folder, and everything that was ever acknowledged."""

    def __init__(self, data: Path, durability: str) -> None:
        self.data, self.durability = data, durability
        (data / "journal").mkdir(parents=True)
        self.port = str(free_port())
        self.said: dict[str, set[str]] = {"opened": set(), "decided": set(), "ended": set()}
        self._rest, self._words = b"", 0
        self.start_writer()
        self.start_book()

    def start_writer(self) -> None:
        command = [sys.executable, "-c", WRITER, str(self.data / "journal"), RUN, "0", self.durability]
        self.writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        self._rest = b""

    def start_book(self) -> None:
        command = [sys.executable, "-m", "gateway.book_process", "--data", str(self.data), "--port", self.port]
        self.book = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def listen(self, seconds: float) -> None:
        """Reads what the writer says, for that long."""
        assert self.writer.stdout is not None
        until = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self.writer.stdout, selectors.EVENT_READ)
            while (left := until - time.monotonic()) > 0:
                if selector.select(left) and not self._hear(os.read(self.writer.stdout.fileno(), 65536)):
                    return

    def hear_something(self) -> None:
        """Until this writer has acknowledged something: a loaded machine takes its time to start one."""
        before = self._words

        def heard() -> bool:
            self.listen(0.05)
            return self._words != before

        until(heard, what="a word of the writer")

    def kill_writer(self) -> None:
        self.writer.send_signal(signal.SIGKILL)
        assert self.writer.stdout is not None
        while self._hear(os.read(self.writer.stdout.fileno(), 65536)):
            continue
        self.writer.wait()
        self.writer.stdout.close()

    def kill_book(self) -> None:
        self.book.send_signal(signal.SIGKILL)
        self.book.wait()

    def finish(self) -> Ledger:
        """The writer is dead; one more boot of its slot, and a book that ends in order."""
        self.start_writer()
        self.hear_something()
        self.kill_writer()
        if self.book.poll() is not None:
            self.start_book()
        self._until_it_listens_to_signals()
        self.book.terminate()
        assert self.book.wait(PATIENCE_S) == 0
        return Ledger(self.data / "ledger.duckdb", read_only=True)

    def _until_it_listens_to_signals(self) -> None:
        until(lambda: socket.create_connection(("127.0.0.1", int(self.port)), 1), what="the book starts", despite=OSError).close()

    def _hear(self, data: bytes) -> bool:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            what, key = line.decode().split()
            self.said[what].add(key)
            self._words += 1
        return bool(data)


def ids(ledger: Ledger, table: str, column: str = "id") -> Counter[str]:
    return Counter(key for (key,) in ledger._con.cursor().execute(f"SELECT {column} FROM ledger.{table}").fetchall())


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["commit", "interval"])
def test_every_acknowledged_record_is_in_the_ledger_exactly_once(tmp_path: Path, durability: str) -> None:
    chance = random.Random(int(os.environ.get("TOLLHOUSE_SEED", "7")))
    harness = Harness(tmp_path / "data", durability)
    for _ in range(max(1, KILLS // 2)):
        if chance.random() < 0.8:  # else perhaps while it still starts
            harness.hear_something()
        harness.listen(chance.uniform(0.05, 0.9))
        victims = chance.choice(["writer", "book", "both"])
        if victims != "writer" or harness.book.poll() is not None:
            harness.kill_book()
            harness.start_book()
        if victims != "book":
            harness.kill_writer()
            harness.start_writer()
    harness.hear_something()
    harness.kill_writer()
    ledger = harness.finish()
    exchanges = ids(ledger, "exchanges")
    calls = ids(ledger, "calls", "exchange_id")
    states = dict(ledger._con.cursor().execute("SELECT id, state FROM ledger.exchanges").fetchall())
    damage = ledger.query("SELECT segment, damage FROM journal_offsets WHERE damage IS NOT NULL", 10).rows
    ledger.close()
    assert len(harness.said["ended"]) > 20 * KILLS // 2
    assert damage == []
    assert set(exchanges.values()) == {1}
    assert set(calls.values()) == {1}
    assert harness.said["opened"] <= exchanges.keys()
    assert harness.said["decided"] <= calls.keys()
    assert {states[key] for key in harness.said["ended"]} == {"complete"}
    assert set(states.values()) <= {"complete", "interrupted", "open"}
    assert sum(state == "open" for state in states.values()) <= 8
    assert sum(state == "interrupted" for state in states.values()) > 0
