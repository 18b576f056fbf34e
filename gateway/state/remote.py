"""The stores of several machines: on one Redis (6.2 or later) or Valkey server, which all of them reach.

`ready_to_serve` looks at the server before a start. It refuses what would not work, or would lose content for good; it warns of what an
operator may mean: a server that forgets, that throws keys away, or that is reached in clear text.
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from pathlib import Path
from typing import Any

import redis

from gateway import secret
from gateway.errors import StartError
from gateway.redis_place import Place
from gateway.state.redis_access import RedisAccessLog, RedisPeople
from gateway.state.redis_approvals import RedisApprovals
from gateway.state.redis_belongings import RedisBelongings
from gateway.state.redis_data_keys import RedisDataKeys
from gateway.state.redis_issued import RedisIssued
from gateway.state.redis_keys import RedisKeys
from gateway.state.redis_limits import RedisLimits
from gateway.state.redis_line import Line
from gateway.state.redis_prompts import RedisPrompts
from gateway.state.redis_sessions import RedisSessions
from gateway.state.redis_sign_ins import RedisSignIns

OLDEST = (6, 2)


class Remote:
    """Opens each of them. `data` is the data folder of this machine, whose secret is the same on all."""

    def __init__(self, line: Line, data: Path) -> None:
        self.line, self._data = line, data

    def keys(self, pepper: bytes) -> RedisKeys:
        return RedisKeys(self.line, pepper)

    def people(self, pepper: bytes) -> RedisPeople:
        return RedisPeople(self.line, pepper)

    def sign_ins(self) -> RedisSignIns:
        return RedisSignIns(self.line)

    def access_log(self) -> RedisAccessLog:
        return RedisAccessLog(self.line)

    def belongings(self) -> RedisBelongings:
        return RedisBelongings(self.line, self._data)

    def approvals(self) -> RedisApprovals:
        return RedisApprovals(self.line, self._data)

    def limits(self) -> RedisLimits:
        return RedisLimits(self.line)

    def issued(self) -> RedisIssued:
        return RedisIssued(self.line)

    def sessions(self) -> RedisSessions:
        return RedisSessions(self.line)

    def prompts(self) -> RedisPrompts:
        return RedisPrompts(self.line, self._data)

    def data_keys(self) -> RedisDataKeys:
        return RedisDataKeys(self.line)


@lru_cache(16)
def line(place: Place, password: str | None, ca: str | None) -> Line:
    """One for all stores of a process."""
    return Line(place, password, ca)


def ready_to_serve(at: Line, data: Path, *, loopback: bool, encrypting: bool) -> list[str]:
    """What an operator should know about the server. Raises StartError when nobody should start with it."""
    try:
        facts: dict[str, Any] = at.redis.info("all")
        _refuse_unfit(at.place, facts, encrypting=encrypting)
        _refuse_another_secret(at, data)
    except redis.AuthenticationError as error:
        raise StartError(f"{at.place} wants another user or password ({error}); see 'state' in the settings") from error
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise StartError(f"{at.place} cannot be reached: {error}. Start it, or change 'state' in the settings") from error
    except redis.RedisError as error:
        raise StartError(f"{at.place} cannot be used as state store: {error}") from error
    return _warnings(at.place, facts, loopback=loopback)


def _refuse_unfit(place: Place, facts: dict[str, Any], *, encrypting: bool) -> None:
    version = str(facts.get("redis_version", "0.0"))
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise StartError(f"{place} is version {version}; the state store needs Redis 6.2 or later, or Valkey")
    if facts.get("role") != "master":
        raise StartError(f"{place} is a replica and takes no changes; name the primary under 'state' in the settings")
    if encrypting and not facts.get("aof_enabled"):
        raise StartError(
            f"{place} writes no append-only file, and would hold the keys of encrypted content: after its restart nobody could read that "
            "content again. Set 'appendonly yes' on it"
        )


def refuse_another_secret(at: Line, data: Path) -> None:
    """For commands, which would make keys that no machine takes. Raises StartError, and GatewayError where the server cannot be asked."""
    with at.asking("The key store cannot be used."):
        _refuse_another_secret(at, data)


def _refuse_another_secret(at: Line, data: Path) -> None:
    """Machines with different secrets would take each other's keys for forged ones."""
    name = at.key("installation")
    whose = at.redis.get(name)
    if whose is None or (data / secret.NAME).exists():
        mine = hmac.digest(secret.derive(secret.read_or_create(data), "state store"), b"whose", hashlib.sha256).hex()
        at.redis.setnx(name, mine)
        if at.redis.get(name) == mine.encode():
            return
    raise StartError(
        f"{at.place} holds the state of another installation (prefix '{at.place.prefix}'). If this machine belongs to it, copy the "
        f"file 'secret' of its data folder to {data}; otherwise choose another prefix: ?prefix=name"
    )


def _warnings(place: Place, facts: dict[str, Any], *, loopback: bool) -> list[str]:
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    found = []
    if policy != "noeviction":
        found.append(
            f"{place} throws keys away when its memory is full (maxmemory-policy {policy}): agents' keys, approvals and limits would be "
            "forgotten. Set 'maxmemory-policy noeviction'"
        )
    if not facts.get("aof_enabled"):
        found.append(
            f"{place} writes no append-only file: its restart forgets agents' keys, approvals, stopped sessions and limits. "
            "Set 'appendonly yes'"
        )
    if not (place.tls or loopback):
        found.append(f"{place} is reached in clear text, password included. Use rediss:// unless that network is trusted")
    return found
