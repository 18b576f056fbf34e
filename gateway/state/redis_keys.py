"""Keys in Redis: hashes of what each key proves, when it was revoked, and when it ends since it was rotated. A key is never taken out, so
that its id is never another's.

When the server has lost them, every key is unknown: nobody gets in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.client import Pipeline

from gateway.exchange import Storing
from gateway.scope import ANYTHING, KeyScope
from gateway.state.access import of_key, rotated
from gateway.state.held_keys import HeldKeys, fresh
from gateway.state.keys import KeyRecord
from gateway.state.redis_access import changing, note
from gateway.state.redis_line import Line

_OTHERWISE = "The key store cannot be used."


class _Kept(msgspec.Struct, frozen=True):
    """A key as it lies in the store."""

    hash: bytes
    record: KeyRecord


_kept = msgspec.json.Decoder(_Kept).decode
_NOBODY = msgspec.json.encode(_Kept(bytes(32), KeyRecord("0" * 8, "nobody", "0" * 4, 0)))
"""Read where there is no key, which is to take as long as reading one."""


class RedisKeys:
    """`pepper` keys the stored hashes: the same on every machine, and never another."""

    def __init__(self, line: Line, pepper: bytes) -> None:
        self._line, self._pepper = line, pepper
        self._keys, self._revoked, self._ends = line.key("keys"), line.key("keys", "revoked"), line.key("keys", "ends")
        self._held = HeldKeys(pepper, self._hash_of, self._read)
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
        org: str | None = None,
        scope: KeyScope = ANYTHING,
        by: str = "",
    ) -> str:
        new = fresh(self._pepper)
        facts = (new.id, agent, new.last4, now_us, team, user, dict(labels or {}), expires_us)
        record = KeyRecord(*facts, store=store, org=org, scope=scope)
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            together.hset(self._keys, new.id, msgspec.json.encode(_Kept(new.hash, record)))
            note(self._line, together, of_key("created", record, now_us, by))
            together.execute()
        return new.token

    def rotate(self, key_id: str, now_us: int, old_until_us: int, *, by: str = "", why: str = "") -> str:
        new = fresh(self._pepper)

        def step(together: Pipeline) -> None:
            every = {key.id: key for key in self._all(together)}
            old = every.get(key_id)
            alike = [key for key in every.values() if old is not None and key.line == old.line]
            both = rotated(old, alike, new, now_us, old_until_us)
            together.multi()
            together.hset(self._keys, new.id, msgspec.json.encode(_Kept(new.hash, both.new)))
            together.hset(self._ends, key_id, str(both.old.expires_us))
            note(self._line, together, of_key("rotated", both.new, now_us, by, why), of_key("ends", both.old, now_us, by, why))

        changing(self._line, _OTHERWISE, self._names(), step)
        self._held.forget(key_id)
        return new.token

    def revoke(self, key_id: str, now_us: int, *, by: str = "", why: str = "") -> bool:
        def step(together: Pipeline) -> bool:
            found = self._look(together, key_id)
            together.multi()
            if found is not None and found[1].revoked_us is None:
                together.hset(self._revoked, key_id, str(now_us))
                note(self._line, together, of_key("revoked", msgspec.structs.replace(found[1], revoked_us=now_us), now_us, by, why))
            return found is not None

        known = changing(self._line, _OTHERWISE, self._names(), step)
        self._held.forget(key_id)
        return known

    def every(self) -> list[KeyRecord]:
        with self._line.asking(_OTHERWISE) as redis:
            return sorted(self._all(redis), key=lambda record: record.created_us)

    def _all(self, redis: Any) -> list[KeyRecord]:
        """A key in the same moment without its end would outlive it: ends and revocations are read after the keys, and never taken out."""
        keys, revoked, ends = (redis.hgetall(name) for name in self._names())
        return [_record(kept, revoked.get(name), ends.get(name))[1] for name, kept in keys.items()]

    def _look(self, redis: Any, key_id: str) -> tuple[bytes, KeyRecord] | None:
        kept, revoked, ends = (redis.hget(name, key_id) for name in self._names())
        return None if kept is None else _record(kept, revoked, ends)

    def _names(self) -> tuple[str, str, str]:
        return self._keys, self._revoked, self._ends

    def close(self) -> None:
        self._line.close()

    def _hash_of(self, key_id: str, now_us: int) -> bytes | None:
        kept, revoked, ends = self._asked(key_id)
        found, record = _record(_NOBODY if kept is None else kept, revoked, ends)
        return found if record.active(now_us) and kept is not None else None

    def _read(self, key_id: str) -> KeyRecord | None:
        kept, revoked, ends = self._asked(key_id)
        return None if kept is None else _record(kept, revoked, ends)[1]

    def _asked(self, key_id: str) -> tuple[bytes | None, bytes | None, bytes | None]:
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline(transaction=False) as together:
            for name in self._names():
                together.hget(name, key_id)
            kept, revoked, ends = together.execute()
        return kept, revoked, ends


def _record(kept: bytes, revoked: bytes | None, ends: bytes | None) -> tuple[bytes, KeyRecord]:
    """(hash, what the key proves)"""
    found = _kept(kept)
    revoked_us = found.record.revoked_us if revoked is None else int(revoked)
    expires_us = found.record.expires_us if ends is None else int(ends)
    return found.hash, msgspec.structs.replace(found.record, revoked_us=revoked_us, expires_us=expires_us)
