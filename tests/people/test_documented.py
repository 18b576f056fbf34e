"""What deploy/README.md says of keys and people holds."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import TypeAdapter
from typer.testing import CliRunner

from gateway.cli import keys, people
from gateway.config import Settings
from gateway.people.issuers import Issuer
from gateway.people.roles import ROLES

TEXT = (Path(__file__).parents[2] / "deploy" / "README.md").read_text()
SECTION = TEXT[TEXT.index("\n## Keys and people") : TEXT.index("\n## Approvals")]


def test_the_example_of_an_issuer_is_read_as_settings():
    (block,) = re.findall(r"```yaml\n(issuers:.*?)```", SECTION, re.DOTALL)
    issuers = TypeAdapter(list[Issuer]).validate_python(yaml.safe_load(block)["issuers"])
    assert Settings(issuers=issuers).issuers[0].agents.names == {"client-7": "bank-bot"}


def test_the_table_names_every_role():
    assert tuple(re.findall(r"^\| `([a-z-]+)` \|", SECTION, re.MULTILINE)) == ROLES


def test_the_commands_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLHOUSE_DATA", raising=False)
    run = CliRunner()
    for line in re.findall(r"^tollhouse (keys|people) (create|add) (.*?)(?:  +#.*)?$", SECTION, re.MULTILINE):
        verb, act, rest = line
        done = run.invoke({"keys": keys.app, "people": people.app}[verb], [act, *rest.replace("'", "").split()])
        assert done.exit_code == 0, done.output
    told = re.findall(r"^tollhouse keys (.*)$", SECTION, re.MULTILINE)
    named = {command for line in told for command in re.findall(r"(?:^|\| )(\w+)", line)}
    assert named == {"create", "list", "show", "rotate", "revoke", "teams"}
