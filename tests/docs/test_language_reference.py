"""The language reference names every key, function, name, detector and finding of the language that is loaded, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.policy.case_shape import Case
from gateway.policy.functions import FUNCTIONS
from gateway.policy.hooks import SEES
from gateway.policy.lint_codes import CODES
from gateway.policy.model import Limit, PolicyFile, Rule
from gateway.validators import VALIDATORS
from gateway.validators.detectors import DETECTORS

TEXT = (Path(__file__).parents[2] / "policies" / "README.md").read_text()
OF_CEL = {"size", "filter", "exists"}
"""CEL's own, shown beside ours."""
WITH_OPTIONS = {"urls", "national_id"}
"""Detectors that need more than their name."""


def section(heading: str) -> str:
    return TEXT.partition(f"\n{heading}\n")[2].partition("\n## ")[0]


def first_cells(head: str, text: str = TEXT) -> list[str]:
    """Of the table whose head begins so."""
    rows = text.partition(f"\n| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [row.removeprefix("| ").partition(" |")[0] for row in rows]


def named(head: str, text: str = TEXT) -> set[str]:
    """Names in the first cells: `sample: 10%` is `sample`, `{urls: {…}}` is `urls`."""
    return {name for cell in first_cells(head, text) for name in re.findall(r"`\{?(\w+)", cell)}


def keys(model) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_key_of_the_file_a_rule_a_limit_and_a_test_is_explained():
    assert named("key", section("## The file")) == keys(PolicyFile)
    assert named("key of a rule") == keys(Rule)
    assert named("key of a limit") == keys(Limit)
    assert named("key of a test") == keys(Case)


def test_every_function_of_conditions_is_explained():
    told = section("## What conditions see")
    cells = [*first_cells("function", told), *first_cells("function", told.partition("### Who said")[2])]
    shown = {name for cell in cells for name in re.findall(r"(\w+)\(", cell)}
    assert shown - OF_CEL == FUNCTIONS.keys()


def test_every_name_that_conditions_see_is_explained_where_it_is_seen():
    assert named("name", section("## What conditions see")) == set(SEES["tool_call"])
    everywhere = set.intersection(*map(set, SEES.values()))
    assert "`caller`, `session`, `model`, `vars` and `now` are there everywhere" in TEXT
    assert everywhere == {"caller", "session", "model", "vars", "now"}
    hooks = TEXT.partition("\n| `at` | asked about |")[2].partition("\n\n")[0].splitlines()[2:]
    told = {row.split(" | ")[0].strip("| `"): set(re.findall(r"`(\w+)[`.]", row.split(" | ")[2])) for row in hooks}
    assert told.keys() == SEES.keys()
    for hook in SEES.keys() - {"tool_call"}:
        assert set(SEES[hook]) - everywhere <= told[hook], hook


def test_every_detector_is_explained():
    assert named("detector") == DETECTORS.keys() | WITH_OPTIONS


def test_every_validator_is_named():
    [(told, _)] = re.findall(r"\[Fourteen validators\]\(.*?\) are there: (.*?)(;)", TEXT, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", told)) == VALIDATORS.keys()
    assert len(VALIDATORS) == 14


def test_every_finding_of_the_check_is_explained():
    told = set()
    for cell in first_cells("code", section("## What `policy check` finds")):
        numbers = [int(number) for number in re.findall(r"TH(\d+)", cell)]
        told |= set(range(numbers[0], numbers[-1] + 1)) if "–" in cell else set(numbers)
    assert {f"TH{number:03d}" for number in told} == CODES.keys()
