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

import duckdb
import msgspec
import pytest

from gateway.ledger_place import LakePlace
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.stores.ducklake import Lake
from gateway.stores.lake_layout import pattern
from gateway.trace import frames, record
from gateway.trace.exchange_rows import AttemptRow, CallRow, ExchangeRow, HeardRow, MediaRow, MessageRow
from gateway.trace.people_rows import ApprovalRow, SessionRow
from gateway.trace.policy_rows import PolicyRow, RuleRow
from gateway.trace.prompt_rows import PromptRow, RenderedRow
from gateway.trace.record import ApprovalChanged, Booted, Decided, Ended, Opened, PolicyLoaded, Record, SessionChanged
from gateway.trace.segments import Segment
from gateway.verdict import Finding, Ran, RuleHit
from gateway.web.queries import read_all

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
        finding = Finding("strict_json", "dup_key", "error", "$", "twice")
        ran = (Ran("length", "1", policy="bank", rule="short"),)
        return Ended(row, tuple(calls), (finding,), (self.message(key),), ran=ran, attempts=(self.attempt(key),))

    def attempt(self, key: int, **more: Any) -> AttemptRow:
        said = {"ordinal": 1, "upstream": "openai", "model": "m", "region": "eu", "kind": "primary", "why": "weight"} | more
        return AttemptRow(f"{key:032x}", START_US + key, "coder", **said)

    def message(self, key: int) -> MessageRow:
        return MessageRow(f"{key:032x}", "user", f"body {key}", START_US + key)

    def rendered(self, exchange: int) -> RenderedRow:
        return RenderedRow(f"{exchange:032x}", START_US + exchange, "support", "4be1c09d", "production", '{"shop":"x"}')

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
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.duckdb")
    yield opened
    opened.close()


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

    def fresh(self, like: str = "template1") -> str:
        """How to connect to a new database: an empty one, or a copy."""
        name = f"fleet_{random.getrandbits(48):012x}"
        self.ask(f"CREATE DATABASE {name} TEMPLATE {like}", "postgres")
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


@pytest.fixture(scope="session")
def made_lake(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> LakePlace:
    """An empty lake, to be copied: making one anew takes three times as long."""
    place = LakePlace(postgres.fresh(), f"{tmp_path_factory.mktemp('made')}/lake/")
    Lake(place, "0" * 32).close()
    return place


@pytest.fixture
def lake_place(postgres: Postgres, made_lake: LakePlace, tmp_path: Path) -> LakePlace:
    """Of an empty lake of the test's own."""
    data = f"{tmp_path}/lake/"
    shutil.copytree(made_lake.data, data)
    catalogue = postgres.fresh(_database(made_lake))
    place = LakePlace(catalogue, data)
    moved = f"UPDATE tollhouse.ducklake_metadata SET value = '{data}' WHERE key = 'data_path' RETURNING value"
    assert postgres.ask(moved, _database(place)) == data
    return place


def _database(place: LakePlace) -> str:
    return place.catalogue.split()[0].partition("=")[2]


class Life:
    """What happens on one machine: batches as a book would read them, from a seed."""

    def __init__(self, make: Any, number: int) -> None:
        self._make, self._random, self._number = make, random.Random(number), number
        self._at: dict[Any, int] = {}
        self._exchanges = number * 1000
        self._open: dict[Any, list[int]] = {}

    def batches(self, count: int) -> Iterator[Batch]:
        """Boots follow each other; now and then there is something late of one that is over."""
        for step in range(count):
            run, boot = self._number * 10 + 2 * step // count, 1 + 4 * step // count % 2
            segment = self._make.segment(run, self._random.randint(0, 1), boot)
            late = self._at and self._random.random() < 0.2
            yield self.batch(self._random.choice(list(self._at)) if late else segment)

    def batch(self, segment: Segment) -> Batch:
        records: list[Record] = [] if segment in self._at else [self._make.booted(segment)]
        for _ in range(self._random.randint(1, 8)):
            records += self._happening(self._open.setdefault(segment, []))
        batch = self._make.batch(segment, records, self._at.get(segment, 0))
        self._at[segment] = batch.next
        return batch

    def _happening(self, still_open: list[int]) -> list[Record]:
        if still_open and self._random.random() < 0.5:
            return [self._ended(still_open.pop())]
        if self._random.random() < 0.2:
            return [self._random.choice([self._policy, self._approval, self._session])()]
        self._exchanges += 1
        still_open.append(self._exchanges)
        opened = self._make.opened(self._exchanges, **self._said(self._exchanges))
        return [opened, self._make.decided(self._exchanges, self._exchanges, released=bool(self._exchanges % 3))]

    def _said(self, key: int) -> dict[str, Any]:
        return {
            "session": f"s{key % 4}", "agent": f"agent{key % 3}", "request_model": "gpt-x", "prompt_hash": f"prompt{key % 2}",
            "request_messages": (f"{key:032x}",), "unevaluated": ("answer:x",) if key % 5 == 0 else (), "stream": bool(key % 2),
        }  # fmt: skip

    def _ended(self, key: int) -> Record:
        more = {**self._said(key), "input_tokens": key, "state": "complete" if key % 4 else "upstream_error", "duration_us": key * 7}
        ended = self._make.ended(key, calls=[self._make.call(key + 500, key, released=False)] if key % 7 == 0 else (), **more)
        media = (MediaRow("image", "image/png", "ab", 12),) if key % 6 == 0 else ()
        message = msgspec.structs.replace(self._make.message(key % 20), media=media)
        heard = HeardRow(f"{key:032x}", 1_790_000_000_000_000, "request", "messages[0]", "bank", "mask", "redact", "enforce", line=3)
        tools = '[{"name": "send_money"}, {"name": "look"}]'
        prompt = msgspec.structs.replace(self._make.prompt(f"prompt{key % 2}", f"agent{key % 3}", "be good"), tools=tools)
        return msgspec.structs.replace(ended, messages=(*ended.messages, message), heard=(heard,) if key % 3 == 0 else (), prompt=prompt)

    def _policy(self) -> Record:
        rules = (RuleRow("bank", "no-strangers", "guard", "deny", "enforce", ("send_money",), "send_money", False, "bank.yaml", 7),)
        version = self._random.randint(1, 2)
        return PolicyLoaded(PolicyRow(f"v{version}", 1_790_000_000_000_000 + version, "git", (("bank.yaml", "policy: 1"),), rules))

    def _approval(self) -> Record:
        change = self._random.randint(0, 9)
        asked = 1_790_000_000_000_000
        return ApprovalChanged(ApprovalRow(f"apr_{self._number}", change, "pending", asked, asked + 1, "agent1", reason=f"{change}"))

    def _session(self) -> Record:
        change = self._random.randint(0, 9)
        return SessionChanged(SessionRow(f"s{self._number}", "agent1", change, "stopped", 1_790_000_000_000_000))


@pytest.fixture
def life(make: Make) -> Callable[[int], Life]:
    return lambda number: Life(make, number)


def together(ledgers: Sequence[Ledger]) -> duckdb.DuckDBPyConnection:
    """The tables of several ledgers in one, under the same views."""
    con = duckdb.connect(":memory:")
    found = pattern(con)
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    for ledger in ledgers:
        for table in found.shape.tables.keys() - {"schema_migrations", "schema_views", "content_months", "wear"}:
            rows = ledger._con.cursor().execute(f"FROM {found.shape.place(table)}").to_arrow_table()
            place = found.shape.place(table).replace("content.main", "content.nothing")
            con.register("rows", rows)
            con.execute(f"INSERT INTO {place} SELECT * FROM rows")
            con.unregister("rows")
    con.execute("USE ledger")
    return con


_SOME = (
    "exchanges", "open_exchanges", "calls", "rule_hits", "messages", "message_copies", "cost_daily", "coverage", "tools_seen",
    "journal_offsets",
)  # fmt: skip
"""Those that show each way in which rows come into a lake."""
_GIVEN = {"id": f"{1001:032x}", "session": "s1", "days": "3650", "calls": "2"}
"""What makes the saved queries find something."""


def asked(con: duckdb.DuckDBPyConnection, sql: str, params: dict[str, str] | None = None) -> list[str]:
    return sorted(map(str, con.execute(sql, params or {}).fetchall()))


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Callable[[], Ledger]]:
    opened: list[Ledger] = []

    def another() -> Ledger:
        opened.append(Ledger(tmp_path / f"machine{len(opened)}" / "ledger.duckdb"))
        return opened[-1]

    for number in range(3):
        (tmp_path / f"machine{number}").mkdir()
    yield another
    for ledger in opened:
        ledger.close()


def same_everywhere(lake: Lake, ledgers: Sequence[Ledger], *, copies: bool = True, whole: bool = False) -> None:
    reference = together(ledgers)
    con = lake._session.con.cursor()
    con.execute("USE ledger")
    for view in lake.views() if whole else _SOME:
        once = "DISTINCT" if view == "message_copies" and not copies else ""
        assert asked(con, f"SELECT {once} * FROM {view}") == asked(reference, f"SELECT {once} * FROM {view}"), view
    for name, query in read_all().items() if whole else ():
        given = {each: _GIVEN.get(each, value) for each, value in query.params.items()}
        assert asked(con, query.sql, given) == asked(reference, query.sql, given), name
    reference.close()


@pytest.fixture(name="same_everywhere")
def _same_everywhere() -> Callable[..., None]:
    """Views of the lake (`whole`: all, and every saved query) answer as those of the ledgers taken together do. After a restart a
    body may be stored again, and one that another book stored is not: `copies=False`."""
    return same_everywhere
