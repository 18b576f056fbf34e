"""Live lines of the book for listeners: filled from the book's thread, read in an event loop."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct

from gateway.people.bound import sees
from gateway.stores import Answer, Applied
from gateway.trace.exchange_rows import CallRow, ExchangeRow

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


class _Told(Struct):
    """Of a line, what says whose it is."""

    record: str = ""
    id: str = ""
    team: str | None = None
    org: str | None = None
    exchange_id: str = ""


_told = msgspec.json.Decoder(_Told).decode


class OwnLines:
    """The lines of a tail that teams may see: their exchanges, and the calls of these, which come once it is known whose they are: when
    the exchange has ended. What tells of others, were it only how many there are, is left out."""

    def __init__(self, teams: frozenset[str]) -> None:
        self._teams = teams
        self._whose: dict[str, bool] = {}
        """By exchange: whether it is theirs."""
        self._waiting: dict[str, list[bytes]] = {}

    def of(self, line: bytes) -> list[bytes]:
        """What of it, and of what came before, can be told now."""
        told = _told(line)
        if told.record == "exchange":
            mine = sees(self._teams, told.org, told.team)
            _keep(self._whose, told.id, mine)
            waited = self._waiting.pop(told.id, [])
            return [*waited, line] if mine else []
        if told.record == "gap":
            return [_GAP]
        if told.record != "call":
            return []
        if told.exchange_id not in self._whose:
            _keep(self._waiting, told.exchange_id, [*self._waiting.get(told.exchange_id, ()), line])
            return []
        return [line] if self._whose[told.exchange_id] else []


_GAP = b'{"record":"gap"}\n'
_T = TypeVar("_T")


def _keep(held: dict[str, _T], name: str, value: _T) -> None:
    """The oldest goes where there are too many."""
    held[name] = value
    if len(held) > MAX_LINES:
        del held[next(iter(held))]


class Listeners:
    """Everybody who follows the book just now. From any thread."""

    def __init__(self) -> None:
        self._tails: list[Tail] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._tails)

    def add(self) -> Tail:
        """From the event loop that will read it."""
        tail = Tail(asyncio.get_running_loop(), self._remove)
        with self._lock:
            self._tails.append(tail)
        return tail

    def tell(self, applied: Applied) -> None:
        tails = self._now()
        if not tails:
            return
        lines = lines_of(applied)
        for tail in tails:
            tail.put(lines)

    def end(self) -> None:
        for tail in self._now():
            tail.end()

    def _now(self) -> list[Tail]:
        with self._lock:
            return list(self._tails)

    def _remove(self, tail: Tail) -> None:
        with self._lock, contextlib.suppress(ValueError):
            self._tails.remove(tail)


def past(query: Callable[[str, int, Mapping[str, str]], Answer], since: str) -> list[tuple[str, bytes]]:
    """(key, line) of what began since a point in time (anything DuckDB reads as one, UTC), in the order of time. Raises Refused."""
    found = []
    for kind, sql in _PAST.items():
        answer = query(sql, MAX_LINES, {"since": since})
        for at, key, *values in answer.rows:
            line = {"record": kind, "id": key, "at": at, **dict(zip(answer.columns[2:], values, strict=True))}
            found.append((at, key, msgspec.json.encode(line) + b"\n"))
    return [(key, line) for _, key, line in sorted(found)]


_PAST = {
    "call": "SELECT decided_at AS at, id AS key, * FROM calls WHERE decided_at >= $since::TIMESTAMP ORDER BY decided_at",
    "exchange": "SELECT started_at AS at, id AS key, * FROM exchanges WHERE state <> 'open' AND started_at >= $since::TIMESTAMP"
    " ORDER BY started_at",
}


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
