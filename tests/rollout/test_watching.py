"""The book looks when it is time, over a real ledger: an arm that is worse is halted, one that is no worse is promoted, all on record."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.errors import JournalUnavailable
from gateway.prompt.library import Named
from gateway.rollout.measuring import counted
from gateway.trace.record import ExperimentChanged, ExperimentLooked, PromptMoved

ARMS = "SELECT arm, state, who FROM experiment_arms ORDER BY arm"


def test_what_begins_is_on_record_with_the_version_of_each_arm(installation):
    installation.round(3)
    assert installation.rows("SELECT arm, state, version, weight, sessions FROM experiment_arms ORDER BY arm") == [
        ("canary", "running", installation.new, 1.0, 0), ("control", "running", installation.old, 1.0, 0),
    ]  # fmt: skip
    assert [type(record) for record in installation.written] == [ExperimentChanged, ExperimentChanged]


def test_before_there_are_enough_sessions_nothing_is_decided_however_bad_it_looks(installation):
    installation.round()
    installation.sessions("control", 49)
    installation.sessions("canary", 50, succeed=0.0)
    installation.round(2)
    assert installation.trial().running
    assert not any(isinstance(record, ExperimentLooked) for record in installation.written)


def test_an_arm_that_is_worse_is_halted_and_the_record_says_why(installation, caplog):
    caplog.set_level(logging.WARNING)
    installation.round()
    installation.sessions("control", 60, succeed=0.9)
    installation.sessions("canary", 60, succeed=0.4)
    installation.round()
    assert installation.trial().out == {"canary": "halted"}
    assert installation.prompts().trial(Named("support", label="production")) is None
    assert installation.prompts().labels("support")["production"] == installation.old
    assert installation.rows(ARMS) == [("canary", "halted", "rollout"), ("control", "running", "rollout")]
    [(why, metric, difference, low, high, sessions)] = installation.rows(
        "SELECT why, metric, difference, low, high, sessions FROM experiment_changes WHERE state = 'halted'"
    )
    assert (metric, sessions) == ("success", 120)
    assert difference == pytest.approx(-0.5)
    assert low < -0.5 < high < 0
    assert "success is 0.4 instead of 0.9" in why
    assert f"canary is halted by rollout: {why}" in caplog.text
    installation.round(3)
    assert len(installation.rows("SELECT * FROM experiment_changes")) == 3


@pytest.mark.parametrize("broken", ["support.md", "experiments/tone.yaml"])
def test_an_arm_that_workers_go_on_giving_because_a_file_is_broken_is_still_guarded(installation, broken):
    (installation.folder / "other.md").write_text("---\n---\nAnother.")
    installation.round()
    installation.sessions("control", 60, succeed=0.9)
    installation.sessions("canary", 60, succeed=0.4)
    whole = (installation.folder / broken).read_text()
    (installation.folder / broken).write_text("---\nbroken")
    installation.round()
    (installation.folder / broken).write_text(whole)
    assert installation.trial().out == {"canary": "halted"}


def test_one_that_is_dearer_by_what_matters_is_halted_too(installation):
    installation.round()
    installation.sessions("control", 60, cost="1.00")
    installation.sessions("canary", 60, cost="1.60")
    installation.round()
    assert installation.rows("SELECT state, metric FROM experiment_changes WHERE arm = 'canary' ORDER BY changed_at, id") == [
        ("running", None), ("halted", "price"),
    ]  # fmt: skip


def test_an_arm_that_is_no_worse_at_the_end_is_promoted_and_its_label_moves_on_record(installation):
    installation.round()
    for _ in range(3):
        installation.sessions("control", 70, succeed=0.99)
        installation.sessions("canary", 70, succeed=0.99)
        installation.round()
        installation.now += 60_000_000
    assert installation.rows("SELECT look, share FROM experiment_looks GROUP BY ALL ORDER BY look") == [(1, 0.35), (2, 0.7), (3, 1.0)]
    assert installation.prompts().labels("support")["production"] == installation.new
    assert installation.trial().out == {"canary": "promoted"}
    [moved] = [record.moved for record in installation.written if isinstance(record, PromptMoved)]
    assert (moved.label, moved.version, moved.before, moved.who) == ("production", installation.new, installation.old, "rollout")
    assert moved.why.startswith("experiment tone: no worse: success is")
    installation.round(3)
    assert installation.rows(ARMS) == [("canary", "promoted", "rollout"), ("control", "running", "rollout")]


def test_without_evidence_that_it_is_no_worse_it_ends_and_nothing_moves(installation):
    installation.plan(PLAN_OF_A_DAY)
    installation.round()
    installation.sessions("control", 40, succeed=0.8)
    installation.sessions("canary", 40, succeed=0.78)
    installation.round()
    assert installation.trial().running
    installation.now += 86_400_000_000
    installation.round()
    assert installation.trial().out == {"canary": "ended"}
    [(why,)] = installation.rows("SELECT why FROM experiment_changes WHERE state = 'ended'")
    assert why.startswith("neither worse nor surely no worse: success")
    assert installation.prompts().labels("support")["production"] == installation.old


PLAN_OF_A_DAY = """prompt: support
label: production
control: 1
arms: {canary: {version: this, weight: 1}}
metrics: {success: {measure: feedback, of: task_success, matters: 0.05, missing: 0}}
guards: [success]
sessions: {min: 100, max: 400}
days: 1
promote: true
"""


def test_a_session_counts_once_it_is_quiet_and_to_nobody_when_it_had_two_arms(installation):
    installation.round()
    installation.sessions("control", 5)
    installation.sessions("canary", 4, ago_min=29)
    installation.sessions("canary", 1, session="torn")
    installation.sessions("control", 1, session="torn")
    installation.sessions("canary", 2, session="whole")
    found = counted(installation.ledger.fetch, installation.trial(), installation.now)
    assert found.sessions == {"control": 5, "canary": 1}


def test_a_book_that_was_killed_between_record_and_deed_does_it_when_it_is_back(installation):
    installation.round()
    installation.sessions("control", 60, succeed=0.9)
    installation.sessions("canary", 60, succeed=0.4)
    installation.round()
    installation.forget()
    installation.restart()
    assert installation.trial().running
    installation.round()
    assert installation.trial().out == {"canary": "halted"}
    assert len(installation.rows("SELECT * FROM experiment_changes")) == 3


def test_looks_go_on_after_a_restart_where_they_were(installation):
    installation.round()
    installation.sessions("control", 60, succeed=0.99)
    installation.sessions("canary", 60, succeed=0.99)
    installation.round()
    installation.restart()
    installation.round(2)
    assert installation.rows("SELECT DISTINCT look FROM experiment_looks") == [(1,)]


def test_no_look_is_taken_twice_while_the_ledger_is_behind(installation):
    installation.round()
    installation.sessions("control", 60, succeed=0.99)
    installation.sessions("canary", 60, succeed=0.99)
    installation.put = lambda *records: None
    installation.round(3)
    assert len([record for record in installation.written if isinstance(record, ExperimentLooked)]) == 1


def test_when_a_label_moves_results_begin_anew(installation):
    installation.round()
    installation.sessions("control", 60)
    before = installation.trial().edition
    asyncio.run(installation.labels.move("support", "production", installation.new, who="ann"))
    assert installation.trial().edition != before
    assert counted(installation.ledger.fetch, installation.trial(), installation.now).whole == 0
    installation.round()
    assert len(installation.rows("SELECT DISTINCT edition FROM experiment_changes")) == 2


def test_what_cannot_be_put_on_record_is_not_done_and_is_tried_again(installation, caplog):
    installation.round()
    installation.sessions("control", 60, succeed=0.9)
    installation.sessions("canary", 60, succeed=0.4)

    async def full(_: object) -> None:
        raise JournalUnavailable("the disk is full")

    write, installation.rulings._write = installation.rulings._write, full
    installation.round()
    assert installation.trial().running
    assert "experiment tone could not be looked at: the disk is full" in caplog.text
    installation.rulings._write = write
    installation.round()
    assert installation.trial().out == {"canary": "halted"}


def test_an_experiment_is_not_looked_at_before_its_start(installation):
    installation.plan(PLAN_OF_A_DAY + "starts: 2126-01-01T00:00:00Z\n")
    installation.round()
    assert installation.written == []
