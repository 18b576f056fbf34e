"""The bench's provider: answers at once, from bytes made ahead, so that what stands before it is what is measured.

`python -m tests.bench.provider` prints its port and runs until its standard input ends. No HTTP library: the requests come from gateways,
and are well formed; one that is none of the bench's gets a 400 and shows as a failure.
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
from collections.abc import Callable
from typing import Any

import uvloop

from tests.bench import wire

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_AT_ONCE = {**{kind: wire.parted(wire.whole(kind)) for kind in ("plain", "tool")}, "burst": wire.parted(wire.burst())}
_FIRST = wire.parted(wire.chunk(wire.event("paced", wire.MARK)))
_PACED = [wire.chunk(wire.event("paced", f"word {number} ")) for number in range(wire.PACED_EVENTS)]
_PACED_END = wire.chunk(wire.ending("paced")) + wire.LAST_CHUNK
_NUMBERS = itertools.count(time.time_ns() // 1000)
_REFUSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._read = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (request := self._request()) is not None:
            self._answer(request)

    def _request(self) -> bytes | None:
        """The body of the next whole request."""
        end = self._read.find(b"\r\n\r\n") + 4
        if end < 4:
            return None
        length = _LENGTH.search(self._read, 0, end)
        last = end + (int(length[1]) if length else 0)
        if len(self._read) < last:
            return None
        body = bytes(self._read[end:last])
        del self._read[:last]
        return body

    def _answer(self, body: bytes) -> None:
        try:
            kind, gap_ms = wire.kind_of(body)
        except ValueError:
            self._transport.write(_REFUSED)
            self._transport.close()
            return
        number = wire.mark(next(_NUMBERS))
        if kind in _AT_ONCE:
            self._transport.write(number.join(_AT_ONCE[kind]))
        else:
            self._transport.write(wire.STREAM_HEAD + number.join(_FIRST))
            if kind == "paced":
                self._later(wire.PACED_GAP_S, self._pace, 1)
            if kind == "tick":
                self._later(gap_ms / 1000, self._tick, gap_ms / 1000)

    def _later(self, seconds: float, what: Callable[[Any], None], told: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, what, told)

    def _pace(self, number: int) -> None:
        if number == wire.PACED_EVENTS:
            self._transport.write(_PACED_END)
        else:
            self._transport.write(_PACED[number])
            self._later(wire.PACED_GAP_S, self._pace, number + 1)

    def _tick(self, gap_s: float) -> None:
        self._transport.write(_PACED[1])
        self._later(gap_s, self._tick, gap_s)


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
