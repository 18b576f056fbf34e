"""Rules about calls that look for things in their arguments."""

import pytest

from gateway.policy import evaluate
from gateway.validators.detectors import DETECTORS, Detector

TOP = "policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n"
CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize("args", [{"x": CARD}, {"x": {"y": ["a", f"so {CARD}"]}}, {CARD: 1}, {"x": 4111111111111111}])
def test_a_detector_looks_at_every_argument(policies, facts, args):
    found = policies(TOP + "- {id: r, detect: [iban, card], tools: [pay]}\n")
    verdict = evaluate(found, facts(args=args))
    assert (verdict.effect, verdict.rule, verdict.code) == ("deny", "r", "rule")
    assert evaluate(found, facts(args={"x": "4111"})).released
    assert evaluate(found, facts("other", args=args)).released


def test_a_condition_beside_a_detector_must_hold_too(policies, facts):
    found = policies(TOP + "- {id: r, detect: [card], when: args.n > 1, effect: warn}\n")
    for args, effect in (({"x": CARD, "n": 2}, "warn"), ({"x": CARD, "n": 1}, "allow"), ({"n": 2}, "allow")):
        assert evaluate(found, facts(args=args)).effect == effect
    verdict = evaluate(found, facts(args={"x": CARD}))
    assert (verdict.effect, verdict.code) == ("warn", "policy_error")


def broken(text):
    raise RuntimeError("broken")


@pytest.mark.parametrize("effect", ["deny", "ask", "redact", "warn"])
def test_a_detector_that_fails_denies_whatever_the_rule_wants(policies, facts, monkeypatch, effect):
    monkeypatch.setattr("gateway.policy.read.DETECTORS", {**DETECTORS, "card": Detector("card", 26, broken)})
    verdict = evaluate(policies(TOP + f"- {{id: r, detect: [card], effect: {effect}}}\n"), facts(args={"x": "a"}))
    assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, "policy_error")
    ignoring = policies(TOP + f"- {{id: r, detect: [card], effect: {effect}, on_error: ignore}}\n")
    assert evaluate(ignoring, facts(args={"x": "a"})).released
