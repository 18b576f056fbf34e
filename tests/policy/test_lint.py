"""What `policy check` finds in files that load: each code by the mistakes it is for, and the near misses it is not for."""

import re
from pathlib import Path

import pytest

import gateway.policy
from gateway.errors import FileProblems
from gateway.policy import load, run_cases
from gateway.policy.lint import lint
from gateway.policy.lint_codes import CODES

TODAY = "2026-06-15"
HEAD = "policy: 1\nid: p\nagents: [a]\n"


def findings(text, *codes, today=TODAY, **more):
    """(code, line, message) of the file and of others by name; only of these codes, when some are given."""
    found = load({"p.yaml": (HEAD + text).encode(), **{f"{name}.yaml": body.encode() for name, body in more.items()}})
    listed = [one for one in lint(found, run_cases(found), today) if not codes or one.code in codes]
    return [(one.code, one.line, one.message) for one in listed]


def unreachable(text, **more):
    return [line for _, line, _ in findings(text, "TH001", **more)]


# -- TH001 ------------------------------------------------------------------------------------------------


def test_a_rule_about_a_tool_that_nothing_grants_is_unreachable_and_the_nearest_grant_is_offered():
    [(_, line, said)] = findings("allow: [send_money]\nrules:\n- id: r\n  tools: [send_mony]\n  when: 'true'\n", "TH001")
    assert (line, said) == (7, "rule r is about send_mony, which no grant covers; did you mean 'send_money'?")


@pytest.mark.parametrize(
    ("grants", "tools"),
    [
        *(("[pay]", "[pay]"), ("[p*]", "['*y']"), ("['*']", "[pay]"), ("[get_*]", "['*']"), ("[a, pay]", "[x, pay]")),
        *(("['*']", "['open*']"), ("[openai.*]", "[openai.web_search]"), ("[openai.x]", "['*.x']")),
    ],
)
def test_a_rule_that_shares_a_name_with_a_grant_is_reachable(grants, tools):
    assert unreachable(f"allow: {grants}\nrules:\n- {{id: r, tools: {tools}}}\n") == []


@pytest.mark.parametrize(
    ("grants", "tools"),
    [("[pay]", "[get]"), ("[p?]", "[pay]"), ("['*_x']", "['*_y']"), ("[]", "['*']"), ("['*']", "[openai.web_search]")],
)
def test_a_rule_that_shares_no_name_with_a_grant_is_unreachable(grants, tools):
    assert unreachable(f"allow: {grants}\nrules:\n- {{id: r, tools: {tools}}}\n") == [6]


@pytest.mark.parametrize("default", ["ask", "allow"])
def test_a_default_that_does_not_deny_reaches_all_but_what_a_provider_runs(default):
    rules = "rules:\n- {id: r, tools: [get]}\n- {id: q, tools: [google.search]}\n"
    assert unreachable(f"default: {default}\nallow: [pay]\n{rules}") == [8]


def test_every_layer_must_grant_what_a_rule_is_about():
    lib = "policy: 1\nid: lib\nallow: [get]\n"
    rules = "rules:\n- {id: r, tools: [pay]}\n- {id: q, tools: [get]}\n"
    assert unreachable(f"include: [lib.yaml]\nallow: [pay, get]\n{rules}", lib=lib) == [7]


def test_a_rule_of_a_library_is_reachable_when_one_of_its_users_grants_its_tools():
    lib = "policy: 1\nid: lib\nrules:\n- {id: r, tools: [pay]}\n- {id: q, tools: [drop]}\n"
    other = "policy: 1\nid: o\nagents: [b]\ninclude: [lib.yaml]\nallow: [pay]\n"
    assert unreachable("include: [lib.yaml]\nallow: [get]\n", lib=lib, other=other) == [5]


def test_a_policy_that_only_guards_leans_on_the_grants_of_others():
    other = "policy: 1\nid: o\nagents: ['*']\nallow: [pay]\n"
    rules = "rules:\n- {id: r, tools: [pay]}\n- {id: q, tools: [drop]}\n"
    assert unreachable(rules, other=other) == [6]
    assert unreachable("default: ask\n" + rules) == []
    assert unreachable(rules) == [], "checked alone, its grants may stand in a file that is not looked at"


# -- TH011 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "asked"),
    [
        ("when: \"count('send_mony') > 3\"", ["send_mony"]),
        ("when: \"total('pya', 'amount') + args.amount > 5.0\"", ["pya"]),
        ("require: \"history('gt_*').size() > 0 && count('pay') < 2\"", ["gt_*"]),
        ("when: \"!from_tool(args.to[{'a': 0}['a']], 'raed_me')\"", ["raed_me"]),
        ("when: \"field_has(args.to, 'x', 'iban') || field_has(args.to, 'get_*', 'y')\"", ["x"]),
        ("when: \"count('get_balance') + count('g*') > 1\"", []),
        ("when: \"count(vars.tool) > 1 || count('a' + 'b') > 1 || count('\\\\x70ay') > 1\"", []),
        ("when: \"args.count == 'x'\"", []),
    ],
)
def test_a_condition_about_calls_that_no_conversation_can_hold_is_told(condition, asked):
    text = f"vars: {{tool: x}}\nallow: [pay, 'get_*', send_money]\nrules:\n- {{id: r, {condition}}}\n"
    found = [(line, said.split(" which ")[0]) for _, line, said in findings(text, "TH011")]
    assert found == [(7, f"rule r asks about earlier calls of {name},") for name in asked]


def test_the_nearest_grant_is_offered_for_calls_asked_about_and_a_default_that_grants_is_enough():
    rules = "rules:\n- {id: r, when: \"count('send_mony') > 3\"}\n"
    [(_, _, said)] = findings(f"allow: [send_money]\n{rules}", "TH011")
    assert said == "rule r asks about earlier calls of send_mony, which no grant covers; did you mean 'send_money'?"
    assert findings(f"allow: [pay]\ndefault: ask\n{rules}", "TH011") == []
    assert findings(rules, "TH011") == [], "checked alone, its grants may stand in a file that is not looked at"


# -- TH010 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("default", ["deny", "ask", "allow"])
def test_a_default_of_a_file_without_grants_does_nothing_beside_one_with_them(default):
    [(_, line, said)] = findings(f"default: {default}\nrules: [{{id: r}}]\n", "TH010")
    assert (line, said) == (4, f"'default: {default}' does nothing beside a policy that has 'allow:'")
    other = "policy: 1\nid: o\nagents: ['*']\nallow: [pay]\n"
    both = load({"p.yaml": (HEAD + f"default: {default}\n").encode(), "o.yaml": other.encode()})
    assert [(hit.policy, hit.effect) for hit in both.plan("a", "pay").hits] == [("o", "allow")]
    assert findings(f"default: {default}\nallow: []\n", "TH010") == []
    granting = "policy: 1\nid: lib\nallow: [pay]\n"
    assert findings(f"default: {default}\ninclude: [lib.yaml]\n", "TH010", lib=granting) == []
    assert findings("rules: [{id: r}]\n", "TH010") == []


# -- TH002, TH003, TH004, TH009 ---------------------------------------------------------------------------


def test_a_grant_that_a_rule_takes_back_whole_is_shown_once():
    text = "allow: [pay, get_*]\nrules:\n- {id: r, tools: [pay, get_x]}\n"
    lib = "policy: 1\nid: o\nagents: [a, b]\ninclude: [p.yaml]\n"
    said = "rule r denies every call of pay, which policy p grants in line 4"
    assert findings(text, "TH002", lib=lib) == [("TH002", 6, said)]


@pytest.mark.parametrize("rule", ["when: 'true'", "effect: ask", "effect: warn", "mode: shadow", "tools: ['*']", "tools: ['pa?']"])
def test_a_rule_that_leaves_the_grant_something_is_not_shown(rule):
    tools = "" if rule.startswith("tools") else "tools: [pay], "
    assert findings(f"allow: [pay, 'pa?', '*']\nrules:\n- {{id: r, {tools}{rule}}}\n", "TH002") == []


def test_a_grant_of_everything_and_one_that_begins_with_a_wildcard_are_wider_than_they_look():
    found = findings("allow:\n- '*'\n- '**?'\n- '*_file'\n- get_*\n- '?x'\n", "TH003", "TH009")
    assert [(code, line) for code, line, _ in found] == [("TH003", 5), ("TH003", 6), ("TH009", 7), ("TH009", 9)]
    assert found[2][2] == "'*_file' grants whatever stands before '_file'"


def test_a_rule_that_ignores_its_errors_is_shown_at_the_words_that_say_so():
    text = "allow: [pay]\nrules:\n- id: r\n  when: args.x\n  on_error: ignore\n- {id: q, when: args.x, on_error: hit}\n"
    assert [(code, line) for code, line, _ in findings(text, "TH004")] == [("TH004", 8)]


# -- TH005, TH006: shadow mode ends -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("until", "today", "expected"),
    [
        *(("", TODAY, ["TH005"]), (", until: 2026-12-31", TODAY, []), (f", until: {TODAY}", TODAY, [])),
        (", until: 2026-06-14", TODAY, ["TH006"]),
        (", until: 2026-12-31", "2027-01-01", ["TH006"]),
    ],
)
def test_a_shadow_rule_wants_a_last_day_and_is_shown_after_it(until, today, expected):
    text = f"allow: [pay]\nrules:\n- {{id: r, mode: shadow{until}}}\n"
    assert [code for code, *_ in findings(text, "TH005", "TH006", today=today)] == expected


def test_a_shadow_file_has_one_last_day_for_all_its_rules():
    rules = "allow: [pay]\nrules:\n- {id: r, mode: shadow}\n- {id: q, mode: shadow, until: 2020-01-01}\n"
    assert findings("mode: shadow\n" + rules, "TH005", "TH006") == [
        ("TH005", 4, "the file is in shadow mode without a last day; add 'until: <day>'")
    ]
    assert [code for code, *_ in findings("mode: shadow\nuntil: 2026-06-14\n" + rules, "TH005", "TH006")] == ["TH006"]


@pytest.mark.parametrize("day", ["2026-02-30", "2026-W01-1", "20261231", "tomorrow", "2026-12-31T00:00:00Z"])
def test_a_day_that_is_none_is_refused(day):
    with pytest.raises(FileProblems, match="'until' must be a day such as 2026-12-31"):
        findings(f"rules:\n- {{id: r, mode: shadow, until: '{day}'}}\n")


@pytest.mark.parametrize("text", ["until: 2026-12-31\n", "rules:\n- {id: r, until: 2026-12-31}\n"])
def test_nothing_that_is_enforced_ends_by_itself(text):
    with pytest.raises(FileProblems, match="'until' belongs to 'mode: shadow'"):
        findings(text)


# -- TH007, TH008: what the tests show --------------------------------------------------------------------

TESTS = "tests:\n- {name: t, call: {pay: {amount: 9}}, history: [{call: {get: {id: 1}}}], expect: {effect: deny, rule: r}}\n"


@pytest.mark.parametrize("when", ["args.amuont > 5", "has(args.amuont)", "args.?amuont.orValue(0) > 1", "args['amuont'] == 5"])
def test_an_argument_that_no_test_gives_is_shown_with_the_nearest_one(when):
    text = f'allow: [pay, get]\nrules:\n- {{id: r, tools: [pay]}}\n- {{id: q, tools: [pay], when: "{when}"}}\n'
    [(_, line, said)] = findings(text + TESTS, "TH007")
    assert (line, said) == (7, "no test gives an argument 'amuont' to pay; did you mean 'amount'?")


@pytest.mark.parametrize(
    ("tools", "when"),
    [("[pay]", "args.amount > 1"), ("[get]", "args.id == 1"), ("['*']", "args.amount == args.id"), ("[other]", "args.x == 1")],
)
def test_arguments_that_a_test_gives_or_of_tools_that_no_test_calls_are_not_shown(tools, when):
    text = f"allow: [pay, get, other]\nrules:\n- {{id: r, tools: [pay]}}\n- {{id: q, tools: {tools}, when: {when}}}\n"
    assert findings(text + TESTS, "TH007") == []


def test_words_after_args_that_are_no_arguments_are_not_shown():
    text = "allow: [pay]\nrules:\n- {id: r, tools: [pay], when: size(args) > 5 || vars.args.x == 1}\nvars: {args: [1]}\n"
    assert findings(text + TESTS.replace(", rule: r", "").replace("deny", "allow"), "TH007") == []


def test_a_rule_that_no_test_hits_is_shown_at_its_id():
    text = "allow: [pay]\nrules:\n- {id: r, tools: [pay]}\n- tools: [pay]\n  id: q\n  when: 'false'\n"
    assert findings(text + TESTS, "TH008") == [("TH008", 8, "rule q is hit by no test")]


def test_limits_are_looked_at_like_rules():
    text = "allow: [pay]\nlimits:\n- {id: a, tools: [pya], per: agent, max: 5}\n- {id: b, mode: shadow, per: agent, max: 5}\n"
    assert findings(text) == [
        ("TH008", 6, "limit a is hit by no test"),
        ("TH001", 6, "limit a is about pya, which no grant covers; did you mean 'pay'?"),
        ("TH008", 7, "limit b is hit by no test"),
        ("TH005", 7, "limit b is in shadow mode without a last day; add 'until: <day>'"),
    ]
    assert findings(text.replace("shadow", "shadow, until: 2026-12-31"), "TH005", "TH006") == []
    with pytest.raises(FileProblems, match="'until' belongs to 'mode: shadow'"):
        findings(text.replace("mode: shadow", "until: 2026-12-31"))


# -- the codes --------------------------------------------------------------------------------------------


def test_findings_of_several_files_come_in_order_and_with_severity():
    lib = "policy: 1\nid: lib\nallow: ['*']\nmode: shadow\n"
    found = load({"b.yaml": (HEAD + "include: [a.yaml]\nallow: ['*']\nrules:\n- {id: r}\n").encode(), "a.yaml": lib.encode()})
    listed = lint(found, run_cases(found), TODAY)
    assert [(p.file, p.line, p.code, p.severity) for p in listed] == [
        ("a.yaml", 3, "TH003", "warning"),
        ("a.yaml", 4, "TH005", "warning"),
        ("b.yaml", 5, "TH003", "warning"),
        ("b.yaml", 7, "TH008", "note"),
    ]


ERRORS = Path(__file__).parent / "errors"


@pytest.mark.parametrize("path", sorted(ERRORS.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_kind_of_error_has_a_code_that_is_explained(path):
    with pytest.raises(FileProblems) as caught:
        load({path.name: path.read_bytes()})
    assert {CODES[one.code].severity for one in caught.value.problems} == {"error"}


def test_every_code_is_used_somewhere_and_every_used_one_is_explained():
    sources = [*Path(gateway.policy.__file__).parent.glob("*.py"), *(Path(gateway.policy.__file__).parents[1]).glob("policy_folder.py")]
    sources += Path(gateway.policy.__file__).parents[1].glob("cli/policy*.py")
    used = {code for path in sources if path.name != "lint_codes.py" for code in re.findall(r'"(TH\d{3})"', path.read_text())}
    assert used == set(CODES)


def test_rules_about_texts_are_about_no_tools_that_must_be_granted(policies):
    rules = (
        "- {id: a, at: output, detect: [card]}\n- {id: b, at: tool_result, tools: [elsewhere], detect: [card]}\n"
        "- {id: c, tools: [pay], detect: [card]}\n"
    )
    found = policies("policy: 1\nid: p\nagents: ['*']\nallow: [pay]\nrules:\n" + rules)
    assert {problem.code for problem in lint(found, run_cases(found), "2026-01-01")} == {"TH008"}
