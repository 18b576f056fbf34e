"""Pages of experiments: arms and shares, results with their intervals, looks, why an arm is out; halting and promoting by hand."""

from __future__ import annotations

import pytest

from gateway.prompt_folder import UNMOVED, load_folder
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.prompt_rows import LookRow
from gateway.trace.record import Ended, ExperimentChanged, ExperimentLooked

PLAN = """prompt: support
label: production
control: 3
arms: {brief: {version: this, weight: 1}, loud: {model: other, weight: 1}}
metrics: {price: {measure: cost, matters: 0.5}}
guards: [price]
sessions: {min: 100, max: 400}
"""


@pytest.fixture(scope="module")
def told(lived_in):
    """An experiment with sessions of all arms and one look."""
    folder = lived_in.folder / "prompts"
    (folder / "experiments").mkdir(parents=True)
    (folder / "support.md").write_text("---\n---\nOld.")
    old = load_folder(folder, lived_in.folder, UNMOVED).heads["support"].version
    (folder / "support.md").write_text(f"---\nlabels: {{production: {old}}}\n---\nNew.")
    (folder / "experiments" / "tone.yaml").write_text(PLAN)
    edition = load_folder(folder, lived_in.folder, UNMOVED).trials["tone"].edition
    for n in range(200):
        arm = ("brief", "loud", "control", "control")[n % 4]
        row = {"agent": "bot", "session": f"s{n}", "state": "complete", "cost": f"0.0{n % 9}", "experiment": "tone", "arm": arm}
        at = lived_in.clock[0] - 3_600_000_000
        lived_in.book.apply(Ended(ExchangeRow(f"x{n}", at, "openai.chat", "openai", "chat", "/v1", edition=edition, **row)))
    look = LookRow("tone", edition, 1, lived_in.clock[0], 0.25, "brief", "price", guard=True, control_sessions=75, arm_sessions=25,
                   control_mean=0.04, arm_mean=0.05, difference=0.01, low=-0.1, high=0.12, finding="open")  # fmt: skip
    lived_in.book.apply(ExperimentLooked((look,)))
    lived_in.browse(lambda browser: browser.begin())
    for role, name in (("viewer-metadata", "mia"), ("policy-editor", "pia")):
        lived_in.join(role, name)
    return lived_in


def test_what_runs_is_listed_with_its_arms(told) -> None:
    (row,) = told.seen("/ui/experiments.json", "mia").json()["rows"]
    assert (row["experiment"], row["prompt"], row["state"]) == ("tone", "support", "running")
    assert [(arm["arm"], arm["weight"]) for arm in row["arms"]] == [("control", 3.0), ("brief", 1.0), ("loud", 1.0)]
    assert "/ui/experiments/tone" in told.seen("/ui/experiments").text


def test_one_is_shown_with_shares_results_with_intervals_and_looks(told) -> None:
    shown = told.seen("/ui/experiments/tone.json", "mia").json()
    arms = [(arm["arm"], arm["share"], arm["sessions"]) for arm in shown["arms"]]
    assert arms == [("control", 0.6, 100), ("brief", 0.2, 50), ("loud", 0.2, 50)]
    results = {each["arm"]: each for each in shown["results"]}
    assert results["brief"]["low"] < results["brief"]["difference"] < results["brief"]["high"]
    assert [(look["look"], look["finding"]) for look in shown["looks"]] == [(1, "open")]
    assert (shown["taken"], shown["next_look"]) == (1, 175)
    page = told.seen("/ui/experiments/tone", "mia").text
    assert ("-0.1 – 0.12" in page, "takes the right edit-prompts" in page, "Halt it" in page) == (True, True, False)
    assert told.seen("/ui/experiments/tone.csv").text.splitlines()[0].startswith("arm,metric,guard")


def test_an_arm_is_halted_by_who_may_with_a_reason_and_it_is_on_record(told) -> None:
    before = len(told.book.written)
    assert told.sent("/ui/experiments/tone/halt", {"arm": "loud", "why": "no"}, "mia").status_code == 403
    assert told.sent("/ui/experiments/tone/halt", {"arm": "loud", "why": " "}, "pia").status_code == 400
    assert told.sent("/ui/experiments/tone/halt", {"arm": "control", "why": "no"}, "pia").status_code == 400
    assert told.sent("/ui/experiments/tone/halt", {"arm": "quiet", "why": "no"}, "pia").status_code == 404
    assert told.sent("/ui/experiments/none/halt", {"arm": "loud", "why": "no"}, "pia").status_code == 404
    assert len(told.book.written) == before
    done = told.sent("/ui/experiments/tone/halt", {"arm": "loud", "why": "too <loud>", "who": "mia"}, "pia", "/ui/experiments/tone")
    assert (done.status_code, done.headers["location"]) == (303, "/ui/experiments/tone")
    record = told.book.written[-1]
    assert isinstance(record, ExperimentChanged)
    assert (record.change.arm, record.change.state, record.change.who, record.change.why) == ("loud", "halted", "pia", "too <loud>")
    shown = told.seen("/ui/experiments/tone").text
    assert "loud is halted by pia: too &lt;loud&gt;" in shown


def test_an_arm_is_promoted_and_what_cannot_be_put_on_record_is_not_done(told) -> None:
    told.book.full = True
    try:
        assert told.sent("/ui/experiments/tone/promote", {"arm": "brief", "why": "good"}).status_code == 503
    finally:
        told.book.full = False
    assert told.seen("/ui/experiments/tone.json").json()["running"] == ["brief"]
    assert told.sent("/ui/experiments/tone/promote", {"arm": "brief", "why": "good"}).status_code == 303
    shown = told.seen("/ui/experiments/tone.json").json()
    assert ({each["arm"]: each["state"] for each in shown["changes"]}, shown["running"]) == ({"loud": "halted", "brief": "promoted"}, [])
    assert "ended already" in told.sent("/ui/experiments/tone/halt", {"arm": "brief", "why": "late"}).text


def test_a_file_that_cannot_be_used_is_told_with_its_place(told) -> None:
    for name, wrong, place in (("lost", ("prompt: support", "prompt: gone"), "2:"), ("odd", ("guards:", "guard:"), "6:")):
        (told.folder / "prompts" / "experiments" / f"{name}.yaml").write_text(PLAN.replace(*wrong))
        page = told.seen("/ui/experiments")
        assert f"experiments/{name}.yaml:{place}" in page.text
        assert told.seen(f"/ui/experiments/{name}").status_code == 404


def test_without_any_the_page_shows_how_to_write_one(house) -> None:
    house.browse(lambda browser: browser.begin())
    assert "prompts/experiments/tone.yaml" in house.seen("/ui/experiments").text
    assert house.seen("/ui/experiments/tone").status_code == 404
