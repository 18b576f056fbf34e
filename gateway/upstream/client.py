"""One HTTP exchange with a provider.

What it refuses to do is the point: no redirects (a key would follow them), no proxies or credentials from the environment, no cookies, no
decompression (identity is asked for; a bomb is not unpacked), no retry, no answer of more than one meaning, nothing in a request's head
but what it was given. `pool` makes and keeps the connections, `connection` says why they are the gateway's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from email.message import Message
from email.utils import collapse_rfc2231_value
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from yarl import URL

from gateway.errors import GatewayError
from gateway.limit_settings import Timeouts
from gateway.route_settings import TargetTimeouts
from gateway.upstream.connection import Connection
from gateway.upstream.pool import Origin, Pool


class ProviderAnswer(Protocol):
    """What is asked of a provider's answer, also of a translated one."""

    status: int
    headers: dict[str, str]
    """Lower-case names."""

    @property
    def media_type(self) -> str: ...
    @property
    def charset(self) -> str | None: ...
    def chunks(self) -> AsyncIterator[bytes]: ...
    async def read(self, limit: int) -> bytes: ...


class UpstreamAnswer:
    """The provider's answer: status and headers are here, the body comes on demand. An error's body whose bytes are not what they seem is
    as good as none: the status says it all."""

    def __init__(self, connection: Connection, idle: float, ends: float | None = None, *, readable: bool = True) -> None:
        """`ends`: when it must have come whole, in the event loop's time."""
        self._connection = connection
        self._idle, self._ends, self._readable = idle, ends, readable
        self.status = connection.status
        self.headers = dict(connection.headers)
        if not readable:
            self.headers.pop("content-type", None)

    @property
    def media_type(self) -> str:
        """`content-type` without parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset parameter, lower case, when there is one."""
        return _charset(self.headers.get("content-type", ""))

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises GatewayError (`upstream_reset`, `upstream_timeout`)."""
        return _Chunks(self)

    async def piece(self) -> bytes:
        """What came since the last one; empty at the end."""
        if not self._readable:
            return b""
        if self._ends is None:
            return await self._connection.piece(self._idle)
        left = self._ends - asyncio.get_running_loop().time()
        if left > self._idle:
            return await self._connection.piece(self._idle)
        return await self._connection.piece(max(left, 0.0), "The provider's answer was not whole in the time that its target has.")

    async def read(self, limit: int) -> bytes:
        """The whole body; a longer one is an error."""
        pieces, length = [], 0
        while piece := await self.piece():
            pieces.append(piece)
            length += len(piece)
            if length > limit:
                raise GatewayError("upstream", "answer_too_large", f"The provider's answer is longer than {limit} bytes.")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class _Chunks:
    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if piece := await self._answer.piece():
            return piece
        raise StopAsyncIteration


class Bounds(NamedTuple):
    """Seconds."""

    connect: float
    first_byte: float
    idle: float
    total: float | None = None

    def with_own(self, own: TargetTimeouts) -> Bounds:
        return Bounds(own.connect or self.connect, own.first_byte or self.first_byte, own.idle or self.idle, own.total)


class UpstreamClient:
    """Asks providers; one per worker."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._usual = Bounds(timeouts.connect, timeouts.first_byte, timeouts.idle)
        self._pool = Pool()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes, own: TargetTimeouts | None = None) -> Sending:
        """Asks and waits for the response's head. Leaving the context without having read to the end closes the connection at once. `own`:
        time-outs of this target, where it has any."""
        place, bounds = _place(url), self._usual if own is None else self._usual.with_own(own)
        return Sending(self._pool, bounds, place.origin, _head(method, place, headers, body), body)

    async def close(self) -> None:
        self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Sending:
    """One exchange, as a context."""

    def __init__(self, pool: Pool, bounds: Bounds, origin: Origin, head: bytes, body: bytes) -> None:
        self._pool, self._bounds, self._origin = pool, bounds, origin
        self._head, self._body = head, body
        self.sent = False
        """Some of the request may have reached the provider."""
        self.lent = False
        """A connection is there to be given back."""

    async def __aenter__(self) -> UpstreamAnswer:
        bounds = self._bounds
        ends = None if bounds.total is None else asyncio.get_running_loop().time() + bounds.total
        self._connection = connection = await self._pool.lend(self._origin, bounds.connect)
        self.sent = True
        try:
            left = bounds.first_byte if ends is None else min(bounds.first_byte, ends - asyncio.get_running_loop().time())
            await connection.ask(self._head, self._body, max(left, 0.0))
            readable = _readable(connection)
        except BaseException:
            connection.close()
            raise
        self.lent = True
        return UpstreamAnswer(connection, bounds.idle, ends, readable=readable)

    async def __aexit__(self, *error: object) -> None:
        self._pool.take_back(self._origin, self._connection)


class _Place(NamedTuple):
    origin: Origin
    authority: str
    target: str


@lru_cache(1024)
def _place(url: str) -> _Place:
    parts = URL(url, encoded=True)
    if parts.scheme not in ("http", "https") or not parts.raw_host or parts.port is None:
        raise GatewayError("upstream", "upstream_address", "The provider's address is no http:// or https:// URL. Mend its base_url.")
    return _Place(Origin(parts.scheme == "https", parts.raw_host, parts.port), parts.host_port_subcomponent or "", parts.raw_path_qs)


def _head(method: str, place: _Place, headers: Mapping[str, str], body: bytes) -> bytes:
    """Raises GatewayError for what would end a line or a word of the head before its time."""
    lines = [f"{method} {place.target} HTTP/1.1", f"host: {place.authority}", *(f"{name}: {value}" for name, value in headers.items())]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"content-length: {len(body)}")
    text, ends = "\r\n".join((*lines, "", "")), len(lines) + 1
    if " " in place.target or "\0" in text or text.count("\r") != ends or text.count("\n") != ends:
        raise _unsendable("holds a line's end, a NUL or, in the path, a space")
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as e:
        raise _unsendable("holds characters that no header can carry") from e


def _unsendable(why: str) -> GatewayError:
    message = f"A header or the path meant for the provider {why}. Nothing was sent. Look at the upstream's key and base_url."
    return GatewayError("upstream", "upstream_request", message)


@lru_cache(64)
def _charset(content_type: str) -> str | None:
    """The charset a media type names; all of them where it names several, which is no charset that anybody reads."""
    message = Message()
    message["content-type"] = content_type
    named = [collapse_rfc2231_value(value) for name, value in message.get_params([])[1:] if name.lower() == "charset"]
    return ", ".join(named).lower() or None


def _readable(answer: Connection) -> bool:
    """Whether the body is what it seems. Raises GatewayError where that is no error's, and for an answer that no client could be given: a
    status without a body (204 with one would stand before the client's next answer), in parts, or outside HTTP's numbers."""
    if 300 <= answer.status < 400:
        raise GatewayError("upstream", "upstream_redirect", "The provider answered with a redirect, which is never followed.")
    if not (200 <= answer.status <= 204 or 400 <= answer.status <= 599):
        raise GatewayError(
            "upstream", "upstream_status", f"The provider answered with the status {answer.status}, which ends no request."
        )
    encodings, codings, types = (_values(answer, name) for name in ("content-encoding", "transfer-encoding", "content-type"))
    encoded = encodings not in ([], ["identity"]) or codings not in ([], ["chunked"])
    if answer.status >= 400:
        return not encoded and len(types) <= 1
    if encoded:
        raise GatewayError(
            "upstream", "upstream_encoding", "The provider compressed its answer although identity was asked for."
        )
    if len(types) > 1:
        raise GatewayError("upstream", "upstream_media_type", "The provider gave its answer two media types.")
    return True


def _values(answer: Connection, name: str) -> list[str]:
    return [value.strip().lower() for each, value in answer.headers if each == name]
