"""The HTTP server's edge: what uvicorn leaves open.

uvicorn has no time-out for headers, no bound on their number or size, and merges trailers into the headers that were already judged. This
protocol adds a header deadline, bounds, a cap on connections, deaf ears for trailers, and an end for bodies that nobody reads any more.
Body and write time-outs are the application's (`app.py`), which can answer in the caller's dialect.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway.config import Limits, Timeouts

DISCARD_BYTES = 256 * 1024 * 1024
"""How much of a refused request's body is read and thrown away, so that its client gets to read the refusal."""

_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class FrontProtocol(HttpToolsProtocol):
    """One client connection. `limits` and `timeouts` come by `front()`."""

    limits: Limits
    timeouts: Timeouts

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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            self._refuse(503)
            return
        self._expect(self.timeouts.header)

    def connection_lost(self, exc: Exception | None) -> None:
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.parser is None:
            return
        self._begun = True
        if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            self._expect(self.timeouts.header)
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
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
        self._in_trailers = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
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
        self._relax()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._discarding and not self.transport.is_closing():
            self._expect(self.timeouts.body)

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

    def _refuse(self, status: int) -> None:
        """Answers before there is a request, and closes: nothing that follows on this connection is read."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._relax()
        reason = _REASONS[status]
        head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {len(reason)}\r\nconnection: close\r\n\r\n"
        self.transport.write((head + reason).encode())
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is answered by the application (426)."""


def front(limits: Limits, timeouts: Timeouts) -> type[FrontProtocol]:
    """The protocol with these bounds; uvicorn wants a class."""
    return type("BoundFrontProtocol", (FrontProtocol,), {"limits": limits, "timeouts": timeouts})
