"""What one worker has seen of a route's targets: breakers, pauses that were asked for, counts. Each worker sees for itself; a restart
forgets."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from gateway.route_settings import BreakerSettings, Retries, Route, RouteTarget
from gateway.routes.breaker import Breaker, Pass
from gateway.routes.choosing import Candidate, choose
from gateway.routes.outcomes import Failure
from gateway.routes.retrying import RetryBudget

SMOOTHED = 0.2
"""How much the last answer counts in the time to first byte that is shown."""


class Moment(Struct, frozen=True):
    """The two clocks: `mono_us` for spans, `wall_us` for people."""

    mono_us: int
    wall_us: int


class Seen(Struct):
    """Of one target, since the worker's start."""

    attempts: int = 0
    failures: int = 0
    last_fault: str = ""
    last_fault_us: int = 0
    """Wall clock."""
    first_byte_us: float = 0.0
    """Smoothed."""

    def failed(self, failure: Failure, now: Moment) -> None:
        self.failures += 1
        self.last_fault, self.last_fault_us = failure.code, now.wall_us


class TargetHealth:
    def __init__(self, target: RouteTarget, breaker: BreakerSettings) -> None:
        self.target = target
        self.breaker = Breaker(breaker)
        self.seen = Seen()
        self.resting_until_us = 0
        self.usable = True
        """False where its key is not there."""

    @property
    def name(self) -> str:
        target = self.target
        return "/".join(part for part in (target.upstream, target.model or "", target.region) if part)


class RouteHealth:
    """That of one route."""

    def __init__(self, route: Route) -> None:
        self.retries = route.retries or Retries()
        self.budget = RetryBudget(self.retries)
        self.targets = [TargetHealth(target, route.breaker or BreakerSettings()) for target in route.asked]
        self._sticky = route.sticky

    def choose(self, serving: Collection[int], asked: Collection[int], session: str, draw: float, now_us: int) -> int | None:
        """Of the `serving` targets that may be asked now; `asked` were, for this request."""
        candidates = [self._candidate(at, at in asked, now_us) for at in serving]
        found = choose(candidates, draw, session if self.sticks(session) else None)
        return None if found is None else found.at

    def opens_in_us(self, serving: Collection[int], now_us: int) -> int:
        """When the first of them may be tried again."""
        return min((self.targets[at].breaker.opens_in_us(now_us) for at in serving if self.targets[at].usable), default=0)

    def sticks(self, session: str) -> bool:
        return self._sticky and bool(session)

    @staticmethod
    def standing(each: TargetHealth, now_us: int) -> str:
        """closed | open | half_open, or `resting` where it asked to be left alone, `no_key` where it has none."""
        if not each.usable:
            return "no_key"
        state = each.breaker.state(now_us)
        return "resting" if state == "closed" and now_us < each.resting_until_us else state

    def begun(self, at: int, now_us: int) -> Pass | None:
        given = self.targets[at].breaker.take(now_us)
        self.targets[at].seen.attempts += given is not None
        return given

    def answered(self, at: int, given: Pass, first_byte_us: int, now_us: int) -> None:
        seen, fresh = self.targets[at].seen, self.targets[at].seen.first_byte_us == 0
        seen.first_byte_us += (first_byte_us - seen.first_byte_us) * (1 if fresh else SMOOTHED)
        self.targets[at].breaker.succeeded(given, now_us)

    def failed(self, at: int, given: Pass, failure: Failure, asked_for_s: float | None, now: Moment) -> None:
        target = self.targets[at]
        if not failure.sick:
            target.breaker.abandoned(given)
            return
        target.breaker.failed(given, now.mono_us)
        target.seen.failed(failure, now)
        if asked_for_s is not None:
            target.resting_until_us = max(target.resting_until_us, now.mono_us + int(asked_for_s * 1_000_000))

    def spoilt(self, at: int, given: Pass, failure: Failure, now: Moment) -> None:
        """What had been answered came to nothing."""
        target = self.targets[at]
        if failure.sick:
            target.breaker.spoilt(given, now.mono_us)
            target.seen.failed(failure, now)

    def abandoned(self, at: int, given: Pass) -> None:
        self.targets[at].breaker.abandoned(given)

    def report(self, now: Moment) -> Sequence[dict[str, object]]:
        return [_told(each, now) for each in self.targets]

    def _candidate(self, at: int, asked: bool, now_us: int) -> Candidate:
        each = self.targets[at]
        return Candidate(
            at=at,
            name=each.name,
            weight=each.target.weight,
            priority=each.target.priority,
            admitted=each.usable and each.breaker.admits(now_us),
            resting=now_us < each.resting_until_us,
            asked=asked,
        )


def _told(each: TargetHealth, now: Moment) -> dict[str, object]:
    seen = each.seen
    rests_us = max(0, each.resting_until_us - now.mono_us)
    return {
        "target": each.name,
        "priority": each.target.priority,
        "weight": each.target.weight,
        "state": RouteHealth.standing(each, now.mono_us),
        "opens_in_s": round(each.breaker.opens_in_us(now.mono_us) / 1_000_000, 1),
        "rests_s": round(rests_us / 1_000_000, 1),
        "attempts": seen.attempts,
        "failures": seen.failures,
        "last_fault": seen.last_fault or None,
        "last_fault_s_ago": round((now.wall_us - seen.last_fault_us) / 1_000_000, 1) if seen.last_fault else None,
        "first_byte_ms": round(seen.first_byte_us / 1000, 1) if seen.first_byte_us else None,
    }
