"""Looks at running experiments when a look is due. One task of the book: `watch` runs until it is cancelled.

The ledger follows the journal by a moment, so what was written here is also remembered here until the ledger says it: no look is taken
twice. A look that fails (a question refused, a full disk) is told, and taken at the next round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from gateway.errors import GatewayError, JournalUnavailable, StartError
from gateway.moving_labels import Labels
from gateway.prompt.trial import Trial
from gateway.rollout.deciding import is_due, take
from gateway.rollout.measuring import Fetch, Past, counted, is_over, past
from gateway.rollout.ruling import ROLLOUT, Rulings
from gateway.stores import Refused

log = logging.getLogger("gateway.rollout")
LOOK_EVERY_S = 5.0


class Watch:
    """`caught_up`: whether the ledger has read the journal since the start."""

    def __init__(
        self,
        labels: Labels,
        fetch: Fetch,
        rulings: Rulings,
        now_us: Callable[[], int],
        caught_up: Callable[[], bool] = lambda: True,
    ) -> None:
        self._labels, self._fetch, self._rulings = labels, fetch, rulings
        self._now_us, self._caught_up = now_us, caught_up
        self._began: dict[str, int] = {}
        self._shares: dict[str, tuple[float, ...]] = {}

    async def run(self) -> None:
        while True:
            try:
                if self._caught_up():
                    await self.round()
            except Exception:
                log.exception("experiments could not be looked at; trying again")
            await asyncio.sleep(LOOK_EVERY_S)

    async def round(self) -> None:
        for trial in (await asyncio.to_thread(self._labels.prompts)).trials.values():
            try:
                if trial.running and trial.begun(self._now_us()):
                    await self._one(trial)
            except (Refused, GatewayError, ValueError, StartError, JournalUnavailable) as error:
                log.error("experiment %s could not be looked at: %s; trying again", trial.name, error)  # noqa: TRY400 - the cause is in the message

    async def _one(self, trial: Trial) -> None:
        told = await asyncio.to_thread(past, self._fetch, trial)
        if await self._carried_out(trial, told):
            return
        began = told.began_us or self._began.get(trial.edition)
        if began is None:
            self._began[trial.edition] = self._now_us()
            await self._rulings.begin(trial)
            return
        await self._look(trial, max(told.shares, self._shares.get(trial.edition, ()), key=len), began)

    async def _carried_out(self, trial: Trial, told: Past) -> bool:
        """Whether anything that is on record was not done yet."""
        late = [arm.name for arm in trial.running if arm.name in told.out]
        for arm in late:
            outcome, version = told.out[arm]
            await self._rulings.carry_out(trial, arm, outcome, version, who=ROLLOUT, why=f"experiment {trial.name}: on record")
        return bool(late)

    async def _look(self, trial: Trial, earlier: tuple[float, ...], began_us: int) -> None:
        now = self._now_us()
        found = await asyncio.to_thread(counted, self._fetch, trial, now)
        over = is_over(trial, began_us, now)
        if not is_due(trial.experiment.plan, len(earlier), found.whole, over=over):
            return
        look = await asyncio.to_thread(lambda: take(trial, earlier, found, over=over))
        await self._rulings.looked(trial, look)
        self._shares[trial.edition] = (*earlier, look.share)
        for ruling in look.rulings:
            await self._rulings.rule(trial, ruling, ROLLOUT, look)


async def watch(watching: Watch | None) -> None:
    """Until it is cancelled; nothing to do where no prompts are served."""
    if watching is not None:
        await watching.run()
