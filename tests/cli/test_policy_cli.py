"""`tollhouse policy check` and `test`: what they print, and how they exit."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from gateway.cli.policy import app
from gateway.shipped import folder

GOOD = """policy: 1
id: p
agents: [a-*]
allow: ['*']
rules:
- {id: big, when: args.n > 5}
- {id: odd, when: args.n == 3, on_error: ignore}
tests:
- {name: small, call: {x: {n: 1}}, expect: {effect: allow}}
- {name: big, call: {x: {n: 9}}, expect: {effect: deny, rule: big}}
"""


def run(*arguments):
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, done.stdout


@pytest.fixture
def policies(tmp_path):
    (tmp_path / "p.yaml").write_text(GOOD)
    return tmp_path


def test_check_says_what_was_loaded_and_what_wants_a_second_look(policies):
    code, out = run("check", policies)
    assert code == 0
    lines = out.splitlines()
    assert (
        lines[0] == "p.yaml:7: note: rule odd lets calls pass when its condition cannot be evaluated (on_error: ignore)"
    )
    assert lines[1] == "p.yaml:4: note: '*' grants every tool there is"
    assert lines[2] == "p.yaml: p, agents a-*, enforce: 2 rules, 2 tests"
    assert lines[3].endswith("no problems.")


def test_check_shows_every_problem_with_a_caret(policies):
    (policies / "p.yaml").write_text(GOOD.replace("agents", "agnets").replace("args.n > 5", "agrs.n > 5"))
    code, out = run("check", policies)
    assert code == 1
    assert out == (
        "p.yaml:3:1: error: unknown key 'agnets'; did you mean 'agents'?\n    agnets: [a-*]\n    ^\n"
        "p.yaml:6:19: error: unknown variable 'agrs'; did you mean 'args'?\n"
        "    - {id: big, when: agrs.n > 5}\n                      ^\n\n2 problems found.\n"
    )


def test_check_as_json(policies):
    code, out = run("check", policies, "--json")
    shown = json.loads(out)
    assert (code, shown["ok"], shown["problems"]) == (0, True, [])
    assert shown["policies"] == [
        {"id": "p", "file": "p.yaml", "agents": ["a-*"], "mode": "enforce", "rules": 2, "tests": 2}
    ]
    assert [note["line"] for note in shown["notes"]] == [7, 4]
    (policies / "p.yaml").write_text("policy: 2\n")
    code, out = run("check", policies, "--json")
    shown = json.loads(out)
    assert (code, shown["ok"]) == (1, False)
    assert {(p["file"], p["line"], p["message"]) for p in shown["problems"]} == {
        ("p.yaml", 1, "'policy' must be 1"),
        ("p.yaml", 1, "missing key 'id'; add it"),
    }


def test_test_prints_each_test_and_the_rules_that_none_hits(policies):
    code, out = run("test", policies)
    assert code == 0
    assert out.splitlines() == [
        "PASS p.yaml: small",
        "PASS p.yaml: big",
        "p.yaml:7: rule odd is hit by no test",
        "2 of 2 tests passed; 1 of 2 rules hit.",
    ]


def test_a_failing_test_fails_the_command_and_says_why(policies):
    (policies / "p.yaml").write_text(GOOD.replace("{n: 9}", "{n: 2}"))
    code, out = run("test", policies)
    assert code == 1
    assert "FAIL p.yaml: big\n     expected deny, got allow" in out
    code, out = run("test", policies, "--json")
    shown = json.loads(out)
    assert (code, shown["ok"], [t["passed"] for t in shown["tests"]]) == (1, False, [True, False])
    assert shown["not_hit"] == [
        {"file": "p.yaml", "rule": "big", "line": 6},
        {"file": "p.yaml", "rule": "odd", "line": 7},
    ]


def test_one_file_is_looked_at_with_what_it_includes_and_nothing_else(policies):
    (policies / "broken.yaml").write_text("policy: 1\nx: [")
    (policies / "lib").mkdir()
    library = "policy: 1\nid: base\nrules:\n- {id: r, when: args.n in vars.x}\nvars: {x: {file: n.txt}}\n"
    (policies / "lib" / "base.yaml").write_text(library)
    (policies / "lib" / "n.txt").write_text("1\n")
    (policies / "p.yaml").write_text(GOOD + "include: [lib/base.yaml]\n")
    code, out = run("check", policies / "p.yaml")
    assert code == 0
    assert "lib/base.yaml: base, a library, enforce: 1 rules, 0 tests" in out
    assert run("check", policies)[0] == 1


@pytest.mark.parametrize("include", ["include: 5", "include: [5]", "include: [broken.yaml]"])
def test_one_file_with_a_broken_include_is_told_like_in_its_folder(policies, include):
    (policies / "broken.yaml").write_text("policy: 1\nx: [")
    (policies / "p.yaml").write_text(GOOD + include + "\n")
    assert run("check", policies / "p.yaml")[0] == 1


def test_tests_of_a_file_that_cannot_be_loaded_do_not_run(policies):
    (policies / "p.yaml").write_text("- x\n")
    assert run("test", policies / "p.yaml")[0] == 3
    (policies / "p.yaml").write_text("policy: 2\n")
    code, out = run("test", policies)
    assert code == 3
    assert "'policy' must be 1" in out


@pytest.mark.parametrize("command", ["check", "test"])
@pytest.mark.parametrize("where", ["empty", "nowhere/deeper", "p.yml"])
def test_looking_at_nothing_is_not_a_pass(policies, command, where):
    (policies / "empty").mkdir()
    code, out = run(command, policies / where)
    assert code == 3
    assert "error:" in out
    assert run(command, policies / where, "--json")[0] == 3


def test_wrong_usage_is_told_apart():
    assert run("check", "--unknown")[0] == 2
    assert run("nonsense")[0] == 2


@pytest.mark.parametrize("command", ["check", "test"])
def test_the_shipped_policies_are_fine(command):
    assert run(command, folder("policies"))[0] == 0


def test_starting_imports_nothing_heavy():
    script = "import sys, gateway.cli.policy; print(sorted({'duckdb', 'litellm', 'uvicorn', 'pyarrow', 'aiohttp'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
