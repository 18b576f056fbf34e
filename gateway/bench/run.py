"""The whole bench: the gateway as processes with the policies under test, the rehearsal provider beside it, the suites played through both.

The gateway's processes get the policies and keys; AgentDojo is never theirs. Nothing outlives the run but what is returned.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import httpx

from gateway.bench.client import Operator, Prompter, ThroughTheGateway
from gateway.bench.figures import Played
from gateway.bench.stories import Agent, Person, Telling, Told, Ungated
from gateway.bench.suites import Suite
from gateway.bench.wordings import REWORDED, Wording, official
from gateway.config import Settings
from gateway.demo.stage import RunningGateway, settings_for
from gateway.errors import StartError
from gateway.installation import open_approvals, open_keys
from gateway.rehearsal import RunningRehearsal

AGENTS: Mapping[str, str] = {
    "banking": "bank-agentdojo",
    "slack": "slack-agentdojo",
    "travel": "travel-agentdojo",
    "workspace": "workspace-agentdojo",
}
"""Which agent a suite is played as; the packs that travel with the gateway cover these names."""
AT_ONCE = 3
"""Conversations under way at the same time: what keeps one worker and one provider busy."""
APPROVALS = {"hold": 0, "hold_whole": 0, "pending": 100_000}
"""Nothing is held: the bench decides between two requests, and whatever nobody decides stays pending."""
SETTLING_SECONDS = 120
JUDGED = """\
SELECT count(*) AS decisions, median(judged_us) AS median, quantile_cont(judged_us, 0.99) AS p99
FROM calls WHERE agent = '{agent}'"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured."""

    policies: Path
    agents: Mapping[str, str]
    """Suite → agent."""
    pairs: int | None = None
    """At most so many pairs of each suite, spread over its injections; all when None."""
    person: Person = "careful"
    """Who approves while there is an attack."""


Progress = Callable[[str, int, int], None]
"""What is being played, how many stories of it are done, how many there are."""


def measure(wanted: Wanted, folder: Path, progress: Progress) -> list[Played]:
    """Raises StartError when AgentDojo is missing or the gateway does not start; `folder` gets its data."""
    suites = [Suite(name) for name in wanted.agents]
    prompter = Prompter((), {})
    with RunningRehearsal(prompter) as provider:
        settings = settings_for(provider.base_url, policies=str(wanted.policies.absolute()), approvals=APPROVALS)
        with RunningGateway(folder, settings) as gateway:
            return [_suite(suite, wanted, gateway, prompter, progress) for suite in suites]


def _suite(suite: Suite, wanted: Wanted, gateway: RunningGateway, prompter: Prompter, progress: Progress) -> Played:
    played = Played(suite.name, wanted.agents[suite.name], left_out=suite.left_out)
    benign, pairs = [(task, None) for task in suite.user_tasks.values()], list(_pairs(suite, wanted.pairs))
    with contextlib.ExitStack() as open_until_done:
        operator = open_until_done.enter_context(operator_of(gateway))
        https = [open_until_done.enter_context(httpx.Client(timeout=60, trust_env=False)) for _ in range(AT_ONCE)]
        agents = [
            ThroughTheGateway(http, gateway.base_url, played.agent, f"rehearsed-{suite.name}-{n}", prompter, suite.tools, operator)
            for n, http in enumerate(https)
        ]
        stage = _Stage(suite, agents, progress)
        played.alone = stage.play("alone", benign, None, "nobody")
        played.approved = stage.play("with approvals", benign, None, "careful")
        played.attacked = stage.play("attacked", pairs, official(), wanted.person)
        played.reworded = stage.play("attacked, reworded", pairs, REWORDED, wanted.person)
    played.ungated = _Stage(suite, [Ungated()], progress).play("without the gateway", pairs, official(), "nobody")
    played.decisions = sum(len(agent.rulings) for agent in agents)
    played.judged_us = _judged(gateway, played)
    return played


@contextlib.contextmanager
def operator_of(gateway: RunningGateway) -> Iterator[Operator]:
    """Whoever runs this gateway, at its stores."""
    settings = Settings(data=str(gateway.data))
    with contextlib.closing(open_keys(settings)) as keys, contextlib.closing(open_approvals(settings)) as approvals:
        yield Operator(keys, approvals)


def _pairs(suite: Suite, most: int | None) -> Iterator[tuple[Any, Any]]:
    """By injection, so that an attacked environment is read once; a sample takes every injection before it repeats one."""
    tasks, injections = list(suite.user_tasks.values()), list(suite.injection_tasks.values())
    if most is None:
        return iter([(task, injection) for injection in injections for task in tasks])
    spread = ((tasks[(turn + at) % len(tasks)], one) for turn in range(len(tasks)) for at, one in enumerate(injections))
    return islice(spread, most)


class _Stage:
    """Plays stories, as many at once as there are agents."""

    def __init__(self, suite: Suite, agents: Sequence[Agent], progress: Progress) -> None:
        self._suite, self._agents, self._progress = suite, agents, progress
        self._broken_off = threading.Event()

    def play(self, what: str, stories: list[tuple[Any, Any]], wording: Wording | None, person: Person) -> list[Told]:
        """When one story fails or the run is interrupted, the others end, too, and the failure is raised."""
        self._suite.forget()
        shares = [stories[n :: len(self._agents)] for n in range(len(self._agents))]
        done = 0

        def told(agent: Agent, share: list[tuple[Any, Any]]) -> list[Told]:
            nonlocal done
            found = []
            for task, injection in share:
                if self._broken_off.is_set():
                    break
                found.append(Telling(self._suite, agent, person).tell(task, injection, wording))
                done += 1
                self._progress(f"{self._suite.name}: {what}", done, len(stories))
            return found

        with ThreadPoolExecutor(len(self._agents)) as pool:
            under_way = [pool.submit(told, agent, share) for agent, share in zip(self._agents, shares, strict=True)]
            try:
                return [one for part in as_completed(under_way) for one in part.result()]
            except BaseException:
                self._broken_off.set()
                raise


def _judged(gateway: RunningGateway, played: Played) -> list[float]:
    """Median and 99th percentile of the time a verdict took, once the book has all of them."""
    query = JUDGED.format(agent=played.agent)
    for _ in range(SETTLING_SECONDS * 2):
        [row] = gateway.sql(query)
        if row["decisions"] >= played.decisions:
            return [float(row["median"]), float(row["p99"])]
        gateway.awaited(query, 1, 0.5)
    raise StartError(f"the book holds {row['decisions']} of {played.decisions} decisions; its log is {gateway.log}")
