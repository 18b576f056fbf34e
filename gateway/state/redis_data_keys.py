"""The keys under which content is encrypted, in Redis: the same for all machines, so that each reads what another wrote, and one erasure is
one for all.

1. They lie here as in the embedded store (`sqlite_data_keys`): wrapped by a master key, which is elsewhere, and taken in blocks of uses.
2. When the server loses them, what was sealed under them cannot be read again. So the gateway does not start with them on a server that
   writes nothing to its disk (`remote`).
3. Erasing takes them out of the memory and has the server write its append-only file anew; an error says when it does not. Its snapshots
   and backups are the operator's to keep few.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import redis

from gateway.errors import GatewayError
from gateway.state.data_keys import DataKey
from gateway.state.redis_line import Line, Value
from gateway.state.sqlite_data_keys import BLOCK, LIFE_US, MOST_USES

REWRITTEN_S = 30.0
PAUSE_S = 0.1
_OTHERWISE = "The store of data keys cannot be used, so content can be neither encrypted nor read."


class RedisDataKeys:
    def __init__(self, line: Line) -> None:
        self._line, self._root = line, line.key("data-key")
        self._script = line.script("redis_data_keys")

    def take(self, tenant: str, user: str, now_us: int, make: Callable[[], DataKey]) -> tuple[DataKey, int]:
        wanted = (_digest(tenant, user), _digest(tenant), now_us - LIFE_US, MOST_USES, BLOCK)
        found = self._do("take", *wanted)
        if not found:  # of several machines that make one, the first one's is taken by all
            new = make()
            found = self._do("take", *wanted, new.id, new.tenant, new.user, new.wrapped, new.created_us)
        return _key({found[at]: found[at + 1] for at in range(0, len(found), 2)}), BLOCK

    def find(self, name: str) -> DataKey | None:
        return next(iter(self._all([name])), None)

    def erase(self, tenant: str, user: str | None, now_us: int) -> list[str]:
        whose = ("tenant", _digest(tenant)) if user is None else ("of", _digest(tenant, user))
        gone = self._do("erase", *whose)
        self._write_anew()
        return [name.decode() for name in gone]

    def noted(self, names: Sequence[str]) -> None:
        """What is on record as erased needs no place here."""
        with self._line.asking(_OTHERWISE) as server, server.pipeline(transaction=False) as together:
            for name in names:
                together.hmget(f"{self._root}:id:{name}", ["tenant", "user"])
            owners = together.execute()
        known = [(name, *map(bytes.decode, who)) for name, who in zip(names, owners, strict=True) if who[0] is not None]
        self._do("noted", *(value for name, tenant, user in known for value in (name, _digest(tenant, user), _digest(tenant))))

    def every(self) -> list[DataKey]:
        with self._line.asking(_OTHERWISE) as server:
            names: Any = server.zrange(f"{self._root}:all", 0, -1)
        return self._all([name.decode() for name in names])

    def rewrap(self, key: DataKey) -> None:
        self._do("rewrap", key.id, key.wrapped)

    def close(self) -> None:
        self._line.close()

    def _do(self, act: str, *values: Value) -> Any:
        with self._line.asking(_OTHERWISE):
            return self._script([self._root], [act, *values])

    def _all(self, names: Sequence[str]) -> list[DataKey]:
        with self._line.asking(_OTHERWISE) as server, server.pipeline(transaction=False) as together:
            for name in names:
                together.hgetall(f"{self._root}:id:{name}")
            return [_key(found) for found in together.execute() if b"wrapped" in found]

    def _write_anew(self) -> None:
        """The append-only file holds what was there before, until it is written anew."""
        deadline = time.monotonic() + REWRITTEN_S
        begun = False
        while True:
            with self._line.asking(_OTHERWISE) as server:
                state: Any = server.info("persistence")
                if not state.get("aof_enabled") or (begun and not _rewriting(state) and state.get("aof_last_bgrewrite_status") == "ok"):
                    return
                begun = begun or (not _rewriting(state) and _told_to(server))
            if time.monotonic() > deadline:
                message = "The data keys are dropped, but the append-only file of the server still holds them. Do it again."
                raise GatewayError("unavailable", "state_busy", message, retry_after=1)
            time.sleep(PAUSE_S)


def _rewriting(state: dict[str, Any]) -> bool:
    return bool(state.get("aof_rewrite_in_progress") or state.get("aof_rewrite_scheduled"))


def _told_to(server: redis.Redis) -> bool:
    try:
        server.bgrewriteaof()
    except redis.ResponseError:  # another one is under way, or this user may not
        return False
    return True


def _digest(*whose: str) -> str:
    return hashlib.sha256(msgspec.json.encode(whose)).hexdigest()


def _key(found: dict[bytes, bytes]) -> DataKey:
    text = {name: found[name].decode() for name in (b"id", b"tenant", b"user")}
    return DataKey(text[b"id"], text[b"tenant"], text[b"user"], found[b"wrapped"], int(found[b"created_us"]))
