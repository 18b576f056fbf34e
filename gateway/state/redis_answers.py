"""Answers kept in Redis for all workers and machines: sealed under the installation's secret, bounded together, each gone when its time is
over. What would be too much goes by the time at which it ends, the earliest first: the server is not asked to remember who was asked for.

The server also holds what must not be lost (keys, approvals), so it throws nothing away by itself: the bound is kept here.
"""

from __future__ import annotations

import contextlib
import zlib
from pathlib import Path
from typing import Any

from gateway.sealing import CannotOpen, beside
from gateway.state.memory_answers import OVERHEAD
from gateway.state.redis_line import Line

_OTHERWISE = "The state store cannot be used, so no answer is given again."


class RedisAnswers:
    """`data` is the data folder, whose secret seals what is kept: the same on every machine. `most`: bytes of all together."""

    def __init__(self, line: Line, data: Path, most: int) -> None:
        self._line, self._most = line, most
        self._box = beside(data / "state", "answers")
        self._keep, self._forget = line.script("redis_answers"), line.script("redis_answers_forget")
        self._prefix = line.key("answer", "")
        self._books = [line.key("answers", "by end"), line.key("answers", "bytes")]

    def find(self, name: str) -> bytes | None:
        """None also for what was sealed under another secret."""
        with self._line.asking(_OTHERWISE) as redis:
            found: Any = redis.get(self._prefix + name)
        if found is None:
            return None
        with contextlib.suppress(CannotOpen, zlib.error):
            return zlib.decompress(self._box.open(found, name))
        return None

    def keep(self, name: str, data: bytes, ttl_us: int) -> None:
        sealed = self._box.seal(zlib.compress(data, 1), name)
        with self._line.asking(_OTHERWISE):
            self._keep(
                [self._prefix + name, *self._books], [sealed, max(1, ttl_us // 1000), self._most, OVERHEAD, name, self._prefix]
            )

    def forget(self, name: str) -> None:
        with self._line.asking(_OTHERWISE):
            self._forget([self._prefix + name, *self._books], [OVERHEAD, name])

    def close(self) -> None:
        self._line.close()
