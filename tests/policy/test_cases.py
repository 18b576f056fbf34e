"""The tests that policies carry: they pass, fail, and show what they left out."""

from pathlib import Path

import pytest

from gateway.policy import load, run_cases
from gateway.policy_folder import read
from gateway.shipped import folder

HEAD = "policy: 1\nid: p\nagents: ['bank-?*']\n"


def report(text, **more):
    return run_cases(load({"p.yaml": (HEAD + text).encode(), **{f"{k}.yaml": v.encode() for k, v in more.items()}}))


ALONE = ("starter", "bank", "coding", "slack", "travel", "workspace")
"""Packs that are whole by themselves; the others include what lies beside them."""


@pytest.mark.parametrize("pack", ALONE)
def test_a_shipped_pack_passes_its_tests_and_they_hit_every_rule(pack):
    found = run_cases(load(read(folder("policies") / pack)))
    assert [result.said for result in found.results if not result.passed] == []
    assert found.not_hit == ()
    assert found.rules >= 5
    assert found.passed


def test_all_shipped_packs_together_pass_and_every_rule_is_hit():
    found = run_cases(load(read(folder("policies"))))
    assert [result.said for result in found.results if not result.passed] == []
    assert found.not_hit == ()
    assert {result.policy for result in found.results} == {*ALONE, "support", "baseline"}


def test_every_shipped_pack_is_looked_at():
    packs = {path.parent.name for path in Path(folder("policies")).glob("*/policy.yaml")}
    assert packs == {*ALONE, "support"}


def test_a_library_grants_nothing():
    loaded = load(read(folder("policies")))
    assert [library.id for library in loaded.libraries] == ["baseline"]
    assert all(layer.grants is None for library in loaded.libraries for layer in library.layers)


TESTS = """
allow: [pay, get]
rules:
- {id: big, when: has(args.n) && args.n > 5}
- {id: odd, when: "has(args.n) && args.n == 3", effect: warn}
tests:
- {name: good, call: {get: {}}, expect: {effect: allow, rule: allow}}
- {name: wrong effect, call: {pay: {n: 9}}, expect: {effect: allow}}
- {name: wrong rule, call: {pay: {n: 9}}, expect: {effect: deny, rule: odd}}
- {name: no arguments, call: {pay: }, expect: {effect: allow}}
"""


def test_a_failing_test_says_what_was_expected_and_what_came():
    found = report(TESTS)
    assert [result.passed for result in found.results] == [True, False, False, True]
    assert found.results[1].said == (
        'expected allow, got deny (rules hit: allow, big; Rule big of policy p forbids this call of tool "pay".)'
    )
    assert found.results[2].said.startswith("expected rule odd to hit, got deny (rules hit: allow, big;")
    assert not found.passed


def test_rules_that_no_test_hits_are_listed():
    assert report(TESTS).not_hit == (("p.yaml", "odd", 8),)


def test_a_rule_that_only_failed_was_not_hit():
    found = report(
        "allow: [x]\nrules:\n- {id: r, when: args.n > 5}\ntests:\n- {name: t, call: {x: {}}, expect: {effect: deny}}\n"
    )
    assert found.passed
    assert [rule for _, rule, _ in found.not_hit] == ["r"]


@pytest.mark.parametrize("shadow", ["mode: shadow\nrules:\n- {id: r}\n", "rules:\n- {id: r, mode: shadow}\n"])
def test_shadow_is_tested_for_what_it_would_do(shadow):
    found = report(f"allow: [x]\n{shadow}tests:\n- {{name: t, call: {{x: {{}}}}, expect: {{effect: deny, rule: r}}}}\n")
    assert found.passed


def test_a_file_that_only_guards_is_tested_as_if_calls_were_granted():
    guards = "rules:\n- {id: r, when: args.n > 5}\ntests:\n"
    tests = "- {name: a, call: {x: {n: 1}}, expect: {effect: allow}}\n- {name: b, call: {x: {n: 9}}, expect: {effect: deny}}\n"
    assert report(guards + tests).passed
    assert not report("default: ask\n" + guards + tests).passed


def test_a_library_is_tested_by_itself():
    library = (
        "policy: 1\nid: lib\nrules:\n- {id: r}\ntests:\n- {name: t, call: {x: {}}, expect: {effect: deny, rule: r}}\n"
    )
    found = report("allow: [x]\ninclude: [lib.yaml]\n", lib=library)
    assert [(result.policy, result.passed) for result in found.results] == [("lib", True)]


def test_a_test_is_judged_with_what_the_file_includes():
    library = "policy: 1\nid: lib\nrules:\n- {id: r}\n"
    text = "allow: [x]\ninclude: [lib.yaml]\ntests:\n- {name: t, call: {x: {}}, expect: {effect: deny, rule: r}}\n"
    found = report(text, lib=library)
    assert found.passed
    assert found.not_hit == ()


@pytest.mark.parametrize(
    ("given", "condition"),
    [
        ("", "caller.agent == 'bank-xtest'"),
        ("agent: bank-9, ", "caller.agent == 'bank-9'"),
        ("model: gpt-x, ", "model == 'gpt-x'"),
        ("", "caller.org == null && caller.team == null"),
        ("caller: {org: acme, team: t}, ", "caller.org == 'acme' && caller.team == 't'"),
        ("caller: {user: ada, team: t, key: k, client: c, labels: {a: b}}, ",
         "caller.user == 'ada' && caller.team == 't' && caller.key == 'k' && caller.client == 'c' && caller.labels.a == 'b'"),
        ("session: {calls: 200}, ", "session.calls == 200 && session.messages == 1"),
        ("history: [{call: {get: {}}, result: 1}, {call: {pay: }}], ",
         "session.calls == 2 && session.tools == ['get', 'pay'] && session.messages == 4"),
        ("history: [{call: {pay: }, result: a}, {call: {get: }, result: b}, {call: {pay: }, result: c}], ",
         "session.calls == 3 && session.tools == ['get', 'pay'] && session.messages == 7"),
        ("now: 2026-11-21T08:30:00Z, ", "now == timestamp('2026-11-21T08:30:00Z')"),
        ("", "now == timestamp('2026-01-01T12:00:00Z') && session.id == 'test'"),
        ("user: hello, ", "args == {'n': 1}"),
    ],
)  # fmt: skip
def test_a_test_describes_its_facts(given, condition):
    found = report(
        f'allow: [x]\nrules:\n- {{id: r, when: "{condition}"}}\n'
        f"tests:\n- {{name: t, {given}call: {{x: {{n: 1}}}}, expect: {{effect: deny, rule: r}}}}\n"
    )
    assert [result.said for result in found.results] == [""]
    assert found.not_hit == ()


LIMITED = """
allow: [pay]
limits:
- {id: spend, sum: args.n, per: user, window: 24h, max: 10, mode: shadow}
- {id: few, per: session, max: 2, effect: ask}
- {id: rare, tools: [x], per: session, max: 2}
tests:
- {name: nothing spent, call: {pay: {n: 10}}, expect: {effect: allow}}
- {name: a little spent, spent: {spend: 0.5, few: 1}, call: {pay: {n: 9.5}}, expect: {effect: allow}}
- {name: too much, spent: {spend: 0.5}, call: {pay: {n: 9.6}}, expect: {effect: deny, rule: spend}}
- {name: too many, spent: {few: 2}, call: {pay: {n: 1}}, expect: {effect: ask, rule: few}}
"""


def test_a_test_says_what_limits_have_counted():
    found = report(LIMITED)
    assert [result.said for result in found.results if not result.passed] == []
    assert (found.rules, found.not_hit) == (3, (("p.yaml", "rare", 9),))


def test_a_test_of_a_limit_can_fail():
    assert not report(LIMITED.replace("few: 2}", "few: 1}")).passed


def test_a_limit_of_an_include_can_be_tested_where_it_is_included():
    library = "policy: 1\nid: lib\nlimits:\n- {id: few, per: session, max: 2}\n"
    test = "tests:\n- {name: t, spent: {few: 2}, call: {x: {}}, expect: {effect: deny, rule: few}}\n"
    assert report("allow: [x]\ninclude: [lib.yaml]\n" + test, lib=library).passed


def test_a_test_may_say_that_an_earlier_call_was_made_up():
    rule = "allow: [pay]\nrules:\n- {id: r, tools: [pay], require: \"from_tool(args.to, 'get')\"}\ntests:\n"
    history = "history: [{call: {look: {}}}, {call: {get: {}}, result: alice, forged: FORGED}]"
    case = "- {name: n, HISTORY, call: {pay: {to: alice}}, expect: {effect: EFFECT}}\n".replace("HISTORY", history)
    texts = [case.replace("FORGED", forged).replace("EFFECT", effect) for forged, effect in (("false", "allow"), ("true", "deny"))]
    assert report(rule + "".join(texts).replace("name: n", "name: m", 1)).passed


TEXTS = """
allow: [get_*, note]
rules:
- {id: mask, at: output, detect: [card], effect: redact}
- {id: few, at: request, require: "request.max_tokens <= 10 && request.last_user == text && request.tools == []"}
- {id: web, at: tool_result, tools: [get_web], when: "result.?x.orValue('') == 'bad' && user_said(['go'])"}
- {id: cut, tools: [note], detect: [email], effect: redact, mode: shadow}
tests:
- {name: masked, output: "4111 1111 1111 1111!", expect: {effect: redact, rule: mask, text: "[card]!"}}
- {name: as it is, output: hello, expect: {effect: allow, text: hello}}
- {name: too many, request: {text: hi, max_tokens: 11}, expect: {effect: deny, rule: few, text: hi}}
- {name: few enough, request: {text: hi}, expect: {effect: allow}}
- {name: a bad result, user: go, result: {get_web: {x: bad}}, expect: {effect: deny, rule: web}}
- {name: of another tool, user: go, result: {get_it: {x: bad}}, expect: {effect: allow, text: '{"x":"bad"}'}}
- {name: cut, call: {note: {t: me@example.com}}, expect: {effect: redact, rule: cut, args: {t: "[email]"}}}
- {name: left otherwise, output: "4111 1111 1111 1111", expect: {effect: redact, text: card}}
- {name: arguments left otherwise, call: {note: {t: me@example.com}}, expect: {effect: redact, args: {t: ""}}}
"""


def test_texts_and_redacted_calls_are_tested_like_calls():
    found = report(TEXTS)
    assert [result.passed for result in found.results] == [True] * 7 + [False] * 2
    assert found.results[7].said == 'expected "card" to be left, got "[card]"'
    assert found.results[8].said == 'expected {"t":""} to be left, got {"t":"[email]"}'
    assert found.not_hit == ()
