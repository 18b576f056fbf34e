"""Master keys are made, and data keys wrapped by another one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.cli.encryption import app
from gateway.config import Settings
from gateway.errors import StartError
from gateway.exchange import Caller
from gateway.installation import open_vault


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings, one master key, and one data key that it wraps."""
    monkeypatch.chdir(tmp_path)
    lay(tmp_path, run("key"))
    (tmp_path / ".tollhouse").mkdir()
    (tmp_path / "tollhouse.yaml").write_text("tollhouse: 1\ndata: .tollhouse\nencryption: {keys: {file: master}}\n")
    vault(tmp_path).sealer(Caller("bot", team="red"))
    return tmp_path


def lay(folder: Path, keys: str) -> None:
    (folder / "master").write_text(keys)
    (folder / "master").chmod(0o600)


def vault(folder: Path):
    keys = {"keys": {"file": str(folder / "master")}}
    opened = open_vault(Settings.model_validate({"tollhouse": 1, "data": str(folder / ".tollhouse"), "encryption": keys}))
    assert opened is not None
    return opened


def test_data_keys_are_wrapped_by_the_new_master_key_and_counted(house):
    old = (house / "master").read_text()
    lay(house, run("key") + old)
    assert json.loads(run("rewrap", "--json")) == {"wrapped": 1}
    assert run("rewrap").startswith("0 data keys wrapped anew")


def test_a_data_key_that_no_master_key_opens_is_told(house):
    lay(house, run("key"))
    with pytest.raises(StartError, match="add the master key that wrapped it"):
        run("rewrap")


def test_without_encryption_in_the_settings_it_says_what_to_add(house):
    (house / "tollhouse.yaml").write_text("tollhouse: 1\ndata: .tollhouse\n")
    with pytest.raises(StartError, match="the settings name no 'encryption:'"):
        run("rewrap")
