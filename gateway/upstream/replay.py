"""A provider's answer whose body is remembered while it is read (`Noted`), and one that is given again (`Replayed`). Both have the face of
`client.UpstreamAnswer`, so that whoever reads and judges them cannot tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Self

from gateway.upstream.client import ProviderAnswer

PIECE = 64 * 1024
"""Bytes of a stream that are judged at once."""


class Replayed:
    charset = None

    def __init__(self, media_type: str, body: bytes) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.media_type, self._body = media_type, body

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._body), PIECE):
            yield self._body[at : at + PIECE]

    async def read(self, limit: int) -> bytes:
        return self._body


class Noted:
    """`most`: bytes of a body that is remembered; of a longer one nothing is."""

    def __init__(self, answer: ProviderAnswer, most: int) -> None:
        self._answer, self._left = answer, most
        self._pieces: list[bytes] = []
        self.status, self.headers = answer.status, answer.headers

    @property
    def body(self) -> bytes | None:
        return b"".join(self._pieces) if self._left >= 0 else None

    @property
    def media_type(self) -> str:
        return self._answer.media_type

    @property
    def charset(self) -> str | None:
        return self._answer.charset

    def chunks(self) -> AsyncIterator[bytes]:
        return _NotedChunks(self._answer.chunks(), self)

    async def read(self, limit: int) -> bytes:
        return self.note(await self._answer.read(limit))

    def note(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left >= 0:
            self._pieces.append(piece)
        else:
            self._pieces.clear()
        return piece


class _NotedChunks:
    """No generator: one whose wait is given up would look ended."""

    def __init__(self, chunks: AsyncIterator[bytes], noted: Noted) -> None:
        self._chunks, self._noted = chunks, noted

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return self._noted.note(await anext(self._chunks))
