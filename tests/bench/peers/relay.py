"""A bare relay in Python: the same event loop and HTTP parser as the gateway's, and nothing but passing bytes on.

What it costs is the floor for anything written in Python on this machine at this moment; the gateway is held against it.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httptools
import uvloop

from tests.bench import processes
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

NAME = "relay"
PACKAGE = None


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    port, started = free_port(), time.monotonic()
    line = processes.python("tests.bench.peers.relay", str(port), str(provider_port))
    with processes.running(line, log=folder / "relay.log") as process:
        cold = await_port(port, started)
        yield Subject(NAME, port, lambda: {"workers": [process.pid]}, cold_start_s=cold)


class Upstream(asyncio.Protocol):
    """A connection to the provider, lent to one client's request at a time."""

    def __init__(self, pool: deque[Upstream]) -> None:
        self._pool = pool
        self.client: Client | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def ask(self, client: Client, request: bytes) -> None:
        self.client = client
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self.client is not None:
            self.client.transport.write(data)
            self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.client = None
        self._pool.append(self)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._pool:
            self._pool.remove(self)
        if self.client is not None:
            self.client.transport.abort()


class Client(asyncio.Protocol):
    """A client's connection; a request goes on when it is whole."""

    def __init__(self, pool: deque[Upstream], provider: int) -> None:
        self._pool, self._provider = pool, provider
        self._upstream: Upstream | None = None
        self._asking: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._parser, self._read = httptools.HttpRequestParser(self), bytearray()

    def data_received(self, data: bytes) -> None:
        self._read += data
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        request = bytes(self._read)
        self._read.clear()
        if self._pool:
            self._lend(self._pool.pop(), request)
        else:
            task = asyncio.get_running_loop().create_task(self._connect(request))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def _connect(self, request: bytes) -> None:
        made = await asyncio.get_running_loop().create_connection(lambda: Upstream(self._pool), "127.0.0.1", self._provider)
        self._lend(made[1], request)

    def _lend(self, upstream: Upstream, request: bytes) -> None:
        self._upstream = upstream
        upstream.ask(self, request)

    def connection_lost(self, error: Exception | None) -> None:
        if self._upstream is not None and self._upstream.client is self:
            self._upstream.transport.abort()


async def serve(port: int, provider: int) -> None:
    pool: deque[Upstream] = deque()
    server = await asyncio.get_running_loop().create_server(lambda: Client(pool, provider), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    asked = argparse.ArgumentParser()
    asked.add_argument("port", type=int)
    asked.add_argument("provider", type=int)
    given = asked.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(given.port, given.provider))
