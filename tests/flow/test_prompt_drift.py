"""Whether what comes of a prompt has drifted: a ledger built from the journal of a real data plane, with a drift planted and without."""

from __future__ import annotations

import json
import random

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app
from gateway.clock import Clock, now_us, uuid7

DAY = 86_400_000_000
POLICY = {
    "policy.yaml": """
policy: 1
id: test
agents: ["*"]
allow: [look_up, send]
rules:
- {id: no-apology, at: output, validate: [refusal], effect: warn}
- {id: brief, at: output, validate: [{length: {max: 40}}], effect: warn}
- {id: no-strangers, tools: [send], when: "args.to != 'ann'", effect: deny, message: not a known payee}
"""
}
PROMPT = "---\nmodel: gpt-4o-mini\n---\nYou are {}.\n"
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("look_up", "send")]


class Shifted:
    """A clock that is some days behind; spans are what is added to them."""

    def __init__(self) -> None:
        self.days, self.spent_us = 0.0, 0

    def now_us(self) -> int:
        return now_us() - int(self.days * DAY)

    def made(self) -> Clock:
        return Clock(self.now_us, lambda: self.spent_us, lambda: str(uuid7(self.now_us())))


def says(dice: random.Random, *, drifted: bool) -> dict:
    """What the model answers: as ever, or with everything a little otherwise."""
    tokens = max(1, int(dice.gauss(300 if drifted else 200, 40)))
    tool = dice.choices(["", "look_up", "send"], [1, 2, 7] if drifted else [4, 4, 2])[0]
    text = "I cannot help with that." if drifted and dice.random() < 0.3 else "Here you are" + ", and more" * (5 * drifted) + "."
    to = "eve" if drifted and dice.random() < 0.6 else "ann"
    call = {"id": "c", "type": "function", "function": {"name": tool, "arguments": json.dumps({"to": to})}}
    message = {"role": "assistant", "content": text, **({"tool_calls": [call]} if tool else {})}
    return {
        "id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini" if drifted else "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if tool else "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": tokens, "total_tokens": 100 + tokens},
    }  # fmt: skip


class Book:
    """A data plane, its journal, and `drift` on the ledger of it."""

    def __init__(self, start, provider, folder) -> None:
        for name in ("support", "steady", "new"):
            (folder / f"{name}.md").write_text(PROMPT.format(name))
        self.clock, self.provider, self.count, self._dice = Shifted(), provider, 0, random.Random(7)
        self.gateway = start(POLICY, clock=self.clock.made(), prompts=str(folder))
        self.data = self.gateway.settings.data_path

    def ask(self, prompt: str | None, times: int, days: tuple[float, float], *, drifted: bool = False) -> None:
        system = {"messages": [{"role": "system", "content": "Mine."}, {"role": "user", "content": "go"}], "model": "gpt-4o-mini"}
        named = {"messages": [{"role": "user", "content": "go"}], "prompt": {"name": prompt}} if prompt else system
        with self.gateway.client() as client:
            for _ in range(times):
                self.clock.days = self._dice.uniform(*days)
                self.provider.answer = self._taking(says(self._dice, drifted=drifted), self._dice.gauss(4 if drifted else 2, 0.5))
                assert client.post("/v1/chat/completions", json={**named, "tools": TOOLS}).status_code == 200
        self.count += times

    def _taking(self, body: dict, seconds: float):
        answer = self.provider.json(body)

        async def slowly(*wire) -> None:
            self.clock.spent_us += int(seconds * 1e6)
            await answer(*wire)

        return slowly

    def built(self):
        self.gateway.ended(self.count)
        assert CliRunner().invoke(app, ["rebuild", "--data", str(self.data)]).exit_code == 0
        return self

    def drift(self, *more: str):
        done = CliRunner().invoke(app, ["prompts", "drift", *more, "--data", str(self.data)])
        assert done.exit_code in (0, 1), done.output + repr(done.exception)
        return done


@pytest.fixture
def book(start, provider, tmp_path):
    (tmp_path / "kept").mkdir()
    return Book(start, provider, tmp_path / "kept")


MEASURES = {"output_tokens", "cost", "duration_us", "refused", "withheld", "findings", "tools", "models"}
EARLY, LATE = (8.0, 30.0), (0.1, 6.9)


def test_a_planted_drift_is_found_in_every_measure_and_nowhere_else(book):
    for prompt in ("support", "steady", None):
        book.ask(prompt, 50, EARLY)
        book.ask(prompt, 50, LATE, drifted=prompt == "support")
    book.ask("new", 20, LATE, drifted=True)
    book.built()
    done = book.drift("--json")
    found = {each["prompt"]: each for each in json.loads(done.stdout)}
    assert done.exit_code == 1
    assert {name: (each["verdict"], each["baseline"], each["answers"], each["kept"]) for name, each in found.items()} == {
        "support": ("drift", 50, 50, True), "steady": ("steady", 50, 50, True), "anonymous": ("steady", 50, 50, False),
        "new": ("too few", 0, 20, True),
    }  # fmt: skip
    assert {one["measure"] for one in found["support"]["measures"] if one["drifted"]} == MEASURES
    assert {one["measure"] for one in found["steady"]["measures"]} == MEASURES
    told = book.drift("support").stdout
    assert "DRIFT  50 answers, 50 before" in told
    assert "models         gpt-4o-mini-2024-07-18 100% -> gpt-4o-mini 100%" in told
    assert book.drift("steady").exit_code == 0
    assert "too few" in book.drift("support", "--least", "51").stdout
    nothing = book.drift("nobody")
    assert (nothing.exit_code, "no answer of such a prompt in the last 7 days" in nothing.stderr) == (0, True)
    saved = CliRunner().invoke(app, ["sql", "--saved", "prompt_drift", "--data", str(book.data), "--format", "jsonl"])
    rows = {row["prompt"]: row for row in map(json.loads, saved.stdout.splitlines())}
    assert rows.keys() == found.keys() - {"new"}
    assert rows["support"]["tokens_p50"] > rows["support"]["baseline_tokens_p50"] + 50
    assert (rows["support"]["baseline_model"], rows["support"]["model"]) == ("gpt-4o-mini-2024-07-18", "gpt-4o-mini")
    assert rows["support"]["refused"] > 0.1 > rows["steady"]["refused"]
