"""The README is run: its commands in order, its policy, its program; and what it shows is what they print."""

import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import yaml

from gateway.exchange import Caller
from gateway.policy import Facts, evaluate, load
from gateway.rehearsal import RunningRehearsal
from gateway.verdict import Call
from tests.patience import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLS = ("pip install . && tollhouse demo", "pip install '.[test]' && pytest")
"""Not run inside the test run they would start again; held against the project's own files instead."""
LISTEN = "http://127.0.0.1:8484"

SCRIPT = """
rehearsal: 1
scenes:
- turns:
  - text: I delete the notes.
    calls: [{name: delete_file, args: {path: notes.txt}}]
    usage: {input: 100, output: 20}
"""


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    return [line for block in blocks("bash") for line in block.splitlines() if line and not line.startswith("#")]


def test_the_first_commands_are_the_two_that_install():
    assert tuple(commands()[:2]) == INSTALLS


def test_the_install_commands_name_what_the_project_offers():
    assert PROJECT["project"]["scripts"] == {"tollhouse": "gateway.cli.main:run"}
    assert any(name.startswith("pytest") for name in PROJECT["project"]["optional-dependencies"]["test"])
    assert PROJECT["tool"]["pytest"]["ini_options"]["testpaths"] == ["tests"]


def test_continuous_integration_installs_and_tests_as_the_readme_says():
    run = (ROOT / ".ci" / "run").read_text()
    assert "[test]" in run
    assert "pytest" in run


@pytest.mark.parametrize(
    ("recipient", "released"), [("GB29NWBK60161331926819", True), ("US133000000121212121212", False)]
)
def test_the_nine_lines_of_policy_judge_as_they_read(recipient, released):
    [text] = blocks("yaml")
    assert len(text.splitlines()) == 9
    args = {"recipient": recipient}
    call = Call(id="c", name="send_money", arguments="{}", args=args, index=0)
    facts = Facts(
        call=call, caller=Caller("bank-1"), dialect="openai.chat", model="m", schema_hash=None, session={}, now_us=0
    )
    verdict = evaluate(load({"bank.yaml": text.encode()}), facts)
    assert verdict.released is released


class Shell:
    """Runs the README's lines as one person would: in one folder, with exports that last, `up` in a second terminal."""

    def __init__(self, folder: Path, provider_url: str) -> None:
        self.folder, self.provider_url = folder, provider_url
        self.printed: dict[str, str] = {}
        self.key = ""
        self.gateway: subprocess.Popen[str] | None = None
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        for name, module in (("tollhouse", "-m gateway.cli.main"), ("python", "")):
            (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            (bin_folder / name).chmod(0o755)
        self.work = folder / "work"
        self.work.mkdir()
        self.environment = {
            n: v for n, v in os.environ.items() if not n.startswith(("TOLLHOUSE", "OPENAI", "ANTHROPIC"))
        }
        self.environment |= {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TOLLHOUSE_LISTEN": "127.0.0.1:0",
            "TOLLHOUSE_ADMIN": "127.0.0.1:0",
            "COLUMNS": "200",
        }

    def run(self, line: str) -> None:
        if line.startswith("export "):
            self._export(line)
        elif line == "tollhouse up":
            self._up()
        elif line.startswith("tollhouse tail"):
            self.printed[line] = self._first_line(line)
        else:
            self.printed[line] = self._finished(line)
        if line.startswith("tollhouse keys create"):
            self.key = self.printed[line].splitlines()[0]
        if line == "tollhouse init":
            self._use_the_rehearsal()

    def _export(self, line: str) -> None:
        name, _, value = line.removeprefix("export ").partition("=")
        if self.gateway is not None:
            value = value.replace(LISTEN, yaml.safe_load((self.work / ".tollhouse" / "run.json").read_text())["listen"])
        self.environment[name] = self.key if value.startswith("th_") else value

    def _finished(self, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", line], cwd=self.work, env=self.environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def _up(self) -> None:
        self.stop()
        log = self.folder / f"up-{time.monotonic_ns()}.log"
        with log.open("w") as out:
            self.gateway = subprocess.Popen(
                ["tollhouse", "up"], cwd=self.work, env=self.environment, stdout=out, stderr=out, text=True
            )
        until(lambda: (self.work / ".tollhouse" / "run.json").exists() or self.gateway.poll() is not None, what=log.read_text)
        assert self.gateway.poll() is None, log.read_text()
        time.sleep(0.2)
        self.printed[f"up {len([n for n in self.printed if n.startswith('up')]) + 1}"] = log.read_text()

    def _first_line(self, line: str) -> str:
        following = subprocess.Popen(
            ["sh", "-c", f"exec {line}"], cwd=self.work, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert following.stdout is not None
        first = following.stdout.readline()
        following.terminate()
        following.wait(PATIENCE_S)
        following.stdout.close()
        return first

    def _use_the_rehearsal(self) -> None:
        """The provider's address is the one thing a test must change."""
        upstream = {
            "rehearsal": {"dialect": "openai.chat", "base_url": self.provider_url, "key": {"env": "OPENAI_API_KEY"}}
        }
        with (self.work / "tollhouse.yaml").open("a") as file:
            file.write(yaml.safe_dump({"upstreams": upstream}))

    def stop(self) -> None:
        if self.gateway is not None and self.gateway.poll() is None:
            self.gateway.terminate()
            self.gateway.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Everything the README says to do, done; what was printed, by command."""
    folder = tmp_path_factory.mktemp("readme")
    with RunningRehearsal(SCRIPT) as provider:
        shell = Shell(folder, provider.base_url)
        try:
            for language, text in re.findall(r"^```(bash|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
                if language == "python":
                    (shell.work / "agent.py").write_text(text)
                    shell.run("python agent.py")
                    continue
                for line in text.splitlines():
                    if line not in INSTALLS:
                        shell.run(line)
        finally:
            shell.stop()
    return shell.printed


def test_without_a_policy_up_says_loudly_that_it_only_observes(lived):
    assert "OBSERVING ONLY" in lived["up 1"]


def test_with_the_starter_policy_up_enforces(lived):
    assert "OBSERVING" not in lived["up 2"]


def test_the_program_prints_why_its_call_was_blocked(lived):
    assert "delete_file" in lived["python agent.py"]
    assert "NOT executed" in lived["python agent.py"]


def test_the_book_answers_with_what_just_happened(lived):
    calls, spent = (lived[line] for line in lived if line.startswith("tollhouse sql"))
    assert "delete_file" in calls
    assert "my-agent" in calls
    assert "gpt-4o-mini" in spent


def test_every_command_that_shows_something_showed_something(lived):
    for line in ("tollhouse init", "tollhouse policy test policies", "tollhouse status"):
        assert lived[line].strip(), line


def test_the_record_that_is_shown_is_the_record_the_demo_leaves(tmp_path):
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli.main", "demo"], capture_output=True, text=True, env=environment, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [shown] = blocks("text")
    printed = [line.rstrip() for line in done.stdout.splitlines()]
    start = printed.index(shown.splitlines()[0].rstrip())
    assert printed[start : start + len(shown.splitlines())] == [line.rstrip() for line in shown.splitlines()]
