"""One request on a client's connection and its answer, as ASGI sees them: `receive` and `send`.

A head leaves together with the first bytes of its body where these come at once, else alone. Beyond ASGI there is one thing more in
`scope["extensions"]`: `GONE`, a function that takes what is to be called when the client leaves before the answer's end, so that no task
has to wait for that in `receive`.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol

log = logging.getLogger("gateway.turn")

GONE = "tollhouse.gone"
HIGH_WATER = 64 * 1024
"""Bytes of a body that wait to be read before the client is made to wait."""

Message = MutableMapping[str, Any]
App = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


class Line(Protocol):
    """The connection, as far as a turn needs it."""

    transport: asyncio.Transport

    def resume_reading(self) -> None: ...
    def pause_reading(self) -> None: ...
    def writable(self) -> Awaitable[None] | None: ...
    def usual_headers(self) -> list[tuple[bytes, bytes]]: ...
    def answered(self) -> None: ...
    def over(self, turn: Turn) -> None: ...


class Turn:
    """`more_body`: the request has not come whole. `started` and `complete` are about the answer."""

    __slots__ = (
        "_body", "_chunked", "_continue", "_gone", "_head", "_left", "_line", "_news", "_waiter",
        "complete", "disconnected", "keep_alive", "more_body", "scope", "started", "task",
    )  # fmt: skip

    def __init__(self, scope: dict[str, Any], line: Line, *, keep_alive: bool, expects_continue: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.more_body = True
        self.started = self.complete = self.disconnected = False
        self.task: asyncio.Task[None] | None = None
        self._line = line
        self._continue = expects_continue
        self._body = b""
        self._news = False
        self._waiter: asyncio.Future[None] | None = None
        self._gone: Callable[[], object] | None = None
        self._head = b""
        self._chunked = False
        self._left = 0
        scope["extensions"] = {GONE: self._when_gone}

    # -- the connection's side

    def came(self, body: bytes) -> None:
        self._body = self._body + body if self._body else body
        if len(self._body) > HIGH_WATER:
            self._line.pause_reading()
        self._tell()

    def came_whole(self) -> None:
        self.more_body = False
        if not self.complete:
            self._tell()

    def lost(self) -> None:
        """The client has left."""
        if self.complete:
            return
        self.disconnected = True
        self._tell()
        if self._gone is not None:
            self._gone()

    def _tell(self) -> None:
        self._news = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _when_gone(self, call: Callable[[], object]) -> None:
        self._gone = call
        if self.disconnected:
            call()

    async def run(self, app: App) -> None:
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            self._line.transport.close()
            raise
        except Exception:
            log.exception("the application failed on a request")
            await self._failed()
        else:
            if not (self.complete or self.disconnected):
                await self._failed()
        finally:
            self._gone = None  # what refers back would keep all of the exchange until garbage is looked for
            self.scope.clear()
            self._line.over(self)

    async def _failed(self) -> None:
        """What has begun is cut off; what has not says so."""
        if self.started:
            self._line.transport.close()
            return
        body = b"Internal Server Error"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body)), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    # -- the application's side

    async def receive(self) -> Message:
        if self._continue and not self._line.transport.is_closing():
            self._line.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._continue = False
        if not (self._news or self.disconnected or self.complete):
            self._line.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self.disconnected or self.complete:
            return {"type": "http.disconnect"}
        body, self._body, self._news = self._body, b"", False
        self._line.resume_reading()
        return {"type": "http.request", "body": body, "more_body": self.more_body}

    async def send(self, message: Message) -> None:
        if not self.disconnected and (writable := self._line.writable()) is not None:
            await writable
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.started:
            self.started = True
            self._begin(message["status"], message.get("headers", ()))
            asyncio.get_running_loop().call_soon(self._head_alone)
        elif kind == "http.response.body" and self.started and not self.complete:
            self._write(message.get("body", b""), last=not message.get("more_body", False))
        else:
            raise RuntimeError(f"the application sent '{kind}' where an answer cannot have it")

    def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        lines, length, closes = [_STATUS_LINES[status]], None, False
        for name, value in (*self._line.usual_headers(), *headers):
            name = name.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                closes = b"close" in value.lower()
            lines.append(b"%b: %b" % (name, value))
        self.keep_alive = self.keep_alive and not closes
        if not (self.keep_alive or closes):
            lines.append(b"connection: close")
        empty = self.scope["method"] == "HEAD" or status in (204, 304)
        self._chunked = length is None and not empty
        self._left = 0 if empty else length or 0
        if self._chunked:
            lines.append(b"transfer-encoding: chunked")
        self._head = b"\r\n".join((*lines, b"", b""))
        ends = len(lines) + 1
        if self._head.count(b"\n") != ends or self._head.count(b"\r") != ends or b"\0" in self._head:
            raise RuntimeError("a header of the answer holds a line's end or a NUL")

    def _head_alone(self) -> None:
        if self._head and not (self.disconnected or self._line.transport.is_closing()):
            head, self._head = self._head, b""
            self._line.transport.write(head)

    def _write(self, body: bytes, *, last: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            data = data + b"0\r\n\r\n" if last else data
        else:
            self._left -= len(body)
            data = body
            if self._left < 0 or (last and self._left):
                raise RuntimeError("the answer's body is not as long as its content-length says")
        if self._head:
            data, self._head = self._head + data, b""
        if data:
            self._line.transport.write(data)
        if last:
            self.complete = True
            self._tell()
            if not self.keep_alive:
                self._line.transport.close()
            self._line.answered()


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}".encode()


_STATUS_LINES = {status: _status_line(status) for status in range(100, 600)}
