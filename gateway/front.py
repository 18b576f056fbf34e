"""The HTTP server's edge: one client connection, from bytes to requests.

uvicorn accepts, counts and shuts down; what it does on a connection is not used, because it has no time-out for headers, no bound on their
number or size, merges trailers into the headers that were already judged, takes framing and addressing that other servers on the way may
read differently, answers 400 into the middle of an answer under way, and starts a task and four timers where none is needed. This protocol
has a header deadline, bounds, a cap on connections, deaf ears for trailers, an end for bodies that nobody reads any more, one reading of
each head (`_unclear`), and at most one answer per request (`_refuse`). httptools (llhttp) parses, as under uvicorn's own, and with all that
it costs what that costs: 21 µs of Python per request (32 when uvicorn's own was checked from outside), some 45 with the system calls
(`python -m tests.bench.layers`).
Body and write time-outs are the application's (`app.py`), which can answer in the caller's dialect.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.deadlines import Alarm
from gateway.limit_settings import Limits, Timeouts
from gateway.turn import Turn

DISCARD_BYTES = 256 * 1024 * 1024
"""How much of a refused request's body is read and thrown away, so that its client gets to read the refusal."""

PIPELINED = 8
"""Requests that may wait on a connection for the answer to the one before them; real clients send none ahead."""

_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}
_FRAMING = frozenset({b"host", b"transfer-encoding", b"expect"})
_AUTHORITY = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""What a Host header may say (RFC 9110 7.2), without the characters in which names and paths are hidden."""


class FrontProtocol(asyncio.Protocol):
    """One client connection. `limits`, `timeouts` and `told` come by `front()`."""

    limits: Limits
    timeouts: Timeouts
    told: Callable[[int], None]
    transport: asyncio.Transport

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._app, self._state = config.loaded_app, server_state
        self._keep_alive_s = config.timeout_keep_alive
        self._loop = _loop or asyncio.get_running_loop()
        self._alarm = Alarm(self._loop, self._too_slow)
        self._expected: Literal["", "head", "rest", "request"] = ""
        """For what the alarm is set: the end of a head, the rest of a body nobody reads, the next request."""
        self._parser: Any = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)  # what stands behind a last request does not spoil it
        self._writable: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._serving: Turn | None = None
        """The turn that is answered, or was last."""
        self._newest: Turn | None = None
        self._queue: deque[Turn] = deque()
        self._head_fed = self._fruitless = self._discarded = 0
        self._in_head = self._refused = self._begun = self._lost = False
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []

    # -- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._server, self._client = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        self._state.connections.add(self)  # type: ignore[arg-type]
        if len(self._state.connections) > self.limits.connections:
            self._refuse(503)
            return
        self._expect("head", self.timeouts.header)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._alarm.end()
        self._state.connections.discard(self)
        self.resume_writing()
        self._queue.clear()
        if self._serving is not None:
            self._serving.lost()

    def data_received(self, data: bytes) -> None:
        if self._deaf():
            return
        self._begun = True
        self._fruitless += len(data)
        self._head_fed = len(data) + (self._head_fed if self._in_head else 0)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the application answers it (426)
        except httptools.HttpParserError:
            self._refuse(400)
        if self._deaf():
            return
        if self._fruitless > self.limits.url_bytes + self.limits.header_bytes:
            self._refuse(431)  # the parser gathers a line without end, in a header or a trailer
        elif self._in_head and self._expected != "head" and (self._newest is None or self._newest.complete):
            self._expect("head", self.timeouts.header)

    def _deaf(self) -> bool:
        return self._refused or self._lost

    def eof_received(self) -> None:
        """Who sends no more is taken to have left."""

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def shutdown(self) -> None:
        """No further request: uvicorn asks for it when it stops."""
        if self._newest is None or self._newest.complete:
            self.transport.close()
        else:
            self._newest.keep_alive = False

    # -- the parser

    def on_message_begin(self) -> None:
        self._fruitless = self._discarded = 0
        self._in_head = True
        self._url, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self.limits.url_bytes:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers come later
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._relax()
        self._fruitless = 0
        self._in_head = False
        if self._out_of_bounds():
            self._refuse(431)
            return
        if len(self._queue) >= PIPELINED:
            self._refuse(503)
            return
        version = self._parser.get_http_version()
        framing = [each for each in self._headers if each[0] in _FRAMING]
        if status := _unclear(version, self._url, framing):
            self._refuse(status)
            return
        self._newest = turn = self._turn(version, expects_continue=any(name == b"expect" for name, _ in framing))
        if self._serving is None or self._serving.complete:
            self._start(turn)
        else:
            self._queue.append(turn)

    def _out_of_bounds(self) -> bool:
        """A head that came in fewer bytes than its headers may have is not counted again."""
        most = self.limits.header_bytes
        if len(self._headers) > self.limits.headers:
            return True
        return self._head_fed > most and sum(len(name) + len(value) + 4 for name, value in self._headers) > most

    def _turn(self, version: str, *, expects_continue: bool) -> Turn:
        path, raw_path, query = _target(self._url)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "root_path": "",
            "headers": self._headers,
            "method": self._parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
        }
        last = expects_continue or self._parser.should_upgrade()  # what comes next may be read as something else
        keep_alive = version != "1.0" and self._parser.should_keep_alive() and not last
        return Turn(scope, self, keep_alive=keep_alive, expects_continue=expects_continue)

    def _start(self, turn: Turn) -> None:
        self._serving = turn
        turn.task = self._loop.create_task(turn.run(self._app))
        self._state.tasks.add(turn.task)

    def on_body(self, body: bytes) -> None:
        if self._refused or self._newest is None:
            return
        self._fruitless = 0
        if self._newest.complete:
            self._discarded += len(body)
            if self._discarded > DISCARD_BYTES:
                self.transport.abort()
            return
        self._newest.came(body)

    def on_message_complete(self) -> None:
        if self._refused or self._newest is None:
            return
        self._fruitless = 0
        self._relax()
        self._newest.came_whole()
        if self._newest.complete:
            self._expect("request", self._keep_alive_s)

    # -- the turn

    def pause_reading(self) -> None:
        """Not while requests wait behind the one that is served: nobody would learn that the client has left."""
        if not self._reading_paused and not self._queue:
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self.transport.resume_reading()

    def writable(self) -> Awaitable[None] | None:
        return self._writable

    def usual_headers(self) -> list[tuple[bytes, bytes]]:
        return self._state.default_headers

    def answered(self) -> None:
        self._state.total_requests += 1
        if self.transport.is_closing():
            return
        self.resume_reading()
        if self._queue:
            self._start(self._queue.popleft())
        elif not self._discarding:
            self._expect("request", self._keep_alive_s)
        if self._discarding:
            self._expect("rest", self.timeouts.body)
        elif self._in_head:
            self._expect("head", self.timeouts.header)

    def over(self, turn: Turn) -> None:
        if turn.task is not None:
            self._state.tasks.discard(turn.task)

    @property
    def _discarding(self) -> bool:
        """The answer is out and the request's body is still coming in."""
        return self._newest is not None and self._newest.complete and self._newest.more_body

    # -- what goes wrong

    def _expect(self, what: Literal["head", "rest", "request"], seconds: float) -> None:
        """Something must be complete within `seconds`, or the connection ends."""
        self._expected = what
        self._alarm.set(seconds)

    def _relax(self) -> None:
        self._expected = ""
        self._alarm.off()

    def _too_slow(self) -> None:
        expected, self._expected = self._expected, ""
        if expected == "request":
            self.transport.close()
        elif expected == "rest" or not self._begun:
            self.transport.abort()
        else:
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        """Ends the connection: nothing that follows on it is read. The refusal is said unless it would stand in or behind the answer to an
        earlier request; that one is still given, and its client asks again for what follows."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._relax()
        serving = self._serving
        if serving is None or not serving.more_body:  # a body that breaks off belongs to a request with a record of its own
            type(self).told(status)
        if serving is not None and not serving.complete and not serving.more_body:
            self._last_answer().keep_alive = False
            return
        if serving is None or not (serving.started and serving.more_body):
            self._say(status)
        self.transport.close()

    def _last_answer(self) -> Turn:
        """The newest request that came whole and is not answered yet; one that came behind it in part is forgotten."""
        if self._queue and self._queue[-1].more_body:
            self._queue.pop()
        return self._queue[-1] if self._queue else self._serving  # type: ignore[return-value]

    def _say(self, status: int) -> None:
        reason = _REASONS[status]
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {len(reason)}\r\nconnection: close\r\n\r\n"
        self.transport.write((head + reason).encode())


@lru_cache(256)
def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """(path, raw path, query). One in absolute form is its own raw path: taken for its path, `http://anywhere/path` would be served as
    `/path`. Raises for what is no URL."""
    parts = httptools.parse_url(url)
    raw = parts.path if url.startswith(b"/") else url.partition(b"?")[0]
    return unquote(parts.path.decode("ascii")), raw, parts.query or b""


def _unclear(version: str, target: bytes, framing: list[tuple[bytes, bytes]]) -> int | None:
    """The status for a head that another server could read differently: which host it is for, where its body ends, what it waits for."""
    hosts = [value for name, value in framing if name == b"host"]
    codings = [value for name, value in framing if name == b"transfer-encoding"]
    if version not in ("1.0", "1.1") or b"#" in target:
        return 400
    if len(hosts) > 1 or (version == "1.1" and not hosts) or not all(map(_AUTHORITY.fullmatch, hosts)):
        return 400
    if codings and (version == "1.0" or len(codings) > 1 or codings[0].lower() != b"chunked"):
        return 400
    if any(name == b"expect" and value.lower() != b"100-continue" for name, value in framing):
        return 417
    return None


def front(limits: Limits, timeouts: Timeouts, told: Callable[[int], None] = lambda _: None) -> type[FrontProtocol]:
    """The protocol with these bounds; uvicorn wants a class. `told` hears the status of each refusal."""
    return type("BoundFrontProtocol", (FrontProtocol,), {"limits": limits, "timeouts": timeouts, "told": staticmethod(told)})
