"""`tollhouse validate`: validators over a text, without a gateway."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gateway.cli.validate import validate
from gateway.errors import FileProblems
from gateway.validators import VALIDATORS, installed
from gateway.validators.validator import Seen

app = typer.Typer()
app.command()(validate)


@pytest.fixture
def run(tmp_path):
    def ran(text: str | bytes, *options: str, stdin: bool = False):
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "answer.txt").write_bytes(data)
        where = "-" if stdin else str(tmp_path / "answer.txt")
        return CliRunner(env={"COLUMNS": "300", "TERM": "dumb"}).invoke(app, [where, *options], input=data if stdin else None)

    return ran


def test_a_text_that_passes_exits_with_0(run):
    done = run("Hello, this is short.", "--with", "length:max=100", "--with", "empty")
    assert (done.exit_code, done.stdout) == (0, "passed: length, empty\n")


def test_what_is_seen_is_told_with_its_place_and_exits_with_1(run, tmp_path):
    done = run("Grüße!\nSee https://evil.test/a?b and more", "--with", "urls", "--with", "length:max=100")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/answer.txt:2:5: urls: error: an address leads to a host that is not allowed; leave it out [foreign_address]",
        "passed: length",
    ]


def test_a_text_that_cannot_be_judged_exits_with_1(run):
    done = run("Ok.", "--with", "language:allow=[en]")
    assert (done.exit_code, "unjudged: language: the language of the text cannot be told" in done.stdout) == (1, True)
    assert run("Ok.", "--with", "language:allow=[en],unsure=pass").exit_code == 0


def test_standard_input_is_read_where_no_file_is_named(run):
    done = run("", "--with", "empty", stdin=True)
    assert (done.exit_code, done.stdout.splitlines()[0].split(": ")[0]) == (1, "-:1:1")


def test_json_holds_each_validator_with_what_it_saw(run):
    done = run("It is 42.", "--with", "grounded", "--with", "empty", "--with", "language:{allow: [en]}", "--json")
    shown = json.loads(done.stdout)
    assert (done.exit_code, shown["passed"], shown["characters"]) == (1, False, 9)
    assert [(one["name"], one["outcome"]) for one in shown["validators"]] == [
        ("grounded", "failed"), ("empty", "passed"), ("language", "unjudged"),
    ]  # fmt: skip
    [seen] = shown["validators"][0]["seen"]
    assert (seen["code"], seen["start"], seen["end"]) == ("number", 6, 8)
    assert shown["validators"][2]["problem"].startswith("the language of the text cannot be told")


def test_what_came_before_and_how_it_ended_can_be_said(run, tmp_path):
    (tmp_path / "result.json").write_text('{"n": 42}')
    assert run("It is 42.", "--with", "grounded", "--result", str(tmp_path / "result.json")).exit_code == 0
    assert run("It is 42.", "--with", "grounded", "--said", "is it 42?").exit_code == 0
    assert run("It is", "--with", "truncated", "--finish", "length").exit_code == 1


def test_the_schema_that_an_answer_was_asked_to_have_is_a_file(run, tmp_path):
    (tmp_path / "schema.json").write_text('{"type": "integer"}')
    assert run("5", "--with", "structured_output", "--schema", str(tmp_path / "schema.json")).exit_code == 0
    assert "must be of type integer" in run('"x"', "--with", "structured_output", "--schema", str(tmp_path / "schema.json")).stdout
    (tmp_path / "schema.json").write_text("{")
    assert run("5", "--with", "structured_output", "--schema", str(tmp_path / "schema.json")).exit_code == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "--list shows them"),
        (("--with", "lenght"), "did you mean 'length'?"),
        (("--with", "length"), "says no length"),
        (("--with", "length:maxx=3"), "did you mean 'max'?"),
        (("--with", "length:max=many"), "(in {max: many})"),
        (("--with", "length:100"), "write key=value,key=value"),
        (("--with", "length:{max: "), "length:"),
        (("--with", "regex:must_match=['(']"), "no RE2 expression"),
        (("--with", "sql:dialect=none"), "no dialect"),
    ],
)
def test_what_cannot_be_asked_is_a_mistake_of_usage(run, options, said):
    done = run("text", *options)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())


POLICY = """policy: 1
id: notes
agents: ['*']
allow: [search]
rules:
- {id: brief, at: output, effect: warn, when: "false", validate: [{length: {max: 5}}, empty]}
- {id: pages, at: tool_result, tools: [search], effect: warn, validate: [{length: {max: 9}}]}
- {id: cards, at: output, detect: [card], effect: redact}
"""


def test_the_validators_of_a_policys_rules_are_asked(run, tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)
    done = run("Hello you", "--policy", str(tmp_path / "p.yaml"), "--with", "urls")
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{tmp_path}/answer.txt:1:1: notes/brief: length: error: the text has 9 characters; at most 5 are allowed [too_long]",
        "passed: urls, notes/brief: empty",
    ]
    shown = json.loads(run("Hello you", "--policy", str(tmp_path), "--at", "tool_result", "--json").stdout)
    assert [(one["rule"], one["name"], one["outcome"]) for one in shown["validators"]] == [("notes/pages", "length", "passed")]


def test_a_rule_that_asks_a_model_is_unjudged_where_no_gateway_asks(run, tmp_path):
    judge = "{judge: {rubric: Is it kind?, model: gpt-4o-mini}}"
    rule = f"{{id: kind, at: output, effect: warn, validate: [{judge}]}}"
    (tmp_path / "p.yaml").write_text(f"policy: 1\nid: p\nagents: ['*']\nrules:\n- {rule}\n")
    done = run("Hello you", "--policy", str(tmp_path / "p.yaml"))
    assert done.exit_code == 1
    assert "unjudged: p/kind: judge: the model gpt-4o-mini is asked by a running gateway" in done.stdout


def test_a_policy_without_such_a_rule_is_no_pass(run, tmp_path):
    (tmp_path / "p.yaml").write_text(POLICY)
    done = run("Hello", "--policy", str(tmp_path / "p.yaml"), "--at", "tool_call")
    assert (done.exit_code, "has no rule with 'at: tool_call'" in done.stderr) == (2, True)
    (tmp_path / "p.yaml").write_text("policy: 2\n")
    assert isinstance(run("Hello", "--policy", str(tmp_path / "p.yaml")).exception, FileProblems)


def test_a_text_that_is_not_utf8_is_refused(run):
    done = run(b"ab\xff", "--with", "empty")
    assert (done.exit_code, "not UTF-8 (byte 2)" in done.stderr) == (2, True)


def test_a_validator_that_fails_has_not_judged(run, monkeypatch):
    def broken(subject):
        raise RuntimeError("oh")

    monkeypatch.setitem(VALIDATORS, "empty", VALIDATORS["empty"]._replace(make=lambda options: broken))
    done = run("text", "--with", "empty")
    assert (done.exit_code, "unjudged: empty: empty failed (RuntimeError)" in done.stdout) == (1, True)


def test_what_is_only_told_does_not_fail_and_a_score_is_shown(run, monkeypatch):
    def measuring(subject):
        return [Seen("measured", "how \x1b[31mgood", severity="info", score=0.5)]

    monkeypatch.setitem(VALIDATORS, "empty", VALIDATORS["empty"]._replace(make=lambda options: measuring))
    done = run("text", "--with", "empty")
    assert done.exit_code == 0
    assert "info: how \\x1b[31mgood [measured, score 0.5]" in done.stdout


def test_the_list_shows_every_validator_with_every_option(run):
    shown = run("", "--list").stdout
    for name, one in VALIDATORS.items():
        assert f"{name}  (at " in shown
        for option, field in one.options.model_fields.items():
            assert f"  {field.alias or option} " in shown
            assert field.description


def test_the_example_of_the_readme_is_used_by_the_command_once_it_is_installed(tmp_path):
    readme = (Path(__file__).parents[2] / "gateway" / "validators" / "README.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    [points] = re.findall(r"^```toml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    [(group, entries)] = tomllib.loads(points)["project"]["entry-points"].items()
    assert group == installed.GROUP
    (tmp_path / "polite.py").write_text(code)
    (tmp_path / "polite-1.dist-info").mkdir()
    (tmp_path / "polite-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: polite\nVersion: 1\n")
    written = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (tmp_path / "polite-1.dist-info" / "entry_points.txt").write_text(f"[{group}]\n{written}")
    path = os.pathsep.join((str(tmp_path), *sys.path))
    command = [sys.executable, "-m", "gateway.cli.main", "validate", "-", "--with", "polite:word=kindly"]
    for text, code in (("kindly do it", 0), ("do it", 1)):
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}, check=False)
        assert (done.returncode, done.stderr) == (code, "")


def test_the_readme_has_every_validator_with_everything_it_says():
    readme = (Path(__file__).parents[2] / "gateway" / "validators" / "README.md").read_text()
    for name in VALIDATORS:
        [row] = re.findall(rf"^\| \[?`{name}`(?:\]\([^)]*\))? \|(.*?)\|", readme, re.MULTILINE)
        place = Path(__file__).parents[2] / "gateway" / "validators"
        files = [place / f"{name}.py"] if (place / f"{name}.py").is_file() else [place / name / "rule.py", place / name / "known.py"]
        code = r'(?:Seen\(|yield |yield one, |Judgement\()"([a-z_]+)"'
        said = {found for file in files for found in re.findall(code, file.read_text())}
        assert said == set(re.findall(r"`([a-z_]+)`", row)), name


def test_the_list_is_there_for_machines_too(run):
    listed = json.loads(run("", "--list", "--json").stdout)
    assert listed.keys() == installed.known().keys()
    assert listed["length"]["options"]["max"]["description"]
    assert "output" in listed["length"]["at"]
