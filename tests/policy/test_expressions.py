"""Conditions: defects found at load, a truth value or none at run time, and a bounded cost."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import StartError
from gateway.policy.expressions import (
    MAX_COST,
    MAX_ITERATIONS,
    CannotTell,
    Condition,
    Size,
    activation,
    compile_condition,
    refuse_old_protobuf,
    timestamp,
)
from gateway.policy.tokens import arguments, tokenized

SMALL = Size(100, 10)
HINT = "; text is put in quotes, an argument is written args.x"


def holds(source, args=None, variables=None, size=SMALL):
    condition = compile_condition(source, tuple(variables or ()))
    assert isinstance(condition, Condition), condition
    call = {"name": "pay", "schema_hash": None}
    seen = {
        "args": args or {},
        "call": call,
        "vars": variables or {},
        "model": "m",
        "now": timestamp(1_700_000_000_000_000),
    }
    return condition.holds(activation(seen), size)


def defects(source, variables=()):
    found = compile_condition(source, variables)
    assert isinstance(found, list), "compiles"
    return [(d.offset, d.message) for d in found]


@pytest.mark.parametrize(
    ("source", "args", "expected"),
    [
        ("args.amount > 100", {"amount": 100.5}, True),
        ("args.amount > 99.5", {"amount": 100}, True),
        ("args.amount == 100.0", {"amount": 100}, True),
        ("has(args.x) && args.x == 'a'", {}, False),
        ("args.?x.orValue(7) == 7", {}, True),
        ("args.to in vars.names", {"to": "b"}, True),
        ("args.to in vars.known", {"to": "b"}, True),
        ("vars.known.exists(k, k == args.to)", {"to": "c"}, False),
        ("args.list.all(i, i < 3)", {"list": [1, 2]}, True),
        ("normpath(args.path).startsWith('/srv/')", {"path": "/srv/../etc"}, False),
        ("args.line.trim().split(' ')[0].lowerAscii() == 'rm'", {"line": " RM x"}, True),
        ("'ab'.upperAscii() == 'AB'", {}, True),
        ("args.name.matches('^[a-z]+$')", {"name": "abc\n"}, False),
        ("args.none == null", {"none": None}, True),
        ("type(args.n) in [int, double]", {"n": "1"}, False),
        ("now > timestamp('2023-01-01T00:00:00Z') && now.getFullYear() == 2023", {}, True),
        ("call.schema_hash == null && model == 'm'", {}, True),
        ("args.flag", {"flag": True}, True),
        ("args['a b'] == 1 // a comment", {"a b": 1}, True),
    ],
)
def test_conditions_say_true_or_false(source, args, expected):
    variables = {"names": ["a", "b"], "known": {"a": True, "b": True}}
    assert holds(source, args, variables) is expected


@pytest.mark.parametrize(
    ("source", "args", "said"),
    [
        ("args.x > 1", {}, 'Key not found in map : "x"'),
        ("args.x > 1", {"x": "2"}, "No matching overloads"),
        ("args.x", {"x": "true"}, "gives string, not true or false"),
        ("args.x > 1", {"x": 2**70}, "out of range"),
        ("args.x == 'a'", {"x": "\ud800"}, ""),
        ("normpath(args.x) == ''", {"x": "%2e"}, "percent-encoding"),
        ("args.x.matches(args.y)", {"x": "a", "y": "("}, "invalid regular expression"),
        ("args.x.split('')[0] == 'a'", {"x": "a"}, "separator"),
        ("args.l.all(i, args.l.all(j, true))", {"l": list(range(200))}, "Iteration budget exceeded"),
        ("args.x > 1 && args.x < 1", {"x": object()}, ""),
    ],
)
def test_what_has_no_truth_value_says_so(source, args, said):
    with pytest.raises(CannotTell) as caught:
        holds(source, args)
    assert said in str(caught.value)
    assert str(caught.value)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("args.x and true", [(7, "write && for 'and'")]),
        ("args.x or true", [(7, "write || for 'or'")]),
        ("not args.x", [(0, "write ! for 'not'")]),
        ("args.x = 1", [(7, "write == to compare")]),
        ("args.x === 1", [(9, "write == to compare")]),
        ("", [(0, "the condition ends too early; something is missing at its end")]),
        ("args.x >", [(8, "the condition ends too early; something is missing at its end")]),
        ("args.x ? 1", [(10, "the condition ends too early; something is missing at its end")]),
        ("args.x <> 1", [(8, "cannot be read: extraneous input '>'")]),
        ("agrs.x > 1", [(0, "unknown variable 'agrs'; did you mean 'args'?")]),
        ("args.x > 1 &&\n  q.r", [(16, f"unknown variable 'q'{HINT}")]),
        ("len(args.x) > 1", [(0, "unknown function 'len'; did you mean 'size'?")]),
        ("caller2 > 1", [(0, "unknown variable 'caller2'; did you mean 'caller'?")]),
        ("limit > 5", [(0, "unknown variable 'limit'; did you mean 'vars.limit'?")]),
        ("args.x == None", [(10, "unknown variable 'None'; write null")]),
        ("messages > 5", [(0, "unknown variable 'messages'; did you mean 'session.messages'?")]),
        ("args.x[0 == 1", [(13, "a closing bracket is missing")]),
        ("args.x > 5 | args.x < 1", [(11, "write || for 'or'")]),
        ("x.y(", [(4, "the condition ends too early; something is missing at its end")]),
        ("args.x.startswith('a')", [(7, "unknown function 'startswith'; did you mean 'startsWith'?")]),
        ("args.x.replace('a', 'b') == ''", [(7, "unknown function 'replace'")]),
        ("args.x.matches('a', 'b')", [(7, "'matches' is called in a way it does not have; see the language reference")]),
        ("size(args.x) > 'a'", [(13, "'>' does not work on (int, string)")]),
        ("!args", [(0, "'!' does not work on (map(string, dyn))")]),
        ("size('a')", [(0, "the condition gives int, not true or false; compare it with something")]),
        ("args.x.matches('(')", [(15, "not a regular expression that RE2 reads: missing ): (")]),
        ("args.x.matches(r'a(?=b)')", [(15, "not a regular expression that RE2 reads: invalid perl operator: (?=")]),
        ("call.nmae == 'x'", [(0, "unknown variable 'call.nmae'; did you mean 'call.name'?")]),
        ("session.?tolls.orValue([]) == []", [(0, "unknown variable 'session.tolls'; did you mean 'session.tools'?")]),
        ("vars.limt > 1", [(0, "unknown variable 'vars.limt'; did you mean 'vars.limit'?")]),
        ("has(args)", [(4, "has() argument must be a field selection")]),
        ("if args.x", [(0, "reserved identifier: if")]),
        ("(" * 40 + "true" + ")" * 40, [(0, "not a condition: Expression recursion limit exceeded. limit: 32")]),
        ("true ||" * 600 + "true", [(0, "the condition is longer than 4096 characters; split the rule")]),
        ("foo.bar(1) && zed", [(0, f"unknown variable 'foo'{HINT}"), (14, f"unknown variable 'zed'{HINT}")]),
    ],
)  # fmt: skip
def test_defects_are_found_at_load_where_they_stand(source, found):
    shown = defects(source, ("limit",))
    assert [one for one in found if one not in shown] == []


def test_a_name_inside_text_or_a_comment_is_no_function():
    assert holds("args.x == 'from_user(1)' // history('x')", {"x": "from_user(1)"})


def test_several_defects_come_in_order():
    assert defects("vars.a > 1 && detect(args.x) && zed", ()) == [
        (0, "unknown variable 'vars.a'"),
        (14, "'detect' is called like this: detect(value, names)"),
        (32, f"unknown variable 'zed'{HINT}"),
    ]


@given(st.text("args.xcl '\"()[]{}=<>!&|?:,0123\n\\and", max_size=40))
def test_any_text_is_a_condition_or_a_list_of_defects_inside_it(source):
    found = compile_condition(source, ())
    if isinstance(found, list):
        assert found
        assert all(0 <= d.offset <= len(source) and d.message for d in found)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3), max_leaves=5))  # fmt: skip
def test_any_argument_gives_a_truth_value_or_none(value):
    for source in ("args.x > 1", "args.x.matches('a')", "'a' in args.x", "normpath(args.x) == '/'", "args.x == args.x"):
        assert truth(source, {"x": value}) in (True, False, "cannot tell")


def truth(source, args):
    try:
        return holds(source, args)
    except CannotTell:
        return "cannot tell"


# -- cost -------------------------------------------------------------------------------------------------

LARGE = Size(64 * 1024, 30_000)


@pytest.mark.parametrize(
    "source",
    [
        "args.l.all(i, !args.x.matches('b'))",
        "args.l.all(i, args.l.exists(j, args.x.contains('b')))",
        "args.x.split(' ').exists(w, args.x.matches(w))",
        "args.l.map(i, args.x + args.x).size() > 0",
    ],
)
def test_a_loop_over_large_arguments_is_refused_before_it_runs(source):
    with pytest.raises(CannotTell, match="too large"):
        holds(source, {"l": [1], "x": "a"}, size=LARGE)
    assert holds(source, {"l": [1], "x": "a"}, size=SMALL) in (True, False)


def test_without_a_loop_large_arguments_are_judged():
    assert holds("args.x.matches('(a+)+$')", {"x": "a" * 50_000 + "!"}, size=LARGE) is False


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 5))
def test_the_bound_grows_with_everything_that_costs(text, items, loops):
    source = "true" + " && [1].all(i, 'a' == 'b')" * loops
    condition = compile_condition(source, ())
    assert isinstance(condition, Condition)
    bound = condition.cost(Size(text, items))
    assert bound <= condition.cost(Size(text + 1, items)) <= condition.cost(Size(text + 1, items + 1))
    assert bound <= MAX_ITERATIONS * (text + 1000)


def test_usual_loops_are_far_from_the_bound():
    condition = compile_condition("vars.names.exists(n, args.command.contains(n))", ("names",))
    assert isinstance(condition, Condition)
    assert condition.cost(Size(4096, 200)) < MAX_COST / 50


# -- time and surroundings --------------------------------------------------------------------------------


@given(st.integers(0, 4_000_000_000_000_000))
def test_time_is_exact_to_the_microsecond(now_us):
    assert (timestamp(now_us) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1) == now_us


@pytest.mark.parametrize("version", ["3.20.3", "4.25.1"])
def test_an_old_protobuf_is_refused_with_a_way_out(version):
    with pytest.raises(StartError, match="pip install 'protobuf>=5'"):
        refuse_old_protobuf(version)


@pytest.mark.parametrize("version", [None, "5.29.0", "7.35.1"])
def test_a_new_protobuf_or_none_is_fine(version):
    refuse_old_protobuf(version)


@pytest.mark.parametrize(
    ("source", "split"),
    [
        ("f(a, [b, c], {'d': (e)})", ["a", "[b,c]", "{'d':(e)}"]),
        ("f()", [""]),
        ("f(')', \"(\") + g(x)", ["')'", '"("']),
        ("f(a, (b", ["a", "(b"]),
    ],
)
def test_arguments_are_cut_at_their_own_commas_as_far_as_the_text_goes(source, split):
    assert ["".join(token.text for token in argument) for argument in arguments(tokenized(source), 0)] == split
