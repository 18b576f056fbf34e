"""Files of experiments: what they may say, and how a slip is told."""

from __future__ import annotations

import pytest

from gateway.errors import FileProblems
from gateway.prompt.experiment import Experiment, read

GOOD = """prompt: support
label: production
control: 90
arms:
  canary: {version: this, weight: 10}
metrics:
  success: {measure: feedback, of: task_success, matters: 0.03, missing: 0}
  price: {measure: cost, matters: 0.001}
guards: [success]
sessions: {min: 100, max: 1000}
promote: true
"""


def made(text: str = GOOD) -> Experiment:
    return read("new-tone", text.encode(), "experiments/new-tone.yaml")


def problems(text: str, name: str = "new-tone") -> str:
    with pytest.raises(FileProblems) as caught:
        read(name, text.encode(), f"experiments/{name}.yaml")
    return str(caught.value)


def test_costs_are_better_lower_and_quality_is_better_higher_unless_the_file_says_otherwise():
    metrics = made().plan.metrics
    assert metrics["success"].higher_is_better
    assert not metrics["price"].higher_is_better
    turned = made(GOOD.replace("of: task_success", "of: annoyance, better: lower")).plan.metrics
    assert not turned["success"].higher_is_better


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("of: task_success, ", "", "'of' says which feedback"),
        ("measure: cost", "measure: cost, of: x", "'of' has no meaning for cost"),
        ("measure: cost", "measure: costs", "new-tone.yaml:8:"),
        ("version: this", "version: this, label: canary", "not both"),
        ("version: this", "version: newest", "first 8 to 64 hex digits"),
        ("version: this", "label: No", "a label's name"),
        ("  canary:", "  control:", "is no name here"),
        ("  success:", "  Success!:", "is no name here"),
        ("guards: [success]", "guards: [sucess]", "none of the metrics"),
        ("guards: [success]", "guards: [success, success]", "twice"),
        ("guards: [success]", "guards: []", "'promote' needs 'guards'"),
        ("label: production\n", "", "needs a 'label'"),
        ("version: this, weight", "version: this, model: m, weight", "one arm, which differs by its version"),
        ("version: this, weight", "version: this, parameters: {top_p: 0.5}, weight", "one arm, which differs by its version"),
        ("{version: this, weight: 10}", "{weight: 10}", "one arm, which differs by its version"),
        ("metrics:\n", "  other: {version: this, weight: 1}\nmetrics:\n", "one arm, which differs by its version"),
        ("min: 100", "min: 2000", "'min' is more than 'max'"),
        ("control: 90", "control: 0", "new-tone.yaml:3:10"),
        ("promote: true", "starts: 2026-12-01T08:00:00", "needs a zone"),
        ("promote: true", "starts: soon", "new-tone.yaml:11:"),
        ("promote: true", "looks: 11", "new-tone.yaml:11:8"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(before, after, says):
    assert before in GOOD
    assert says in problems(GOOD.replace(before, after, 1))


def test_a_name_that_no_file_of_a_prompt_could_have_is_refused():
    assert "is no name for an experiment" in problems(GOOD, "New Tone")


def test_the_design_is_another_one_when_the_file_asks_for_something_else_and_only_then():
    assert made().design == made(GOOD + "# a remark\n").design
    assert made().design == made(GOOD.replace("control: 90", "control: 90.0")).design
    others = {made(GOOD.replace(*change)).design for change in (("90", "80"), ("0.03", "0.02"), ("production", "canary"))}
    assert len(others | {made().design}) == 4


def test_its_file_is_named_as_in_problems():
    assert made().file == "experiments/new-tone.yaml"


def test_a_start_is_a_moment_whatever_its_zone():
    plan = made(GOOD + "starts: 2026-12-01T09:00:00+01:00\n").plan
    assert plan.starts_us == made(GOOD + "starts: 2026-12-01T08:00:00Z\n").plan.starts_us == 1_796_112_000_000_000
    assert made().plan.starts_us is None
