"""Connections to providers: made, lent to one request at a time, and kept for the next.

Names are looked up once for all who ask within `NAMES_S`, addresses of both families are tried side by side (aiohappyeyeballs), TLS is
verified against the system's authorities. A connection on which anything has come since its last answer is not lent: it would be taken
for the answer to the next request, which may be another caller's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from aiohappyeyeballs import start_connection

from gateway.errors import GatewayError
from gateway.upstream.connection import Connection

KEPT_S = 30.0
"""How long a connection is kept for the next request; providers close theirs after a minute or more."""
NAMES_S = 10.0
STAGGER_S = 0.25
"""Between two addresses of one name (RFC 8305)."""


class Origin(NamedTuple):
    """Whom a connection leads to."""

    secure: bool
    host: str
    port: int


class Pool:
    """The connections of one worker."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Connection]] = {}
        self._names: dict[Origin, tuple[float, asyncio.Task[Any]]] = {}

    async def lend(self, origin: Origin, connect: float) -> Connection:
        """A new one has `connect` seconds. Raises GatewayError (`upstream_unreachable`, `upstream_timeout`)."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.silent():
                return connection
            connection.close()
        return await self._connected(origin, connect)

    def take_back(self, origin: Origin, connection: Connection) -> None:
        if connection.lie_idle(KEPT_S):
            self._idle.setdefault(origin, []).append(connection)

    def close(self) -> None:
        """Ends the connections that nobody has."""
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()
        for _, lookup in self._names.values():
            lookup.cancel()

    async def _connected(self, origin: Origin, seconds: float) -> Connection:
        try:
            async with asyncio.timeout(seconds):
                return await self._connect(origin)
        except TimeoutError as e:
            message = f"The provider accepted no connection within {seconds:g} s."
            raise GatewayError("upstream_timeout", "upstream_timeout", message) from e
        except OSError as e:
            raise GatewayError("upstream", "upstream_unreachable", f"The provider cannot be reached: {_cause(e)}.") from e

    async def _connect(self, origin: Origin) -> Connection:
        loop = asyncio.get_running_loop()
        sock = await start_connection(await self._addresses(origin), happy_eyeballs_delay=STAGGER_S, interleave=1, loop=loop)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

        def gone(connection: Connection) -> None:
            if connection in (idle := self._idle.get(origin, [])):
                idle.remove(connection)

        secured: dict[str, Any] = {"ssl": _trust(), "server_hostname": origin.host} if origin.secure else {}
        try:
            _, connection = await loop.create_connection(lambda: Connection(gone), sock=sock, **secured)
        except BaseException:
            sock.close()
            raise
        return connection

    async def _addresses(self, origin: Origin) -> Sequence[Any]:
        loop = asyncio.get_running_loop()
        until, lookup = self._names.get(origin, (0.0, None))
        if lookup is None or loop.time() > until:
            lookup = loop.create_task(_looked_up(origin))
            lookup.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._names[origin] = loop.time() + NAMES_S, lookup
        try:
            found: Sequence[Any] = await asyncio.shield(lookup)
        except OSError:
            self._names.pop(origin, None)
            raise
        return found


async def _looked_up(origin: Origin) -> Sequence[Any]:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)


@cache
def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _cause(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its TLS certificate cannot be verified"
    if isinstance(error, ssl.SSLError):
        return "it speaks no TLS that could be agreed on"
    return (error.strerror or "connection failed").lower()
