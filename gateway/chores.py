"""What a worker does beside serving: puts policies and prompts that have changed in force and on record, heals its journal, and brings what
people decided into it. Each chore goes on until it is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from gateway import minutes, policy_folder, prompt_folder
from gateway.app import DataPlane
from gateway.errors import GatewayError, JournalUnavailable
from gateway.installation import open_access_log
from gateway.policy import PolicySet
from gateway.prompt.library import Library
from gateway.trace.loaded import kept_rows, policy_row
from gateway.trace.record import PolicyLoaded, PromptsLoaded

log = logging.getLogger("gateway.worker")  # one name for all that a worker says

POLICY_POLL_S = 0.5
JOURNAL_RETRY_S = 1.0
MINUTES_S = 0.5
EXPIRE_EVERY = 20
"""Rounds of the minutes between two looks for approvals that have expired."""
PROMPTS_A_RECORD = 32
"""Each may have 1 MiB; a record may have 64."""


class Chores:
    """Those of one worker, around its data plane."""

    def __init__(self, plane: DataPlane, policies: policy_folder.Watcher | None, prompts: prompt_folder.Watcher | None) -> None:
        self._plane, self._policies, self._prompts = plane, policies, prompts
        self._journal, self._clock = plane.gateway.journal, plane.gateway.clock

    async def announce(self) -> None:
        """Puts on record what is in force."""
        await self._announce_policies(self._plane.gateway.policies)
        await self._announce_prompts(self._plane.gateway.prompts)

    def begin(self) -> list[asyncio.Task[None]]:
        chores = (self._watch_policies(), self._watch_prompts(), self._heal_journal(), self._write_minutes())
        return [asyncio.create_task(chore) for chore in chores]

    async def _announce_policies(self, policies: PolicySet) -> None:
        row = policy_row(policies, self._clock.now_us())
        try:
            await self._journal.append(PolicyLoaded(row))
        except JournalUnavailable as e:
            log.error("the policy version %s could not be recorded yet: %s", policies.hash[:12], e)  # noqa: TRY400 - no traceback wanted

    async def _announce_prompts(self, prompts: Library) -> None:
        if not prompts.heads:
            return
        try:
            rows = kept_rows(prompts, self._clock.now_us())
            await self._journal.append(*(PromptsLoaded(rows[at : at + PROMPTS_A_RECORD]) for at in range(0, len(rows), PROMPTS_A_RECORD)))
        except JournalUnavailable as e:
            log.error("the prompts %s could not be recorded yet: %s", prompts.hash[:12], e)  # noqa: TRY400 - no traceback wanted

    async def _watch_policies(self) -> None:
        """Puts a changed policy in force between two requests; keeps the last good one, loudly, when the change cannot be used."""
        while self._policies is not None:
            await asyncio.sleep(POLICY_POLL_S)
            change = await asyncio.to_thread(self._policies.poll)
            if change is None:
                continue
            self._plane.policy_problems = change.problems
            if change.policies is None:
                log.error(
                    "policies not changed, the last good version %s stays in force:\n%s",
                    self._hash(),
                    _lines(change.problems),
                )
                continue
            if change.policies.hash != self._plane.gateway.policies.hash:
                await self._announce_policies(change.policies)
            self._plane.gateway = replace(self._plane.gateway, policies=change.policies)
            log.info("policies %s in force", self._hash())

    async def _watch_prompts(self) -> None:
        """Serves changed prompts from the next request on; keeps the last good version, loudly, of one that cannot be used."""
        while self._prompts is not None:
            await asyncio.sleep(POLICY_POLL_S)
            change = await asyncio.to_thread(self._prompts.poll)
            if change is None:
                continue
            self._plane.prompt_problems = change.problems
            if change.problems:
                log.error("prompts that cannot be used keep their last good version:\n%s", _lines(change.problems))
            if change.prompts is not None:
                await self._announce_prompts(change.prompts)
                self._plane.gateway = replace(self._plane.gateway, prompts=change.prompts)
                log.info("prompts %s served", change.prompts.hash[:12])

    async def _heal_journal(self) -> None:
        """Tries a journal that could not be written again: while it is broken the worker is not ready, so no request would try it. Writes
        what it had refused. Closes segments that are old even when nobody asks anything."""
        while True:
            await asyncio.sleep(JOURNAL_RETRY_S)
            if not self._journal.healthy:
                await self.announce()
            await self._journal.turn_over()
            await self._plane.gateway.late_ends.write()

    async def _write_minutes(self) -> None:
        """One worker records what people decided, and ends what nobody decided in time."""
        approvals, access, round_number = self._plane.gateway.approvals, open_access_log(self._plane.gateway.settings), 0
        while self._plane.slot == 0:
            try:
                if round_number % EXPIRE_EVERY == 0:
                    await asyncio.to_thread(approvals.expire, self._clock.now_us())
                await minutes.write(approvals, self._journal.append, self._plane.gateway.scribe)
                await minutes.write_sessions(self._plane.gateway.sessions, self._journal.append)
                await minutes.write_access(access, self._journal.append)
            except (GatewayError, JournalUnavailable) as e:
                log.error("what people decided and changed could not be recorded yet: %s", e)  # noqa: TRY400 - no traceback wanted
            round_number += 1
            await asyncio.sleep(MINUTES_S)

    def _hash(self) -> str:
        return self._plane.gateway.policies.hash[:12]


def _lines(problems: tuple[object, ...]) -> str:
    return "\n".join(str(problem) for problem in problems)
