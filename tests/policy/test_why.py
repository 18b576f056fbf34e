"""Why a verdict came out so: rules as written, values as read, and what would have passed."""

import pytest

from gateway.policy import evaluate, load
from gateway.policy.why import reasons
from gateway.verdict import RuleHit

TEXT = """policy: 1
id: p
agents: ['*']
allow: [pay]
vars: {names: {file: names.txt}, limit: 5}
rules:
- {id: big, when: "args.amount > vars.limit && args['o'].?k.orValue(1) == 1"}
- {id: known, require: args.to in vars.names, message: "who is {args.to}?"}
- {id: always, effect: warn}
- {id: missing, when: args.absent.deeper == 1 || caller.team == 'x' || session.calls == 5}
- {id: quiet, when: args.absent == 1, on_error: ignore}
"""


def explained(facts, tool="pay", **seen):
    names = "".join(f"n{n}\n" for n in range(30))
    found = load({"p.yaml": TEXT.encode(), "names.txt": names.encode()})
    args = {"amount": 9, "to": "Bob", "o": {"k": 1}}
    verdict = evaluate(found, facts(tool=tool, args=args, session={"calls": 1}))
    seen = {"args": args, "caller": {"team": None}, **seen}
    return {reason.hit.rule: reason for reason in reasons(found, verdict.hits, tool, seen)}


def test_a_condition_is_shown_as_written_with_the_values_it_read(facts):
    big = explained(facts)["big"]
    assert big.condition == "when: args.amount > vars.limit && args['o'].?k.orValue(1) == 1"
    assert big.values == {"args.amount": 9, "vars.limit": 5, "args.o.k": 1}
    assert (big.unknown, big.passes, big.file) == ((), "the condition being false", "p.yaml")


def test_a_list_from_a_file_is_shown_by_its_length(facts):
    known = explained(facts)["known"]
    assert known.values == {"args.to": "Bob", "vars.names": "(30 names)"}
    assert (known.condition, known.passes) == ("require: args.to in vars.names", "the condition being true")


def test_what_was_not_there_is_named(facts):
    missing = explained(facts)["missing"]
    assert missing.unknown == ("args.absent.deeper", "session.calls")
    assert missing.values == {"caller.team": None}
    assert missing.passes == "a call for which it can be evaluated, and the condition being false"
    flat = explained(facts, args={"absent": 5})["missing"]
    assert flat.unknown == ("args.absent.deeper", "session.calls")


def test_what_let_the_call_pass_needs_nothing(facts):
    found = explained(facts)
    assert (found["allow"].passes, found["allow"].condition) == ("", "")
    assert (found["quiet"].passes, found["quiet"].hit.error) == ("", True)


def test_a_rule_without_a_condition_and_a_missing_grant_say_what_would_pass(facts):
    assert explained(facts)["always"].passes == "nothing: the rule has no condition and hits every call of its tools"
    assert explained(facts, "get")["default"].passes == "an 'allow:' pattern of policy p that covers get"


@pytest.mark.parametrize("policy", ["gone", ""])
def test_a_hit_of_a_policy_that_is_not_at_hand_stands_alone(policies, policy):
    [found] = reasons(policies(TEXT.replace("{file: names.txt}", "1")), [RuleHit(policy, "r", "deny")], "pay", {})
    assert (found.file, found.condition, found.passes) == ("", "", "")


def test_a_limit_shows_what_it_sums_and_how_much_may_pass(facts, policies):
    limits = "limits:\n- {id: spend, sum: args.amount, per: agent, window: 24h, max: 5.5}\n- {id: often, per: session, max: 0}\n"
    found = policies("policy: 1\nid: p\nagents: ['*']\nallow: [pay]\n" + limits)
    hits = [RuleHit("p", "spend", "deny"), RuleHit("p", "often", "deny")]
    spend, often = reasons(found, hits, "pay", {"args": {"amount": 9}})
    assert (spend.condition, spend.values) == ("limit: sum of args.amount per agent, window 24h, at most 5.5", {"args.amount": 9})
    assert (often.condition, often.values) == ("limit: calls per session, window session, at most 0", {})
    assert {spend.passes, often.passes} == {"a call that still fits into the limit"}


def test_a_rule_that_looks_for_things_says_what_would_pass(policies, facts):
    text = "policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nrules:\n"
    text += "- {id: r, detect: [card, email], when: args.n == 1}\n- {id: q, detect: [card]}\n"
    found = policies(text)
    seen = {"args": {"x": "4111 1111 1111 1111", "n": 1}}
    explained = {one.hit.rule: one for one in reasons(found, evaluate(found, facts(args=seen["args"])).hits, "pay", seen)}
    assert (explained["r"].condition, explained["q"].condition) == ("detect: card, email; when: args.n == 1", "detect: card")
    assert explained["r"].passes == "arguments without card or email or the condition being false"
    assert explained["q"].passes == "arguments without card"
