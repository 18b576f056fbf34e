"""Where recorded streams are cut in two: at some places of each, or with `TOLLHOUSE_SPLITS=all` at every byte."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from zlib import crc32

EVERYWHERE = os.environ.get("TOLLHOUSE_SPLITS") == "all"
_TURNS = (b"\n", b'"', b"\\", b"{", b"}", b"\r")
"""Bytes at which a reader of a stream begins something else."""


def places(data: bytes, most: int) -> list[int]:
    """At most so many, in order, the same each time: half of them beside bytes at which something begins or ends, or inside of a character,
    the others anywhere."""
    if EVERYWHERE or len(data) - 1 <= most:
        return list(range(1, len(data)))
    drawn = random.Random(crc32(data))
    turning = [at for at in range(1, len(data)) if data[at - 1 : at] in _TURNS or data[at : at + 1] in _TURNS or data[at] & 0xC0 == 0x80]
    found = set(drawn.sample(turning, min(len(turning), most // 2)))
    return sorted(found | set(drawn.sample(range(1, len(data)), most - len(found))))


def in_two(data: bytes, most: int) -> Iterator[tuple[bytes, bytes]]:
    """The two pieces of each cut."""
    return ((data[:at], data[at:]) for at in places(data, most))


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
