"""A call is delivered without what must come out of it, judged as it is delivered; what cannot come out denies."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Caller
from gateway.policy import Facts, NotRedactable, decide, load
from gateway.policy.functions import detect
from gateway.policy.redaction import written_anew
from gateway.validators.detectors import DETECTORS, Detector
from gateway.verdict import Call

TOP = "policy: 1\nid: p\nagents: ['*']\nallow: [pay, get]\nrules:\n"
MASK = "- {id: mask, tools: [pay], detect: [card, email], effect: redact}\n"
CARD = "4111 1111 1111 1111"


def test_what_is_found_is_taken_out_of_every_text(policies, facts):
    args = {"note": f"card {CARD}, mail me@example.com", "deep": [{"x": [CARD, 5, None, True]}], "n": 1.5}
    verdict, call = decide(policies(TOP + MASK), facts(args=args))
    assert call.args == {"note": "card [card], mail [email]", "deep": [{"x": ["[card]", 5, None, True]}], "n": 1.5}
    assert json.loads(call.arguments) == call.args
    assert (verdict.effect, verdict.released, verdict.code, verdict.rule) == ("redact", True, "redacted", "mask")
    assert [(hit.rule, hit.effect) for hit in verdict.hits] == [("mask", "redact"), ("allow", "allow")]


@pytest.mark.parametrize("args", [{"x": "nothing"}, {}])
def test_a_call_without_it_is_the_call_that_was_proposed(policies, facts, args):
    seen = facts(args=args)
    verdict, call = decide(policies(TOP + MASK), seen)
    assert call is seen.call
    assert (verdict.effect, verdict.code) == ("allow", "granted")


@pytest.mark.parametrize("args", [{CARD: 1}, {"x": {"me@example.com": []}}, {"n": 4111111111111111}, {"n": [4111111111111111.0]}])
def test_what_cannot_be_taken_out_denies(policies, facts, args):
    seen = facts(args=args)
    verdict, call = decide(policies(TOP + MASK), seen)
    assert (verdict.effect, verdict.released, verdict.code, verdict.rule) == ("deny", False, "not_redactable", "mask")
    assert "cannot" in verdict.reason or "stands in" in verdict.reason
    assert call is seen.call


def test_arguments_too_deep_to_be_written_anew_deny(policies, facts):
    value = CARD
    for _ in range(200):
        value = [value]
    assert decide(policies(TOP + MASK), facts(args={"x": value})).verdict.code == "not_redactable"


def test_who_cannot_write_the_call_anew_denies_it(policies, facts):
    def never(call, args):
        raise NotRedactable("it is of a form that cannot be changed")

    def fails(call, args):
        raise RuntimeError("broken")

    for rewrite, code in ((never, "not_redactable"), (fails, "policy_error")):
        verdict, _ = decide(policies(TOP + MASK), facts(args={"x": CARD}), rewrite)
        assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, code)


def test_a_rule_that_hits_what_is_left_denies(policies, facts, monkeypatch):
    bracket = Detector("card", 3, lambda text: [(at, at + 1) for at in range(len(text)) if text[at : at + 1] == b"["])
    monkeypatch.setattr("gateway.policy.read.DETECTORS", {**DETECTORS, "card": bracket})
    verdict, _ = decide(policies(TOP + MASK), facts(args={"x": "a [ b"}))
    assert (verdict.effect, verdict.code) == ("deny", "not_redactable")


def test_what_is_left_is_judged_by_all_rules(policies, facts):
    rules = MASK + (
        "- {id: cut, tools: [pay], when: \"args.x.contains('[card]')\"}\n- {id: shy, tools: [pay], when: 'args.y == 1', effect: ask}\n"
    )
    found = policies(TOP + rules)
    verdict, _ = decide(found, facts(args={"x": CARD, "y": 0}))
    assert (verdict.effect, verdict.rule, [hit.rule for hit in verdict.hits]) == ("deny", "cut", ["mask", "allow", "cut"])
    verdict, call = decide(found, facts(args={"x": "me@example.com", "y": 1}))
    assert (verdict.effect, verdict.released, verdict.rule, call.args["x"]) == ("ask", False, "shy", "[email]")


def test_what_is_denied_anyway_is_not_changed(policies, facts):
    seen = facts(args={"x": CARD})
    verdict, call = decide(policies(TOP + MASK + "- {id: no, tools: [pay]}\n"), seen)
    assert (verdict.effect, verdict.rule, call) == ("deny", "no", seen.call)
    verdict, call = decide(policies(TOP + MASK.replace("[pay]", "['*']")), facts("other", args={"x": CARD}))
    assert (verdict.effect, verdict.code) == ("deny", "not_granted")


def test_a_shadow_rule_takes_nothing_out(policies, facts):
    seen = facts(args={"x": CARD})
    verdict, call = decide(policies(TOP + MASK.replace("effect: redact", "effect: redact, mode: shadow")), seen)
    assert (verdict.effect, verdict.released, verdict.would, call) == ("allow", True, "redact", seen.call)


def test_a_rule_whose_condition_fails_takes_out_what_it_found(policies, facts):
    verdict, call = decide(policies(TOP + MASK.replace("effect", "when: args.absent == 1, effect")), facts(args={"x": CARD}))
    assert (verdict.effect, verdict.released, call.args) == ("redact", True, {"x": "[card]"})
    assert [(hit.rule, hit.error) for hit in verdict.hits] == [("mask", True), ("allow", False)]


class Counting:
    """A meter that counts what was taken."""

    def __init__(self):
        self.taken = 0

    def look(self, charges, now_us):
        return [0] * len(charges)

    def take(self, charges, now_us):
        self.taken += len(charges)
        return [0] * len(charges)


@pytest.mark.parametrize("approved", [False, True])
def test_a_redacted_call_counts_once(policies, facts, approved):
    meter = Counting()
    found = policies(TOP + MASK + "limits:\n- {id: few, tools: [pay], per: session, max: 5}\n")
    assert decide(found, facts(args={"x": CARD}, meter=meter, approved=approved)).verdict.released
    assert meter.taken == 1


LEAVES = st.sampled_from([CARD, "me@example.com", "a", "", "4111", 5, 1.5, None, True]) | st.text(max_size=5)
VALUES = st.recursive(LEAVES, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text("ab", max_size=2), x, max_size=3), max_leaves=6)
FOUND = load({"p.yaml": (TOP + MASK).encode()})


@given(st.dictionaries(st.text("ab", max_size=2), VALUES, max_size=3))
def test_nothing_that_a_rule_takes_out_is_ever_delivered(args):
    proposed = Call("c", "pay", json.dumps(args), args, 0)
    verdict, call = decide(FOUND, Facts(call=proposed, caller=Caller("a"), dialect="d", model="m"))
    assert verdict.released
    assert detect(msgspec.json.decode(call.arguments), ["card", "email"]) == []
    assert (verdict.effect == "redact") is bool(detect(args, ["card", "email"]))


def test_arguments_are_written_anew_with_all_else_as_it_was():
    call = written_anew(Call("c", "pay", "{}", {}, 3, choice=1), {"a": "é", "b": 1})
    assert (call.arguments, call.index, call.choice) == ('{"a":"é","b":1}', 3, 1)
