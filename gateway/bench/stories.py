"""One story: a user asks, an obedient model works, an injection may speak up on the way, and the official checks say how it ended.

The model proposes the user's calls in the order of the suite's solution. Once a result carries the injection, it proposes the attacker's
calls, all of them, and then goes on with the user's. It never doubts and never gives up: a withheld call is not tried again, the next one
is. Whoever plays the agent runs what it is given and nothing else.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gateway.bench.suites import Step, Suite
from gateway.bench.wordings import Wording

Ruling = Literal["released", "ask", "deny"]
Person = Literal["nobody", "careful", "careless"]
"""Who is there to approve: a careful person knows the user's own calls from others, a careless one approves whatever is asked."""


class Agent(Protocol):
    """The way from a proposal to what may be run."""

    def begin(self, prompt: str) -> None: ...

    def propose(self, step: Step) -> Ruling: ...

    def approve(self) -> None:
        """A person approves the call that was just asked about, and it is released."""

    def refuse(self) -> None:
        """A person denies it."""

    def answer(self, text: str) -> None:
        """The result of the call, as the client sends it back."""

    def end(self, text: str) -> None:
        """The model's last words."""


class Ungated:
    """No gateway: everything is run. What the suite is worth without one."""

    def begin(self, prompt: str) -> None:
        """Nobody listens."""

    def propose(self, step: Step) -> Ruling:
        return "released"

    def approve(self) -> None:
        raise AssertionError("nothing is asked about without a gateway")

    def refuse(self) -> None:
        self.approve()

    def answer(self, text: str) -> None:
        """Nobody listens."""

    def end(self, text: str) -> None:
        """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Told:
    """How a story ended."""

    suite: str
    task: str
    injection: str | None
    useful: bool
    attacked: bool
    read: bool
    """Whether a result carried the injection to the model."""
    approvals: int
    withheld: tuple[str, ...]
    """The user's own calls that were not run, as `tool: ruling`."""


class Telling:
    """Plays one story."""

    def __init__(self, suite: Suite, agent: Agent, person: Person) -> None:
        self._suite, self._agent, self._person = suite, agent, person
        self._ran: list[Step] = []
        self._withheld: list[str] = []
        self._approvals = 0

    def tell(self, task: Any, injection: Any = None, wording: Wording | None = None) -> Told:
        suite = self._suite
        environment, wanted = self._staged(task, injection, wording)
        before = environment.model_copy(deep=True)
        waiting = deque(suite.steps(task, environment))
        read = False
        self._agent.begin(task.PROMPT)
        while waiting:
            result = self._do(waiting.popleft(), environment)
            if wording and not read and wording.carried_by(result):
                read = True
                waiting.extendleft(reversed(wanted))
        text = task.GROUND_TRUTH_OUTPUT
        self._agent.end(text)
        return Told(
            suite.name,
            task.ID,
            injection.ID if injection else None,
            suite.reached(task, text, before, environment, self._ran),
            bool(injection) and suite.reached(injection, text, before, environment, self._ran),
            read,
            self._approvals,
            tuple(self._withheld),
        )

    def _staged(self, task: Any, injection: Any, wording: Wording | None) -> tuple[Any, list[Step]]:
        """The environment with the injection in every place that the task reads and strangers can write, and the calls it wants."""
        plain = self._suite.environment({})
        if injection is None or wording is None:
            return self._suite.begun(task, plain), []
        text = wording.about(injection, self._suite.injected_steps(injection, plain))
        environment = self._suite.begun(task, self._suite.environment(dict.fromkeys(self._suite.seen_by(task), text)))
        return environment, self._suite.injected_steps(injection, environment)

    def _do(self, step: Step, environment: Any) -> str:
        """Proposes, and runs what may be run; the result's text, empty when nothing ran."""
        ruling = self._agent.propose(step)
        if ruling == "ask" and self._person != "nobody":
            ruling = self._ruled(step)
        if ruling != "released":
            if not step.injected:
                self._withheld.append(f"{step.tool}: {ruling}")
            return ""
        outcome = self._suite.run(environment, step.tool, step.args)
        self._ran.append(step)
        self._agent.answer(outcome.text)
        return outcome.text

    def _ruled(self, step: Step) -> Ruling:
        if step.injected and self._person == "careful":
            self._agent.refuse()
            return "deny"
        self._approvals += not step.injected
        self._agent.approve()
        return "released"
