"""Finds the versions that experiments mean among the kept prompts. One that cannot be used as it stands is not in force, and says why.

Arms must take the variables of the control, as it declares them: a request that fits one arm and not another would be refused or served by
lot. Two experiments on the same requests would measure each other: the first by name is in force.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.documents import Path
from gateway.errors import GatewayError, Problem
from gateway.prompt.experiment import CONTROL, ArmEntry, Experiment
from gateway.prompt.kept import THIS, Kept
from gateway.prompt.library import Library, Named
from gateway.prompt.trial import Arm, Stops, Trial


@dataclass(frozen=True)
class Bound:
    trials: Mapping[str, Trial]
    problems: tuple[Problem, ...] = ()


class _Unfit(Exception):  # noqa: N818 - holds a problem
    def __init__(self, path: Path, said: str) -> None:
        super().__init__(said)
        self.path, self.said = path, said


def bound(experiments: Iterable[Experiment], prompts: Library, stops: Stops) -> Bound:
    """Those that can be used, and why others cannot."""
    trials: dict[str, Trial] = {}
    problems = []
    for each in sorted(experiments, key=lambda each: each.name):
        try:
            trial = _trial(each, prompts, stops)
        except _Unfit as unfit:
            problems.append(each.document.problem(unfit.path, unfit.said))
            continue
        rival = next((other for other in trials.values() if other.running and other.where == trial.where), None)
        if rival is None or not trial.running:
            trials[trial.name] = trial
        else:
            said = f"the experiment '{rival.name}' is about the same requests; end one of them"
            problems.append(each.document.problem(("prompt",), said))
    return Bound(trials, tuple(problems))


def _trial(experiment: Experiment, prompts: Library, stops: Stops) -> Trial:
    plan, stop = experiment.plan, stops.get(experiment.design)
    control = _found(prompts, Named(plan.prompt, label=plan.label or ""), ("label",) if plan.label else ("prompt",))
    arms = tuple(_arm(name, entry, control, prompts) for name, entry in plan.arms.items())
    out = stop.arms if stop is not None else {}
    last = stop.edition if stop is not None and all(arm.name in out for arm in arms) else ""
    return Trial(experiment, Arm(CONTROL, control, plan.control), arms, out, last)


def _arm(name: str, entry: ArmEntry, control: Kept, prompts: Library) -> Arm:
    path: Path = ("arms", name)
    kept = control
    if entry.label:
        kept = _found(prompts, Named(control.name, label=entry.label), (*path, "label"))
    elif entry.version:
        kept = _found(prompts, Named(control.name, version="" if entry.version == THIS else entry.version), (*path, "version"))
    if _takes(kept) != _takes(control):
        raise _Unfit(path, "this version takes other variables than the control: a request could fit one and not the other")
    return Arm(name, kept, entry.weight, entry.model, entry.parameters.said())


def _takes(kept: Kept) -> dict[str, object]:
    return {name: variable.model_dump(exclude={"description"}) for name, variable in kept.head.variables.items()}


def _found(prompts: Library, named: Named, path: Path) -> Kept:
    try:
        return prompts.find(named)
    except GatewayError as error:
        raise _Unfit(path, error.message) from None
