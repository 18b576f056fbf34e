"""A model as judge, in a gateway of its own processes: what it says reaches the ledger, and a stop asks nobody any more."""

from __future__ import annotations

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal

POLICY = """
policy: 1
id: p
agents: ['*']
allow: [get]
rules:
- {id: helpful, at: output, effect: warn, validate: [{judge: {rubric: Is it helpful?, model: GRADER}}]}
"""
SCRIPT = """
rehearsal: 1
scenes:
- {model: grader, turns: [{text: '{"why": "it is short", "score": 0.25}'}]}
- {model: slow, turns: [{text: "never in time", delay_ms: 30000}]}
- {turns: [{text: "hello"}]}
"""


@pytest.fixture
def provider():
    with RunningRehearsal(SCRIPT) as provider:
        yield provider


def settings(tmp_path, provider, grader):
    (tmp_path / "policies").mkdir(exist_ok=True)
    (tmp_path / "policies" / "p.yaml").write_text(POLICY.replace("GRADER", grader))
    return settings_for(provider.base_url, policies="policies", timeouts={"drain": 0.5})


def ask(gateway):
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert httpx.post(f"{gateway.base_url}/chat/completions", json=body, timeout=30, trust_env=False).status_code == 200


def test_scores_stand_in_the_ledger_beside_the_judges_own_exchange(tmp_path, provider):
    with RunningGateway(tmp_path, settings(tmp_path, provider, "grader")) as gateway:
        ask(gateway)
        own = "exchanges AS e ON e.id = v.asked AND e.session = v.exchange_id"
        joined = f"SELECT v.outcome, v.score, e.agent FROM validations AS v JOIN {own}"
        assert gateway.awaited(joined, 1) == [{"outcome": "hit", "score": 0.25, "agent": "judge"}]
        assert gateway.sql("SELECT rule, measured, mean FROM alignment") == [{"rule": "helpful", "measured": 1, "mean": 0.25}]


def test_what_nobody_was_asked_about_before_a_stop_is_on_record_as_unevaluated(tmp_path, provider):
    asked = settings(tmp_path, provider, "slow")
    with RunningGateway(tmp_path, asked) as gateway:
        for _ in range(3):
            ask(gateway)
        gateway.stop()
    with RunningGateway(tmp_path, asked) as gateway:
        rows = gateway.awaited("SELECT outcome, score FROM validations WHERE validator = 'judge'", 3)
        assert rows == [{"outcome": "unevaluated", "score": None}] * 3
