"""A request's body read so that other requests of the worker need not wait for it.

1. Short bodies, which are nearly all, are read at once.
2. A long one is weighed before it is read, piece by piece with others served in between; one that holds more than a parser gets through in
   some 20 ms is refused. A first look, which counts what stands in strings as well, spares that to nearly all.
3. Then it is decoded in a thread. Python's interpreter lock makes that no faster, but hands over every 5 ms; only single calls into the
   JSON library are not interrupted, and these the weight bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from gateway.dialects.weight import Scale
from gateway.errors import GatewayError
from gateway.limit_settings import Limits

LONG = 128 * 1024
"""Bytes. Up to here reading takes some 5 ms at most, whatever they are."""
_PIECE = 128 * 1024

Read = TypeVar("Read")


async def read(body: bytes, limits: Limits, decode: Callable[[bytes], Read]) -> Read:
    """What `decode` makes of a body. Raises GatewayError, as `decode` does, which must not touch what others touch."""
    if len(body) <= LONG:
        return decode(body)
    if await _may_be_heavy(body, limits):
        await _weigh(body, limits)
    return await asyncio.to_thread(decode, body)


async def _may_be_heavy(body: bytes, limits: Limits) -> bool:
    objects = values = 0
    async for piece in _pieces(body):
        objects += piece.count(b"[") + piece.count(b"{") + piece.count(b":")
        values += piece.count(b",")
        if objects > limits.objects or values > limits.values:
            return True
    return False


async def _weigh(body: bytes, limits: Limits) -> None:
    scale = Scale()
    async for piece in _pieces(body):
        scale.add(piece)
        if scale.objects > limits.objects or scale.values > limits.values:
            raise _too_heavy(limits)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """Others are served between two."""
    for at in range(0, len(body), _PIECE):
        yield body[at : at + _PIECE]
        await asyncio.sleep(0)


def _too_heavy(limits: Limits) -> GatewayError:
    message = (
        f"This request's JSON has more than {limits.objects} arrays, objects and members, or more than {limits.values} values. Send less "
        "of the history or fewer tools, or have `limits: {objects: …, values: …}` raised in the gateway's settings."
    )
    return GatewayError("too_large", "too_many_values", message)
