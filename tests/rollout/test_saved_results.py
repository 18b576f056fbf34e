"""The saved question about experiments, over what a book has really looked at: outcomes, intervals, the look, and why an arm is out."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest

from gateway.web.queries import read_all

QUERY = read_all()["experiment_results"]


def told(installation, **given) -> dict[tuple[str, str, str], dict]:
    """(arm, basis, metric) → the row."""
    answer = installation.ledger.query(QUERY.sql, 1000, QUERY.params | given)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    return {(row["arm"], row["basis"], row["metric"]): row for row in rows}


@pytest.fixture
def halted(installation):
    installation.round()
    installation.sessions("control", 60, succeed=0.9)
    installation.sessions("canary", 60, succeed=0.4)
    installation.round()
    return installation


def test_an_arm_that_was_halted_says_why_and_what_its_look_found(halted):
    row = told(halted)["canary", "look", "success"]
    assert (row["state"], row["who"], row["look"], row["guard"], row["finding"]) == ("halted", "rollout", 1, True, "worse")
    assert "success is 0.4 instead of 0.9" in row["why"]
    assert (row["sessions"], row["control_sessions"]) == (60, 60)
    assert (row["mean"], row["control_mean"]) == pytest.approx((0.4, 0.9))
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["p"] < row["level"]


def test_every_arm_has_its_outcome_so_far_with_an_interval(halted):
    rows = told(halted)
    assert {arm for arm, basis, _ in rows if basis == "so far"} == {"canary", "control"}
    row = rows["control", "so far", "cost"]
    costs = [0.01 + n % 7 / 1000 for n in range(60)]
    half = 1.96 * stdev(costs) / 60**0.5
    assert (row["mean_low"], row["mean"], row["mean_high"]) == pytest.approx((fmean(costs) - half, fmean(costs), fmean(costs) + half))
    assert (row["difference"], row["look"], row["finding"]) == (None, None, None)
    assert rows["canary", "so far", "feedback of task_success"]["sessions"] == 24


def test_only_the_latest_look_is_shown(installation):
    installation.round()
    for _ in range(2):
        installation.sessions("control", 70, succeed=0.99)
        installation.sessions("canary", 70, succeed=0.99)
        installation.round()
        installation.now += 60_000_000
    assert {row["look"] for (_, basis, _), row in told(installation).items() if basis == "look"} == {2}


def test_of_few_sessions_no_interval_is_given_and_an_arm_nobody_had_is_there(installation):
    installation.round()
    installation.sessions("control", 29)
    rows = told(installation)
    assert (rows["control", "so far", "cost"]["sessions"], rows["control", "so far", "cost"]["mean_low"]) == (29, None)
    assert rows["canary", None, None]["state"] == "running"


def test_it_can_be_asked_of_one_experiment(halted):
    assert told(halted, experiment="tone")
    assert told(halted, experiment="other") == {}
    assert told(halted, edition="other") == {}


def test_sessions_of_one_name_of_two_organisations_are_two(installation):
    installation.round()
    for org in ("acme", "zeta"):
        installation.sessions("control" if org == "acme" else "canary", 1, cost="0.5", session="same", team="pay", org=org)
    found = installation.rows("SELECT org, arm, value FROM experiment_values WHERE measure = 'feedback' ORDER BY org")
    assert found == [("acme", "control", 1.0), ("zeta", "canary", 1.0)]
