"""Keys in Redis: two hashes, what each key proves and when it was revoked. A key is never taken out, so that its id is never another's.

When the server has lost them, every key is unknown: nobody gets in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.exchange import Storing
from gateway.state import KeyRecord
from gateway.state.held_keys import HeldKeys, fresh
from gateway.state.redis_line import Line

_OTHERWISE = "The key store cannot be used."


class _Kept(msgspec.Struct, frozen=True):
    """A key as it lies in the store."""

    hash: bytes
    record: KeyRecord


_kept = msgspec.json.Decoder(_Kept).decode


class RedisKeys:
    """`pepper` keys the stored hashes: the same on every machine, and never another."""

    def __init__(self, line: Line, pepper: bytes) -> None:
        self._line, self._pepper = line, pepper
        self._keys, self._revoked = line.key("keys"), line.key("keys", "revoked")
        self._held = HeldKeys(pepper, self._read)
        self._created = False

    def find(self, token: str, now_us: int) -> KeyRecord | None:
        return self._held.find(token, now_us)

    def at_hand(self, token: str, now_us: int) -> bool:
        return self._held.at_hand(token, now_us)

    def any_created(self) -> bool:
        if not self._created:
            with self._line.asking(_OTHERWISE) as redis:
                self._created = bool(redis.exists(self._keys))
        return self._created

    def any_active(self, now_us: int) -> bool:
        return any(record.active(now_us) for record in self.every())

    def create(
        self,
        *,
        agent: str,
        now_us: int,
        team: str | None = None,
        user: str | None = None,
        labels: Mapping[str, str] | None = None,
        expires_us: int | None = None,
        store: Storing | None = None,
    ) -> str:
        new = fresh(self._pepper)
        record = KeyRecord(new.id, agent, new.last4, now_us, team, user, dict(labels or {}), expires_us, store=store)
        with self._line.asking(_OTHERWISE) as redis:
            redis.hset(self._keys, new.id, msgspec.json.encode(_Kept(new.hash, record)))
        return new.token

    def revoke(self, key_id: str, now_us: int) -> bool:
        with self._line.asking(_OTHERWISE) as redis:
            known = bool(redis.hexists(self._keys, key_id))
            if known:
                redis.hsetnx(self._revoked, key_id, str(now_us))
        self._held.forget(key_id)
        return known

    def every(self) -> list[KeyRecord]:
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as both:
            both.hgetall(self._keys)
            both.hgetall(self._revoked)
            keys, revoked = both.execute()
        found = [_record(kept, revoked.get(name))[1] for name, kept in keys.items()]
        return sorted(found, key=lambda record: record.created_us)

    def close(self) -> None:
        self._line.close()

    def _read(self, key_id: str) -> tuple[bytes, KeyRecord] | None:
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline(transaction=False) as both:
            both.hget(self._keys, key_id)
            both.hget(self._revoked, key_id)
            kept, revoked = both.execute()
        return None if kept is None else _record(kept, revoked)


def _record(kept: bytes, revoked: Any) -> tuple[bytes, KeyRecord]:
    found = _kept(kept)
    record = found.record if revoked is None else msgspec.structs.replace(found.record, revoked_us=int(revoked))
    return found.hash, record
