"""`tollhouse policy check` and `test`: what they print, and how they exit."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml
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
    said = "rule odd lets calls pass when its condition cannot be evaluated (on_error: ignore)"
    assert lines[:4] == [
        "p.yaml:4:9: warning: '*' grants every tool there is [TH003]",
        "p.yaml:7:8: note: rule odd is hit by no test [TH008]",
        f"p.yaml:7:32: warning: {said} [TH004]",
        "p.yaml: p, agents a-*, enforce: 2 rules, 2 tests",
    ]
    assert lines[4].endswith(": no problems, 2 warnings, 1 note.")


def test_warnings_fail_a_strict_check_and_notes_do_not(policies):
    assert run("check", policies, "--strict")[0] == 1
    (policies / "p.yaml").write_text(GOOD.replace("'*'", "x").replace(", on_error: ignore", ""))
    code, out = run("check", policies, "--strict")
    assert (code, "[TH008]" in out, "no problems, 1 note." in out) == (0, True, True)


def test_a_code_explains_itself():
    code, out = run("check", "--explain", "th003")
    assert code == 0
    assert out.startswith("TH003 (warning): a grant of every tool\n\n")
    assert run("check", "--explain", "TH999")[0] == 2


def test_check_shows_every_problem_with_a_caret(policies):
    (policies / "p.yaml").write_text(GOOD.replace("agents", "agnets").replace("args.n > 5", "agrs.n > 5"))
    code, out = run("check", policies)
    assert code == 1
    assert out == (
        "p.yaml:3:1: error: unknown key 'agnets'; did you mean 'agents'?\n    agnets: [a-*]\n    ^\n"
        "p.yaml:6:19: error: unknown variable 'agrs'; did you mean 'args'?\n"
        "    - {id: big, when: agrs.n > 5}\n                      ^\n\n"
        "2 problems found (TH102, TH103; 'tollhouse policy check --explain TH102' says more).\n"
    )


def test_check_as_json(policies):
    code, out = run("check", policies, "--json")
    shown = json.loads(out)
    assert (code, shown["ok"], shown["problems"]) == (0, True, [])
    assert shown["policies"] == [
        {"id": "p", "file": "p.yaml", "agents": ["a-*"], "mode": "enforce", "rules": 2, "tests": 2}
    ]
    found = [(n["code"], n["severity"], n["line"], n["column"]) for n in shown["notes"]]
    assert found == [("TH003", "warning", 4, 9), ("TH008", "note", 7, 8), ("TH004", "warning", 7, 32)]
    (policies / "p.yaml").write_text("policy: 2\n")
    code, out = run("check", policies, "--json")
    shown = json.loads(out)
    assert (code, shown["ok"]) == (1, False)
    assert {(p["file"], p["line"], p["code"], p["message"]) for p in shown["problems"]} == {
        ("p.yaml", 1, "TH102", "'policy' must be 1"),
        ("p.yaml", 1, "TH102", "missing key 'id'; add it"),
    }


def test_check_for_github_is_one_command_per_finding(policies):
    name = (policies / "p.yaml").as_posix()
    assert run("check", policies, "--format", "github")[1].splitlines()[0] == (
        f"::warning file={name},line=4,col=9,title=TH003::'*' grants every tool there is"
    )
    (policies / "p.yaml").write_text("policy: 1\nid: p\nagents: [a]\nallow: [x]\nvars: {x: {file: 'a%,b.txt'}}\n")
    code, out = run("check", policies, "--format", "github")
    assert (code, out) == (
        1,
        f"::error file={name},line=5,col=18,title=TH105::no file 'a%25,b.txt' in the policies folder\n",
    )


def test_check_as_sarif_names_rules_levels_and_places(policies):
    (policies / "p q.yaml").write_text(GOOD.replace("id: p", "id: q"))
    code, out = run("check", policies, "--format", "sarif")
    shown = json.loads(out)
    [made] = shown["runs"]
    rules = [rule["id"] for rule in made["tool"]["driver"]["rules"]]
    first = made["results"][0]
    assert (code, shown["version"], rules) == (0, "2.1.0", ["TH003", "TH004", "TH008"])
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in made["results"])
    assert (first["ruleId"], first["level"]) == ("TH003", "warning")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"].endswith("/p%20q.yaml")
    assert place["region"] == {"startLine": 4, "startColumn": 9}
    (policies / "p q.yaml").write_text("policy: 1\n\tx")
    code, out = run("check", policies, "--format", "sarif")
    assert (code, json.loads(out)["runs"][0]["results"][0]["level"]) == (1, "error")


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


def test_a_rule_that_no_test_hits_fails_a_strict_run_of_the_tests(policies):
    assert run("test", policies, "--strict")[0] == 1
    (policies / "p.yaml").write_text(GOOD + "- {name: odd, call: {x: {n: 3}}, expect: {effect: deny, rule: odd}}\n")
    assert run("test", policies, "--strict")[0] == 0


@pytest.mark.parametrize(("options", "failures"), [((), "1"), (("--strict",), "3")])
def test_results_are_written_as_junit(policies, tmp_path, options, failures):
    hostile = GOOD.replace("{name: small", '{name: "a<b>&\\x07\\n\\uffff"').replace("{n: 9}", "{n: 2}")
    (policies / "p.yaml").write_text(hostile)
    out = tmp_path / "out.xml"
    assert run("test", policies, "--junit", out, *options)[0] == 1
    top = ET.fromstring(out.read_bytes())
    [suite] = top
    assert (top.get("failures"), suite.get("name"), suite.get("failures")) == (failures, "p.yaml", failures)
    assert suite[0].get("name") == "a<b>&\\x07\\n\\uffff"
    assert "expected deny, got allow" in suite[1].find("failure").get("message")


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
    assert code == 1
    assert "'policy' must be 1" in out


@pytest.mark.parametrize("command", ["check", "test"])
def test_files_that_cannot_be_read_are_problems_found(policies, command):
    """A pipeline that takes 3 for "nothing here to check" goes on."""
    (policies / "q.yaml").symlink_to("/dev/null")
    code, out = run(command, policies)
    assert code == 1
    assert "q.yaml:1:1: error: a link that leaves the policies folder" in out


def test_one_file_is_checked_with_the_lock_files_that_it_names(policies):
    (policies / "pnpm-lock.yaml").write_text("lockfileVersion: '9.0'\npackages:\n  left-pad@1.3.0: {resolution: {integrity: sha512-x}}\n")
    rule = "rules: [{id: known, tools: [get_*], validate: [{packages: {known: [pnpm-lock.yaml]}}]}]\n"
    (policies / "p.yaml").write_text("policy: 1\nid: p\nagents: [a]\nallow: [get_x]\n" + rule)
    assert run("check", policies / "p.yaml")[0] == 0


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
    script = "import sys, gateway.cli.policy; print(sorted({'duckdb', 'litellm', 'uvicorn', 'nanoarrow', 'aiohttp'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_schema_prints_the_shipped_file():
    code, out = run("schema")
    assert (code, out) == (0, (folder("policies") / "policy.schema.json").read_text())


HOOKS = Path(__file__).parents[2] / ".pre-commit-hooks.yaml"


@pytest.mark.parametrize("hook", yaml.safe_load(HOOKS.read_text()), ids=lambda hook: hook["id"])
def test_a_commit_hook_passes_on_good_policies_and_stops_bad_ones(policies, hook):
    program, group, *verb = hook["entry"].split()
    assert (program, group, hook["args"], hook["pass_filenames"]) == ("tollhouse", "policy", ["policies"], False)
    assert run(*verb, folder("policies"))[0] == 0
    (policies / "p.yaml").write_text("policy: 2\n")
    assert run(*verb, policies)[0] != 0
