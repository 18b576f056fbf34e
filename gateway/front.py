"""The HTTP server's edge: what uvicorn leaves open.

uvicorn has no time-out for headers, no bound on their number or size, merges trailers into the headers that were already judged, takes
framing and addressing that other servers on the way may read differently, and answers 400 into the middle of an answer under way. This
protocol adds a header deadline, bounds, a cap on connections, deaf ears for trailers, an end for bodies that nobody reads any more, one
reading of each head (`_unclear`), and at most one answer per request (`_refuse`).
Body and write time-outs are the application's (`app.py`), which can answer in the caller's dialect.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from gateway.config import Limits, Timeouts

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
_AUTHORITY = re.compile(rb"([A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
"""What a Host header may say (RFC 9110 7.2), without the characters in which names and paths are hidden."""


class FrontProtocol(HttpToolsProtocol):
    """One client connection. `limits`, `timeouts` and `told` come by `front()`."""

    limits: Limits
    timeouts: Timeouts
    told: Callable[[int], None]

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_trailers = False
        self._discarded = 0
        self._refused = False
        self._begun = False
        self._fruitless = 0
        self._in_head = False
        self._serving: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(503)
            return
        self._expect(self.timeouts.header)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        if self._serving is not None and self._serving is not self.cycle and not self._serving.response_complete:
            self._serving.disconnected = True  # uvicorn tells only the newest of pipelined requests
            self._serving.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.parser is None:
            return
        self._begun = True
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._expect(self.timeouts.header)
        self._fruitless += len(data)
        super().data_received(data)
        if self._fruitless > self.limits.url_bytes + self.limits.header_bytes:
            self._refuse(431)  # the parser gathers a line without end, in a header or a trailer

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._fruitless = 0
        self._in_head = True
        self._header_bytes = 0
        self._in_trailers = False
        self._discarded = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes:
            self._refuse(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_trailers:
            return
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self.limits.header_bytes or len(self.headers) >= self.limits.headers:
            self._refuse(431)
        if not self._refused:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._refused:
            return
        self._relax()
        self._fruitless = 0
        self._in_head = False
        if len(self.pipeline) >= PIPELINED:
            self._refuse(503)
            return
        if status := _unclear(self.parser.get_http_version(), self.url, self.headers):
            self._refuse(status)
            return
        self._in_trailers = True
        super().on_headers_complete()
        if self.pipeline:  # uvicorn stops reading, and would not learn that the client has left
            self.flow.resume_reading()
        if not self.url.startswith(b"/"):  # uvicorn would route `http://anywhere/path` as `/path`
            self.scope["raw_path"] = self.url.partition(b"?")[0]
        if self.expect_100_continue or self.parser.should_upgrade():  # what comes next may be read as something else
            self.cycle.keep_alive = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._serving = cycle
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._fruitless = 0
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > DISCARD_BYTES:
                self.transport.abort()
            return
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._refused:
            return
        super().on_message_complete()
        self.cycle.more_body = False  # also when nobody read it to its end
        self._fruitless = 0
        self._relax()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._discarding:
            self._expect(self.timeouts.body)
        elif self._in_head:
            self._expect(self.timeouts.header)

    @property
    def _discarding(self) -> bool:
        """The answer is out and the request's body is still coming in."""
        return self.cycle is not None and self.cycle.response_complete and self.cycle.more_body

    def _expect(self, seconds: float) -> None:
        """Something must be complete within `seconds`, or the connection ends."""
        self._relax()
        self._deadline = self.loop.call_later(seconds, self._too_slow)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if not self._begun or self._discarding:
            self.transport.abort()
        else:
            self._refuse(408)

    def send_400_response(self, msg: str) -> None:
        self._refuse(400)

    def _refuse(self, status: int) -> None:
        """Ends the connection: nothing that follows on it is read. The refusal is said unless it would stand in or behind the answer to an
        earlier request; that one is still given, and its client asks again for what follows."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._relax()
        if self._serving is None or not self._serving.more_body:  # a body that breaks off belongs to a request with a record of its own
            type(self).told(status)
        if self._serving is not None and not self._serving.response_complete and not self._serving.more_body:
            self._last_answer().keep_alive = False
            return
        if self._serving is None or not (self._serving.response_started and self._serving.more_body):
            self._say(status)
        self.transport.close()

    def _last_answer(self) -> RequestResponseCycle:
        """The newest request that came whole and is not answered yet; one that came behind it in part is forgotten."""
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()
        return self.pipeline[0][0] if self.pipeline else self._serving  # type: ignore[return-value]

    def _say(self, status: int) -> None:
        reason = _REASONS[status]
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {len(reason)}\r\nconnection: close\r\n\r\n"
        self.transport.write((head + reason).encode())

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is answered by the application (426)."""


def _unclear(version: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> int | None:
    """The status for a head that another server could read differently: which host it is for, where its body ends, what it waits for."""
    hosts = [value for name, value in headers if name == b"host"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if version not in ("1.0", "1.1") or b"#" in target:
        return 400
    if len(hosts) > 1 or (version == "1.1" and not hosts) or not all(map(_AUTHORITY.fullmatch, hosts)):
        return 400
    if codings and (version == "1.0" or len(codings) > 1 or codings[0].lower() != b"chunked"):
        return 400
    if any(name == b"expect" and value.lower() != b"100-continue" for name, value in headers):
        return 417
    return None


def front(limits: Limits, timeouts: Timeouts, told: Callable[[int], None] = lambda _: None) -> type[FrontProtocol]:
    """The protocol with these bounds; uvicorn wants a class. `told` hears the status of each refusal."""
    return type("BoundFrontProtocol", (FrontProtocol,), {"limits": limits, "timeouts": timeouts, "told": staticmethod(told)})
