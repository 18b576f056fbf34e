"""`tollhouse status` shows how the targets of routes are, as a worker sees them."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from gateway.cli.main import app


@pytest.fixture
def told(start, provider, tmp_path, monkeypatch):
    """What the command says of a gateway whose first target has failed."""
    provider.answer = provider.json({"error": {"message": "no"}}, "500 No")
    dead = {"dialect": "openai.chat", "base_url": "http://127.0.0.1:1/v1"}
    live = {"dialect": "openai.chat", "base_url": provider.base_url}
    targets = [{"upstream": "live", "model": "big"}, {"upstream": "dead", "priority": 1}]
    route = {"models": ["m*", "x"], "targets": targets, "breaker": {"failures": 1, "open": 50}, "retries": {"count": 1}}
    gateway = start(upstreams={"live": live, "dead": dead}, routes=[route])
    with gateway.client() as client:
        client.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "go"}]})
    gateway.ended()
    where = {"listen": gateway.url, "admin": gateway.url}
    (gateway.settings.data_path / "run.json").write_text(json.dumps(where))
    monkeypatch.chdir(tmp_path)

    def run(*more):
        return CliRunner().invoke(app, ["status", "--data", str(gateway.settings.data_path), *more])

    return run


def test_each_target_is_a_line(told):
    result = told()
    assert result.exit_code == 0
    route, live, dead = [line for line in result.output.splitlines() if line.startswith(("route", "  "))]
    assert route.split() == ["route", "m*,", "x"]
    assert live.startswith("  live/big  priority 0  weight 1  open for ")
    assert "asked 1, failed 1, last status_500 " in live
    assert dead.startswith("  dead      priority 1  weight 1  open for ")
    assert "last upstream_unreachable " in dead


def test_the_same_is_in_the_machine_s_form(told):
    (route,) = json.loads(told("--json").output)["worker"]["routes"]
    assert route["models"] == ["m*", "x"]
    found = [(each["target"], each["state"], each["failures"]) for each in route["targets"]]
    assert found == [("live/big", "open", 1), ("dead", "open", 1)]
