"""Takes arms out: on record first, then for every worker, then the log. By the book's own decision or by a person.

Arms that are out are in the state store, as the labels that were moved: the workers of every machine that shares it notice both within a
second. What is on record and not there yet (the book was killed in between, another machine's book has decided over the same ledger, or
the store has lost it) is carried out at the next round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from gateway.errors import GatewayError
from gateway.moving_labels import Labels
from gateway.prompt.experiment import CONTROL
from gateway.prompt.trial import Arm, Outcome, Stop, Trial
from gateway.rollout.deciding import Look, Ruling
from gateway.state.prompts import Prompts
from gateway.trace.prompt_rows import ExperimentRow, LookRow
from gateway.trace.record import ExperimentChanged, ExperimentLooked, Record

log = logging.getLogger("gateway.rollout")
ROLLOUT = "rollout"
"""Who decides, where it is no person."""


class Rulings:
    """The only one that writes which arms are out."""

    def __init__(
        self,
        shared: Prompts,
        labels: Labels,
        write: Callable[[Record], Awaitable[None]],
        now_us: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._shared, self._labels, self._write, self._now_us, self._new_id = shared, labels, write, now_us, new_id

    async def begin(self, trial: Trial) -> None:
        """Says that this edition runs."""
        for arm in (trial.control, *trial.running):
            await self._write(ExperimentChanged(self._row(trial, arm, "running", ROLLOUT, "")))
        log.info("experiment %s runs (edition %s): %s", trial.name, trial.edition, _arms(trial))

    async def looked(self, trial: Trial, look: Look) -> None:
        await self._write(ExperimentLooked(_look_rows(trial, look, self._now_us())))

    async def rule(self, trial: Trial, ruling: Ruling, who: str, look: Look | None = None) -> ExperimentRow:
        """On record, then done. Raises GatewayError, ValueError, StartError and JournalUnavailable."""
        row = self._row(trial, _arm(trial, ruling.arm), ruling.outcome, who, ruling.why, ruling, look)
        await self._write(ExperimentChanged(row))
        await self.carry_out(trial, ruling.arm, ruling.outcome, row.version, who=who, why=f"experiment {trial.name}: {ruling.why}")
        log.warning("experiment %s: %s is %s by %s: %s", trial.name, ruling.arm, ruling.outcome, who, ruling.why)
        return row

    async def carry_out(self, trial: Trial, arm: str, outcome: Outcome, version: str, *, who: str, why: str) -> None:
        """What is on record comes to be. May be done again."""
        if outcome == "promoted" and trial.control.kept.version != version:
            await self._labels.move(trial.control.kept.name, _label(trial), version, who=who, why=why[:500])
        await asyncio.to_thread(self._shared.stop, trial.experiment.design, Stop(trial.name, trial.judged, {arm: outcome}))

    def _row(
        self, trial: Trial, arm: Arm, state: str, who: str, why: str, ruling: Ruling | None = None, look: Look | None = None
    ) -> ExperimentRow:
        seen = ruling.seen if ruling is not None else None
        found = seen.comparison if seen is not None else None
        return ExperimentRow(
            id=self._new_id(),
            at_us=self._now_us(),
            experiment=trial.name,
            design=trial.experiment.design,
            edition=trial.edition,
            arm=arm.name,
            state=state,
            who=who,
            why=why,
            prompt=arm.kept.name,
            version=arm.kept.version,
            control_version=trial.control.kept.version,
            weight=arm.weight,
            control_weight=trial.control.weight,
            look=look.number if look else None,
            metric=seen.metric if seen else None,
            difference=found.difference if found else None,
            low=found.low if found else None,
            high=found.high if found else None,
            sessions=look.sessions if look else None,
        )


def _arm(trial: Trial, name: str) -> Arm:
    """Raises GatewayError for one that is not there."""
    for arm in trial.arms:
        if arm.name == name:
            return arm
    known = ", ".join(arm.name for arm in trial.arms)
    raise GatewayError("not_found", "unknown_arm", f"The experiment '{trial.name}' has no arm '{name[:64]}'. It has: {known}.")


def _label(trial: Trial) -> str:
    """Raises ValueError where there is none to move."""
    if trial.experiment.plan.label is None:
        raise ValueError("requests of this experiment name no label that could be moved; put the version into the prompt's file instead")
    return trial.experiment.plan.label


def _arms(trial: Trial) -> str:
    return ", ".join(f"{arm.name} {arm.kept.version[:12]} (weight {arm.weight:g})" for arm in (trial.control, *trial.running))


def _look_rows(trial: Trial, look: Look, now_us: int) -> tuple[LookRow, ...]:
    return tuple(
        LookRow(
            experiment=trial.name,
            edition=trial.edition,
            look=look.number,
            at_us=now_us,
            share=look.share,
            arm=each.arm,
            metric=each.metric,
            guard=each.guard,
            control_sessions=each.control.count,
            arm_sessions=each.group.count,
            control_mean=each.control.mean if each.control.count else None,
            arm_mean=each.group.mean if each.group.count else None,
            difference=each.comparison.difference if each.comparison else None,
            low=each.comparison.low if each.comparison else None,
            high=each.comparison.high if each.comparison else None,
            level=look.level,
            p=each.p_worse,
            finding=each.finding,
        )
        for each in look.seen
    )


def checked(trial: Trial, arm: str, outcome: Outcome) -> Sequence[str]:
    """The arms that a person means: of a halt without one, all. Raises GatewayError and ValueError."""
    if arm == CONTROL:
        raise ValueError("the control is what requests get anyway: halt the other arms instead")
    if outcome == "promoted":
        _label(trial)
    if not trial.running:
        raise ValueError("the experiment has ended already; 'tollhouse experiments show' says how")
    names = [each.name for each in trial.running]
    if outcome == "promoted" and any(each.model or each.parameters for each in trial.running if arm in ("", each.name)):
        raise ValueError("a label says nothing of model and parameters; put them into the prompt's front matter, and halt the experiment")
    if arm:
        _arm(trial, arm)
        if arm not in names:
            raise ValueError(f"'{arm}' is {trial.out[arm]} already")
        return [arm]
    if outcome == "promoted" and len(names) > 1:
        raise ValueError(f"say which arm to promote: {', '.join(names)}")
    return names
