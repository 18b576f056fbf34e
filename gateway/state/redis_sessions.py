"""Sessions in which calls were denied, in Redis: the same for the workers of several machines.

A session is a hash; `redis_sessions.lua` counts, stops and resumes it in one step. One that is open ends by itself, a while after its last
denial; a stop has no end. When the server loses its memory, so are the stops: then what was stopped goes on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.state.redis_lease import Lease
from gateway.state.redis_line import Line, Value, fields, text
from gateway.state.sessions import EVERY_SESSION, Denial, Session, whole
from gateway.state.sqlite_sessions import KEPT_US

_OTHERWISE = "The state store cannot be used, so nobody can tell whether this session is stopped."
_KEPT_MS = KEPT_US // 1000


class RedisSessions:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._script = line.script("redis_sessions")
        self._stopped, self._to_note = line.key("sessions", "stopped"), line.key("sessions", "note")
        self._turn = Lease(line, "sessions")

    def stopped(self, owner: str, session: str, agent: str | None = None) -> Session | None:
        names = [] if agent is None else [self._name(whole(agent), EVERY_SESSION)]
        return next((each for each in self._all([*names, self._name(owner, session)]) if each.state == "stopped"), None)

    def denied(self, of: Denial, *, most: int | None) -> Session | None:
        who = {"owner": of.owner, "session": of.session, "agent": of.agent, "team": of.team, "user": of.user, "org": of.org}
        by = {"policy": of.policy, "rule": of.rule, "exchange": of.exchange, "decision": of.decision}
        bound = "" if most is None else most
        found = self._do(self._name(of.owner, of.session), "denied", of.at_us, bound, *map(msgspec.json.encode, (who, by)))
        return _session(fields(found)) if found else None

    def every(self, limit: int = 1000) -> list[Session]:
        with self._line.asking(_OTHERWISE) as redis:
            return self._all(redis.zrevrange(self._stopped, 0, limit - 1))

    def pause(self, agent: str, *, by: str, why: str, at_us: int) -> bool:
        who = {"owner": whole(agent), "session": EVERY_SESSION, "agent": agent, "team": None, "user": None, "org": None}
        return bool(self._do(self._name(whole(agent), EVERY_SESSION), "pause", at_us, by, why, msgspec.json.encode(who)))

    def resume(self, owner: str, session: str, *, by: str, at_us: int, why: str = "") -> bool:
        return bool(self._do(self._name(owner, session), "resume", at_us, by, why))

    def unrecorded(self, limit: int) -> list[Session]:
        with self._line.asking(_OTHERWISE) as redis:
            return self._turn.mine(self._all(redis.zrange(self._to_note, 0, limit - 1)))

    def recorded(self, sessions: Sequence[Session]) -> None:
        for each in sessions:
            self._do(self._name(each.owner, each.session), "recorded", each.change)
        self._turn.done()

    def close(self) -> None:
        self._line.close()

    def _do(self, name: str, act: str, *values: Value) -> Any:
        with self._line.asking(_OTHERWISE):
            return self._script([name, self._stopped, self._to_note], [act, _KEPT_MS, *values])

    def _all(self, names: Sequence[Any]) -> list[Session]:
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline() as together:
            for name in names:
                together.hgetall(name)
            return [_session(text(found)) for found in together.execute() if found]

    def _name(self, owner: str, session: str) -> str:
        """A digest: what a client calls its session may be of any length."""
        return self._line.key("session", hashlib.sha256(msgspec.json.encode((owner, session))).hexdigest())


def _session(found: dict[str, str]) -> Session:
    told = msgspec.json.decode(found["who"]) | {"policy": "", "rule": "", "exchange": "", "decision": ""}
    told |= msgspec.json.decode(found["by"]) if "by" in found else {}
    told |= {name: int(found[name]) for name in ("denials", "changed_us", "change")}
    said = {"changed_by": found.get("changed_by", ""), "why": found.get("why", "")}
    return msgspec.convert(told | {"state": found["state"], **said}, Session)
