"""Plays experiments whose truth is known, to see how often the looks come to it: `tollhouse experiments simulate`.

Sessions are drawn, not sent: each falls to an arm by chance, succeeds with its arm's probability and costs about the same in both. What
looks at them is the engine that looks at the book. A run through gateway, book and SQL is in `tests/bench/rollouts.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from gateway.prompt.binding import bound
from gateway.prompt.experiment import CONTROL, read
from gateway.prompt.kept import read as read_prompt
from gateway.prompt.library import Library
from gateway.prompt.trial import Trial
from gateway.rollout.deciding import Counted, Look, due, take
from gateway.rollout.statistics import Group, numpy

ARM: Final = "canary"
SUCCESS, COST = "success", "cost"
PLAN: Final = """prompt: rehearsed
label: production
control: {control}
arms:
  canary: {{version: this, weight: {weight}}}
metrics:
  success: {{measure: feedback, of: task_success, matters: {matters}, missing: 0}}
  cost: {{measure: cost, matters: 0.002}}
guards: [success, cost]
sessions: {{min: {least}, max: {most}}}
looks: {looks}
risk: {risk}
quiet_minutes: 0
promote: true
"""
_PROMPT: Final = b"---\nlabels: {production: this}\n---\nYou play a part."


class Setting(Struct, frozen=True):
    """An experiment to be played."""

    sessions: int = 10_000
    weight: float = 0.5
    """Share of the sessions that the canary gets."""
    matters: float = 0.03
    looks: int = 5
    risk: float = 0.05
    success: float = 0.8
    """Of the control."""

    @property
    def plan(self) -> str:
        least = max(60, self.sessions // 10)
        bounds = {"least": least, "most": self.sessions, "looks": self.looks, "risk": self.risk}
        return PLAN.format(control=1 - self.weight, weight=self.weight, matters=self.matters, **bounds)


class Played(Struct, frozen=True):
    """What became of the canary."""

    outcome: str
    sessions: int
    look: int
    why: str


def trial(setting: Setting) -> Trial:
    """Raises FileProblems for figures that no file may have."""
    head = read_prompt("rehearsed", _PROMPT)
    prompts = Library({head.name: head}, {head.name: {head.version: head}})
    experiment = read("simulated", setting.plan.encode(), "experiments/simulated.yaml")
    return bound([experiment], prompts, {}).trials["simulated"]


def play(setting: Setting, worse_by: float, seed: int) -> Played:
    """One experiment, to its end. `worse_by`: how much less often the canary succeeds."""
    made, draws = trial(setting), numpy().random.default_rng(seed)
    for look in _looks(made, setting, {CONTROL: setting.success, ARM: setting.success - worse_by}, draws):
        for ruling in look.rulings:
            return Played(ruling.outcome, look.sessions, look.number, ruling.why)
    raise AssertionError("the last look rules on every arm")


def _looks(made: Trial, setting: Setting, success: Mapping[str, float], draws: Any) -> Iterator[Look]:
    plan, shares, arms = made.experiment.plan, list[float](), dict[str, tuple[Any, Any]]()
    for number in range(plan.looks):
        wanted = due(plan, number) - sum(len(known) for known, _ in arms.values())
        mine = int(draws.binomial(wanted, made.share(ARM)))
        for arm, count in ((CONTROL, wanted - mine), (ARM, mine)):
            fresh = draws.binomial(1, success[arm], count), draws.gamma(4.0, 0.005, count)
            arms[arm] = _joined(arms.get(arm), fresh)
        look = take(made, shares, _counted(arms), over=False)
        shares.append(look.share)
        yield look


def _joined(before: tuple[Any, Any] | None, fresh: tuple[Any, Any]) -> tuple[Any, Any]:
    np = numpy()
    return fresh if before is None else (np.concatenate([before[0], fresh[0]]), np.concatenate([before[1], fresh[1]]))


def _counted(arms: Mapping[str, tuple[Any, Any]]) -> Counted:
    groups = {(arm, metric): _group(each) for arm, known in arms.items() for metric, each in zip((SUCCESS, COST), known, strict=True)}
    return Counted({arm: len(known[0]) for arm, known in arms.items()}, groups)


def _group(values: Any) -> Group:
    return Group(len(values), float(values.mean()), float(values.std(ddof=1))) if len(values) > 1 else Group(len(values))


class Tally(Struct, frozen=True):
    """Many plays of one truth."""

    worse_by: float
    repetitions: int
    outcomes: Mapping[str, int]
    sessions: int
    """Median until it was decided."""
    sessions_of_canary: int
    """About so many of them had the canary."""
    example: str

    def share(self, outcome: str) -> float:
        return self.outcomes.get(outcome, 0) / self.repetitions


def tally(setting: Setting, worse_by: float, repetitions: int, seed: int) -> Tally:
    played = [play(setting, worse_by, seed + each) for each in range(repetitions)]
    median = sorted(each.sessions for each in played)[repetitions // 2]
    outcomes = Counter(each.outcome for each in played)
    return Tally(worse_by, repetitions, outcomes, median, round(median * setting.weight), played[0].why)
