"""A whole data plane in this process: real sockets, a real journal, a provider that sends exactly the bytes a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import json
import os
import pkgutil
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import httpx
import hypothesis
import pytest
import uvicorn

from gateway.app import DataPlane
from gateway.assembling import assemble
from gateway.clock import Clock, uuid7
from gateway.config import Settings
from gateway.front import front
from gateway.installation import load_prompts, provider_secrets
from gateway.journal import Journal
from gateway.policy import EMPTY, load
from gateway.recent import Recent
from gateway.trace import frames, record
from gateway.trace.record import Booted
from gateway.trace.redact import Redactor
from gateway.upstream.client import UpstreamClient
from tests.patience import PATIENCE_S, until
from tests.ports import free_port

if "TOLLHOUSE_EXAMPLES" not in os.environ:  # the same examples each time; whoever asks for a number of them gets new ones
    hypothesis.settings.register_profile("steady", derandomize=True, deadline=None)  # a busy machine is no failure
    hypothesis.settings.load_profile("steady")

AUTHORITY = str(Path(__file__).with_name("authority.pem"))
"""The one authority that tests and what they start trust. Each client of httpx reads those of the machine anew, over a hundred, which takes
it 25 ms of CPU, and here nearly all is said without TLS."""
certifi.where = lambda: AUTHORITY
os.environ["SSL_CERT_FILE"] = AUTHORITY

OWN_TESTS = (
    "dialects", "policy", "prompt", "screening", "trace", "validators",
    "test_cost.py", "test_errors.py", "test_holdback.py", "test_identify.py", "test_judge.py", "test_reckoning.py",
    "test_shell.py", "test_strict_json.py",
)  # fmt: skip
"""Those of the pure modules, which alone have to reach every branch of them."""


CACHED = type(functools.cache(len))

LONG_FILES = (
    "clients/test_frameworks.py", "clients/test_current_sdks.py", "faults/test_power_loss.py",
    "adversarial/test_no_call_slips_through.py", "bench/test_harness.py", "stores/test_lake_writers.py",
    "faults/test_the_gateway_survives_kill.py", "faults/test_every_write_may_fail.py", "policy/test_against_the_reference.py",
    "processes/test_limits_over_workers.py", "processes/test_prompts.py", "processes/test_budgets.py", "stores/test_duckdb.py",
    "stores/test_ducklake.py", "stores/test_lake_upkeep.py", "faults/test_journal_and_book_survive_kill.py", "processes/test_export.py",
    "processes/test_starting.py",
)  # fmt: skip
"""Files of few tests that take long: they are begun first, lest one of them keep a core busy when all else is done."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rest stays as it is, file by file."""
    places = {name: at for at, name in enumerate(LONG_FILES)}
    here = Path(__file__).parent
    items.sort(key=lambda item: places.get(item.path.relative_to(here).as_posix(), len(places)))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Three for two cores: a third of the time a test waits for a sync, a process or a deadline."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores + (cores + 1) // 2


class OwnCoverage:
    """Has the branches of the pure modules measured, and only while their own tests run: what others reach there counts for nothing, and
    costs nothing."""

    def __init__(self, measuring: Any) -> None:
        self._measuring, self._on = measuring, True
        for name in measuring.get_option("run:source_pkgs"):  # here, lest another test be the first to import it
            module = importlib.import_module(name)
            for found in pkgutil.walk_packages(getattr(module, "__path__", ()), f"{name}."):
                importlib.import_module(found.name)

    def pytest_sessionfinish(self) -> None:
        """Here, and not when the interpreter ends: a thread that a test left behind may keep it from that."""
        self._measuring.stop()
        self._measuring.save()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        own = item.path.relative_to(Path(__file__).parent).parts[0] in OWN_TESTS
        if own != self._on:
            (self._measuring.start if own else self._measuring.stop)()
            self._on = own
            if own:
                _forget()
        return (yield)


def _forget() -> None:
    """What modules remember, lest what another test asked for first be counted as never run."""
    for module in [each for name, each in sys.modules.items() if name.startswith("gateway.")]:
        for value in list(vars(module).values()):
            if isinstance(value, Recent):
                value.forget()
            elif isinstance(value, CACHED):
                value.cache_clear()


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """`COVERAGE_PROCESS_START` in the environment (`.ci/run` puts it there) has this process measured, not those that tests start."""
    if os.environ.pop("COVERAGE_PROCESS_START", None):
        session.config.pluginmanager.register(OwnCoverage(sys.modules["coverage"].Coverage.current()))


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], object]
PROVIDER_KEY = "sk-canary-provider-key-1234"


class Provider:
    """A provider made of a plain socket server: it answers what `answer` says and remembers what it was sent."""

    def __init__(self) -> None:
        self.received: list[tuple[bytes, bytes]] = []
        """(head, body) of every request."""
        self.closed = 0
        """Connections that the gateway closed before the answer ended."""
        self.answer: Answer = self.json({"id": "x"})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        ).result(PATIENCE_S)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
                length = int(lengths[0]) if lengths else 0
                body = await reader.readexactly(length)
                self.received.append((head, body))
                try:
                    await self.answer(reader, writer, body)
                except ConnectionError:  # who leaves with something unread resets the connection
                    self.closed += 1
                    break
                if writer.is_closing():
                    break
        writer.close()

    def heard_all(self) -> None:
        """Waits until whatever was sent to it by now stands in `received`."""

        async def rounds() -> None:
            for _ in range(4):
                await asyncio.sleep(0.001)

        asyncio.run_coroutine_threadsafe(rounds(), self._loop).result(PATIENCE_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)

    @staticmethod
    def json(body: object, status: str = "200 OK", headers: str = "") -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Provider.raw(data, status, headers, "application/json")

    @staticmethod
    def raw(data: bytes, status: str = "200 OK", headers: str = "", media: str = "application/json") -> Answer:
        async def answer(reader, writer, body):
            writer.write(
                f"HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {len(data)}\r\n{headers}\r\n".encode()
                + data
            )
            await writer.drain()

        return answer

    @staticmethod
    def sent(wire: bytes) -> Answer:
        """These very bytes, head and all."""

        async def answer(reader, writer, body):
            writer.write(wire)
            await writer.drain()

        return answer

    @staticmethod
    def cut(wire: bytes, at: int, how: str) -> Answer:
        """Sends so many bytes, then ends: `reset` as a crash does, `end` as a clean one."""

        async def answer(reader, writer, body):
            writer.write(wire[:at])
            await writer.drain()
            await asyncio.sleep(0.01)  # a reset throws away what the kernel has not delivered yet
            if how == "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()

        return answer

    @staticmethod
    def silent_after(wire: bytes, at: int) -> Answer:
        """Sends so many bytes and waits for the other side to leave."""

        async def answer(reader, writer, body):
            writer.write(wire[:at])
            await writer.drain()
            await reader.read()
            writer.close()

        return answer

    def silent(self) -> Answer:
        """Says nothing and waits for the other side to leave."""

        async def answer(reader, writer, body):
            await reader.read()
            self.closed += 1
            writer.close()

        return answer

    def sse(self, *pieces: bytes, gap: float = 0.0, end: bool = True, hang: bool = False) -> Answer:
        """Chunks of an event stream; `end=False` breaks the connection after them, `hang=True` waits for the other side to leave."""

        async def answer(reader, writer, body):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            for piece in pieces:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
                if gap:
                    await asyncio.sleep(gap)
            if hang:
                await reader.read()
                self.closed += 1
                writer.close()
            elif end:
                writer.write(b"0\r\n\r\n")
                await writer.drain()
            else:
                writer.close()

        return answer


class PromptServer(uvicorn.Server):
    """uvicorn, which stops within milliseconds; its own looks every tenth of a second whether it has to, and whether it has."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaving = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaving.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leaving.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in [*self.servers, *(sockets or ())]:
            listening.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        deadline = time.monotonic() + self.config.timeout_graceful_shutdown
        while (self.server_state.connections or self.server_state.tasks) and time.monotonic() < deadline:
            await asyncio.sleep(0.002)
        for task in self.server_state.tasks:
            task.cancel()


class Running:
    """A data plane that serves; `records()` are what its journal holds, in order."""

    def __init__(self, settings: Settings, policies: dict[str, bytes] | None, clock: Clock | None = None) -> None:
        self.settings = settings
        self.clock = clock or Clock()
        self._policies = load(policies) if policies is not None else EMPTY
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._started.wait(PATIENCE_S)

    async def _serve(self) -> None:
        clock = self.clock
        run, boot = uuid7().hex, uuid7().hex
        redactor = Redactor(provider_secrets(self.settings))
        journal = Journal(
            self.settings.data_path / "journal",
            run=run,
            slot=0,
            boot=boot,
            durability="commit",
            first=lambda: Booted(run=run, slot=0, boot=boot, at_us=clock.now_us()),
            clean=redactor.data,
        )
        self.journal = journal
        upstream = UpstreamClient(self.settings.timeouts)
        self.plane = DataPlane(
            assemble(self.settings, self._policies, journal, upstream, clock, prompts=load_prompts(self.settings), redactor=redactor)
        )
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        config = uvicorn.Config(
            self.plane,
            http=front(self.settings.limits, self.settings.timeouts, self.plane.turned_away),
            ws="none",
            lifespan="off",
            log_config=None,
            timeout_graceful_shutdown=1,
        )
        self.server = PromptServer(config)
        self.loop = asyncio.get_running_loop()
        self._check_started()
        await self.server.serve(sockets=[sock])
        await self.plane.judging.close()
        await self.plane.gateway.mirrors.close()
        await upstream.close()
        await self.plane.turned_away.close()
        await journal.close()

    def _check_started(self) -> None:
        if self.server.started:
            self._started.set()
        else:
            self.loop.call_later(0.002, self._check_started)

    def stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it has stopped before
            self.loop.call_soon_threadsafe(self.server.leave)
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it does not stop"

    def records(self) -> list[record.Record]:
        found = []
        for path in sorted(Path(self.settings.data_path, "journal").glob("*.log")):
            scan = until(lambda path=path: self._scanned(path), what=f"{path} is whole")
            assert scan.damage is None
            found += [record.decode(payload) for _, payload in scan.payloads]
        return found

    @staticmethod
    def _scanned(path: Path) -> frames.Scan | None:
        """Nothing where it was read while it was written."""
        scan = frames.scan(path.read_bytes(), 0, None)
        return None if scan.damage == "torn" else scan

    def ended(self, count: int = 1) -> list[record.Ended]:
        """The closing records of requests, once there are `count` of them; what was refused at the door is none."""

        def closing() -> list[record.Ended]:
            return [r for r in self.records() if isinstance(r, record.Ended) and r.exchange.dialect != "http"]

        until(lambda: len(closing()) >= count, what=lambda: f"{len(closing())} closing records instead of {count}")
        found = closing()
        assert len(found) == count, f"{len(found)} closing records instead of {count}"
        return found

    def of(self, kind: type) -> list[record.Record]:
        return [r for r in self.records() if isinstance(r, kind)]

    def client(self, **more) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, trust_env=False, **more)

    @contextlib.contextmanager
    def posting(self, path: str, body: object) -> Iterator[socket.socket]:
        """The connection on which this was posted; the client leaves at the end of the block, whatever it has read by then."""
        data, address = json.dumps(body).encode(), urlsplit(self.url)
        with socket.create_connection((address.hostname, address.port), PATIENCE_S) as sock:
            head = f"POST {path} HTTP/1.1\r\nhost: {address.netloc}\r\ncontent-length: {len(data)}\r\n\r\n"
            sock.sendall(head.encode() + data)
            yield sock

    def left(self, path: str, body: object, when: Callable[[], object], *, after: float = 0.0) -> None:
        """A client posts this and leaves without having read anything: so many seconds after `when` is true."""
        with self.posting(path, body):
            until(when, what="what the client stays for")
            time.sleep(after)


class RedisServer:
    """A real server that writes nothing to the disk; it can be killed and started again on its port."""

    def __init__(self, folder: Path, *more: str) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("no redis-server and no valkey-server on this machine: apt install redis-server")
        self.port = free_port()
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command = [program, *where, "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self.start(*more)

    def start(self, *more: str) -> None:
        self.process = subprocess.Popen([*self._command, *more], stdout=subprocess.DEVNULL)
        until(lambda: self._listens() or self.process.poll() is not None, what="the Redis server starts")
        assert self.process.poll() is None, "the Redis server ended"

    def _listens(self) -> bool:
        """It answers, and has read its file."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as probe:
                probe.sendall(b"PING\r\n")
                answer = probe.recv(100)
                return bool(answer) and not answer.startswith(b"-LOADING")
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def url(self, prefix: str | None = None) -> str:
        """State of its own for each prefix."""
        return f"redis://127.0.0.1:{self.port}/0?prefix={prefix or uuid7().hex}"


@pytest.fixture(scope="session")
def redis_servers() -> type[RedisServer]:
    """For tests that set one up themselves."""
    return RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[RedisServer]:
    """Shared by tests that leave it running."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.kill()


@pytest.fixture
def own_redis_server(tmp_path) -> Iterator[RedisServer]:
    """For tests that kill it or empty it."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture
def start(tmp_path, provider, monkeypatch) -> Iterator[Callable[..., Running]]:
    """`start(policies={...}, **settings)`: a data plane in front of `provider`, in both dialects."""
    running: list[Running] = []
    monkeypatch.setenv("CANARY_KEY", PROVIDER_KEY)

    def begin(policies: dict[str, str] | None = None, clock: Clock | None = None, **changes) -> Running:
        key = {"env": "CANARY_KEY"}
        upstreams = {
            "openai": {"dialect": "openai.chat", "base_url": provider.base_url, "key": key},
            "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
        }
        data = str(tmp_path / f"data{len(running)}")
        settings = Settings.model_validate(
            {"data": data, "upstreams": upstreams, "policies": "p" if policies else None, **changes}
        )
        encoded = {name: text.encode() for name, text in policies.items()} if policies is not None else None
        running.append(Running(settings, encoded, clock))
        return running[-1]

    yield begin
    for each in running:
        each.stop()
