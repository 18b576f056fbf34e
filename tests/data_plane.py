"""A whole data plane in this process: real sockets, a real journal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import uvicorn

from gateway.app import DataPlane
from gateway.assembling import assemble
from gateway.clock import Clock, uuid7
from gateway.config import Settings
from gateway.front import front
from gateway.installation import load_prompts, provider_secrets
from gateway.journal import Journal
from gateway.policy import EMPTY, load
from gateway.trace import frames, record
from gateway.trace.record import Booted
from gateway.trace.redact import Redactor
from gateway.upstream.client import UpstreamClient
from tests.patience import PATIENCE_S, until


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
