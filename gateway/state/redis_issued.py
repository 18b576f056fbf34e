"""Which calls were delivered to whom, in Redis, as digests: one sorted set per owner, by the time each was last said.

What the server has lost makes a true history look forged, which is the safe side. What is older than `KEPT_US` goes with the next keeping,
an owner who says nothing for as long goes as a whole.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Collection, Sequence
from typing import Any

from gateway.state.redis_line import Line
from gateway.state.sqlite_issued import KEPT_US
from gateway.state.sure import CLEARED_EVERY, Sure

_OTHERWISE = "The state store cannot be used, so nobody can tell whether this conversation happened."
_AT_ONCE = 1000


class RedisIssued:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._sure, self._kept = Sure(), 0

    def keep(self, owner: str, digests: Sequence[bytes], now_us: int) -> None:
        if not digests:
            return
        name = self._name(owner)
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            together.zadd(name, dict.fromkeys(digests, now_us), gt=True)
            together.zremrangebyscore(name, "-inf", f"({now_us - KEPT_US}")
            together.pexpire(name, KEPT_US // 1000)
            together.execute()
        with self._lock:
            self._kept += 1
            if self._kept % CLEARED_EVERY == 1:
                self._sure.clear()
            self._sure.add(owner, digests)

    def keep_at_once(self, owner: str, digests: Sequence[bytes], now_us: int) -> bool:
        """Never: it is a way over the network."""
        return False

    def known(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        asked = list(digests)
        found = {digest for at in range(0, len(asked), _AT_ONCE) for digest in self._known(owner, asked[at : at + _AT_ONCE])}
        with self._lock:
            self._sure.add(owner, found)
        return frozenset(found)

    def known_at_once(self, owner: str, digests: Collection[bytes]) -> None:
        """Never: it is a way over the network."""
        return

    def seen(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        return self._sure.seen(owner, digests)

    def close(self) -> None:
        self._line.close()

    def _known(self, owner: str, digests: Sequence[bytes]) -> list[bytes]:
        members: Any = list(digests)
        with self._line.asking(_OTHERWISE) as redis:
            scores: Any = redis.zmscore(self._name(owner), members)
        return [digest for digest, score in zip(digests, scores, strict=True) if score is not None]

    def _name(self, owner: str) -> str:
        return self._line.key("issued", hashlib.sha256(owner.encode()).hexdigest())
