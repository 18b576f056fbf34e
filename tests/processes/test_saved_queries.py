"""Every saved question, asked of a book that real traffic filled: it answers, with the columns that traces/README.md promises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import shipped
from gateway.bench.client import Prompter
from gateway.bench.run import APPROVALS, operator_of
from gateway.clock import uuid7
from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from gateway.rehearsal.script import ScriptedCall, Turn

POLICY = """
policy: 1
id: till
agents: [till]
allow: [pay, look]
rules:
- {id: named, tools: [pay], when: "args.to == 'Eve'", effect: ask}
- {id: small, tools: [pay], when: args.amount > 10}
- {id: trial, tools: [look], mode: shadow}
- {id: quiet, tools: [burn]}
- {id: curt, at: output, mode: shadow, stream: buffer, validate: [{length: {max: 3}}]}
- {id: brief, at: output, stream: buffer, validate: [{length: {max: 9000}}]}
"""
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("look", "pay", "burn", "dig")]
MINE = """-- title: Mine
-- param: least = 0
SELECT agent FROM cost_daily WHERE cost > $least::INTEGER
"""
FILLED = {
    "approval_times", "approvals_waiting", "budget_use", "cache_savings", "cost_by_agent_and_day", "cost_by_prompt_version", "coverage",
    "denied_calls_by_rule", "errors_by_provider", "exchange", "latency_by_model", "latest_decisions", "prompt_samples",
    "quality", "quality_control_coverage",
    "rule_rates_by_version",
    "rules_never_fired",
    "runaway_agents", "session", "sessions_by_cost", "shadow_decisions", "tokens_by_model", "tools_seen", "tools_without_rule",
    "unpriced_models",
}  # fmt: skip
"""Those that the traffic below has an answer to."""
EMPTY = {"alignment", "attempts", "coverage_reasons", "experiment_results", "prompt_drift"}
"""Nothing measures here; no route has any; no experiment runs; what was not judged has reasons, but everything was; and nothing is
older than these days."""
GIVEN = {"runaway_agents": {"same_call": "3"}}


class Asking:
    """A running gateway, and how its book is asked."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        token = (gateway.data / "admin.token").read_text().strip()
        self.http = httpx.Client(base_url=gateway.admin, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False)

    def listed(self) -> dict[str, Any]:
        return {each["name"]: each for each in self.http.get("/queries").json()["queries"]}

    def ask(self, name: str, **params: str) -> dict[str, Any]:
        answer = self.http.get(f"/queries/{name}", params=params)
        assert answer.status_code == 200, (name, answer.text)
        return dict(answer.json())


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    folder: Path = tmp_path_factory.mktemp("saved")
    for name in ("policies", "mine"):
        (folder / name).mkdir()
    (folder / "policies" / "till.yaml").write_text(POLICY)
    (folder / "mine" / "big_spenders.sql").write_text(MINE)
    (folder / "mine" / "broken.sql").write_bytes(b"\xff\xfe")
    prompter = Prompter((), {})
    with RunningRehearsal(prompter) as provider:
        more: dict[str, Any] = {"budgets": [{"id": "b", "per": "agent", "of": "requests", "max": 3, "window": "day", "action": "soft"}]}
        more |= {"policies": str(folder / "policies"), "queries": str(folder / "mine"), "approvals": APPROVALS}
        more["cache"] = {"models": ["house-*"]}
        with RunningGateway(folder, settings_for(provider.base_url, **more)) as gateway, operator_of(gateway) as operator:
            key = operator.key("till", "ann")
            with httpx.Client(timeout=60, trust_env=False, headers={"authorization": f"Bearer {key}", "x-session-id": "s1"}) as agent:
                speak(agent, gateway.base_url, prompter)
            found = Asking(gateway)
            gateway.awaited("SELECT id FROM approvals", 2)
            first = gateway.sql("SELECT id FROM approvals ORDER BY created_at")[0]["id"]
            operator.decide(first, approve=True)
            gateway.awaited("SELECT id FROM approvals WHERE state = 'approved'", 1)
            gateway.awaited("SELECT id FROM exchanges WHERE state <> 'open'", 11)
            yield found
            found.http.close()


def speak(agent: httpx.Client, url: str, prompter: Prompter) -> None:
    """Allowed, denied, asked about, in shadow, not granted, of an unpriced model, failing at the provider, and the same thing again."""
    pay = ScriptedCall(name="pay", args={"to": "Ann", "amount": 5})
    turns = [Turn(text="hello"), *[Turn(calls=[pay])] * 4, Turn(status=500, error="the provider is down")]
    paid = [{"to": "Ann", "amount": 50}, {"to": "Eve", "amount": 5}, {"to": "Eve", "amount": 6}]
    others: list[tuple[str, dict[str, Any]]] = [*(("pay", args) for args in paid), ("look", {}), ("dig", {})]
    turns += [Turn(calls=[ScriptedCall(name=name, args=args)]) for name, args in others]
    for number, turn in enumerate(turns):
        model = "gpt-4o-mini" if number % 2 else "house-model"
        prompter.turns[model] = turn
        said = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": f"go {uuid7()}"}]
        agent.post(f"{url}/chat/completions", json={"model": model, "messages": said, "tools": TOOLS, "temperature": 0})


def promised() -> dict[str, list[str]]:
    """Saved question → columns, as the README's table says."""
    text = (shipped.folder("traces") / "README.md").read_text()
    section = text.split("## Saved queries\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", section, flags=re.MULTILINE)
    return {name: re.findall(r"`([^`]+)`", columns) for name, columns in rows}


def test_there_are_questions_enough_and_all_are_promised(asking: Asking) -> None:
    shipped_ones = {name for name, each in asking.listed().items() if not each["own"]}
    assert shipped_ones == promised().keys()
    assert shipped_ones == FILLED | EMPTY
    assert len(shipped_ones) >= 15


@pytest.mark.parametrize("name", sorted(FILLED | EMPTY))
def test_a_saved_question_answers_with_the_columns_it_promises(asking: Asking, name: str) -> None:
    listed = asking.listed()[name]
    assert listed["title"] != name
    one = asking.gateway.sql("SELECT exchange_id FROM calls WHERE rule = 'small'")[0]
    given = {"id": one["exchange_id"], "session": "s1", **GIVEN.get(name, {})}
    answer = asking.ask(name, **{key: value for key, value in given.items() if key in listed["params"]})
    assert answer["columns"] == promised()[name]
    assert bool(answer["rows"]) == (name in FILLED)


def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


def test_the_answers_are_what_happened(asking: Asking) -> None:
    denied = {(row["rule"], row["tool"]): row["calls"] for row in rows(asking.ask("denied_calls_by_rule"))}
    assert denied[("small", "pay")] == 1
    assert denied[("named", "pay")] == 2
    shadow = {row["rule"]: (row["hook"], row["tool"], row["released"], row["exchanges"]) for row in rows(asking.ask("shadow_decisions"))}
    assert shadow == {"trial": ("tool_call", "look", 1, 1), "curt": ("output", None, 0, 3)}  # said, and explained twice
    assert "dig" in {row["name"] for row in rows(asking.ask("tools_without_rule"))}
    unpriced = {row["model"]: row["why"] for row in rows(asking.ask("unpriced_models"))}
    assert unpriced == {"house-model": "no price for the model", "gpt-4o-mini": "the provider gave no usage"}
    (error,) = rows(asking.ask("errors_by_provider"))
    assert (error["state"], error["upstream_status"], error["exchanges"]) == ("upstream_error", 500, 1)
    (waiting,) = rows(asking.ask("approvals_waiting"))
    assert json.loads(waiting["arguments"]) == {"to": "Eve", "amount": 6}
    (times,) = rows(asking.ask("approval_times"))
    assert (times["asked"], times["approved"], times["pending"], times["people"]) == (2, 1, 1, 1)
    assert times["p50_s"] >= 0
    (runaway,) = rows(asking.ask("runaway_agents", same_call="3"))
    assert (runaway["tool"], runaway["same_call"], runaway["session"]) == ("pay", 4, "s1")
    assert rows(asking.ask("runaway_agents")) == []
    rates = {row["rule"]: (row["calls"], row["withheld"]) for row in rows(asking.ask("rule_rates_by_version"))}
    assert rates["small"] == (9, 1)
    assert rates["trial"] == (9, 0)
    steps = rows(asking.ask("session", session="s1"))
    assert [row["what"] for row in steps].count("exchange") == 11
    assert [row["what"] for row in steps].count("call") == 9
    assert asking.ask("session", session="nobody")["rows"] == []


def test_an_exchange_is_shown_with_everything_it_had(asking: Asking) -> None:
    one = asking.gateway.sql("SELECT exchange_id FROM calls WHERE rule = 'small'")[0]["exchange_id"]
    parts = rows(asking.ask("exchange", id=one))
    assert [row["what"] for row in parts][:4] == ["exchange", "message", "message", "answer"]
    assert [row["who"] for row in parts if row["what"] == "message"] == ["system", "user"]
    assert "go " in parts[2]["detail"]
    assert {row["subject"] for row in parts if row["what"] == "rule"} >= {"small"}


def test_questions_of_ones_own_stand_beside_the_shipped_ones_and_a_broken_one_says_so(asking: Asking) -> None:
    mine = asking.listed()["big_spenders"]
    assert (mine["title"], mine["params"], mine["own"]) == ("Mine", {"least": "0"}, True)
    assert asking.ask("big_spenders")["rows"] == [["till"]]
    assert "cannot be read" in asking.listed()["broken"]["title"]
    told = asking.gateway.tollhouse("queries", "--data", str(asking.gateway.data))
    assert re.search(r"^big_spenders +Mine  \(least=0\)  \[own\]$", told, flags=re.MULTILINE)
    assert "latest_decisions" in told
    shown = asking.gateway.tollhouse("queries", "big_spenders", "--data", str(asking.gateway.data))
    assert shown.startswith("-- title: Mine")
    assert "till" in asking.gateway.tollhouse("sql", "--saved", "big_spenders", "--data", str(asking.gateway.data))
