"""One look at an experiment: what each metric of each arm comes to beside the control, and what follows for the arm.

1. There are as many looks as the file says, evenly between the fewest and the most sessions, and a last one when the time is up. Between
   looks nothing is decided, however it looks.
2. An arm is halted when it is worse on a guard by what matters or more, and by more than the look's bound lets chance explain.
3. At the last look it is promoted, where the file asks for that, when on every guard the interval leaves out a difference that matters; an
   arm of which that cannot be said is not worse as far as anybody knows, and not promoted.
4. The risk is shared by all guards of all arms, so that the promise holds for all of them together.
5. Sessions that fall to arms as no chance would (clients of one arm give up before anything is on record) keep it from being promoted.

Pure, but for the library of `statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct, field

from gateway.prompt.experiment import CONTROL, Metric, Plan
from gateway.prompt.trial import Arm, Outcome, Trial
from gateway.rollout.statistics import LEAST, Comparison, Group, compare, evenness, level

Finding = Literal["worse", "no_worse", "open", "too_few"]
UNEVEN: Final = 0.001


class Counted(Struct, frozen=True):
    """What the book holds of one edition."""

    sessions: Mapping[str, int]
    """By arm."""
    groups: Mapping[tuple[str, str], Group]
    """By arm and metric; what nothing is known of is left out."""

    @property
    def whole(self) -> int:
        return sum(self.sessions.values())

    def group(self, arm: str, name: str, metric: Metric) -> Group:
        found = self.groups.get((arm, name), Group(0))
        return found if metric.missing is None else found.filled(self.sessions.get(arm, 0), metric.missing)


class Seen(Struct, frozen=True):
    """One metric of one arm."""

    arm: str
    metric: str
    guard: bool
    control: Group
    group: Group
    comparison: Comparison | None
    p_worse: float | None
    finding: Finding


class Ruling(Struct, frozen=True):
    """What becomes of an arm."""

    arm: str
    outcome: Outcome
    why: str
    seen: Seen | None = None
    """The guard that decided."""


class Look(Struct, frozen=True):
    number: int
    share: float
    """Of the sessions that the experiment may have; 1 for the last look."""
    level: float
    sessions: int
    seen: tuple[Seen, ...]
    rulings: tuple[Ruling, ...] = field(default=())


def due(plan: Plan, looks: int) -> int:
    """Sessions at which the next look is taken, after so many."""
    if plan.looks == 1:
        return plan.sessions.max
    step = (plan.sessions.max - plan.sessions.min) / (plan.looks - 1)
    return round(plan.sessions.min + step * min(looks, plan.looks - 1))


def is_due(plan: Plan, looks: int, sessions: int, *, over: bool) -> bool:
    return over or sessions >= due(plan, looks)


def take(trial: Trial, earlier: Sequence[float], counted: Counted, *, over: bool) -> Look:
    """The look that is due. `earlier`: shares of those before; `over`: the time is up."""
    plan = trial.experiment.plan
    last = over or counted.whole >= plan.sessions.max or len(earlier) + 1 >= plan.looks
    share = 1.0 if last else counted.whole / plan.sessions.max
    bound = level((*earlier, share), risk_of_one(plan))
    seen = tuple(_seen(arm, name, metric, counted, plan, bound) for arm in trial.running for name, metric in plan.metrics.items())
    look = Look(len(earlier) + 1, share, bound, counted.whole, seen)
    rulings = [ruling for arm in trial.running if (ruling := _ruling(trial, arm, look, counted, last=last)) is not None]
    return Look(look.number, share, bound, counted.whole, seen, tuple(rulings))


def risk_of_one(plan: Plan) -> float:
    """Of one guard of one arm; where nothing is guarded, intervals are as wide as for one."""
    return plan.risk / (max(1, len(plan.guards)) * len(plan.arms))


def _seen(arm: Arm, name: str, metric: Metric, counted: Counted, plan: Plan, bound: float) -> Seen:
    control, group = (counted.group(each, name, metric) for each in (CONTROL, arm.name))
    found = compare(control, group, bound)
    if found is None:
        return Seen(arm.name, name, name in plan.guards, control, group, None, None, "too_few")
    p_worse = found.p_less if metric.higher_is_better else found.p_more
    return Seen(arm.name, name, name in plan.guards, control, group, found, p_worse, _finding(metric, found, p_worse < bound))


def _finding(metric: Metric, found: Comparison, proven: bool) -> Finding:
    harm, most = worse_by(metric, found)
    if proven and harm > 0 and harm >= metric.matters:
        return "worse"
    return "no_worse" if most < metric.matters else "open"


def worse_by(metric: Metric, found: Comparison) -> tuple[float, float]:
    """(as measured, at the most)."""
    return (-found.difference, -found.low) if metric.higher_is_better else (found.difference, found.high)


def _ruling(trial: Trial, arm: Arm, look: Look, counted: Counted, *, last: bool) -> Ruling | None:
    plan, mine = trial.experiment.plan, [each for each in look.seen if each.arm == arm.name and each.guard]
    worse = min((each for each in mine if each.finding == "worse"), key=lambda each: each.p_worse or 0.0, default=None)
    if worse is not None:
        return Ruling(arm.name, "halted", f"worse: {said(worse)}; {_when(plan, look)}", worse)
    if not last:
        return None
    unsure = next((each for each in mine if each.finding != "no_worse"), None)
    if unsure is not None:
        why = f"neither worse nor surely no worse: {said(unsure)}; {_when(plan, look)}"
        return Ruling(arm.name, "ended", why, unsure)
    if not plan.promote:
        return Ruling(arm.name, "ended", f"{_praise(mine)}; {_when(plan, look)}", mine[0] if mine else None)
    if uneven := _uneven(trial, counted):
        return Ruling(arm.name, "ended", f"not promoted: {uneven}; {_when(plan, look)}")
    return Ruling(arm.name, "promoted", f"{_praise(mine)}; {_when(plan, look)}", mine[0])


def said(seen: Seen) -> str:
    """For people."""
    if seen.comparison is None:
        known = f"{seen.group.count} sessions of '{seen.arm}' and {seen.control.count} of the control"
        return f"{seen.metric} is known of {known}, and {LEAST} of each are needed"
    found = seen.comparison
    means = f"{_number(seen.group.mean)} instead of {_number(seen.control.mean)}"
    return f"{seen.metric} is {means}, a difference of {_number(found.difference)} ({_number(found.low)} to {_number(found.high)})"


def _praise(guards: Sequence[Seen]) -> str:
    return "no worse: " + "; ".join(map(said, guards)) if guards else "it has ended; nothing is guarded"


def _when(plan: Plan, look: Look) -> str:
    return f"look {look.number} of {plan.looks}, {look.sessions} sessions"


def _uneven(trial: Trial, counted: Counted) -> str:
    names = [CONTROL, *(arm.name for arm in trial.running if arm.weight > 0)]
    counts, weights = [counted.sessions.get(name, 0) for name in names], [trial.weights[name] for name in names]
    if evenness(counts, weights) >= UNEVEN:
        return ""
    drawn = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    return f"sessions fell to arms as no chance would with these weights ({drawn}), so some are missing or counted twice"


def _number(value: float) -> str:
    return f"{value:.4g}"
