"""Whatever breaks while a call is judged, the call is not judged milder: functions, types, budgets, facts and files in turn."""

import importlib
import json

import msgspec
import pytest

from gateway.errors import FileProblems
from gateway.policy import Conversation, evaluate, load
from gateway.policy.evaluate import Facts
from gateway.policy.expressions import MAX_LENGTH
from gateway.policy.functions import FUNCTIONS, MAX_PIECES
from gateway.policy.provenance import MAX_LEAVES
from gateway.policy_folder import Watcher
from gateway.request import Message, ProposedBefore

engine = importlib.import_module("gateway.policy.evaluate")
RELEASED = {"deny": False, "ask": False, "warn": True}


def policy(condition, effect="deny"):
    rules = f"- {{id: r, tools: [pay], effect: {effect}, {condition[0]}: {json.dumps(condition[1])}}}"
    return f"policy: 1\nid: p\nagents: ['*']\nallow: ['*']\ntools: {{web: {{labels: [odd]}}}}\nrules:\n{rules}\n"


def assert_restricted(policies, condition, seen):
    """With either sense of the condition and each effect, the rule has hit and its effect counts."""
    for sense in ("when", "require"):
        for effect, released in RELEASED.items():
            verdict = evaluate(policies(policy((sense, condition), effect)), seen)
            assert (verdict.effect, verdict.released, verdict.code) == (effect, released, "policy_error"), (sense, effect)
            assert [(hit.rule, hit.error) for hit in verdict.hits] == [("allow", False), ("r", True)]


# -- functions --------------------------------------------------------------------------------------------

MANY = ["pay"] * (MAX_LEAVES + 1)
BROKEN_CALLS = {
    "normpath": [("normpath(args.x) == '/a'", 5), ("normpath(args.x) == '/a'", "%2e"), ("normpath(args.x) == '/a'", "")],
    "split": [("size(args.x.split(',')) > 1", 5), ("size(args.x.split('')) > 1", "a"), ("size(args.x.split(',')) > 1", "," * MAX_PIECES)],
    "trim": [("args.x.trim() == 'a'", 5), ("args.x.trim() == 'a'", None)],
    "lowerAscii": [("args.x.lowerAscii() == 'a'", ["a"])],
    "upperAscii": [("args.x.upperAscii() == 'A'", {"a": 1})],
    "urls": [("size(urls(args.x)) > 0", 5), ("size(urls(args.x)) > 0", "http://a.b/ " * (MAX_PIECES + 1))],
    "host": [("host(args.x) == 'a.b'", value) for value in (5, "", "ftp://a.b", "http://me@a.b", "http://a.b\\c", "//a.b")],
    "near": [("near(args.x, ['a'])", 5), ("near('a', args.x)", "a"), ("near('a', args.x)", [5]), ("near('a', args.x)", ["a"] * 50_001)],
    "all_text": [("all_text(args.absent) == ''", 5)],
    "detect": [("'card' in detect(args.x, 'cr' + 'ad')", "a"), ("size(detect('a', args.x)) > 0", 5), ("size(detect('a', args.x)) > 0", [1]),
               ("size(detect(args.x, 'card')) > 0", "4" * 3_000_000)],
    "commands": [("'ls' in commands(args.x)", value) for value in (5, "$(ls) x", "ls 'a", "a;" * 2000)],
    "arguments": [("arguments(args.x).exists(w, w.text == 'a')", value) for value in (5, "$(ls) x", "ls 'a", "ls $y", "x " * 1002)],
    "installs": [("size(installs(args.x)) > 0", value) for value in (5, "$(ls) x", "pip install 'a")],
    "from_user": [("from_user(args.x)", MANY), ("from_user(args.absent)", 1)],
    "from_tool": [("from_tool(args.x, '*')", [1] * len(MANY)), ("from_tool('a', args.x)", 5)],
    "field_has": [("field_has(args.x, '*', 'k')", [1] * len(MANY)), ("field_has('a', '*', args.x)", None)],
    "origin": [("'user' in origin(args.x)", MANY), ("'user' in origin(args.absent)", 1)],
    "user_said": [("user_said([args.x])", 5), ("user_said(args.x)", "pay")],
    "history": [("history(args.x).exists(h, h.done)", 5), ("history('*').all(h, h.absent)", 1)],
    "count": [("count(args.x) > 0", 5)],
    "total": [("total('*', args.x) > 0.0", 5), ("total('*', 'amount') > 0.0", 1)],
    "read_from": [("read_from(args.x)", 5)],
}
SAID = [
    Message("user", b"", "pay 5 to Bob"),
    Message("assistant", b"", "", calls=(ProposedBefore("c1", "web", '{"amount": "much"}'),)),
    Message("tool", b"", "", results=(("c1", '{"k": 1}'),)),
]


@pytest.mark.parametrize(
    ("condition", "value"),
    [pytest.param(*one, id=f"{name}-{n}") for name, all_of in BROKEN_CALLS.items() for n, one in enumerate(all_of)],
)
def test_a_function_that_cannot_answer_is_a_hit(facts, policies, condition, value):
    assert_restricted(policies, condition, facts(args={"x": value}, conversation=Conversation(SAID)))


def test_every_function_is_broken_above():
    assert set(BROKEN_CALLS) == set(FUNCTIONS)


class Unusable(Conversation):
    """A conversation of which nothing can be known but how long it is."""

    most = (1, 1)

    def __getattribute__(self, name):
        if name not in ("most", "begin", "_room"):
            raise RuntimeError("the memory is gone")
        return super().__getattribute__(name)


ASKING = {
    "from_user": "from_user(args.x)",
    "from_tool": "from_tool(args.x, '*')",
    "field_has": "field_has(args.x, '*', 'k')",
    "origin": "'user' in origin(args.x)",
    "user_said": "user_said(['pay'])",
    "history": "history('*').exists(h, h.done)",
    "count": "count('*') > 0",
    "total": "total('*', 'amount') > 0.0",
    "read_from": "read_from('odd')",
}


@pytest.mark.parametrize("condition", ASKING.values(), ids=ASKING.keys())
def test_a_conversation_that_cannot_be_asked_is_a_hit(facts, policies, condition):
    assert_restricted(policies, condition, facts(args={"x": "Bob"}, conversation=Unusable(())))


@pytest.mark.parametrize("condition", ASKING.values(), ids=ASKING.keys())
def test_what_an_unseen_part_of_the_conversation_could_answer_is_a_hit(facts, policies, condition):
    assert_restricted(policies, condition, facts(args={"x": "Alice"}, conversation=Conversation((), whole=False)))


# -- types of values --------------------------------------------------------------------------------------

OF_EACH_TYPE = {"text": "a", "number": 5, "fraction": 1.5, "truth": True, "null": None, "list": [1], "object": {"k": 1}}
USES = {
    "args.x > 5": {"number", "fraction"},
    "args.x > 'a'": {"text"},
    "args.x": {"truth"},
    "!args.x": {"truth"},
    "size(args.x) > 1": {"text", "list", "object"},
    "args.x.startsWith('a')": {"text"},
    "args.x.contains('a')": {"text"},
    "args.x.matches('a')": {"text"},
    "args.x.k == 1": {"object"},
    "has(args.x.k)": {"object"},
    "args.x[0] == 1": {"list"},
    "'a' in args.x": {"list", "object"},
    "args.x.exists(v, v == 1)": {"list", "object"},
    "args.x + 1 == 6": {"number"},
    "timestamp(args.x) < now": {"number"},
    "args.x ? true : false": {"truth"},
}


@pytest.mark.parametrize("condition", USES)
def test_a_value_of_a_type_that_the_condition_cannot_use_is_a_hit(facts, policies, condition):
    for kind in OF_EACH_TYPE.keys() - USES[condition]:
        assert_restricted(policies, condition, facts(args={"x": OF_EACH_TYPE[kind]}))


@pytest.mark.parametrize("condition", USES)
def test_an_absent_value_is_a_hit(facts, policies, condition):
    assert_restricted(policies, condition, facts(args={}))


@pytest.mark.parametrize(("condition", "kinds"), USES.items())
def test_a_value_that_the_condition_can_use_is_none(facts, policies, condition, kinds):
    for kind in kinds:
        verdict = evaluate(policies(policy(("when", condition))), facts(args={"x": OF_EACH_TYPE[kind]}))
        assert not any(hit.error for hit in verdict.hits), kind


@pytest.mark.parametrize("value", ["\ud800", 2**64, -(2**63) - 1, "a\0b", {"\0": 1}, ["\0"]], ids=repr)
def test_a_value_that_the_engine_cannot_hold_is_a_hit(facts, policies, value):
    call = facts(args={}).call
    seen = facts(call=msgspec.structs.replace(call, args={"x": value}))
    assert_restricted(policies, "args.x == 'a'", seen)


# -- budgets ----------------------------------------------------------------------------------------------

WALK = "args.l.exists(a, args.l.exists(b, a == 'x' && b == 'y'))"


@pytest.mark.parametrize(
    ("condition", "args"),
    [
        pytest.param(WALK, {"l": ["z"] * 200}, id="the engine's iterations"),
        pytest.param("args.l.exists(i, i.matches('x'))", {"l": ["y" * 100] * 5000}, id="cost of patterns"),
        pytest.param("args.t.split(',').exists(p, p == 'x')", {"t": "a" * 5_000_000}, id="cost of a loop over a long text"),
        pytest.param("from_user(args.l)", {"l": MANY}, id="parts of a value"),
    ],
)
def test_a_budget_that_runs_out_is_a_hit(facts, policies, condition, args):
    assert_restricted(policies, condition, facts(args=args, conversation=Conversation(SAID)))


def test_a_conversation_too_long_to_look_through_is_a_hit(facts, policies):
    """Each part of the value is looked for in all that was said; what that may cost in one verdict is bounded."""
    told = "".join(f"w{n} " for n in range(50_000))
    args = {"l": [f"w{n}" for n in range(MAX_LEAVES)]}
    for sense in ("when", "require"):
        conversation = Conversation([Message("user", b"", told)])
        verdict = evaluate(policies(policy((sense, "from_user(args.l)"))), facts(args=args, conversation=conversation))
        assert (verdict.effect, verdict.code) == ("deny", "policy_error")


def test_a_condition_too_long_to_compile_is_refused(policies):
    with pytest.raises(FileProblems, match="longer than"):
        policies(policy(("when", f"args.x == '{'x' * MAX_LENGTH}'")))


# -- the engine and the facts ------------------------------------------------------------------------------


def broken(*_given, **_named):
    raise RuntimeError("broken")


STEPS = ["_judged", "_answers", "_guard_hits", "_has_hit", "_said", "_decided", "_heaviest", "_reason", "activation", "bystanders"]


@pytest.mark.parametrize("name", STEPS)
def test_a_step_that_breaks_denies(facts, policies, monkeypatch, name):
    found = policies(policy(("when", "true")).replace("effect: deny", "effect: warn, message: hello"))
    assert evaluate(found, facts()).released
    monkeypatch.setattr(engine, name, broken)
    verdict = evaluate(found, facts())
    assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, "policy_error")


@pytest.mark.parametrize("field", sorted(set(Facts.__struct_fields__) - {"dialect", "model", "schema_hash"}))
def test_a_fact_of_no_use_denies(facts, policies, field):
    seen = msgspec.structs.replace(facts(), **{field: object()})
    verdict = evaluate(policies(policy(("when", "from_user('x') || session.calls > 5 || now > timestamp(0)"))), seen)
    assert (verdict.effect, verdict.released, verdict.code) == ("deny", False, "policy_error")


# -- files ------------------------------------------------------------------------------------------------

FILES = {
    "top.yaml": b"policy: 1\nid: top\nagents: ['*']\nallow: [pay]\ninclude: [lib.yaml]\n",
    "lib.yaml": b"policy: 1\nid: lib\nvars: {names: {file: names.txt}}\nrules:\n- {id: r, when: args.x in vars.names}\n",
    "names.txt": b"Mallory\n",
}
BREAKAGES = {
    "is gone": None,
    "is not UTF-8": b"\xff\xfe",
    "is cut in the middle of a word": b"policy: 1\nid: top\nagen",
    "holds another key": b"policy: 1\nid: x\nrulez: []\n",
    "holds two documents": b"policy: 1\nid: x\n---\npolicy: 1\n",
    "is empty": b"",
}
UNUSABLE = [(name, how) for name in FILES for how in BREAKAGES if name != "names.txt" or how in ("is gone", "is not UTF-8")]


@pytest.mark.parametrize(("name", "how"), UNUSABLE)
def test_a_broken_file_stops_the_start_and_leaves_the_last_good_version_in_force(tmp_path, facts, name, how):
    for path, text in FILES.items():
        (tmp_path / path).write_bytes(text)
    good = load(FILES)
    watcher = Watcher(tmp_path, good)
    watcher.poll()
    if BREAKAGES[how] is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(BREAKAGES[how])
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileProblems):
        load(left)
    changes = [change for change in (watcher.poll() for _ in range(3)) if change]
    assert [change.policies for change in changes] == [None]
    assert changes[0].problems
    assert not evaluate(good, facts(args={"x": "Mallory"})).released


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_a_file_that_is_cut_anywhere_is_refused_or_grants_no_more(facts, name):
    """A shorter file may be a policy that reads well; what it grants is what is left of it."""
    calls = [facts(tool=tool, args={"x": x}) for tool in ("pay", "other") for x in ("Bob", "Mallory")]
    whole = [evaluate(load(FILES), call).released for call in calls]
    for end in range(len(FILES["top.yaml"]) if name == "top.yaml" else 0):
        files = FILES | {"top.yaml": FILES["top.yaml"][:end]}
        try:
            cut = load(files)
        except FileProblems:
            continue
        assert all(before or not evaluate(cut, call).released for before, call in zip(whole, calls, strict=True)), end
