"""Answers that have been read as far as they can be before anything of them is passed on: whole, or a stream up to its first event. Same
face as `client.UpstreamAnswer`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

from gateway.errors import GatewayError
from gateway.upstream.client import ProviderAnswer


class Whole:
    """An answer that has been read."""

    def __init__(self, raw: ProviderAnswer, body: bytes) -> None:
        self.status, self.headers, self._raw, self._body = raw.status, raw.headers, raw, body

    @property
    def media_type(self) -> str:
        return self._raw.media_type

    @property
    def charset(self) -> str | None:
        return self._raw.charset

    async def chunks(self) -> AsyncIterator[bytes]:
        yield self._body

    async def read(self, limit: int) -> bytes:
        if len(self._body) > limit:
            raise GatewayError("upstream", "answer_too_large", f"The provider's answer is longer than {limit} bytes.")
        return self._body


class Begun:
    """A stream whose beginning is there."""

    def __init__(self, raw: ProviderAnswer, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self.status, self.headers, self._raw = raw.status, raw.headers, raw
        self._first, self._rest = first, rest

    @property
    def media_type(self) -> str:
        return self._raw.media_type

    @property
    def charset(self) -> str | None:
        return self._raw.charset

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await anext(self._rest)

    async def read(self, limit: int) -> bytes:
        pieces, length = [], 0
        async for piece in self:
            pieces.append(piece)
            length += len(piece)
            if length > limit:
                raise GatewayError("upstream", "answer_too_large", f"The provider's answer is longer than {limit} bytes.")
        return b"".join(pieces)
