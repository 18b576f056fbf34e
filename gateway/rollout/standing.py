"""How an experiment stands: its arms, what each came to until now, the looks that were taken, what was ruled. For command and pages.

Reckons as a look taken now would, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.prompt.trial import Trial
from gateway.rollout import deciding, measuring
from gateway.rollout.measuring import Fetch

LOOKS: Final = """
SELECT look, looked_at, arm, metric, guard, control_sessions, arm_sessions, control_mean, arm_mean, difference, low, high, level, p, finding
FROM experiment_looks WHERE experiment = $experiment AND edition = $edition ORDER BY look, arm, metric
"""
CHANGES: Final = """
SELECT changed_at, arm, state, who, why, metric, difference, low, high, sessions FROM experiment_changes
WHERE experiment = $experiment AND edition = $edition ORDER BY changed_at, arm
"""


def about(trial: Trial) -> dict[str, str]:
    """The parameters of both questions."""
    return {"experiment": trial.name, "edition": trial.judged}


def told(trial: Trial, now_us: int) -> dict[str, Any]:
    plan = trial.experiment.plan
    arms = [
        {"arm": arm.name, "version": arm.kept.version[:12], "weight": arm.weight, "model": arm.model}
        | {"state": trial.out.get(arm.name, "running")}
        for arm in (trial.control, *trial.arms)
    ]
    waits = trial.running and not trial.begun(now_us)
    state = f"starts {plan.starts}" if waits else "running" if trial.running else "over"
    return {"prompt": plan.prompt, "label": plan.label, "state": state, "arms": arms}


def results(fetch: Fetch, trial: Trial, now_us: int) -> dict[str, Any]:
    """Each metric of each arm beside the control, with the interval that a look taken now would have. Raises Refused."""
    past = measuring.past(fetch, trial)
    found = measuring.counted(fetch, trial, now_us)
    earlier = past.shares if trial.running else past.shares[:-1]
    over = bool(past.shares) and past.shares[-1] >= 1
    look = deciding.take(replace(trial, out={}), earlier, found, over=over)
    sessions: Mapping[str, int] = dict(found.sessions)
    return {"sessions": sessions, "looks": len(past.shares), "level": look.level, "results": [_seen(each) for each in look.seen]}


def _seen(seen: deciding.Seen) -> dict[str, Any]:
    found = seen.comparison
    return {
        "arm": seen.arm, "metric": seen.metric, "guard": seen.guard, "sessions": seen.group.count, "control_sessions": seen.control.count,
        "mean": seen.group.mean if seen.group.count else None, "control": seen.control.mean if seen.control.count else None,
        "difference": found and found.difference, "low": found and found.low, "high": found and found.high, "p_worse": seen.p_worse,
        "finding": seen.finding,
    }  # fmt: skip
