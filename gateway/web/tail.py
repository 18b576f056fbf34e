"""Live lines of the book for listeners: filled from the book's thread, read in an event loop."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
from collections.abc import Callable, Sequence

import msgspec

from gateway.stores import Applied
from gateway.trace.record import CallRow, ExchangeRow

MAX_LINES = 10_000


class Tail:
    """Lines for one listener. Filled from the book's thread, read in an event loop; who reads too slowly is told what was left out."""

    def __init__(self, loop: asyncio.AbstractEventLoop, on_close: Callable[[Tail], None]) -> None:
        self._loop = loop
        self._on_close = on_close
        self._lines: collections.deque[bytes | None] = collections.deque()
        self._arrived = asyncio.Event()
        self._left_out = 0

    def put(self, lines: Sequence[bytes | None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._take, lines)

    def end(self) -> None:
        self.put([None])

    async def next_line(self) -> bytes | None:
        while not self._lines:
            self._arrived.clear()
            await self._arrived.wait()
        if self._left_out:
            gap, self._left_out = self._left_out, 0
            return msgspec.json.encode({"record": "gap", "lines": gap}) + b"\n"
        return self._lines.popleft()

    def close(self) -> None:
        self._on_close(self)

    def _take(self, lines: Sequence[bytes | None]) -> None:
        self._lines.extend(lines)
        while len(self._lines) > MAX_LINES:
            self._lines.popleft()
            self._left_out += 1
        self._arrived.set()


def lines_of(applied: Applied) -> list[bytes]:
    """One JSON line per call, exchange and interruption; each has `record` (what it is), `id` and (but for interruptions) `at`."""
    lines = [_line("call", row, row.decided_us) for row in applied.calls]
    lines += [_line("exchange", row, row.started_us) for row in applied.exchanges]
    lines += [msgspec.json.encode({"record": "interrupted", "id": key}) + b"\n" for key in applied.interrupted]
    return lines


def _line(kind: str, row: CallRow | ExchangeRow, at_us: int) -> bytes:
    at = dt.datetime.fromtimestamp(at_us // 1_000_000, dt.UTC).replace(microsecond=at_us % 1_000_000, tzinfo=None)
    fields = msgspec.to_builtins(row)
    return msgspec.json.encode({"record": kind, **fields, "at": at.isoformat(timespec="microseconds") + "Z"}) + b"\n"
