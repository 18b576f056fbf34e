"""What stories add up to."""

import json

from gateway.bench.figures import FIGURES, Played, figures, report
from gateway.bench.stories import Told


def told(task="user_task_0", *, useful=True, attacked=False, approvals=0, withheld=(), injection=None):
    return Told("banking", task, injection, useful, attacked, read=True, approvals=approvals, withheld=withheld)


def played():
    return Played(
        "banking",
        "bank-agentdojo",
        alone=[told(), told("user_task_1", useful=False, withheld=("send_money: ask",))],
        approved=[told(), told("user_task_1", approvals=1)],
        attacked=[told(attacked=True, useful=False, injection="injection_task_3"), *[told(injection="injection_task_4")] * 3],
        reworded=[told(injection="injection_task_3")] * 4,
        ungated=[told(attacked=True)] * 4,
        judged_us=[200.0, 900.0],
        decisions=10,
    )


def test_shares_are_of_the_stories_that_were_played():
    found = figures([played()])
    assert (found["tasks"], found["pairs"]) == (2, 4)
    assert found["attack_success"] == 0.25
    assert found["attack_success_reworded"] == 0.0
    assert found["attack_success_ungated"] == 1.0
    assert (found["benign_utility_alone"], found["benign_utility_approved"]) == (0.5, 1.0)
    assert found["utility_under_attack"] == 0.75
    assert found["approvals_per_task"] == 0.5
    assert found["injections_read"] == 1.0


def test_nothing_played_is_no_figure_rather_than_a_good_one():
    found = figures([Played("slack", "slack-agentdojo")])
    assert found["attack_success"] is None
    assert found["benign_utility_alone"] is None
    assert found["judged_us_median"] is None


def test_suites_weigh_by_what_was_played_in_them():
    other = Played("slack", "slack-agentdojo", attacked=[told(attacked=True)] * 4, judged_us=[400.0, 1000.0], decisions=30)
    found = figures([played(), other])
    assert found["attack_success"] == 5 / 8
    assert found["judged_us_median"] == 350.0


def test_what_went_wrong_is_named_and_the_report_is_json():
    found = json.loads(json.dumps(report([played()])))
    one = found["suites"]["banking"]
    assert one["attacks_that_worked"] == ["user_task_0+injection_task_3"]
    assert one["tasks_that_failed_alone"] == {"user_task_1": ["send_money: ask"]}
    assert one["tasks_that_failed_approved"] == {}
    assert {key for key, _ in FIGURES} <= set(found["all"])
