"""People with tokens and passwords, their invitations, and changes of keys and people that are not on record yet, in Redis.

A person is two entries: who a token belongs to, and the record under the name. All is changed in one transaction with the change that is
written down; one that another machine has overtaken is begun anew.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from redis.client import Pipeline
from redis.exceptions import WatchError

from gateway.errors import GatewayError
from gateway.identify import key_hash
from gateway.people.roles import Role
from gateway.state.access import (
    NO_TOKEN,
    joined,
    may_change,
    of_person,
    person_token,
    random_token,
    refuse_without_administrator,
    sealed_anew,
    split_person_token,
    there_already,
    token_hash,
    told_of,
    without_token,
)
from gateway.state.people import Invitation, PersonRecord
from gateway.state.redis_lease import Lease
from gateway.state.redis_line import Line
from gateway.trace.people_rows import AccessRow

_LOG_OTHERWISE = "Changes of keys and people cannot be read."
_OTHERWISE = "The people of this installation cannot be read."
TRIES = 20
T = TypeVar("T")


class _Kept(msgspec.Struct, frozen=True):
    """A person as they lie in the store."""

    token: str
    hash: bytes
    record: PersonRecord
    password: str = ""


_invitation = msgspec.json.Decoder(Invitation).decode
_change = msgspec.json.Decoder(AccessRow).decode
_kept = msgspec.json.Decoder(_Kept).decode
_encode = msgspec.json.Encoder().encode


def note(line: Line, together: Any, *changes: AccessRow) -> None:
    """In the transaction that makes them."""
    together.rpush(line.key("access", "changes"), *map(_encode, changes))


def changing(line: Line, otherwise: str, names: Sequence[str], step: Callable[[Pipeline], T]) -> T:
    """Does `step` in one transaction over these keys: it reads, calls `multi()`, and says what to write; what raises changes nothing."""
    with line.asking(otherwise) as redis, redis.pipeline() as together:
        for _ in range(TRIES):
            try:
                together.watch(*names)  # type: ignore[no-untyped-call]
                done = step(together)
                together.execute()
            except WatchError:
                continue
            return done
    raise GatewayError("unavailable", "state_busy", f"{otherwise} Others change the same at this moment. Try again.", retry_after=1)


class RedisAccessLog:
    def __init__(self, line: Line) -> None:
        self._line, self._name = line, line.key("access", "changes")
        self._turn = Lease(line, "access")

    def unrecorded(self, limit: int) -> list[AccessRow]:
        with self._line.asking(_LOG_OTHERWISE) as redis:
            return self._turn.mine([_change(body) for body in redis.lrange(self._name, 0, limit - 1)])

    def recorded(self, changes: Sequence[AccessRow]) -> None:
        with self._line.asking(_LOG_OTHERWISE) as redis, redis.pipeline() as together:
            for each in changes:
                together.lrem(self._name, 1, _encode(each).decode())
            together.execute()
        self._turn.done()

    def close(self) -> None:
        self._line.close()


class RedisPeople:
    """`pepper` keys the stored hashes: the same on every machine, and never another."""

    def __init__(self, line: Line, pepper: bytes) -> None:
        self._line, self._pepper = line, pepper
        self._people, self._tokens, self._invitations = line.key("people"), line.key("people", "tokens"), line.key("people", "invitations")

    def find(self, token: str, now_us: int) -> PersonRecord | None:
        parts = split_person_token(token)
        if parts is None:
            return None
        presented = key_hash(self._pepper, parts[1])
        with self._line.asking(_OTHERWISE) as redis:
            name = redis.hget(self._tokens, parts[0])
            body = None if name is None else redis.hget(self._people, name)
        kept = None if body is None else _kept(body)
        if kept is None or kept.token != parts[0] or not hmac.compare_digest(kept.hash, presented):
            return None
        return kept.record if kept.record.active(now_us) else None

    def named(self, name: str) -> PersonRecord | None:
        with self._line.asking(_OTHERWISE) as redis:
            found = self._read(redis, name)
        return None if found is None else found.record

    def password(self, name: str, now_us: int) -> tuple[PersonRecord, str] | None:
        with self._line.asking(_OTHERWISE) as redis:
            found = self._read(redis, name)
        good = found is not None and bool(found.password) and bool(found.record.seal) and found.record.active(now_us)
        return (found.record, found.password) if good and found is not None else None

    def any_password(self, now_us: int) -> bool:
        with self._line.asking(_OTHERWISE) as redis:
            found = self._everybody(redis)
        return any(each.password and each.record.seal and each.record.active(now_us) for each in found)

    def add(self, new: PersonRecord, by: str = "") -> str:
        made = person_token(self._pepper)
        kept = _Kept(made.id, made.hash, msgspec.structs.replace(new, last4=made.last4))

        def step(together: Pipeline) -> str:
            before = self._read(together, new.id)
            if before is not None and before.record.active(new.created_us):
                raise there_already(new.id)
            together.multi()
            self._keep(together, before, kept)
            note(self._line, together, of_person("created", kept.record, new.created_us, by))
            return made.token

        return changing(self._line, _OTHERWISE, [self._people], step)

    def renew_token(self, name: str, now_us: int, by: str = "") -> str | None:
        made = person_token(self._pepper)
        done = self._put(name, "token", now_us, by, {"token": made.id, "hash": made.hash}, last4=made.last4)
        return made.token if done else None

    def end_token(self, name: str, now_us: int, by: str = "") -> bool:
        return self._put(name, "token-ended", now_us, by, {"hash": NO_TOKEN}, last4="")

    def set_password(self, name: str, kept: str, now_us: int, by: str = "") -> PersonRecord | None:
        fresh = sealed_anew(PersonRecord(name, (), "", now_us)).seal
        done = self._put(name, "password", now_us, by, {"password": kept}, seal=fresh)
        return self.named(name) if done else None

    def invite(self, new: Invitation, now_us: int) -> str:
        token, stored = random_token()
        with self._line.asking(_OTHERWISE) as redis:
            ended = [key for key, body in redis.hgetall(self._invitations).items() if _invitation(body).expires_us <= now_us]
            if ended:
                redis.hdel(self._invitations, *ended)
            redis.hset(self._invitations, stored.hex(), _encode(new))
        return token

    def invited(self, token: str, now_us: int) -> Invitation | None:
        with self._line.asking(_OTHERWISE) as redis:
            body = redis.hget(self._invitations, token_hash(token).hex())
        found = None if body is None else _invitation(body)
        return found if found is not None and found.expires_us > now_us else None

    def join(self, token: str, name: str, kept: str, now_us: int) -> PersonRecord:
        stored = token_hash(token).hex()

        def step(together: Any) -> PersonRecord:
            invitations = {key.decode(): _invitation(body) for key, body in together.hgetall(self._invitations).items()}
            invitation, before = invitations.get(stored), self._read(together, name)
            after = joined(invitation, None if before is None else before.record, name, now_us)
            together.multi()
            together.hdel(self._invitations, *(key for key, each in invitations.items() if key == stored or each.first))
            if before is not None and before.record.active(now_us):
                together.hset(self._people, name, _encode(msgspec.structs.replace(before, record=after, password=kept)))
            else:
                made = without_token(self._pepper)
                self._keep(together, before, _Kept(made.id, made.hash, after, kept))
            note(self._line, together, of_person("joined", after, now_us, name, told_of(invitation)))
            return after

        return changing(self._line, _OTHERWISE, [self._people, self._invitations], step)

    def change(
        self, name: str, roles: tuple[Role, ...], teams: tuple[str, ...] | None, now_us: int, by: str = "", *, last_stays: bool = False
    ) -> bool:
        return self._put(name, "roles", now_us, by, {}, last_stays=last_stays, roles=roles, teams=teams)

    def remove(self, name: str, now_us: int, *, by: str = "", why: str = "", last_stays: bool = False) -> bool:
        return self._put(name, "removed", now_us, by, {"password": ""}, why, last_stays=last_stays, removed_us=now_us)

    def move_in(self, person: PersonRecord, kept: str, by: str) -> bool:
        made, person = without_token(self._pepper), sealed_anew(person)

        def step(together: Pipeline) -> bool:
            before = self._read(together, person.id)
            together.multi()
            if before is not None:
                return False
            self._keep(together, None, _Kept(made.id, made.hash, person, kept))
            note(self._line, together, of_person("created", person, person.created_us, by))
            return True

        return changing(self._line, _OTHERWISE, [self._people], step)

    def every(self) -> list[PersonRecord]:
        with self._line.asking(_OTHERWISE) as redis:
            found = [each.record for each in self._everybody(redis)]
        return sorted(found, key=lambda each: (each.created_us, each.id))

    def close(self) -> None:
        self._line.close()

    def _put(
        self, name: str, what: str, now_us: int, by: str, kept: Mapping[str, Any], why: str = "", *, last_stays: bool = False, **values: Any
    ) -> bool:
        """`kept` are changes beside the record, `values` of it."""

        def step(together: Pipeline) -> bool:
            before = self._read(together, name)
            if before is None or not may_change(before.record, what, now_us):
                together.multi()
                return False
            after = msgspec.structs.replace(before.record, **values)
            if last_stays:
                refuse_without_administrator((each.record for each in self._everybody(together)), after, now_us)
            together.multi()
            self._keep(together, before, msgspec.structs.replace(before, record=after, **kept))
            note(self._line, together, of_person(what, after, now_us, by, why))
            return True

        return changing(self._line, _OTHERWISE, [self._people], step)

    def _keep(self, together: Any, before: _Kept | None, kept: _Kept) -> None:
        if before is not None and before.token != kept.token:
            together.hdel(self._tokens, before.token)
        together.hset(self._people, kept.record.id, _encode(kept))
        together.hset(self._tokens, kept.token, kept.record.id)

    def _everybody(self, redis: Any) -> list[_Kept]:
        return [_kept(body) for body in redis.hvals(self._people)]

    def _read(self, together: Any, name: str) -> _Kept | None:
        body = together.hget(self._people, name)
        return None if body is None else _kept(body)
