"""A limit holds over several worker processes and over a restart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal

SCRIPT = "rehearsal: 1\nscenes:\n- {turns: [{calls: [{name: pay, args: {amount: 1}}]}]}\n"
POLICY = """policy: 1
id: p
agents: ['*']
allow: [pay]
limits:
- {id: spend, tools: [pay], sum: args.amount, per: agent, window: 24h, max: 10}
"""
TOOLS = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]


@pytest.fixture
def provider():
    with RunningRehearsal(SCRIPT) as provider:
        yield provider


def ask(gateway) -> bool:
    """Whether the call was delivered."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": TOOLS}
    with httpx.Client(timeout=60, trust_env=False) as client:  # a connection of its own: the kernel spreads them over the workers
        answer = client.post(f"{gateway.base_url}/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    message = answer.json()["choices"][0]["message"]
    assert bool(message.get("tool_calls")) is not ("rule spend" in (message.get("content") or ""))
    return bool(message.get("tool_calls"))


def test_of_fifty_requests_over_two_workers_exactly_ten_pass_and_a_restart_frees_none(tmp_path, provider):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    settings = settings_for(provider.base_url, policies="policies", workers=2)
    with RunningGateway(tmp_path, settings) as gateway, ThreadPoolExecutor(25) as pool:
        assert sum(pool.map(lambda _: ask(gateway), range(50))) == 10
        rows = gateway.awaited("SELECT e.slot, c.released FROM calls AS c JOIN exchanges AS e ON e.id = c.exchange_id", 50)
        assert sum(row["released"] for row in rows) == 10
        assert {row["slot"] for row in rows} == {0, 1}
    with RunningGateway(tmp_path, settings) as gateway:
        assert not ask(gateway)
