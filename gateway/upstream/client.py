"""One HTTP exchange with a provider, over aiohttp.

What it refuses to do is the point: no redirects (a key would follow them), no proxies or credentials from the environment, no cookies, no
decompression (identity is asked for; a bomb is not unpacked), no retry, no answer of more than one meaning. aiohttp's exceptions end here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from gateway.config import Timeouts
from gateway.errors import GatewayError

READ_BUFFER = 64 * 1024


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
    """The provider's answer: status and headers are here, the body comes on demand."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers: dict[str, str] = {name.lower(): value for name, value in response.headers.items()}

    @property
    def media_type(self) -> str:
        """`content-type` without parameters, lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """The charset parameter, lower case, when there is one."""
        return self._response.charset.lower() if self._response.charset else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises GatewayError (`upstream_reset`, `upstream_timeout`)."""
        with _translated():
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def read(self, limit: int) -> bytes:
        """The whole body; a longer one is an error."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise GatewayError(
                    "upstream", "answer_too_large", f"The provider's answer is longer than {limit} bytes."
                )
        return bytes(body)


class _Connector(aiohttp.TCPConnector):
    """A pool that lends no connection on which the provider has said something unasked: it would be taken for the answer to the next
    request, which may be another caller's. aiohttp looks when a connection comes back, not when it is lent again."""

    async def _get(self, key: Any, traces: list[Any]) -> Connection | None:
        while (connection := await super()._get(key, traces)) is not None:
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        return None


class UpstreamClient:
    """Connections to providers, pooled; one per worker."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> AsyncIterator[UpstreamAnswer]:
        """Asks and waits for the response's head. Leaving the context without having read to the end closes the connection at once."""
        response = await self._ask(method, url, headers, body)
        try:
            if 300 <= response.status < 400:
                raise GatewayError(
                    "upstream", "upstream_redirect", "The provider answered with a redirect, which is never followed."
                )
            _refuse_unclear(response)
            yield UpstreamAnswer(response)
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> aiohttp.ClientResponse:
        session = self._session = self._session or self._open()
        with _translated():
            try:
                async with asyncio.timeout(self._timeouts.connect + self._timeouts.first_byte):
                    return await session.request(method, URL(url, encoded=True), headers=headers, data=body or None, allow_redirects=False)
            except TimeoutError as e:
                waited = self._timeouts.connect + self._timeouts.first_byte
                raise GatewayError(
                    "upstream_timeout", "upstream_timeout", f"The provider did not answer within {waited:g} s."
                ) from e

    def _open(self) -> aiohttp.ClientSession:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self._timeouts.connect, connect=None, sock_read=self._timeouts.idle
        )
        connector = _Connector(limit=0, keepalive_timeout=30, enable_cleanup_closed=True)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            read_bufsize=READ_BUFFER,
            skip_auto_headers=("user-agent", "accept", "content-type"),
        )


def _refuse_unclear(response: aiohttp.ClientResponse) -> None:
    """Raises GatewayError for an answer whose bytes are not what they seem, or that no client could be given: a status without a body
    (204 with one would stand before the client's next answer), in parts, or outside HTTP's numbers."""
    encodings = [value.strip().lower() for value in response.headers.getall("content-encoding", [])]
    codings = [value.strip().lower() for value in response.headers.getall("transfer-encoding", [])]
    if encodings not in ([], ["identity"]) or codings not in ([], ["chunked"]):
        raise GatewayError(
            "upstream", "upstream_encoding", "The provider compressed its answer although identity was asked for."
        )
    if len(response.headers.getall("content-type", [])) > 1:
        raise GatewayError("upstream", "upstream_media_type", "The provider gave its answer two media types.")
    if not (200 <= response.status <= 204 or 400 <= response.status <= 599):
        raise GatewayError(
            "upstream", "upstream_status", f"The provider answered with the status {response.status}, which ends no request."
        )


class _translated:  # noqa: N801 - reads as a statement: with _translated():
    """aiohttp's exceptions as ours."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, (aiohttp.ServerTimeoutError, aiohttp.SocketTimeoutError)):
            raise GatewayError(
                "upstream_timeout", "upstream_timeout", "The provider fell silent for too long."
            ) from error
        if isinstance(error, aiohttp.ClientConnectorError):
            raise GatewayError(
                "upstream", "upstream_unreachable", f"The provider cannot be reached: {_cause(error)}."
            ) from error
        if isinstance(error, (aiohttp.ClientError, ConnectionError)):
            raise GatewayError(
                "upstream", "upstream_reset", "The provider's connection broke inside its answer."
            ) from error


def _cause(error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
        return "its TLS certificate cannot be verified"
    return (error.os_error.strerror or "connection failed").lower()
