"""The packs that travel with the gateway: their own tests show what each grant lets through, and each rule both ways.

That they pass, and that every rule is hit: `test_cases`.
"""

from pathlib import Path

import pytest

from gateway.policy import Result, run_cases
from gateway.policy.globs import matches
from gateway.policy_folder import load_folder
from gateway.shipped import folder

POLICIES = load_folder(Path(folder("policies")))
PACKS = pytest.mark.parametrize("pack", [*POLICIES.policies, *POLICIES.libraries], ids=lambda pack: pack.id)
ASKED = {"tool_call": "call", "tool_result": "result", "output": "output", "request": "request"}
"""Where a rule judges, by the key of a test."""


def results(pack) -> list[Result]:
    return [one for one in run_cases(POLICIES).results if one.file == pack.file]


def judged(guard, result):
    """Whether the test is about something that the rule is asked about."""
    said = getattr(result.case, ASKED[guard.at])
    return said is not None and (isinstance(said, str) or guard.at == "request" or guard.concerns(next(iter(said))))


@PACKS
def test_every_grant_lets_a_call_through(pack):
    calls = [next(iter(one.case.call)) for one in results(pack) if one.case.call and one.verdict.effect != "deny"]
    assert [glob for glob, _ in pack.layers[0].grants or () if not any(matches(glob, tool) for tool in calls)] == []


@pytest.mark.unmeasured
@PACKS
def test_every_rule_hits_and_every_condition_also_lets_pass(pack):
    for guard in pack.layers[0].guards:
        hit = {any(hit.rule == guard.id for hit in one.verdict.hits) for one in results(pack) if judged(guard, one)}
        always = guard.condition is None and not guard.detectors and not guard.uses
        assert hit == ({True} if always else {True, False}), guard.id
