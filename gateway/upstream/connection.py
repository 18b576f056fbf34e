"""One HTTP/1.1 connection to a provider, lent to one request at a time: bytes out, one answer in.

Why not a client library: the answer's way through aiohttp (3.14) cost 160 µs a request, three quarters of what a request cost that is
only passed on; this costs a quarter of that. httptools does the parsing (llhttp, strict), uvloop the TLS. What it refuses is the point:

1. A head, a chunk's extension or a trailer is bounded (`HEAD_BYTES`, `HEADERS`), also while it has no end.
2. What an answer says ends with its end. What comes behind it, in the same packet or while the connection lies idle, is nobody's: such a
   connection is never lent again.
3. An answer without a length ends with its connection; every other one that ends with its connection is broken.
4. Trailers are not read; answers that announce an answer (1xx) are forgotten, and a switch of protocols breaks off.
5. A deadline stands whenever somebody waits.
6. Reading stops while `READ_BUFFER` bytes lie unread.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

import httptools

from gateway.deadlines import Alarm
from gateway.errors import GatewayError

READ_BUFFER = 128 * 1024
HEAD_BYTES = 64 * 1024
"""Of one head, and of anything else in an answer that is not its body."""
HEADERS = 300
JOINED_BYTES = 16 * 1024
"""A body up to this size leaves in one piece with its head; a longer one is not copied for it."""


class Connection(asyncio.Protocol):
    """`status` and `headers` are those of the running answer; names are lower case."""

    status: int
    headers: list[tuple[str, str]]

    def __init__(self, gone: Callable[[Connection], None]) -> None:
        """`gone` is told when the connection has ended while nobody had it."""
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._loop, self._too_slow)
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._unread = 0
        self._paused = self._lost = self._lent = False
        self._begin()

    def _begin(self) -> None:
        self.status, self.headers = 0, []
        self._head_bytes = self._fruitless = 0
        self._headed = self._ended = self._reusable = False
        self._error: GatewayError | None = None
        self._silent = ""

    # -- whoever has it

    async def ask(self, head: bytes, body: bytes, seconds: float) -> None:
        """Sends a request and waits for the head of its answer. Raises GatewayError."""
        self._begin()
        self._lent = True
        self._parser = httptools.HttpResponseParser(self)
        if len(body) <= JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines((head, body))
        while not self._headed:
            await self._more(seconds, f"The provider did not answer within {seconds:g} s.")

    async def piece(self, seconds: float, silent: str = "The provider fell silent for too long.") -> bytes:
        """What has come of the body since the last piece; empty at its end. Raises GatewayError; `silent` is said of a provider from which
        nothing came for so long."""
        while not self._pieces:
            if self._ended:
                return b""
            await self._more(seconds, silent)
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._unread = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def _more(self, seconds: float, silent: str) -> None:
        """Returns when something has come, or broken: what came before the break counts first."""
        if self._error is not None:
            raise self._error
        self._waiter, self._silent = self._loop.create_future(), silent
        self._alarm.set(seconds)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._alarm.off()

    def lie_idle(self, seconds: float) -> bool:
        """Whether it may be lent again, after an answer; it closes by itself when it is not for so long, and now when it may not."""
        self._lent = False
        if not self._ended or not self._reusable or self._pieces or self._lost or self._transport.get_write_buffer_size():
            self.close()
            return False
        self._alarm.set(seconds)
        return True

    def silent(self) -> bool:
        """Whether nothing has come since the last answer, not even what the loop has not read yet."""
        return not (self._lost or self._transport.is_closing() or self._poll.poll(0))

    def close(self) -> None:
        self._transport.abort()

    def _too_slow(self) -> None:
        if self._lent:
            self._fail(GatewayError("upstream_timeout", "upstream_timeout", self._silent))
        else:
            self.close()

    # -- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._poll = select.poll()
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if not self._lent:
            self.close()
            return
        if self._ended or self._error is not None:
            self._reusable = False
            return
        self._fruitless += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._reusable = False
            if not self._ended:
                self._fail(_reset(), error)
            return
        if self._fruitless > HEAD_BYTES and not self._ended:
            self._fail(_reset())

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._alarm.end()
        if not self._lent:
            self._gone(self)
        elif not self._ended and self._headed and exc is None and self._until_closed():
            self._ended = True
            self._wake()
        elif not self._ended:
            self._fail(_reset(), exc)

    def _until_closed(self) -> bool:
        return not any(name in ("content-length", "transfer-encoding") for name, _ in self.headers)

    def _fail(self, error: GatewayError, cause: BaseException | None = None) -> None:
        if self._error is None:
            error.__cause__ = cause
            self._error = error
        self._transport.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the parser; its exceptions come back as HttpParserError

    def on_message_begin(self) -> None:
        if self._headed:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES or len(self.headers) >= HEADERS:
            raise OverflowError("a head or a trailer is too long")
        if not self._headed:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if self._headed:
            return
        self._fruitless = self._head_bytes = 0
        self.status = self._parser.get_status_code()
        if self.status == 101 or self._parser.get_http_version() not in ("1.0", "1.1"):
            raise ValueError("another protocol")
        if 100 <= self.status < 200:
            self.headers.clear()
            return
        self._headed = True
        self._wake()

    def on_body(self, body: bytes) -> None:
        if self._ended:
            return
        self._fruitless = 0
        self._pieces.append(body)
        self._unread += len(body)
        if self._unread > READ_BUFFER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        if self._headed and not self._ended:
            self._ended = True
            self._reusable = bool(self._parser.should_keep_alive())
            self._wake()


def _reset() -> GatewayError:
    return GatewayError("upstream", "upstream_reset", "The provider's connection broke inside its answer.")

