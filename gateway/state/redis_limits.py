"""What limits have counted, in Redis: exact across the workers of several machines.

1. One script (`redis_limits.lua`) reads what was spent, decides and writes: of many callers exactly as many pass as fit.
2. It costs the same however much was taken, so that a busy limit does not hold up the server.
3. A window slides, and time never runs back, as in `sqlite_limits`: the time is the caller's, the latest that an account has seen. The
   server's own clock only takes out what nobody has used for long.
4. A script whose answer is lost may have run: what it took stays taken, and the call is withheld.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from gateway.policy.limits import Charge
from gateway.state import Taken, Taking
from gateway.state.limit_accounts import SESSION_US, account
from gateway.state.redis_line import Line, Value

SLACK_MS = 24 * 3600 * 1000
"""Clocks of machines that differ by less never lose a count."""
_OTHERWISE = "The state store cannot be used, so nobody can tell what the limits have counted."


class RedisLimits:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._script = line.script("redis_limits")

    def take(self, charges: Sequence[Charge], now_us: int) -> Taking:
        if any(charge.amount > charge.most for charge in charges):
            return Taking(self.look(charges, now_us))
        spent, times = self._asked("take", charges, now_us)
        return Taking(spent, tuple(map(_taken, charges, times)) if times else ())

    def look(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        return self._asked("look", charges, now_us)[0]

    def give_back(self, taken: Sequence[Taken]) -> None:
        values: list[Value] = [v for each in taken for v in (each.amount, "" if each.id is None else each.id, each.at_us)]
        with self._line.asking(_OTHERWISE):
            self._script([self._name(each.account) for each in taken], ["back", *values])

    def close(self) -> None:
        self._line.close()

    def _asked(self, what: str, charges: Sequence[Charge], now_us: int) -> tuple[tuple[int, ...], list[int]]:
        """What was spent of each before, and when each was taken, if all were."""
        values = [value for charge in charges for value in _values(charge)]
        with self._line.asking(_OTHERWISE):
            found: Any = self._script([self._name(account(charge)) for charge in charges], [what, now_us, *values])
        spent, times = found
        return tuple(map(int, spent)), list(map(int, times))

    def _name(self, of: str) -> str:
        return self._line.key("limit", of)


def _values(charge: Charge) -> Iterator[Value]:
    kept_ms = 2 * charge.window_us // 1000 + SLACK_MS if charge.window_us else SESSION_US // 1000
    amount = min(charge.amount, charge.most)  # the rest would not fit either, and 64 bits hold it
    yield from (amount, charge.most, charge.window_us, kept_ms)


def _taken(charge: Charge, at_us: int) -> Taken:
    if not charge.window_us:
        return Taken(account(charge), charge.amount)
    return Taken(account(charge), charge.amount, at_us, secrets.randbits(63))
