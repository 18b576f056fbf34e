"""`tollhouse prompts` without a gateway: what is in the folder and on the shelf."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli import prompts_found
from gateway.cli.prompts import app
from gateway.errors import FileProblems, GatewayError, StartError
from gateway.prompt import pins
from gateway.prompt_folder import UNMOVED, load_folder

HEAD = "---\nvariables: {shop: {type: string}}\nlabels: {production: this}\n---\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("TOLLHOUSE_DATA", "TOLLHOUSE_PROMPTS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "tollhouse.yaml").write_text("tollhouse: 1\nprompts: prompts\n")
    put(tmp_path, "Old {{ shop }}.")
    load_folder(tmp_path / "prompts", tmp_path / ".tollhouse", UNMOVED)
    put(tmp_path, "New {{ shop }}.")
    load_folder(tmp_path / "prompts", tmp_path / ".tollhouse", UNMOVED)

    def invoke(*arguments: str):
        done = CliRunner().invoke(app, list(arguments))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return invoke


def put(folder: Path, text: str) -> None:
    (folder / "prompts" / "support.md").write_text(HEAD + text + "\n")


def test_versions_are_listed_the_current_one_first(run):
    new, old = json.loads(run("list", "--json").stdout)
    assert (new["current"], new["labels"], new["variables"]) == (True, ["production"], ["shop"])
    assert (old["current"], old["labels"]) == (False, [])
    shown = run("list").stdout
    assert new["version"][:12] in shown
    assert "production" in shown


def test_a_version_is_shown_and_compared(run):
    new, old = json.loads(run("list", "--json").stdout)
    assert run("show", "support").stdout == HEAD + "New {{ shop }}.\n"
    assert json.loads(run("show", f"support@{old['version'][:8]}", "--json").stdout)["source"] == HEAD + "Old {{ shop }}.\n"
    differing = run("diff", f"support@{old['version']}")
    assert differing.exit_code == 1
    assert "-Old {{ shop }}." in differing.stdout
    assert "+New {{ shop }}." in differing.stdout
    same = run("diff", "support", f"support@{new['version']}")
    assert (same.exit_code, same.stdout) == (0, "no difference\n")
    told = run("diff", f"support@{old['version']}", "--json")
    found = json.loads(told.stdout)
    assert (told.exit_code, found["same"]) == (1, False)
    assert (found["before"]["version"], found["after"]["version"]) == (old["version"], new["version"])
    assert found["diff"][-1] == "+New {{ shop }}."


def test_a_prompt_is_filled_in(run):
    assert run("render", "support@production", "--variables", '{"shop": "{{ 7*7 }}"}').stdout == "New {{ 7*7 }}.\n"
    told = json.loads(run("render", "support", "--variables", '{"shop": "x"}', "--json").stdout)
    assert (told["text"], told["variables"]) == ("New x.", {"shop": "x"})
    with pytest.raises(GatewayError, match="needs the variable `shop`"):
        run("render", "support")
    for wrong in (("render",), ("render", "support", "--exchange", "x"), ("render", "support", "--variables", "[1]"),
                  ("render", "support", "--variables", "{")):  # fmt: skip
        assert run(*wrong).exit_code == 2


def test_hidden_characters_of_a_prompt_are_shown(run, tmp_path):
    assert "\x1b" not in run("render", "support", "--variables", '{"shop": "\\u001b[31m"}').stdout


def test_check_tells_every_problem_with_its_place(run, tmp_path):
    assert run("check").stdout == "1 prompt, no problem\n"
    put(tmp_path, "Hi {{ nobody }}")
    found = run("check")
    assert (found.exit_code, found.stdout.split(" error:")[0]) == (1, "support.md:5:7:")
    assert json.loads(run("check", "prompts", "--json").stdout)[0]["line"] == 5
    with pytest.raises(FileProblems):
        run("list")
    (tmp_path / "empty").mkdir()
    assert run("check", "empty").exit_code == 1


@pytest.mark.parametrize("asked", [
    ("list",), ("show", "support"), ("diff", "support", "support"), ("render", "support", "--variables", '{"shop": "x"}'),
])  # fmt: skip
def test_a_file_that_cannot_be_used_is_told_and_keeps_no_other_prompt_from_being_looked_at(run, tmp_path, asked):
    before = run(*asked)
    (tmp_path / "prompts" / "other.md").write_text("---\n---\n{{ nobody }}\n")
    done = run(*asked)
    assert (done.exit_code, done.stdout) == (0, before.stdout)
    assert "other.md:3:4: error: 'nobody' is not declared" in done.stderr
    with pytest.raises(GatewayError, match="no prompt 'other'"):
        run("show", "other")


def test_without_a_folder_it_says_how_to_name_one(run, tmp_path):
    (tmp_path / "tollhouse.yaml").unlink()
    with pytest.raises(StartError, match=r"prompts: \./prompts"):
        run("list")


def test_moving_a_label_needs_a_running_gateway_and_a_name(run):
    with pytest.raises(StartError, match="tollhouse up"):
        run("promote", "support")
    assert run("promote", "../x").exit_code == 2


def test_pins_of_one_agent_are_written_beside_those_of_others(tmp_path):
    part = {"on_change": "deny", "templates": ["a" * 64], "tools": {"look": "b" * 64}}
    prompts_found.write(tmp_path, "coder", part)
    path = prompts_found.write(tmp_path, "payer", {**part, "on_change": "finding"})
    found = pins.read(path.read_bytes()).agents
    assert {name: each.on_change for name, each in found.items()} == {"coder": "deny", "payer": "finding"}
