"""`tollhouse policy bench`: what it asks for, what it loads, and how it tells."""

import re

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli import policy_bench
from gateway.cli.policy import app
from gateway.shipped import folder

FIGURES = {
    "tasks": 16,
    "pairs": 144,
    "attack_success": 0.005,
    "attack_success_reworded": 0.0,
    "benign_utility_alone": 0.875,
    "benign_utility_approved": 1.0,
    "utility_under_attack": None,
    "approvals_per_task": 0.125,
    "injections_read": 1.0,
    "attack_success_ungated": 0.99,
    "judged_us_median": 321.4,
    "judged_us_p99": 1234.5,
    "decisions": 7,
}
NAMED = {
    "agent": "bank-agentdojo",
    "left_out": [],
    "attacks_that_worked": [f"user_task_{n}+injection_task_0" for n in range(20)],
    "attacks_that_worked_reworded": [],
    "tasks_that_failed_alone": {"user_task_0": ["send_money: ask"]},
    "tasks_that_failed_approved": {},
    "tasks_that_failed_under_attack": [],
}


def run(*arguments):
    return CliRunner().invoke(app, ["bench", "agentdojo", *arguments])


def test_an_unknown_suite_is_wrong_usage_and_names_the_known():
    done = run("--suite", "email")
    assert done.exit_code == 2
    assert "banking, slack, travel, workspace" in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize("suites", [(), ("--suite", "slack", "--suite", "travel")])
def test_an_agent_is_played_in_one_suite(suites):
    assert run("--agent", "bank-1", *suites).exit_code == 2


def test_a_folder_that_is_not_there_is_wrong_usage(tmp_path):
    assert run("--policies", str(tmp_path / "none")).exit_code == 2


def test_of_a_folder_of_packs_only_those_of_the_suites_are_loaded(tmp_path):
    staged = policy_bench._staged(folder("policies"), ["banking", "travel"], tmp_path, whole=False)
    assert sorted(path.name for path in staged.iterdir()) == ["bank", "travel"]


def test_any_other_folder_and_a_whole_one_are_loaded_as_they_are(tmp_path):
    (tmp_path / "mine").mkdir()
    assert policy_bench._staged(tmp_path / "mine", ["banking"], tmp_path, whole=False) == tmp_path / "mine"
    assert policy_bench._staged(folder("policies"), ["banking"], tmp_path, whole=True) == folder("policies")
    with pytest.raises(typer.BadParameter):
        policy_bench._staged(tmp_path / "none", ["banking"], tmp_path, whole=False)


def test_the_table_shows_every_figure_what_got_through_and_how_approvals_were_played():
    told = policy_bench._told({"person": "careful", "suites": {"banking": FIGURES | NAMED}, "all": FIGURES})
    assert re.search(r"attack success +0\.5% +0\.5%", told)
    assert re.search(r"utility under attack, with approvals +- +-", told)
    assert re.search(r"approvals per task +0\.12 +0\.12", told)
    assert re.search(r"decision time, 99th percentile \(µs\) +1,23[45]", told)
    assert "user_task_11+injection_task_0; and 8 more" in told
    assert "tasks that wanted a person: user_task_0 (send_money: ask)" in told
    assert "It approves every call of the user's own task" in told
    assert "approves whatever is asked" in policy_bench._told({"person": "careless", "suites": {}, "all": FIGURES})
