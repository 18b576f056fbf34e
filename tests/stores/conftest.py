"""Builders of records, a journal folder to read them from, and a PostgreSQL of our own for the catalogue of a lake."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.exchange import Finding, RuleHit
from gateway.ledger_place import LakePlace
from gateway.stores import Batch
from gateway.trace import frames, record
from gateway.trace.record import Booted, CallRow, Decided, Ended, ExchangeRow, MessageRow, Opened, PromptRow, Record
from gateway.trace.segments import Segment

START_US = 1_790_000_000_000_000


class Make:
    """Records with as little said as possible; ids and boots are small numbers."""

    def segment(self, run: int = 1, slot: int = 0, boot: int = 1, seq: int = 0) -> Segment:
        return Segment(f"{run:032x}", slot, f"{boot:032x}", seq)

    def booted(self, segment: Segment) -> Booted:
        return Booted(segment.run, segment.slot, segment.boot, START_US, "0.1")

    def exchange(self, key: int, **more: Any) -> ExchangeRow:
        given: dict[str, Any] = {
            "id": f"{key:032x}", "started_us": START_US + key, "dialect": "openai.chat", "provider": "openai",
            "operation": "chat", "route": "/v1/chat/completions", "agent": "coder", **more,
        }  # fmt: skip
        return ExchangeRow(**given)

    def call(self, key: int, exchange: int, *, released: bool = True) -> CallRow:
        hits = (RuleHit("bank", "no-strangers", "deny", message="not a known payee", line=7),)
        return CallRow(
            f"{exchange:032x}", f"dec_{key}", START_US + key, 0, f"call_{key}", "send_money", "function", '{"amount": 1}', "ab",
            "allow" if released else "deny", released, "granted" if released else "rule", "because", "coder",
            hits=() if released else hits,
        )  # fmt: skip

    def opened(self, key: int, **more: Any) -> Opened:
        return Opened(self.exchange(key, **more), (self.message(key),))

    def decided(self, key: int, exchange: int, *, released: bool = True) -> Decided:
        return Decided(self.call(key, exchange, released=released))

    def ended(self, key: int, *, calls: Sequence[CallRow] = (), **more: Any) -> Ended:
        row = self.exchange(key, **{"state": "complete", "cost": "0.000012345", **more})
        return Ended(row, tuple(calls), (Finding("strict_json", "dup_key", "error", "$", "twice"),), (self.message(key),))

    def message(self, key: int) -> MessageRow:
        return MessageRow(f"{key:032x}", "user", f"body {key}", START_US + key)

    def prompt(self, name: str, agent: str, text: str) -> PromptRow:
        return PromptRow(name, START_US, agent, text, "[]")

    def batch(self, segment: Segment, records: Sequence[Record], start: int = 0) -> Batch:
        """As if each record took ten bytes."""
        placed = [(start + 10 * n, each) for n, each in enumerate(records)]
        return Batch(segment, placed, start + 10 * len(records), bytes(32))

    def write(self, folder: Path, segment: Segment, records: Sequence[Record], head: bytes = frames.GENESIS) -> bytes:
        """A segment file; its last hash."""
        data = b""
        for each in records:
            raw, head = frames.frame(head, record.encode(each))
            data += raw
        folder.mkdir(exist_ok=True)
        (folder / segment.name).write_bytes(data)
        return head


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    return folder


@pytest.fixture
def write(make: Make, journal: Path) -> Callable[..., bytes]:
    def written(segment: Segment, *records: Record, head: bytes = frames.GENESIS) -> bytes:
        return make.write(journal, segment, records, head)

    return written


class Postgres:
    """A server in a folder of its own, reached by a socket there, with a password; run by nobody where we are root."""

    PASSWORD = "made-up-password-of-the-catalogue"

    def __init__(self, binaries: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tollhouse-pg-"))
        self._binaries = binaries
        self._as: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, "nobody", "nogroup")
        secret = self.folder / "password"
        secret.write_text(self.PASSWORD)
        secret.chmod(0o644)
        how = ["-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "--locale=C", "--no-sync"]
        self._run("initdb", "-D", str(self._data), "-U", "fleet", *how)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c fsync=off"
        self._run("pg_ctl", "-D", str(self._data), "-l", str(self.folder / "log"), "-o", options, "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", how, "-w", "stop")

    def fresh(self) -> str:
        """How to connect to a new, empty database."""
        name = f"fleet_{random.getrandbits(48):012x}"
        self.ask(f"CREATE DATABASE {name}", "postgres")
        return f"dbname={name} host={self.folder} user=fleet"

    def ask(self, sql: str, database: str) -> str:
        where = ["-h", str(self.folder), "-U", "fleet", "-d", database]
        return self._run("psql", *where, "-qAtc", sql, env={**os.environ, "PGPASSWORD": self.PASSWORD})

    def _run(self, program: str, *arguments: str, env: dict[str, str] | None = None) -> str:
        with tempfile.TemporaryFile("w+") as out:  # a pipe would be held open by the server
            done = subprocess.run(
                [str(self._binaries / program), *arguments], cwd="/", env=env, check=False, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, **self._as,
            )  # fmt: skip
            out.seek(0)
            text = out.read().strip()
        assert done.returncode == 0, text
        return text


def _binaries() -> Path | None:
    """Debian keeps them off the path."""
    found = [shutil.which("initdb"), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True))]
    homes = [Path(path).resolve().parent for path in found if path]
    return next((home for home in homes if all((home / name).is_file() for name in ("initdb", "pg_ctl", "psql", "postgres"))), None)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    home = _binaries()
    if home is None:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql): a lake has its catalogue there")
    server = Postgres(home)
    server.start()
    before = os.environ.get("PGPASSWORD")
    os.environ["PGPASSWORD"] = Postgres.PASSWORD  # where libpq looks for it
    yield server
    os.environ.pop("PGPASSWORD")
    if before is not None:
        os.environ["PGPASSWORD"] = before
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def lake_place(postgres: Postgres, tmp_path: Path) -> LakePlace:
    """Of a lake that nobody has opened yet."""
    return LakePlace(postgres.fresh(), f"{tmp_path}/lake/")
