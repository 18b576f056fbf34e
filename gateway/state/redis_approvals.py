"""What people were asked and what they said, in Redis: the same for the workers and books of several machines.

1. Every change is one script (`redis_approvals.lua`), so of many who would use one approval exactly one does, whichever machine it asks.
2. What a person says is checked against the approval as it was read, and takes effect only if it is still so; otherwise it is read again.
3. What was asked, said and changed is sealed, as in the embedded store (`sqlite_approvals`); times are the callers' own.
4. Changes are brought to the journal, and to whom it may concern, by one machine at a time (`redis_lease`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.sealing import CannotOpen, beside
from gateway.state.approvals import Approval, ApprovalState, Ruling
from gateway.state.approving import KEPT_US, folded, refuse_unless_open, too_many, unknown, unreadable, whose
from gateway.state.redis_lease import Lease
from gateway.state.redis_line import Line, Value, fields, text

_OTHERWISE = "The state store cannot be used, so nobody can be asked and no approval be found."
_AT_ONCE = 500
_NUMBERS = ("expires_us", "decided_us", "used_us", "change")
_DECIDED = ("state", "expires_us", "decided_by", "decided_us", "reason", "scope", "edited", "used_us", "change")
_asked = msgspec.json.Decoder(Approval).decode
List = Literal["note", "tell"]


class RedisApprovals:
    """`data` is the data folder, whose secret seals what is kept: the same on every machine."""

    def __init__(self, line: Line, data: Path) -> None:
        self._line, self._root = line, line.key("approval")
        self._box = beside(data / "state", "approvals")
        self._script = line.script("redis_approvals")
        self._turns: dict[List, Lease] = {"note": Lease(line, "note"), "tell": Lease(line, "tell")}

    def ask(self, new: Approval, most: int) -> Approval:
        call = {
            "id": new.id,
            "asked": self._sealed(msgspec.json.encode(new).decode(), new.id),
            "agent": new.agent,
            "user": folded(new.user),
            "four_eyes": str(int(new.four_eyes)),
            "now": str(new.created_us),
            "expires": str(new.expires_us),
            "once": new.bindings.once,
            "session": new.bindings.session,
            "anywhere": new.bindings.agent,
            "change": str(new.change),
        }
        found = self._do("ask", msgspec.json.encode(call), most)
        if not found:
            raise too_many(new.agent, most)
        return self._approval(fields(found))

    def find(self, name: str) -> Approval | None:
        return next(iter(self._all([name])), None)

    def every(self, state: ApprovalState | None = None, limit: int = 1000) -> list[Approval]:
        found: list[Approval] = []
        for at in range(0, limit if state is None else 10**9, _AT_ONCE):
            names = self._names("all", at, at + _AT_ONCE - 1, newest=True)
            found += [each for each in self._all(names) if state in (None, each.state)]
            if len(names) < _AT_ONCE or len(found) >= limit:
                break
        return found[:limit]

    def rule(self, name: str, ruling: Ruling) -> Approval:
        self._do("expire", ruling.at_us, ruling.at_us - KEPT_US)
        while True:
            found = self.find(name)
            if found is None:
                raise unknown(name)
            refuse_unless_open(found, ruling)
            if self._do("rule", name, found.change, msgspec.json.encode(self._said(name, ruling))):
                return self.find(name) or found

    def decided(self, names: Sequence[str]) -> list[Approval]:
        return [each for each in self._all(names) if each.state != "pending"]

    def erase(self, tenant: str, user: str | None) -> int:
        every = self.every(limit=10**9)
        theirs = [each.id for each in every if whose(each) == tenant and (user is None or (each.user or "") == user)]
        return sum(self._do("remove", name) for name in theirs)

    def expire(self, now_us: int) -> int:
        return int(self._do("expire", now_us, now_us - KEPT_US))

    def unrecorded(self, limit: int) -> list[Approval]:
        return self._turns["note"].mine(self._behind("note", limit))

    def recorded(self, approvals: Sequence[Approval]) -> None:
        self._caught_up("noted", "note", approvals)

    def untold(self, limit: int) -> list[Approval]:
        return self._turns["tell"].mine(self._behind("tell", limit))

    def told(self, approvals: Sequence[Approval]) -> None:
        self._caught_up("told", "tell", approvals)

    def close(self) -> None:
        self._line.close()

    def _behind(self, which: List, limit: int) -> list[Approval]:
        return self._all(self._names(which, 0, limit - 1))

    def _caught_up(self, field: Literal["noted", "told"], which: List, approvals: Sequence[Approval]) -> None:
        for each in approvals:
            self._do("caught up", field, which, each.id, each.change)
        self._turns[which].done()

    def _said(self, name: str, ruling: Ruling) -> dict[str, str]:
        """What changes with it; numbers as text, because Lua would round them."""
        said = {
            "state": "approved" if ruling.approve else "denied",
            "expires_us": str(ruling.expires_us),
            "decided_by": ruling.by,
            "decided_folded": folded(ruling.by),
            "decided_us": str(ruling.at_us),
            "scope": ruling.scope,
            "reason": self._sealed(ruling.reason, name),
        }
        return said if ruling.edited is None else said | {"edited": self._sealed(ruling.edited, name)}

    def _sealed(self, text: str, name: str) -> str:
        return self._box.seal_text(text, name) if text else text

    def _do(self, act: str, *values: Value) -> Any:
        with self._line.asking(_OTHERWISE):
            return self._script([self._root], [act, *values])

    def _names(self, which: str, first: int, last: int, *, newest: bool = False) -> list[str]:
        with self._line.asking(_OTHERWISE) as redis:
            found: Any = redis.zrange(f"{self._root}:{which}", first, last, desc=newest)
        return [name.decode() for name in found]

    def _all(self, names: Sequence[str]) -> list[Approval]:
        with self._line.asking(_OTHERWISE) as redis, redis.pipeline(transaction=False) as together:
            for name in names:
                together.hgetall(f"{self._root}:id:{name}")
            found = together.execute()
        return [self._approval(text(each)) for each in found if each]

    def _approval(self, found: dict[str, str]) -> Approval:
        name = found["id"]
        decided: dict[str, Any] = {each: found[each] for each in _DECIDED if each in found}
        decided |= {each: int(decided[each]) for each in _NUMBERS if each in decided}
        try:
            asked = _asked(self._box.open_text(found["asked"], name))
            decided |= {each: self._box.open_text(decided[each], name) for each in ("reason", "edited") if decided.get(each)}
        except CannotOpen as error:
            raise unreadable(name) from error
        return msgspec.structs.replace(asked, **decided)
