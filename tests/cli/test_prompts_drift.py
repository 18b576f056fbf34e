"""Whether two windows of one prompt version differ: told apart by a test and by how much, and never by chance alone."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.prompts_drift import as_json, told
from gateway.rollout.drifting import EFFECTS, MEASURES, judged


def window(late, *, n=100, prompt="support", version="a" * 64, **more):
    values = list(range(n))
    mix = json.dumps([{"name": "", "n": n // 2}, {"name": "look_up", "n": n - n // 2}])
    row = {
        "prompt": prompt, "version": version, "kept": True, "late": late, "answers": n, "drawn": n, "refused": 0, "withheld": 0,
        "findings": 0, "output_tokens": json.dumps(values), "cost": json.dumps(values), "duration_us": json.dumps(values),
        "tools": mix, "models": json.dumps([{"name": "m", "n": n}]),
    }  # fmt: skip
    return row | {name: json.dumps(value) if isinstance(value, list) else value for name, value in more.items()}


def drifted(before, now, least=50):
    [found] = judged([window(False, **before), window(True, **now)], least)
    return found.verdict, [each.measure for each in found.measures if each.drifted]


def mix(**counts):
    return [{"name": name, "n": n} for name, n in counts.items()]


DIFFERENT = [
    ("output_tokens", {}, {"output_tokens": list(range(50, 150))}),
    ("duration_us", {}, {"duration_us": [2 * each for each in range(100)]}),
    ("cost", {"cost": [1.0] * 100}, {"cost": [1.0] * 50 + [9.0] * 50}),
    ("refused", {"refused": 1}, {"refused": 15}),
    ("withheld", {"withheld": 40}, {"withheld": 4}),
    ("findings", {}, {"findings": 12}),
    ("tools", {"tools": mix(a=50, b=50)}, {"tools": mix(a=20, b=80)}),
    ("tools", {"tools": mix(a=100)}, {"tools": mix(a=60, **{f"rare{n}": 1 for n in range(40)})}),
    ("models", {"models": mix(old=100)}, {"models": mix(new=100)}),
]


@pytest.mark.parametrize(("measure", "before", "now"), DIFFERENT)
def test_what_is_large_and_no_chance_is_drift_in_either_direction(measure, before, now):
    assert drifted(before, now) == drifted(now, before) == ("drift", [measure])


ALIKE = [
    ({}, {}),
    ({"refused": 1}, {"refused": 2}),
    ({"n": 1000, "refused": 10}, {"n": 1000, "refused": 40}),  # no chance, and too small to matter
    ({"tools": mix(a=50, b=49, c=1)}, {"tools": mix(a=50, b=49, d=1)}),
    ({"tools": mix(a=100)}, {"tools": mix(a=99, b=1)}),
    ({"cost": []}, {"cost": []}),  # a model without a price
    ({"cost": []}, {}),
    ({"output_tokens": [7] * 100}, {"output_tokens": [7] * 100}),
]


@pytest.mark.parametrize(("before", "now"), ALIKE)
def test_what_is_small_or_chance_or_not_known_is_none(before, now):
    assert drifted(before, now) == ("steady", [])


@pytest.mark.parametrize(("before", "now"), [({"n": 49}, {}), ({}, {"n": 49}), ({"n": 3}, {"n": 3})])
def test_too_few_answers_are_not_compared(before, now):
    [found] = judged([window(False, **before), window(True, **now)], 50)
    assert (found.verdict, found.measures) == ("too few", [])
    [alone] = judged([window(True)], 50)
    assert (alone.verdict, alone.baseline, alone.answers) == ("too few", 0, 100)


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_what_is_drawn_from_one_source_hardly_ever_drifts(seed):
    dice = random.Random(seed)

    def drawn(late, version):
        n = 60
        spans = [int(dice.lognormvariate(3, 1) * 1000) for _ in range(n)]
        tools = dice.choices(["", "a", "b", "c"], [5, 3, 1, 1], k=n)
        seen = mix(**{name: tools.count(name) for name in dict.fromkeys(tools)})
        return window(late, n=n, version=version, duration_us=spans, tools=seen, refused=sum(dice.random() < 0.1 for _ in range(n)))

    found = judged([drawn(late, version) for version in "abcde" for late in (False, True)], 50)
    assert sum(each.verdict == "drift" for each in found) <= 1


def test_versions_are_kept_apart_and_the_busiest_is_told_first():
    rows = [window(late, version=version, n=n) for version, n in (("a", 60), ("b", 200)) for late in (False, True)]
    rows += [window(True, version="a", kept=False, n=70)]
    assert [(each.version, each.kept, each.verdict) for each in judged(rows, 50)] == [
        ("b", True, "steady"), ("a", False, "too few"), ("a", True, "steady"),
    ]  # fmt: skip


def test_a_drift_is_told_with_both_values_in_words_and_in_json():
    [found] = judged([window(False, refused=0), window(True, refused=50, tools=mix(a=90, b=10))], 50)
    said = "\n".join(told(found))
    assert "support@aaaaaaaaaaaa  DRIFT  100 answers, 100 before" in said
    assert "refused        0.0% -> 50.0%" in said
    assert "none 50%, look_up 50% -> a 90%, b 10%" in said
    [back] = json.loads(as_json([found]))
    assert [each["measure"] for each in back["measures"]] == list(MEASURES)
    assert EFFECTS.keys() == {each["kind"] for each in back["measures"]}
