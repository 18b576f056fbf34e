"""`tollhouse experiments` over a folder and a ledger without a gateway: what is listed, shown and reckoned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.experiments import app
from gateway.errors import GatewayError, StartError
from gateway.prompt_folder import UNMOVED, load_folder
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.prompt_rows import ExperimentRow, LookRow
from gateway.trace.record import Ended, ExperimentChanged, ExperimentLooked
from gateway.trace.segments import Segment

AT = 1_790_000_000_000_000
PLAN = """prompt: support
label: production
control: 3
arms: {brief: {version: this, weight: 1}}
metrics: {price: {measure: cost, matters: 0.5}, success: {measure: feedback, of: task_success, matters: 0.1}}
guards: [price]
sessions: {min: 100, max: 400}
"""


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """A folder of prompts, and a ledger with sessions of both arms and one look."""
    prompts, data = tmp_path / "prompts", tmp_path / "data"
    (prompts / "experiments").mkdir(parents=True)
    (prompts / "support.md").write_text("---\nlabels: {production: this}\n---\nWords.")
    (prompts / "experiments" / "tone.yaml").write_text(PLAN)
    trial = load_folder(prompts, data, UNMOVED).trials["tone"]
    edition, design = trial.edition, trial.experiment.design
    ended = [exchange(n, "brief" if n % 4 == 0 else "control", edition) for n in range(200)]
    changes = [
        ExperimentChanged(ExperimentRow(str(at), AT, "tone", design, edition, arm, "running", "rollout"))
        for at, arm in enumerate(("control", "brief"))
    ]
    looked = LookRow("tone", edition, 1, AT, 0.25, "brief", "price", guard=True, control_sessions=75, arm_sessions=25, finding="too_few")
    records = list(enumerate([*ended, *changes, ExperimentLooked((looked,))]))
    ledger = Ledger(data / "ledger.duckdb")
    ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), records, 1000, b"h" * 32)])
    ledger.close()
    return ["--prompts", str(prompts), "--data", str(data)]


def exchange(n: int, arm: str, edition: str) -> Ended:
    more = {"agent": "bot", "session": f"s{n}", "state": "complete", "cost": f"0.0{n % 9}", "experiment": "tone", "arm": arm}
    return Ended(ExchangeRow(f"x{n}", AT, "openai.chat", "openai", "chat", "/v1", edition=edition, **more))


def said(*arguments: str) -> str:
    found = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_results_are_reckoned_from_the_ledger(place):
    found = json.loads(said("results", "tone", *place, "--json"))
    assert found["sessions"] == {"control": 150, "brief": 50}
    rows = {row["metric"]: row for row in found["results"]}
    assert (rows["price"]["sessions"], rows["price"]["control_sessions"], rows["price"]["finding"]) == (50, 150, "no_worse")
    assert rows["price"]["low"] < rows["price"]["difference"] < rows["price"]["high"]
    assert (rows["success"]["finding"], rows["success"]["mean"], rows["success"]["difference"]) == ("too_few", None, None)
    assert "1 of 5 looks taken" in said("results", "tone", *place)


def test_an_experiment_is_listed_and_shown_with_its_looks(place):
    [row] = json.loads(said("list", *place, "--json"))
    assert [(arm["arm"], arm["weight"], arm["state"]) for arm in row["arms"]] == [("control", 3.0, "running"), ("brief", 1.0, "running")]
    shown = json.loads(said("show", "tone", *place, "--json"))
    assert [(look["look"], look["metric"], look["finding"]) for look in shown["looks"]] == [(1, "price", "too_few")]
    assert {change["arm"] for change in shown["changes"]} == {"control", "brief"}
    assert "too_few" in said("show", "tone", *place)
    assert "brief 1" in said("list", *place)


def test_where_there_is_none_it_is_said_where_one_goes(tmp_path):
    (tmp_path / "prompts").mkdir()
    where = ["--prompts", str(tmp_path / "prompts"), "--data", str(tmp_path)]
    assert "experiments/<name>.yaml" in said("list", *where)
    assert json.loads(said("list", *where, "--json")) == []


def test_what_cannot_be_used_is_told_with_its_place(place):
    Path(place[1], "experiments", "tone.yaml").write_text(PLAN.replace("version: this", "version: '00000000'"))
    listed = CliRunner().invoke(app, ["list", *place])
    assert "experiments/tone.yaml:4:25: error: The prompt 'support' has no version beginning with '00000000'" in listed.output
    with pytest.raises(StartError, match="cannot be used"):
        said("show", "tone", *place)
    with pytest.raises(GatewayError, match="there is no experiment 'tune'"):
        said("show", "tune", *place)


def test_halting_needs_the_gateway_and_never_means_the_control(place):
    with pytest.raises(StartError, match="no gateway is running"):
        said("halt", "tone", "--data", place[3])
    refused = CliRunner().invoke(app, ["halt", "tone", "control", "--data", place[3]])
    assert (refused.exit_code, "name another" in refused.output) == (2, True)


def test_a_simulation_prints_how_often_each_canary_is_halted():
    one = json.loads(said("simulate", "--sessions", "1000", "--repetitions", "5", "--worse-by", "0.2", "--json"))
    assert [(row["worse_by"], row["halted"], row["promoted"]) for row in one] == [(0.2, "100.0%", "0.0%")]
    table = said("simulate", "--sessions", "1000", "--repetitions", "2")
    assert "2 experiments each, of 1000 sessions, 50% to the canary; 5 looks, risk 0.05, seed 1" in table
