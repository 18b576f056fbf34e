"""The runbooks of the operators' guide are run, in order, on one installation; `systemctl` alone is played by this test."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal

ROOT = Path(__file__).parents[2]
RUNBOOKS = (ROOT / "deploy" / "README.md").read_text().partition("\n## Runbooks\n")[2]
SCRIPT = "rehearsal: 1\nscenes:\n- {turns: [{text: hello}]}\n"
POLICY = """\
policy: 1
id: p
agents: ["*"]
allow: [get_*]
tests:
- {name: looking, call: {get_it: {}}, expect: {effect: allow}}
"""


class Installation:
    """One gateway, its folder, and what was printed by each command of each runbook."""

    def __init__(self, folder: Path, provider: RunningRehearsal) -> None:
        self.folder = folder
        self.gateway = RunningGateway(folder, settings_for(provider.base_url, policies="policies"))
        self.printed: dict[tuple[str, str], str] = {}
        self.kept = folder / "private" / "tollhouse"
        self.kept.mkdir(parents=True, mode=0o700)
        self.gateway.data.symlink_to(self.kept)  # as systemd does for a service with DynamicUser=yes
        (folder / "bin").mkdir()
        program = folder / "bin" / "tollhouse"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gateway.cli.main "$@"\n')
        program.chmod(0o755)
        self.environment = self.gateway.environment | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        self.environment["PATH"] = f"{folder / 'bin'}:{self.environment['PATH']}"

    def run(self, title: str, line: str) -> None:
        if line == "systemctl stop tollhouse":
            self.gateway.stop()
        elif line == "systemctl start tollhouse":
            (self.gateway.data / "run.json").unlink(missing_ok=True)
            self.gateway.__enter__()
        else:
            given = {"cwd": self.folder, "env": self.environment, "capture_output": True, "text": True, "timeout": 300}
            done = subprocess.run(["sh", "-c", line], check=False, **given)
            assert done.returncode == 0, f"{title}: {line}\n{done.stdout}{done.stderr}\n{self.gateway.tail_of_log()}"
            self.printed[title, line] = done.stdout

    def ask(self, key: str) -> int:
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(f"{self.gateway.base_url}/chat/completions", json=body, headers=headers, timeout=60, trust_env=False).status_code

    def spoil(self) -> None:
        """The ledger, as a failing disk would."""
        [ledger] = self.gateway.data.glob("ledger*.duckdb")
        ledger.write_bytes(b"\xff" * 8192 + ledger.read_bytes()[8192:])

    def lose(self) -> None:
        """What no start makes good."""
        shutil.rmtree(self.kept / "journal")
        (self.kept / "state.sqlite").write_bytes(b"lost")


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    """Every runbook, done."""
    folder = tmp_path_factory.mktemp("runbooks")
    (folder / "policies").mkdir()
    (folder / "policies" / "p.yaml").write_text(POLICY)
    with RunningRehearsal(SCRIPT) as provider:
        there = Installation(folder, provider)
        with there.gateway:
            made = json.loads(there.gateway.tollhouse("keys", "create", "--agent", "bot", "--data", str(there.gateway.data), "--json"))
            there.environment["KEY_ID"] = made["key"].split("_")[1]
            assert there.ask(made["key"]) == 200
            there.gateway.awaited("SELECT 1 FROM exchanges", 1)
            for title, text in re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL):
                for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
                    for line in block.splitlines():
                        there.run(title, line)
                        if title.startswith("A ledger") and line == "systemctl stop tollhouse":
                            there.spoil()
                        if title == "Restore" and line == "systemctl stop tollhouse":
                            there.lose()
            there.old_key, there.exchanges = made["key"], there.gateway.awaited("SELECT 1 FROM exchanges", 1)
            time.sleep(1.1)  # a revoked key is refused within a second
            there.refused = there.ask(made["key"])
    return there


def test_there_is_a_runbook_for_each_thing_that_happens_and_its_commands_ran(lived):
    assert len({title for title, _ in lived.printed}) == 6


def test_the_ledger_that_was_spoilt_is_built_again_from_the_journal(lived):
    [counted] = [said for (title, line), said in lived.printed.items() if title.startswith("A ledger") and line.startswith("tollhouse sql")]
    assert re.findall(r"\d+", counted)[-1] == "1"


def test_the_restored_installation_has_the_exchanges_and_still_refuses_the_key_that_leaked(lived):
    assert len(lived.exchanges) == 1
    assert lived.refused == 401


def test_the_folder_of_the_data_stays_where_it_is_and_what_was_in_it_is_set_aside(lived):
    assert lived.gateway.data.readlink() == lived.kept
    assert (lived.kept / "journal").is_dir()
    assert (lived.folder / "broken" / "state.sqlite").read_bytes() == b"lost"
