"""What limits have counted, in Redis: exact across the workers of several machines.

1. One script (`redis_limits.lua`) reads what was spent, decides and writes: of many callers exactly as many pass as fit.
2. It costs the same however much was taken, so that a busy limit does not hold up the server.
3. A window slides, and time never runs back, as in `sqlite_limits`: the time is the caller's, the latest that an account has seen. The
   server's own clock only takes out what nobody has used for long.
4. A script whose answer is lost may have run: what it took stays taken, and the call is withheld.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from gateway import clock
from gateway.policy.limits import Charge
from gateway.state.limit_accounts import account, kept_us
from gateway.state.limits import Lease, Taken, Taking
from gateway.state.redis_line import Line, Value

SLACK_MS = 24 * 3600 * 1000
"""Clocks of machines that differ by less never lose a count."""
LARGEST_HELD = 2**63 - 1
_OTHERWISE = "The state store cannot be used, so nobody can tell what the limits have counted."


class RedisLimits:
    def __init__(self, line: Line) -> None:
        self._line = line
        self._script = line.script("redis_limits")
        self._leases = line.key("limit-leases")
        self._steady: int | None = None

    def take(self, charges: Sequence[Charge], now_us: int, lease: Lease | None = None) -> Taking:
        if any(charge.amount > charge.most for charge in charges):
            return Taking(self.look(charges, now_us))
        spent, times = self._asked("take", charges, now_us, lease)
        taken = (_taken(charge, at, lease) for charge, at in zip(charges, times, strict=True)) if times else ()
        return Taking(spent, tuple(taken))

    def look(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        return self._asked("look", charges, now_us)[0]

    def reserved(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]:
        held: Counter[bytes] = Counter()
        with self._line.asking(_OTHERWISE) as server, server.pipeline(transaction=False) as together:
            self._script([self._leases], ["overdue", now_us])
            leases: list[Any] = server.zrange(self._leases, 0, -1)
            for each in leases:
                together.hgetall(f"{self._leases}:{each.decode()}")
            for lease in together.execute():
                for name, taken in lease.items():
                    held[name] += int(taken.partition(b":")[0])
        return tuple(held[self._name(account(each)).encode()] for each in charges)

    def give_back(self, taken: Sequence[Taken]) -> None:
        values: list[Value] = [v for each in taken for v in (each.amount, "" if each.id is None else each.id, each.at_us)]
        with self._line.asking(_OTHERWISE):
            self._script([self._name(each.account) for each in taken], ["back", *values])

    def renew(self, leases: Sequence[int], until_us: int) -> None:
        with self._line.asking(_OTHERWISE):
            self._script([self._leases], ["renew", until_us, *leases])

    def settle(self, lease: int, taken: Sequence[tuple[Charge, Taken]], amounts: Sequence[int], now_us: int) -> None:
        values: list[Value] = []
        for (charge, each), used in zip(taken, amounts, strict=True):
            time_id = "" if each.id is None else each.id
            values += [each.amount, min(used, LARGEST_HELD), charge.window_us, _kept_ms(charge), time_id, each.at_us]
        with self._line.asking(_OTHERWISE):
            self._script([*(self._name(each.account) for _, each in taken), self._leases], ["settle", now_us, lease, *values])

    def frees_us(self, charge: Charge, now_us: int) -> int | None:
        wanted = min(charge.amount, LARGEST_HELD), min(charge.most, LARGEST_HELD)
        with self._line.asking(_OTHERWISE):
            found: Any = self._script([self._name(account(charge))], ["frees", now_us, *wanted, charge.window_us])
        return int(found) if found else None

    def clear(self, charges: Sequence[Charge]) -> None:
        with self._line.asking(_OTHERWISE):
            self._script([self._name(account(charge)) for charge in charges], ["clear"])

    def steady_us(self) -> int:
        """The server's, as it was when it was first asked, and this machine's since."""
        if self._steady is None:
            with self._line.asking(_OTHERWISE) as server:
                found: Any = server.time()
            self._steady = found[0] * 1_000_000 + found[1] - clock.boot_us()
        return self._steady + clock.boot_us()

    def close(self) -> None:
        self._line.close()

    def _asked(
        self, what: str, charges: Sequence[Charge], now_us: int, lease: Lease | None = None
    ) -> tuple[tuple[int, ...], list[int]]:
        """What was spent of each before, and when each was taken, if all were."""
        values = [value for charge in charges for value in _values(charge)]
        with self._line.asking(_OTHERWISE):
            names = [self._name(account(charge)) for charge in charges]
            on: list[Value] = ["", 0] if lease is None else [lease.id, lease.until_us]
            found: Any = self._script([*names, *([] if lease is None else [self._leases])], [what, now_us, *on, *values])
        spent, times = found
        return tuple(map(int, spent)), list(map(int, times))

    def _name(self, of: str) -> str:
        return self._line.key("limit", of)


def _values(charge: Charge) -> Iterator[Value]:
    amount = min(charge.amount, charge.most)  # the rest would not fit either, and 64 bits hold it
    yield from (amount, charge.most, charge.window_us, _kept_ms(charge))


def _kept_ms(charge: Charge) -> int:
    return (2 * charge.window_us // 1000 + SLACK_MS) if charge.window_us else kept_us(charge) // 1000


def _taken(charge: Charge, at_us: int, lease: Lease | None) -> Taken:
    if not charge.window_us:
        return Taken(account(charge), charge.amount)
    return Taken(account(charge), charge.amount, at_us, secrets.randbits(63) if lease is None else lease.id)
