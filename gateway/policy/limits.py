"""Limits: what a call takes from each, and which of them it does not fit into any more.

1. A call takes from all enforced limits or from none: when one does not fit, or a rule withholds the call, nothing is taken.
2. A limit in shadow mode counts apart, what it would have let pass of the calls that were delivered.
3. What a person approved passes a limit that asks, and counts.
4. What cannot be counted (an argument that is missing, no number or below zero; a store that cannot be asked) is a hit.

Judging stays pure: it is handed a `Meter`, which answers and remembers; where that keeps its numbers is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from gateway.exchange import Caller
from gateway.people.bound import name_of
from gateway.policy.amounts import LARGEST, UNIT, millionths, shown
from gateway.policy.globs import matches
from gateway.policy.model import Mode, Per
from gateway.strict_json import Json
from gateway.verdict import Call, Effect, OnDeny


class Charge(Struct, frozen=True):
    """What one call would take from one limit of one subject."""

    policy: str
    limit: str
    what: str
    """What is counted: `calls`, or the argument that is summed. Another one begins at zero."""
    whose: tuple[str | None, ...]
    amount: int
    most: int
    window_us: int
    """How long it stays taken; 0: as long as the session of `whose`."""
    shadow: bool = False
    """Counted apart, so that a limit that only records takes nothing from one that is enforced."""
    kept_us: int = 0
    """How long what has no window is remembered after it was last taken; 0: as long as a session."""

    def fits(self, spent: int) -> bool:
        return spent + self.amount <= self.most


class Meter(Protocol):
    """Answers in the order of the charges how much was spent before. Raises when it cannot tell."""

    def take(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        """Takes all of them when every one fits, otherwise nothing: at once, whoever else asks meanwhile."""

    def look(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        """Takes nothing."""


class NoMeter:
    """Where nobody counts: no call passes that a limit concerns."""

    def take(self, charges: Sequence[Charge], now_us: int) -> Sequence[int]:
        raise LookupError(f"nobody counts for {charges[0].limit}")

    look = take


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit, compiled."""

    id: str
    policy: str
    line: int
    tools: tuple[str, ...]
    argument: tuple[str, ...]
    """Path of the argument that is summed; empty counts calls."""
    per: Per
    window: str
    window_us: int
    most: int
    effect: Literal["deny", "ask"]
    mode: Mode
    message: str | None
    four_eyes: bool = False
    on_deny: OnDeny | None = None

    def concerns(self, tool: str) -> bool:
        return any(matches(glob, tool) for glob in self.tools)

    @property
    def what(self) -> str:
        return ".".join(("args", *self.argument)) if self.argument else "calls"

    @property
    def term(self) -> str:
        if self.window == self.per:
            return self.per
        return f"{self.per} in {self.window if self.window_us else 'one session'}"

    def amount(self, args: Mapping[str, Json]) -> int | None:
        """None when it cannot be counted."""
        value: Json = args
        for part in self.argument:
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        return millionths(value) if self.argument else UNIT

    def whose(self, caller: Caller) -> tuple[str | None, ...]:
        """Callers whose key names no user, or who have no key, count together; those of two organisations never do."""
        agent = name_of(caller.org, caller.agent)
        session = (agent, caller.key_id, caller.session)
        if self.per == "session":
            return session
        subject = {"agent": agent, "user": name_of(caller.org, caller.user or ""), "key": caller.key_id}[self.per]
        return (self.per, subject) if self.window_us else (self.per, subject, *session)


class Entry(NamedTuple):
    """A cap, and how it speaks about the call."""

    cap: Cap
    mode: Literal["enforce", "shadow"]


class Refusal(NamedTuple):
    """A limit that a call does not fit into, or that cannot tell."""

    entry: Entry
    effect: Effect
    said: str
    error: bool = False

    def withholds(self, *, approved: bool) -> bool:
        return self.entry.mode == "enforce" and not (approved and self.effect == "ask")


def refusals(
    entries: Sequence[Entry],
    call: Call,
    caller: Caller,
    meter: Meter,
    now_us: int,
    *,
    passes: bool,
    approved: bool = False,
) -> list[Refusal]:
    """`passes`: no rule withholds the call, so that it takes what it needs when it fits."""
    costs = [(entry, _charge(entry, call, caller, approved)) for entry in entries]
    found = [Refusal(e, e.cap.effect, _uncounted(e.cap), error=True) for e, charge in costs if charge is None]
    enforced = [(e, charge) for e, charge in costs if charge is not None and e.mode == "enforce"]
    passes = passes and not any(refusal.withholds(approved=approved) for refusal in found)
    found += _asked(enforced, meter, now_us, take=passes)
    passes = passes and not any(refusal.withholds(approved=approved) for refusal in found)
    for e, charge in costs:
        if charge is not None and e.mode == "shadow":
            found += _asked([(e, charge)], meter, now_us, take=passes)
    return found


def _charge(entry: Entry, call: Call, caller: Caller, approved: bool) -> Charge | None:
    cap = entry.cap
    amount = cap.amount(call.args or {})
    if amount is None:
        return None
    most = LARGEST * UNIT if approved and cap.effect == "ask" else cap.most
    shadow = entry.mode == "shadow"
    return Charge(cap.policy, cap.id, cap.what, cap.whose(caller), amount, most, cap.window_us, shadow)


def _asked(costs: Sequence[tuple[Entry, Charge]], meter: Meter, now_us: int, *, take: bool) -> Iterator[Refusal]:
    if not costs:
        return
    charges = [charge for _, charge in costs]
    try:
        spent = meter.take(charges, now_us) if take else meter.look(charges, now_us)
    except Exception:  # noqa: BLE001 - whatever keeps the store from answering, the call must not pass
        yield from (Refusal(entry, "deny", _unreachable(entry.cap), error=True) for entry, _ in costs)
        return
    for (entry, charge), before in zip(costs, spent, strict=True):
        if before + charge.amount > entry.cap.most:
            yield Refusal(entry, entry.cap.effect, _full(entry.cap, charge, before))


def _uncounted(cap: Cap) -> str:
    return f"limit {cap.id} adds up {cap.what}, which is missing here, no number or below zero"


def _unreachable(cap: Cap) -> str:
    return f"what limit {cap.id} has counted cannot be read now; try again shortly"


def _full(cap: Cap, charge: Charge, before: int) -> str:
    if not cap.argument:
        calls = "call" if cap.most == UNIT else "calls"
        return f"limit {cap.id} allows {shown(cap.most)} {calls} per {cap.term}, and counts {shown(before)} already"
    left, wanted = shown(max(cap.most - before, 0)), shown(charge.amount)
    return f"limit {cap.id} allows {shown(cap.most)} of {cap.what} per {cap.term}; {left} is left, and this call takes {wanted}"
