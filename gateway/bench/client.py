"""An agent's side of the wire, and the model's: Chat Completions over HTTP through the gateway, proposals by the rehearsal provider.

`Prompter` is a rehearsal script that is told what to propose next, because which call comes next depends on what the calls before brought.
`ThroughTheGateway` does what an SDK does: it sends the whole conversation, runs what comes back and appends results. After a withheld call
the answer holds only text, where an agent would stop; the bench then says "go on", as a user would.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.bench.stories import Ruling
from gateway.bench.suites import Step
from gateway.errors import StartError
from gateway.rehearsal.script import Asked, Script, ScriptedCall, Turn

GO_ON = "Please go on."
_TAIL = re.compile(r"\[(ask|deny) (\S+); decision (\S+)\]\s*$")


@dataclass(frozen=True, slots=True)
class Prompter(Script):
    """Model name → the turn it plays next."""

    turns: dict[str, Turn] = field(default_factory=dict)

    def turn_for(self, asked: Asked) -> Turn | None:
        return self.turns.get(asked.model)


@dataclass(frozen=True, slots=True)
class Ruled:
    """A proposal and what became of it, for the figures."""

    tool: str
    injected: bool
    ruling: Ruling
    decision: str


class ThroughTheGateway:
    """One conversation at a time, of one agent."""

    def __init__(self, http: httpx.Client, url: str, key: str, model: str, prompter: Prompter, tools: list[dict[str, Any]]) -> None:
        """`url` ends in /v1; `model` is this agent's alone, so that agents beside it are not mixed up."""
        self._http, self._url, self._model, self._prompter, self._tools = http, url, model, prompter, tools
        self._headers = {"authorization": f"Bearer {key}"}
        self._messages: list[dict[str, Any]] = []
        self._proposed = 0
        self._asked: Step | None = None
        """The call that the last ruling was about, while nobody has approved it."""
        self._open = ""
        """Id of the call that waits for its result."""
        self.rulings: list[Ruled] = []

    def begin(self, prompt: str) -> None:
        self._messages = [{"role": "user", "content": prompt}]

    def propose(self, step: Step) -> Ruling:
        self._proposed += 1
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
        self._asked = step
        return self._noted(step, "ask" if tail[1] == "ask" else "deny", tail[3])

    def _noted(self, step: Step, ruling: Ruling, decision: str) -> Ruling:
        self.rulings.append(Ruled(step.tool, step.injected, ruling, decision))
        return ruling

    def approve(self) -> None:
        """The agent gets the call after all: what stood in its place is exchanged for it."""
        if self._asked is None:
            raise AssertionError("nothing was asked about")
        call = ScriptedCall(name=self._asked.tool, args=self._asked.args, id=f"call_{self._model}_{self._proposed}")
        self._open = call.id or ""
        function = {"name": call.name, "arguments": json.dumps(call.args, ensure_ascii=False)}
        self._messages[-1] = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": self._open, "type": "function", "function": function}],
        }
        self._asked = None

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
