"""The verdict over one call."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exchange import Caller
from gateway.policy import EMPTY, Facts, evaluate, load
from gateway.policy.policy_set import RANK
from gateway.verdict import Call, RuleHit

BANK = """
policy: 1
id: bank
agents: [bank-*]
vars: {payees: [GB29, DE89], limit: 500}
allow: [get_*, pay]
rules:
- {id: payee, tools: [pay], require: args.to in vars.payees, effect: ask, message: "{args.to} is not known"}
- {id: limit, tools: [pay], when: args.amount > vars.limit}
- {id: odd, tools: [pay], when: args.amount == 13, effect: warn}
"""


def rule(effect="deny", extra="", name="r", condition="when: 'true'"):
    return f"- {{id: {name}, effect: {effect}, {condition}{extra}}}\n"


def one(rules, head=""):
    return f"policy: 1\nid: one\nagents: ['*']\nallow: ['*']\n{head}" + (f"rules:\n{rules}" if rules else "")


def test_no_policy_at_all_observes(facts):
    verdict = evaluate(EMPTY, facts())
    assert (verdict.effect, verdict.released, verdict.code) == ("unevaluated", True, "no_policy")
    assert not EMPTY.enforces("anyone")
    assert EMPTY.observing


def test_an_agent_that_no_policy_covers_is_denied(facts, policies):
    found = policies(BANK)
    verdict = evaluate(found, facts(agent="cook-1"))
    assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, "no_policy_for_agent")
    assert "cook-1" in verdict.reason
    assert found.enforces("cook-1")
    assert not found.covers("cook-1")


@pytest.mark.parametrize(
    ("tool", "args", "effect", "code", "rule"),
    [
        ("get_balance", {}, "allow", "granted", "allow"),
        ("pay", {"to": "GB29", "amount": 5}, "allow", "granted", "allow"),
        ("delete", {}, "deny", "not_granted", "default"),
        ("Pay", {"to": "GB29", "amount": 5}, "deny", "not_granted", "default"),
        ("pay", {"to": "US13", "amount": 5}, "ask", "ask", "payee"),
        ("pay", {"to": "GB29", "amount": 501}, "deny", "rule", "limit"),
        ("pay", {"to": "US13", "amount": 501}, "deny", "rule", "limit"),
        ("pay", {"to": "GB29", "amount": 13}, "warn", "rule", "odd"),
        ("pay", {"to": "GB29"}, "deny", "policy_error", "limit"),
        ("pay", {"to": "GB29", "amount": "5"}, "deny", "policy_error", "limit"),
        ("pay", {"to": "US13", "amount": 2**70}, "deny", "policy_error", "limit"),
    ],
)
def test_grants_and_guards_decide(facts, policies, tool, args, effect, code, rule):
    verdict = evaluate(policies(BANK), facts(tool, args))
    assert (verdict.effect, verdict.code, verdict.policy, verdict.rule) == (effect, code, "bank", rule)
    assert verdict.released is (effect in ("allow", "warn"))


def test_every_hit_is_recorded_with_its_line(facts, policies):
    verdict = evaluate(policies(BANK), facts("pay", {"to": "US13", "amount": 501}))
    assert verdict.hits == (
        RuleHit("bank", "allow", "allow", line=6),
        RuleHit("bank", "payee", "ask", message="US13 is not known", line=8),
        RuleHit("bank", "limit", "deny", line=9),
    )


@pytest.mark.parametrize(
    ("tool", "args", "reason"),
    [
        ("get_x", {}, "Granted by policy bank."),
        ("delete", {}, 'Policy bank does not grant tool "delete".'),
        ("de\nlete", {}, "Policy bank does not grant a tool with an unusual name."),
        (
            "pay",
            {"to": "U\nS", "amount": 1},
            "U S is not known. A person must approve this call.",
        ),
        ("pay", {"to": "GB29", "amount": 501}, 'Rule limit of policy bank forbids this call of tool "pay".'),
        ("pay", {"to": "GB29", "amount": 13}, 'Rule odd of policy bank warns about this call of tool "pay".'),
        (
            "pay",
            {"to": "GB29"},
            'The condition of rule limit could not be evaluated: Key not found in map : "amount".',
        ),
    ],
)
def test_the_reason_is_one_plain_line(facts, policies, tool, args, reason):
    assert evaluate(policies(BANK), facts(tool, args)).reason == reason


def test_a_message_keeps_its_own_full_stop(facts, policies):
    verdict = evaluate(policies(one(rule(extra=", message: Not on Sundays!"))), facts())
    assert verdict.reason == "Not on Sundays!"


def test_a_rule_without_a_condition_always_hits(facts, policies):
    verdict = evaluate(policies(one("- {id: r, effect: ask}\n")), facts())
    assert (verdict.effect, verdict.released) == ("ask", False)
    assert 'wants a person to approve this call of tool "pay"' in verdict.reason


# -- errors restrict --------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", ["deny", "ask", "warn"])
@pytest.mark.parametrize("condition", ["when: args.absent", "require: args.absent"])
def test_a_guard_that_fails_has_hit_with_its_own_effect(facts, policies, effect, condition):
    verdict = evaluate(policies(one(rule(effect, condition=condition))), facts())
    assert (verdict.effect, verdict.code) == (effect, "policy_error")
    assert verdict.hits[-1].error
    assert "could not be evaluated" in verdict.hits[-1].message


def test_of_equal_hits_the_one_that_was_evaluated_is_named(facts, policies):
    rules = rule(name="broken", condition="when: args.absent") + rule(name="clear")
    verdict = evaluate(policies(one(rules)), facts())
    assert (verdict.code, verdict.rule) == ("rule", "clear")
    assert [h.error for h in verdict.hits] == [False, True, False]


def test_errors_are_ignored_only_where_the_file_says_so(facts, policies):
    rules = rule(condition="when: args.absent", extra=", on_error: ignore")
    verdict = evaluate(policies(one(rules)), facts())
    assert (verdict.effect, verdict.code, verdict.rule) == ("allow", "granted", "allow")
    assert [(h.effect, h.error) for h in verdict.hits] == [("allow", False), ("allow", True)]


def test_a_failure_of_the_engine_denies(facts, policies):
    broken = facts(session=5)
    verdict = evaluate(policies(one(rule())), broken)
    assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, "policy_error")
    assert "AttributeError" in verdict.reason


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (Call("c", "pay", "{}", {}, 0, problem="dup_key", detail="key 'to' twice"), "dup_key"),
        (Call("c", "pay", "[1]", None, 0), "unreadable"),
    ],
)
def test_a_call_without_one_reading_is_denied(facts, policies, call, code):
    enforced = evaluate(policies(one("")), facts(call=call))
    assert (enforced.effect, enforced.released, enforced.code) == ("deny", False, code)
    shadow = evaluate(policies(one("", head="mode: shadow\n")), facts(call=call))
    assert (shadow.effect, shadow.released, shadow.would) == ("allow", True, "deny")


# -- layers -----------------------------------------------------------------------------------------------


def layer(name, allow=None, default=None, agents="['*']", extra=""):
    lines = [f"policy: 1\nid: {name}", f"agents: {agents}" if agents else ""]
    lines += [f"allow: {allow}" if allow is not None else "", f"default: {default}" if default else "", extra]
    return "\n".join(line for line in lines if line) + "\n"


@pytest.mark.parametrize(
    ("layers", "effect", "code"),
    [
        ([("a", "[pay]"), ("b", "[pay]")], "allow", "granted"),
        ([("a", "[pay]"), ("b", "[get]")], "deny", "not_granted"),
        ([("a", "[pay]"), ("b", "[]")], "deny", "not_granted"),
        ([("a", "[pay]"), ("b", "[get]", "ask")], "ask", "ask"),
        ([("a", "[pay]"), ("b", "[get]", "allow")], "allow", "granted"),
        ([("a", "[get]", "allow")], "allow", "default"),
        ([("a", "[get]", "ask"), ("b", "[get]")], "deny", "not_granted"),
        ([("a", "[pay]"), ("b", None)], "allow", "granted"),
        ([("a", None)], "deny", "not_granted"),
        ([("a", None, "allow")], "allow", "default"),
        ([("a", None, "allow"), ("b", None)], "deny", "not_granted"),
    ],
)
def test_every_layer_that_grants_must_grant(facts, policies, layers, effect, code):
    verdict = evaluate(policies(*(layer(*given) for given in layers)), facts())
    assert (verdict.effect, verdict.code) == (effect, code)


def test_an_include_only_narrows(facts, policies):
    base = layer("base", "[pay]", agents=None, extra="rules:\n- {id: big, when: args.amount > 5}\n")
    found = policies(top=layer("top", "[pay, get]", extra="include: [base.yaml]"), base=base)
    assert evaluate(found, facts("pay", {"amount": 1})).effect == "allow"
    assert evaluate(found, facts("get", {"amount": 1})).policy == "base"
    verdict = evaluate(found, facts("pay", {"amount": 9}))
    assert (verdict.effect, verdict.policy, verdict.rule) == ("deny", "base", "big")


def test_an_include_without_a_default_of_its_own_takes_the_includers(facts, policies):
    base = layer("base", "[pay]", agents=None)
    found = policies(top=layer("top", "['*']", default="ask", extra="include: [base.yaml]"), base=base)
    assert evaluate(found, facts("get")).effect == "ask"


def test_a_library_in_two_policies_speaks_once(facts, policies):
    base = layer("base", None, agents=None, extra="rules:\n- {id: r, effect: warn}\n")
    tops = {f"t{i}": layer(f"t{i}", "[pay]", extra="include: [base.yaml]") for i in range(2)}
    verdict = evaluate(policies(base=base, **tops), facts())
    assert [h.rule for h in verdict.hits] == ["allow", "allow", "r"]


def test_vars_belong_to_their_file(facts, policies):
    rules = "rules:\n- {id: r%s, when: args.amount > vars.limit}\n"
    found = policies(
        layer("a", "[pay]", extra="vars: {limit: 5}\n" + rules % 1),
        layer("b", "[pay]", extra="vars: {limit: 50}\n" + rules % 2),
    )
    assert [h.rule for h in evaluate(found, facts("pay", {"amount": 20})).hits] == ["allow", "allow", "r1"]


# -- shadow -----------------------------------------------------------------------------------------------


def test_a_shadow_policy_records_and_withholds_nothing(facts, policies):
    found = policies(one(rule(), head="mode: shadow\n"))
    verdict = evaluate(found, facts())
    assert (verdict.effect, verdict.released, verdict.code, verdict.would) == ("allow", True, "shadow", "deny")
    assert not found.enforces("anyone")
    assert found.covers("anyone")


def test_a_shadow_policy_that_would_allow_says_nothing_more(facts, policies):
    assert evaluate(policies(one("", head="mode: shadow\n")), facts()).would is None


def test_a_shadow_policy_without_grants_would_deny(facts, policies):
    assert evaluate(policies(layer("a", None, extra="mode: shadow")), facts()).would == "deny"


def test_a_shadow_rule_records_what_it_would_have_decided(facts, policies):
    found = policies(one(rule("deny", extra=", mode: shadow") + rule("warn", name="w")))
    verdict = evaluate(found, facts())
    assert (verdict.effect, verdict.released, verdict.would, verdict.rule) == ("warn", True, "deny", "w")
    assert [h.mode for h in verdict.hits] == ["enforce", "shadow", "enforce"]
    assert found.enforces("anyone")


def test_shadow_that_would_be_milder_adds_nothing(facts, policies):
    verdict = evaluate(policies(one(rule("warn", extra=", mode: shadow") + rule("deny", name="d"))), facts())
    assert (verdict.effect, verdict.would) == ("deny", None)


def test_a_grant_in_shadow_does_not_grant(facts, policies):
    verdict = evaluate(policies(layer("a", "[pay]", extra="mode: shadow"), layer("b", None)), facts())
    assert (verdict.effect, verdict.released) == ("deny", False)


def test_a_refusal_in_shadow_does_not_refuse(facts, policies):
    verdict = evaluate(policies(layer("a", "[get]", extra="mode: shadow"), layer("b", "[pay]")), facts())
    assert (verdict.effect, verdict.released, verdict.would) == ("allow", True, "deny")


def test_a_library_in_shadow_stays_in_shadow_where_it_is_included(facts, policies):
    base = layer("base", None, agents=None, extra="mode: shadow\nrules:\n- {id: r}\n")
    found = policies(top=layer("top", "[pay]", extra="include: [base.yaml]"), base=base)
    verdict = evaluate(found, facts())
    assert (verdict.effect, verdict.would) == ("allow", "deny")


# -- what conditions see ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "condition",
    [
        "call.id == 'call_1' && call.name == 'pay' && call.type == 'function' && call.index == 0",
        "call.dialect == 'openai.chat' && call.schema_hash == 'h' && call.pin == 'changed' && call.pin in ['changed', 'added']",
        "caller.agent == 'bank-1' && caller.team == 'tills' && caller.org == 'acme' && caller.user == 'ada' && caller.key == 'k1'",
        "caller.labels.stage == 'test' && caller.client == 'sdk/1'",
        "session.id == 's' && session.calls == 3 && session.tools == ['get', 'pay'] && 'get' in session.tools",
        "model == 'gpt-x'",
        "now == timestamp('2026-11-21T00:00:00Z')",
        "args.a.b[0] == 1",
    ],
)
def test_conditions_see_the_facts(facts, policies, condition):
    found = policies(one(rule("deny", condition="when: " + json.dumps(condition))))
    caller = Caller("bank-1", "k1", "tills", "ada", {"stage": "test"}, client="sdk/1", org="acme")
    seen = facts(
        args={"a": {"b": [1]}},
        caller=caller,
        schema_hash="h",
        pin="changed",
        session={"id": "s", "calls": 3, "tools": ("get", "pay")},
        now_us=1_795_219_200_000_000,
    )
    verdict = evaluate(found, seen)
    assert [(h.rule, h.error) for h in verdict.hits] == [("allow", False), ("r", False)]


def test_large_arguments_make_a_loop_fail_closed(facts, policies):
    found = policies(one(rule(condition="when: \"args.l.exists(i, i.matches('x'))\"")))
    verdict = evaluate(found, facts(args={"l": ["y" * 10] * 5000}))
    assert (verdict.effect, verdict.code) == ("deny", "policy_error")
    assert "too large" in verdict.reason


# -- properties -------------------------------------------------------------------------------------------

effects = st.sampled_from(["deny", "ask", "warn"])
guards = st.lists(st.tuples(effects, st.sampled_from(["'true'", "'false'", "args.absent"]), st.booleans()), max_size=6)


def guard_lines(given):
    lines = [
        f"- {{id: r{i}, effect: {effect}, when: {condition}{', mode: shadow' if shadow else ''}}}\n"
        for i, (effect, condition, shadow) in enumerate(given)
    ]
    return "".join(lines)


SEEN = Facts(Call("c", "pay", "{}", {}, 0), Caller("a"), "d", "m")


@given(guards)
@settings(max_examples=60, deadline=None)
def test_the_most_restrictive_enforced_hit_decides_whatever_the_order(given_guards):
    verdict = evaluate(load({"p.yaml": one(guard_lines(given_guards)).encode()}), SEEN)
    hit = [effect for effect, condition, shadow in given_guards if condition != "'false'" and not shadow]
    assert verdict.effect == max(["allow", *hit], key=RANK.__getitem__)
    assert verdict.released is (verdict.effect in ("allow", "warn"))
    backwards = evaluate(load({"p.yaml": one(guard_lines(given_guards[::-1])).encode()}), SEEN)
    assert (backwards.effect, backwards.would) == (verdict.effect, verdict.would)


@given(guards, guards)
@settings(max_examples=40, deadline=None)
def test_a_guard_more_never_makes_a_verdict_milder(some, more):
    few = evaluate(load({"p.yaml": one(guard_lines(some)).encode()}), SEEN)
    many = evaluate(load({"p.yaml": one(guard_lines(some + more)).encode()}), SEEN)
    assert RANK[many.effect] >= RANK[few.effect]


@given(guards)
@settings(max_examples=40, deadline=None)
def test_shadow_rules_change_nothing_that_is_released(given_guards):
    with_shadow = evaluate(load({"p.yaml": one(guard_lines(given_guards)).encode()}), SEEN)
    enforced = [one_guard for one_guard in given_guards if not one_guard[2]]
    without = evaluate(load({"p.yaml": one(guard_lines(enforced)).encode()}), SEEN)
    assert (with_shadow.effect, with_shadow.released) == (without.effect, without.released)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
STRICT = load({"p.yaml": BANK.replace("bank-*", "'*'").encode()})


@given(st.text(max_size=20), st.dictionaries(st.sampled_from(["to", "amount", "x"]), json_values), st.text(max_size=10))
@settings(deadline=None)
def test_any_call_gets_a_verdict_with_a_reason_of_one_line(tool, args, agent):
    call = Call("c", tool, "{}", args, 0)
    verdict = evaluate(STRICT, Facts(call, Caller(agent), "d", "m"))
    assert verdict.effect in RANK
    assert verdict.reason.isprintable()
    assert verdict.released is (verdict.effect in ("allow", "warn"))
    if verdict.released and tool == "pay":
        assert args["to"] in ("GB29", "DE89")
        assert args["amount"] <= 500


ZERO = "/srv/a\x00/../../etc"


@pytest.mark.parametrize("extra", ["", ", on_error: ignore"])
@pytest.mark.parametrize(
    ("condition", "args"),
    [
        ("require: args.path == '/srv/a'", {"path": ZERO}),
        ("require: args.path in ['/srv/a']", {"path": ZERO}),
        ("require: args.path.matches('^[a-z/]*$')", {"path": ZERO}),
        ("require: normpath(args.path).startsWith('/srv/')", {"path": ZERO}),
        ("when: args.path.contains('etc')", {"path": ZERO}),
        ("when: 'etc' in args.path.split('/')", {"path": ZERO}),
        ("when: has(args.path_x)", {"path\x00_x": "x"}),
        ("require: args.all(key, key == 'path')", {"path\x00_x": "x"}),
        ("when: args.deep[0].a == 'bad'", {"deep": [{"a": "\x00bad"}]}),
        ("when: true", {"path": ZERO}),
    ],
)
def test_a_text_that_the_conditions_cannot_see_whole_is_a_hit(facts, policies, condition, args, extra):
    """The engine's texts end at a zero character: what stands behind it would be delivered unjudged."""
    kind, _, source = condition.partition(": ")
    rules = rule(condition=f"{kind}: {json.dumps(source)}", extra=extra)
    verdict = evaluate(policies(one(rules)), facts(tool="t", args=args))
    assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, "policy_error")
    assert "zero character" in verdict.hits[-1].message


def test_a_rule_without_a_condition_needs_to_see_nothing(facts, policies):
    verdict = evaluate(policies(one("- {id: r, tools: [other]}\n")), facts(tool="t", args={"path": ZERO}))
    assert verdict.released


@pytest.mark.parametrize("field", [{"model": "m\x00x"}, {"session": {"id": "s\x00x"}}, {"session": {"tools": ("a\x00b",)}}])
def test_no_other_text_that_conditions_see_may_end_early(facts, policies, field):
    seen = msgspec.structs.replace(facts(tool="t", args={}), **field)
    verdict = evaluate(policies(one(rule(condition="when: \"model == 'other'\""))), seen)
    assert (verdict.effect, verdict.code) == ("deny", "policy_error")


@given(st.text(alphabet="ab/\x00", max_size=12))
def test_a_comparison_is_true_of_the_whole_text_or_a_hit(text):
    wanted = text.replace("\x00", "")
    source = one(rule(condition=f"require: \"args.x == '{wanted}'\""))
    call = Call("c1", "t", json.dumps({"x": text}), {"x": text}, 0)
    verdict = evaluate(load({"p.yaml": source.encode()}), Facts(call, Caller("a"), "openai.chat", "m"))
    assert verdict.released == ("\x00" not in text)


HOW = "policy: 1\nid: {}\nagents: [a]\nallow: [get]\n"


@pytest.mark.parametrize(
    ("texts", "tool", "how"),
    [
        (["rules:\n- {id: r, tools: [get]}\n"], "get", "steer"),
        (["on_deny: explain\nrules:\n- {id: r, tools: [get]}\n"], "get", "explain"),
        (["on_deny: explain\n", ""], "put", "explain"),
        (["limits:\n- {id: l, tools: [get], per: user, max: 0}\n"], "get", "explain"),
        (["on_deny: error\nlimits:\n- {id: l, tools: [get], per: user, max: 0}\n"], "get", "error"),
        (["", "rules:\n- {id: r, tools: [get], on_deny: error}\n"], "get", "error"),
        (["on_deny: steer\nrules:\n- {id: r, tools: [get]}\n"], "get", "steer"),
        (["on_deny: steer\nrules:\n- {id: r, tools: [get], on_deny: error}\n"], "get", "error"),
        (["on_deny: steer\nrules:\n- {id: r, tools: [get], on_deny: explain}\n"], "get", "explain"),
        (["rules:\n- {id: r, tools: [get], on_deny: error}\n"], "put", "steer"),
        (["on_deny: explain\nrules:\n- {id: r, tools: [get], on_deny: steer}\n"], "put", "explain"),
        (["on_deny: error\n"], "put", "error"),
    ],
)
def test_what_a_denial_does_is_said_by_the_rule_that_decides_or_its_file(policies, facts, texts, tool, how):
    loaded = policies(*(HOW.format(f"p{i}") + text for i, text in enumerate(texts)))
    verdict = evaluate(loaded, facts(tool, agent="a"))
    assert (verdict.effect, verdict.on_deny) == ("deny", how)
    assert not loaded.reacts("b")


def test_what_a_denial_by_an_included_file_does_is_said_there_or_by_the_file_that_includes_it(policies, facts):
    library = "policy: 1\nid: lib\n{}rules:\n- {{id: r, tools: [get]}}\n"
    top = HOW.format("top") + "on_deny: steer\ninclude: [lib.yaml]\n"
    assert evaluate(policies(top, lib=library.format("")), facts("get", agent="a")).on_deny == "steer"
    assert evaluate(policies(top, lib=library.format("on_deny: error\n")), facts("get", agent="a")).on_deny == "error"


def test_of_several_policies_the_fewest_denials_end_a_session_and_only_where_they_are_in_force(policies):
    library = "policy: 1\nid: lib\ndenials: {end_session_after: 3}\n"
    tops = [HOW.format("p0") + "denials: {end_session_after: 5}\n", HOW.format("p1") + "include: [lib.yaml]\n"]
    shadow = HOW.format("p2") + "mode: shadow\ndenials: {end_session_after: 1}\n"
    assert policies(*tops, shadow, lib=library).ends_session_after("a") == 3
    assert policies(tops[0], shadow).ends_session_after("a") == 5
    assert policies(shadow, HOW.format("p3")).ends_session_after("a") is None
    assert policies(tops[0]).ends_session_after("b") is None


STRICTER = [(("explain", "steer"), "explain"), (("steer", "error"), "error"), (("error", "explain"), "error")]


@pytest.mark.parametrize(("words", "how"), STRICTER)
def test_of_what_two_policies_say_about_a_file_they_both_include_the_stricter_word_counts(policies, facts, words, how):
    library = "policy: 1\nid: lib\nrules:\n- {id: r, tools: [get]}\n"
    tops = [HOW.format(f"p{i}") + f"on_deny: {word}\ninclude: [lib.yaml]\n" for i, word in enumerate(words)]
    assert evaluate(policies(*tops, lib=library), facts("get", agent="a")).on_deny == how
    assert evaluate(policies(*reversed(tops), lib=library), facts("get", agent="a")).on_deny == how


@pytest.mark.parametrize(
    ("text", "reacts"),
    [
        ("", True),
        ("on_deny: explain\n", False),
        ("on_deny: explain\nrules:\n- {id: r, tools: [get], on_deny: error}\n", True),
        ("on_deny: explain\nlimits:\n- {id: l, per: user, max: 1, on_deny: steer}\n", True),
        ("default: ask\nrules:\n- {id: r, tools: [get], effect: ask}\nlimits:\n- {id: l, per: user, max: 1}\n", False),
    ],
)
def test_answers_are_kept_back_only_where_some_denial_does_more_than_explain(policies, text, reacts):
    loaded = policies(HOW.format("p") + text)
    assert [loaded.reacts("a"), loaded.reacts("a"), loaded.reacts("b")] == [reacts, reacts, False]


def test_a_conversation_is_verified_where_a_policy_in_force_or_what_it_includes_says_so(policies):
    library = "policy: 1\nid: lib\nverify_history: true\n"
    top = "policy: 1\nid: {}\nagents: [{}]\nallow: [get]\n{}"
    loaded = policies(
        top.format("own", "a", "verify_history: true\n"),
        top.format("by-include", "b", "include: [lib.yaml]\n"),
        top.format("shadow", "c", "mode: shadow\nverify_history: true\n"),
        top.format("none", "d", ""),
        lib=library,
    )
    assert [loaded.verifies(agent) for agent in "abcdx"] == [True, True, False, False, False]


def test_tools_are_hidden_that_no_call_of_could_be_granted(policies):
    top = "policy: 1\nid: {}\nagents: [{}]\nallow: [get]\n{}"
    loaded = policies(
        top.format("own", "a", "hide_denied: true\nrules:\n- {id: r, tools: [get]}\n"),
        top.format("asks", "b", "hide_denied: true\ndefault: ask\n"),
        top.format("shadow", "c", "mode: shadow\nhide_denied: true\n"),
        top.format("none", "d", ""),
    )
    assert [loaded.hides(agent, "put") for agent in "abcdx"] == [True, False, False, False, False]
    assert not loaded.hides("a", "get")


def test_whether_a_condition_asks_what_tools_said_is_known_per_agent(policies):
    head = "policy: 1\nid: {}\nagents: ['{}']\nallow: ['*']\nrules:\n- {{id: r, when: \"{}\"}}\n"
    loaded = policies(head.format("asks", "a", "from_tool(args.x, 'get')"), head.format("asks-not", "b", "args.x == 1"))
    assert [loaded.recalls(agent) for agent in ("a", "b", "a")] == [True, False, True]
