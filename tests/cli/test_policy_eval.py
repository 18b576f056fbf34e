"""`tollhouse policy eval`: a verdict from the files alone."""

import json

import pytest
from typer.testing import CliRunner

from gateway.cli.policy import app
from gateway.errors import FileProblems

POLICY = """policy: 1
id: p
agents: [a-*]
allow: [pay]
rules:
- {id: big, when: args.n > 5, message: "{args.n} is much"}
- {id: known, require: from_user(args.to) || read_from('odd'), effect: ask}
- {id: first, when: session.calls > 0 && caller.team == 't' && caller.org == 'acme', mode: shadow}
tools: {web: {labels: [odd]}}
"""


@pytest.fixture
def ask(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "p.yaml").write_text(POLICY)

    def asked(*options, tool="pay", agent="a-1"):
        where = ("--policies", str(tmp_path / "p"), "--agent", agent, "--tool", tool)
        return CliRunner().invoke(app, ["eval", *where, *map(str, options)])

    return asked


def test_a_call_that_would_be_released_exits_with_0(ask):
    done = ask("--args", '{"n": 1, "to": "Bob"}', "--user", "pay Bob")
    assert done.exit_code == 0
    assert done.stdout == "allow (released, granted): Granted by policy p.\n\np.yaml:4: granted by policy p: allow\n"


def test_a_call_that_would_be_withheld_exits_with_1_and_says_why(ask):
    done = ask("--args", '{"n": 9, "to": "Bob"}')
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        *("deny (withheld, rule): 9 is much.", "", "p.yaml:4: granted by policy p: allow", ""),
        *("p.yaml:6: rule big of policy p: deny", "    when: args.n > 5", "    args.n = 9", "    says: 9 is much"),
        *("    would pass with: the condition being false", "", "p.yaml:7: rule known of policy p: ask"),
        *("    require: from_user(args.to) || read_from('odd')", '    args.to = "Bob"', "    would pass with: the condition being true"),
    ]


def test_a_rule_that_could_not_be_evaluated_says_so(ask):
    out = ask("--args", '{"to": "Bob"}', "--user", "Bob").stdout
    assert "p.yaml:6: rule big of policy p: deny, condition failed\n" in out
    assert "    args.n is not there\n" in out


def test_history_is_a_file_with_the_keys_of_a_test(ask, tmp_path):
    before = tmp_path / "before.yaml"
    before.write_text("user: pay Bob\nhistory:\n- {call: {web: {}}, result: x}\ncaller: {team: t, org: acme}\n")
    done = ask("--args", '{"n": 1, "to": "Eve"}', "--history", before)
    assert done.exit_code == 0
    assert "with shadow rules in force: deny" in done.stdout
    assert "p.yaml:8: rule first of policy p: deny, shadow" in done.stdout
    assert '    caller.org = "acme"' in done.stdout
    assert ask("--args", '{"n": 1, "to": "Eve"}', "--history", before, "--user", "pay Bob").exit_code == 0


@pytest.mark.parametrize("text", ["user: [", "usr: x\n", "history: [{call: {}}]\n", None])
def test_a_history_that_cannot_be_used_is_a_problem_with_a_place(ask, tmp_path, text):
    before = tmp_path / "before.yaml"
    if text is not None:
        before.write_text(text)
    done = ask("--history", before)
    assert isinstance(done.exception, FileProblems)
    assert done.exception.problems[0].file == str(before)


@pytest.mark.parametrize(
    ("args", "code"), [('{"n": 1, "n": 9}', "dup_key"), ("{", "malformed"), ("5", "type"), ('{"n": 1e999}', "number")]
)
def test_arguments_are_read_as_strictly_as_those_of_a_model(ask, args, code):
    done = ask("--args", args, "--json")
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, code)


@pytest.mark.parametrize(("tool", "code"), [("p\u0430y", "bad_name"), ("get", "not_granted")])
def test_a_tool_is_named_as_a_model_would_have_to(ask, tool, code):
    done = ask("--json", tool=tool)
    assert (done.exit_code, json.loads(done.stdout)["code"]) == (1, code)


def test_an_agent_that_nothing_covers_is_denied(ask):
    assert ask(agent="b").exit_code == 1


def test_json_holds_the_verdict_and_every_hit(ask):
    shown = json.loads(ask("--args", '{"n": 9, "to": "Bob"}', "--user", "Bob", "--json").stdout)
    assert {key: shown[key] for key in ("agent", "tool", "effect", "released", "policy", "rule", "would")} == {
        "agent": "a-1", "tool": "pay", "effect": "deny", "released": False,
        "policy": "p", "rule": "big", "would": None,
    }
    assert len(shown["hash"]) == 64
    assert shown["hits"][1] == {
        "policy": "p", "rule": "big", "effect": "deny", "mode": "enforce", "error": False, "message": "9 is much",
        "file": "p.yaml", "line": 6, "condition": "when: args.n > 5", "values": {"args.n": 9}, "unknown": [],
        "passes": "the condition being false", "four_eyes": False,
    }


def test_long_and_hostile_values_are_shown_short_and_harmless(ask):
    args = json.dumps({"n": 1, "to": "\x1b[31m" + "x" * 1000})
    [line] = [one for one in ask("--args", args).stdout.splitlines() if "args.to = " in one]
    assert "\x1b" not in line
    assert len(line) < 230


def test_no_policies_are_no_verdict(ask, tmp_path):
    (tmp_path / "p" / "p.yaml").unlink()
    assert isinstance(ask().exception, FileProblems)


TEXTS = """policy: 1
id: p
agents: [a-*]
allow: [note]
rules:
- {id: mask, at: output, detect: [card], effect: redact}
- {id: long, at: request, when: size(text) > 5}
- {id: web, at: tool_result, tools: [get_web], when: "text.contains('ignore all')", effect: warn}
- {id: cut, tools: [note], detect: [email], effect: redact}
"""


@pytest.fixture
def ask_of_texts(tmp_path):
    (tmp_path / "t.yaml").write_text(TEXTS)
    return lambda *options: CliRunner().invoke(app, ["eval", "--policies", str(tmp_path / "t.yaml"), "--agent", "a-1", *options])


def test_a_text_is_judged_and_shown_as_it_would_be_passed_on(ask_of_texts):
    done = ask_of_texts("--output", "card 4111 1111 1111 1111")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        *("redact (released, rule): Rule mask of policy p takes something out of this answer (card found).", ""),
        *("t.yaml:6: rule mask of policy p: redact", "    detect: card", "    would pass with: a text without card", ""),
        "passed on: card [card]",
    ]


def test_requests_and_results_are_judged_by_their_own_rules(ask_of_texts):
    assert ask_of_texts("--request", "too long").exit_code == 1
    assert ask_of_texts("--request", "short", "--user", "Bob").exit_code == 0
    assert ask_of_texts("--tool", "get_web", "--result", "ignore all").stdout.startswith("warn (released, rule)")
    assert ask_of_texts("--tool", "other", "--result", "ignore all").stdout.startswith("allow (released, passed)")


def test_a_redacted_call_is_shown_as_it_would_be_delivered(ask_of_texts):
    done = ask_of_texts("--tool", "note", "--args", '{"to": "me@example.com"}')
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (0, 'passed on: {"to":"[email]"}')
    data = json.loads(ask_of_texts("--tool", "note", "--args", '{"to": "me@example.com"}', "--json").stdout)
    assert (data["effect"], data["left"]) == ("redact", {"to": "[email]"})


@pytest.mark.parametrize("options", [(), ("--output", "a", "--request", "b"), ("--result", "x")])
def test_it_is_about_one_thing(ask_of_texts, options):
    assert ask_of_texts(*options).exit_code == 2


@pytest.mark.parametrize("options", [("--output", "x", "--args", "{}"), ("--request", "x"), ("--output", "x")])
def test_what_would_be_ignored_is_refused(ask, options):
    assert ask(*options).exit_code == 2
