"""An agent's side of the wire, and the model's: Chat Completions over HTTP through the gateway, proposals by the rehearsal provider.

`Prompter` is a rehearsal script that is told what to propose next, because which call comes next depends on what the calls before brought.
`ThroughTheGateway` does what an SDK does: it sends the whole conversation, runs what comes back and appends results. After a withheld call
the answer holds only text, where an agent would stop; the bench then says "go on", as a user would. Where a call waits for a person,
`Operator` decides as a person does, in the gateway's own store of approvals, and the model proposes the same call again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.bench.stories import Ruling
from gateway.bench.suites import Step
from gateway.clock import now_us
from gateway.errors import StartError
from gateway.rehearsal.script import Asked, Script, ScriptedCall, Turn
from gateway.state.approvals import Approvals
from gateway.state.approvals import Ruling as Decision
from gateway.state.keys import Keys

GO_ON = "Please go on."
GOOD_FOR_US = 3_600_000_000
_TAIL = re.compile(r"\[(ask|deny) \S+;(?: approval (\S+);)? decision (\S+)\]\s*$")


@dataclass(frozen=True, slots=True)
class Prompter(Script):
    """Model name → the turn it plays next."""

    turns: dict[str, Turn] = field(default_factory=dict)

    def turn_for(self, asked: Asked) -> Turn | None:
        """A model that is told of a denial repeats what it was told, so that the agent's side reads the verdict either way."""
        last = asked.body["messages"][-1]
        if last["role"] == "tool" and _TAIL.search(last["content"]):
            return Turn(text=last["content"])
        return self.turns.get(asked.model)


@dataclass(frozen=True, slots=True)
class Ruled:
    """A proposal and what became of it, for the figures."""

    tool: str
    injected: bool
    ruling: Ruling
    decision: str


class Operator:
    """Who hands out keys and decides about what waits for approval, in the gateway's own stores."""

    def __init__(self, keys: Keys, approvals: Approvals) -> None:
        self._keys, self._approvals = keys, approvals

    def key(self, agent: str, user: str) -> str:
        return self._keys.create(agent=agent, user=user, team=None, labels={}, expires_us=None, now_us=now_us())

    def decide(self, name: str, *, approve: bool) -> None:
        now = now_us()
        self._approvals.rule(name, Decision(approve, "bench", now, now + GOOD_FOR_US))


class ThroughTheGateway:
    """One conversation at a time, of one agent."""

    def __init__(
        self, http: httpx.Client, url: str, agent: str, model: str, prompter: Prompter, tools: list[dict[str, Any]], operator: Operator
    ) -> None:
        """`url` ends in /v1; `model` is this client's alone, so that clients beside it are not mixed up."""
        self._http, self._url, self._agent, self._model = http, url, agent, model
        self._prompter, self._tools, self._operator = prompter, tools, operator
        self._headers: dict[str, str] = {}
        self._messages: list[dict[str, Any]] = []
        self._begun = self._proposed = 0
        self._asked: tuple[Step, str] | None = None
        """The call that the last ruling was about, and the name of its approval, while nobody has decided."""
        self._open = ""
        """Id of the call that waits for its result."""
        self.rulings: list[Ruled] = []

    def begin(self, prompt: str) -> None:
        """A conversation is a user and a session of its own: limits and approvals of one are not those of another."""
        self._begun += 1
        name = f"{self._model}-{self._begun}"
        self._headers = {"authorization": f"Bearer {self._operator.key(self._agent, name)}", "x-session-id": name}
        self._messages = [{"role": "user", "content": prompt}]

    def propose(self, step: Step) -> Ruling:
        self._proposed += 1
        self._asked = None
        if self._messages[-1]["role"] == "assistant":
            self._messages.append({"role": "user", "content": GO_ON})
        call = ScriptedCall(name=step.tool, args=step.args, id=f"call_{self._model}_{self._proposed}")
        message = self._turn(Turn(calls=[call]))
        self._messages.append(message)
        if message.get("tool_calls"):
            self._open = message["tool_calls"][0]["id"]
            return self._noted(step, "released", "")
        tail = _TAIL.search(message["content"] or "")
        if tail is None:
            raise StartError(f"the gateway answered the proposal of {step.tool} with neither the call nor a verdict: {message}")
        if tail[1] == "deny":
            return self._noted(step, "deny", tail[3])
        self._asked = (step, tail[2] or "")
        return self._noted(step, "ask", tail[3])

    def _noted(self, step: Step, ruling: Ruling, decision: str) -> Ruling:
        self.rulings.append(Ruled(step.tool, step.injected, ruling, decision))
        return ruling

    def approve(self) -> None:
        """A person approves, and the agent makes the same call again."""
        step = self._decided(approve=True)
        if self.propose(step) != "released":
            raise StartError(f"{step.tool} was approved and withheld all the same: {self._messages[-1]['content']}")

    def refuse(self) -> None:
        self._decided(approve=False)

    def _decided(self, *, approve: bool) -> Step:
        if self._asked is None:
            raise AssertionError("nothing was asked about")
        step, name = self._asked
        self._asked = None
        self._operator.decide(name, approve=approve)
        return step

    def answer(self, text: str) -> None:
        self._messages.append({"role": "tool", "tool_call_id": self._open, "content": text})

    def end(self, text: str) -> None:
        if self._messages[-1]["role"] == "assistant":
            self._messages.append({"role": "user", "content": GO_ON})
        self._turn(Turn(text=text or "Done."))

    def _turn(self, turn: Turn) -> dict[str, Any]:
        """One request; the model's message."""
        self._prompter.turns[self._model] = turn
        body = {"model": self._model, "messages": self._messages, "tools": self._tools}
        answer = self._http.post(f"{self._url}/chat/completions", headers=self._headers, json=body)
        if answer.status_code != 200:
            raise StartError(f"the gateway answered {answer.status_code}: {answer.text[:500]}")
        message: dict[str, Any] = answer.json()["choices"][0]["message"]
        return {name: message[name] for name in ("role", "content", "tool_calls") if name in message}
