"""Conditions asked together: never another answer than each gives alone, and an error stays with the condition that has it."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.policy import Conversation, evaluate
from gateway.policy.expressions import (
    MAX_COST,
    MAX_ITERATIONS,
    Batch,
    CannotTell,
    Condition,
    Size,
    activation,
    compile_condition,
)
from gateway.policy.patterns import found
from gateway.policy.provenance import TooLarge, View, give_back, looking_at, room_left, spend
from gateway.request import Message

SMALL = Size(100, 10)
CONDITIONS = (
    "args.x == 'a'",
    "args.x > 1",
    "has(args.y) && args.y.matches('^a.$')",
    "args.y.matches('b') || args.x == 1 // either",
    "args.x",
    "'x' in args",
    "from_user(args.x)",
    "args.l.exists(i, i == args.x)",
    "args.l.all(i, i.matches(r'\\w'))",
    "args.y.matches(args.x)",
    "origin(args.y) == ['model']",
)


def compiled(source):
    condition = compile_condition(source, ())
    assert isinstance(condition, Condition), condition
    return condition


COMPILED = [compiled(source) for source in CONDITIONS]
leaf = st.sampled_from([0, 1, 2.5, True, None, "", "a", "ab", "b", "(", "ä"])
arguments = st.dictionaries(st.sampled_from("xyl"), leaf | st.lists(leaf, max_size=3))


def alone(condition, seen):
    try:
        return condition.holds(seen, SMALL)
    except CannotTell:
        return None


@given(st.lists(st.sampled_from(COMPILED), min_size=1, max_size=6), arguments)
def test_a_batch_answers_like_each_condition_alone_or_not_at_all(conditions, args):
    seen = activation({"args": args})
    with looking_at(View(Conversation([Message("user", b"", "a 2.5 ab")]))):
        each = [alone(condition, seen) for condition in conditions]
        assert Batch(conditions).answers(seen) == (None if None in each else each)


def test_a_comment_at_the_end_of_a_condition_does_not_hide_the_next():
    batch = Batch([compiled("args.x == 1 // one"), compiled("args.x == 2"), compiled("true // three")])
    assert batch.answers(activation({"args": {"x": 1}})) == [True, False, True]


def test_what_a_batch_costs_is_the_sum_of_its_loops():
    loop = compiled("args.l.exists(i, i == 1)")
    batch = Batch([loop, compiled("args.x == 1"), loop])
    assert batch.cost(lambda _: SMALL) == 2 * loop.cost(SMALL)


def test_conditions_too_deep_to_be_put_together_are_asked_alone(facts, policies):
    depth = max(n for n in range(40) if isinstance(compile_condition("(" * n + "true" + ")" * n, ()), Condition))
    deepest = "(" * depth + "true" + ")" * depth
    assert Batch([compiled(deepest)]).answers(activation({})) is None
    assert hits(evaluate(policies(policy({"when": deepest}, {"require": deepest})), facts())) == [("r0", False)]


# -- verdicts ---------------------------------------------------------------------------------------------


def policy(*rules, vars_="{}"):
    lines = "\n".join(f"- {json.dumps({'id': f'r{at}', 'effect': 'warn'} | rule)}" for at, rule in enumerate(rules))
    return f"policy: 1\nid: p\nagents: ['*']\nallow: ['*']\nvars: {vars_}\nrules:\n{lines}\n"


def hits(verdict):
    return [(hit.rule, hit.error) for hit in verdict.hits if hit.rule != "allow"]


def test_an_error_is_the_hit_of_its_own_guard_only(facts, policies):
    rules = policy({"when": "args.x == 'b'"}, {"when": "args.absent > 1"}, {"require": "args.x == 'a'"}, {"when": "args.x == 'a'"})
    assert hits(evaluate(policies(rules), facts(args={"x": "a"}))) == [("r1", True), ("r3", False)]


def test_an_error_that_its_rule_ignores_does_not_keep_the_others_apart(facts, policies):
    rules = policy({"when": "args.absent > 1", "on_error": "ignore"}, {"when": "args.x == 'a'"}, {"require": "args.x == 'a'"})
    loaded = policies(rules)
    verdict = evaluate(loaded, facts(args={"x": "a"}))
    assert [(hit.rule, hit.effect, hit.error) for hit in verdict.hits[1:]] == [("r0", "allow", True), ("r1", "warn", False)]
    (_, together), = loaded.plan(facts().caller.agent, facts().call.name).together
    assert [condition.source for condition in together] == ["args.x == 'a'", "args.x == 'a'"]


def test_iterations_are_counted_for_each_condition_alone(facts, policies):
    """Together they would run out of the engine's budget; alone none does."""
    loop = "args.l.all(a, args.l.all(b, a == b))"
    rules = policy(*[{"require": loop}] * 5)
    length = int((MAX_ITERATIONS / 2) ** 0.5)
    assert hits(evaluate(policies(rules), facts(args={"l": [1] * length}))) == []


def test_loops_that_are_cheap_alone_and_dear_together_are_asked_alone(facts, policies):
    loop = "args.l.all(i, i.matches('^y+$'))"
    seen = facts(args={"l": ["y" * 30] * 280})
    one = compiled(loop)
    size = Size(len(seen.call.arguments), 280)
    assert one.cost(size) <= MAX_COST < 3 * one.cost(size)
    assert hits(evaluate(policies(policy(*[{"require": loop}] * 3)), seen)) == []


def test_work_done_in_vain_does_not_count(facts, policies):
    """Together they look the text through twice before the error is found; what they may do in one verdict suffices for three times."""
    told = Conversation([Message("user", b"", "w " * 9_000_000)])
    rules = policy({"when": "user_said(['a'])"}, {"when": "user_said(['b'])"}, {"when": "args.absent"})
    assert hits(evaluate(policies(rules), facts(args={"x": 1}, conversation=told))) == [("r2", True)]


def test_work_is_given_back_only_within_a_verdict():
    assert room_left() == 0
    give_back(5)
    assert room_left() == 0
    with looking_at(View()):
        room = room_left()
        spend(10)
        assert room_left() == room - 10
        give_back(room)
        assert room_left() == room
        with pytest.raises(TooLarge):
            spend(int(room) + 1)


def test_a_batch_is_compiled_once_for_all_tools_that_it_concerns(facts, policies):
    loaded = policies(policy({"require": "args.x == 'a'"}, {"require": "args.x != 'b'"}))
    for tool in ("pay", "get", "pay"):
        assert evaluate(loaded, facts(tool=tool, args={"x": "a"})).released
    assert len(loaded._batches) == 1


def test_the_cache_of_batches_is_bounded(policies):
    loaded = policies(policy({"when": "true"}))
    for at in range(1000):
        loaded.batch((compiled(f"args.x == {at}"),))
    assert len(loaded._batches) <= 256


# -- patterns ---------------------------------------------------------------------------------------------

PATTERNS = (r"\Aa\z", "", "^a", "a$", "^a.b$", "(?i)Ä", r"\bab\b", "[^a]", "(a|b)+$", r"\pL\d?", "(?s).", "(?m)^b", r"\x{e4}", "a{2,3}")


@given(st.sampled_from(PATTERNS), st.text("aAbB äÄ\n1\u2028€\U0001f600", max_size=12))
def test_a_compiled_pattern_answers_like_the_engine(pattern, text):
    """The text comes as an argument both times; only a pattern that stands in the condition is compiled ahead."""
    seen = activation({"args": {"t": text, "p": pattern}})
    assert found(text, pattern) is compiled("args.t.matches(args.p)").holds(seen, SMALL)
    assert found(text, pattern) is compiled(f"args.t.matches(r'{pattern}')").holds(seen, SMALL)


@given(st.text(max_size=8), st.text(max_size=20))
def test_any_pattern_that_the_engine_reads_answers_alike(pattern, text):
    assume("\0" not in pattern + text)
    seen = activation({"args": {"t": text, "p": pattern}})
    expected = alone(compiled("args.t.matches(args.p)"), seen)
    if expected is not None:
        assert found(text, pattern) is expected


def test_only_patterns_that_stand_in_the_condition_are_looked_up_compiled():
    assert compiled("args.x.matches('a')").quick == "args.x.tollhouse_found('a')"
    assert compiled("args.x.matches(args.p) && 'matches' == args.y").quick == "args.x.matches(args.p) && 'matches' == args.y"


def test_a_pattern_over_something_else_than_text_says_what_the_engine_says():
    with pytest.raises(CannotTell, match=r"No matching overloads found : .*matches"):
        compiled("args.x.matches('a')").holds(activation({"args": {"x": 5}}), SMALL)


def test_nobody_can_call_what_only_batches_may():
    assert isinstance(compile_condition("args.x.tollhouse_found('a')", ()), list)
