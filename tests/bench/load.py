"""The bench's client: so many connections, each with one request at a time, for so many seconds; or streams that are only held.

`python -m tests.bench.load --help`. Prints one JSON object. Answers are parsed by httptools and looked at: what is not the provider's own
answer counts as a failure and is shown.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import statistics
import sys
import time
from typing import Any

import httptools
import uvloop

from tests.bench import wire

PATIENCE_S = 60
"""For a first answer; with many requests at once a slow server gives it after the time of the run."""
_NUMBERS = itertools.count(time.time_ns() // 1000)


class Tally:
    """What all connections saw."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.times: list[float] = []
        self.failures = 0
        self.first_failure = ""
        self.begun = 0
        """Connections on which a first piece of an answer has come."""
        self.events = 0
        """Events of streams, also of those that did not end in time."""
        self.over = False

    def answered(self, seconds: float, status: int, body: bytes) -> None:
        if status == 200 and wire.is_whole(self.kind, body):
            self.times.append(seconds)
        else:
            self.failed(f"{status} {body[:300].decode(errors='replace')}")

    def failed(self, why: str) -> None:
        self.failures += 1
        self.first_failure = self.first_failure or why

    def figures(self, seconds: float) -> dict[str, Any]:
        times = sorted(self.times)
        return {
            "requests": len(times),
            "failures": self.failures,
            "first_failure": self.first_failure,
            "seconds": seconds,
            "p50_us": statistics.median(times) * 1e6 if times else None,
            "p99_us": times[int(len(times) * 0.99)] * 1e6 if times else None,
            "events": self.events,
            "own_cpu_s": time.process_time(),
        }


class Connection(asyncio.Protocol):
    """One connection; the parser's callbacks are its own methods."""

    def __init__(self, request: tuple[bytes, bytes], tally: Tally) -> None:
        """`request`: what stands before and behind its mark."""
        self._request, self._tally = request, tally
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)
        self._start = time.perf_counter()
        self._transport.write(wire.mark(next(_NUMBERS)).join(self._request))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._tally.failed(f"not HTTP: {error}")
            self._transport.close()

    def on_body(self, data: bytes) -> None:
        self._body += data
        self._tally.events += data.count(b"data: ")
        if not self._begun:
            self._begun = True
            self._tally.begun += 1

    def on_message_complete(self) -> None:
        self._tally.answered(time.perf_counter() - self._start, self._parser.get_status_code(), bytes(self._body))
        if self._tally.over or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            asyncio.get_running_loop().call_soon(self._ask)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._tally.over:
            self._tally.failed(f"the connection was closed: {error or bytes(self._body[:300])!r}")


def request_of(given: argparse.Namespace) -> tuple[bytes, bytes]:
    body = wire.body(given.kind, given.size, given.prefix)
    headers = [f"POST {given.path} HTTP/1.1", f"host: {given.host}:{given.port}", "content-type: application/json", *given.header]
    return wire.parted("\r\n".join([*headers, f"content-length: {len(body)}", "", ""]).encode() + body)


async def run(given: argparse.Namespace) -> dict[str, Any]:
    loop, tally = asyncio.get_running_loop(), Tally(given.kind)
    request = request_of(given)
    start = time.perf_counter()
    connections: list[Any] = []
    with contextlib.suppress(TimeoutError):  # whoever takes no more has those that stand
        async with asyncio.timeout(given.seconds if given.hold else PATIENCE_S):
            for _ in range(given.connections):  # one after the other: a burst of them would be refused
                connections.append(await loop.create_connection(lambda: Connection(request, tally), given.host, given.port))  # noqa: PERF401 - see above
    if given.hold:
        await _held(given, tally)
    else:
        await asyncio.sleep(given.seconds)
        while not (tally.times or tally.failures or tally.events) and time.perf_counter() - start < PATIENCE_S:
            await asyncio.sleep(0.05)
    tally.over = True
    figures = tally.figures(time.perf_counter() - start)
    for transport, _ in connections:
        transport.abort()
    return figures


async def _held(given: argparse.Namespace, tally: Tally) -> None:
    """Says when all streams stand, and holds them until standard input ends."""
    deadline = time.monotonic() + given.seconds
    while tally.begun < given.connections and time.monotonic() < deadline and not tally.failures:
        await asyncio.sleep(0.05)
    sys.stdout.write(f"{tally.begun}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.load", description="Ask one server as fast as it answers; print JSON.")
    asked.add_argument("--host", default="127.0.0.1")
    asked.add_argument("--port", type=int, required=True)
    asked.add_argument("--path", default=wire.PATH)
    asked.add_argument("--prefix", default="", help="what the model's name is written behind")
    asked.add_argument("--header", action="append", default=[], help="'name: value'; may be given several times")
    asked.add_argument("--kind", default="plain", help=f"{', '.join(wire.KINDS)}; tick with a number of ms")
    asked.add_argument("--hold", action="store_true", help="open all, say so, and hold them until standard input ends")
    asked.add_argument("--size", default="2k", help="of a request's body, about: 2k, 60k, 400k")
    asked.add_argument("--connections", type=int, default=1)
    asked.add_argument("--seconds", type=float, default=3, help="how long; for held streams: how long they may take to stand")
    return asked.parse_args()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sys.stdout.write(json.dumps(runner.run(run(arguments()))) + "\n")
