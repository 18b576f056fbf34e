"""`tollhouse keys`: what it prints, what it keeps, how it refuses."""

from __future__ import annotations

import json
import re
import time

import pytest
from typer.testing import CliRunner

from gateway.cli.keys import app
from gateway.config import Settings
from gateway.installation import open_keys


@pytest.fixture
def keys(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLHOUSE_DATA", raising=False)
    data = str(tmp_path / "data")

    def run(*arguments: str):
        return CliRunner().invoke(app, [*arguments, "--data", data])

    run.data = data
    return run


def found(keys, token: str):
    store = open_keys(Settings(data=keys.data))
    try:
        return store.find(token, time.time_ns() // 1000)
    finally:
        store.close()


def test_a_key_is_shown_once_and_works(keys):
    done = keys("create", "--agent", "bank-bot", "--team", "pay", "--user", "ann", "--label", "env=test", "--label", "x=a=b")
    assert done.exit_code == 0
    token = done.stdout.splitlines()[0]
    assert re.fullmatch(r"th_\w{8}_\w{43}", token)
    record = found(keys, token)
    assert (record.agent, record.team, record.user) == ("bank-bot", "pay", "ann")
    assert dict(record.labels) == {"env": "test", "x": "a=b"}
    listed = keys("list").stdout + keys("list", "--json").stdout
    assert token not in listed
    assert token.split("_")[2] not in listed


def test_json_is_for_machines(keys):
    made = json.loads(keys("create", "--agent", "a", "--json").stdout)
    (listed,) = json.loads(keys("list", "--json").stdout)
    assert made["key"].split("_")[1] == made["id"] == listed["id"]
    assert (listed["agent"], listed["state"], listed["last4"]) == ("a", "active", made["key"][-4:])


@pytest.mark.parametrize("by_id", [True, False])
def test_a_revoked_key_ends(keys, by_id):
    made = json.loads(keys("create", "--agent", "a", "--json").stdout)
    assert keys("revoke", made["id"] if by_id else made["key"]).exit_code == 0
    assert found(keys, made["key"]) is None
    assert json.loads(keys("list", "--json").stdout)[0]["state"] == "revoked"


def test_an_expired_key_is_listed_as_expired(keys):
    made = json.loads(keys("create", "--agent", "a", "--expires-days", "0", "--json").stdout)
    assert found(keys, made["key"]) is None
    assert json.loads(keys("list", "--json").stdout)[0]["state"] == "expired"


def test_an_unknown_key_cannot_be_revoked_and_says_where_to_look(keys):
    done = keys("revoke", "nobody")
    assert done.exit_code == 1
    assert "keys list" in done.output


@pytest.mark.parametrize(
    "arguments",
    [["create"], ["create", "--agent", ""], ["create", "--agent", "bad name"], ["create", "--agent", "a", "--label", "novalue"]],
)
def test_what_cannot_be_a_key_is_a_usage_error(keys, arguments):
    assert keys(*arguments).exit_code == 2
    assert json.loads(keys("list", "--json").stdout) == []


def test_the_settings_file_names_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLHOUSE_DATA", raising=False)
    (tmp_path / "tollhouse.yaml").write_text("data: elsewhere\n")
    assert CliRunner().invoke(app, ["create", "--agent", "a"]).exit_code == 0
    assert (tmp_path / "elsewhere" / "state.sqlite").exists()


def test_a_key_says_what_is_kept_of_its_content(keys):
    token = keys("create", "--agent", "a", "--store", "metadata").stdout.splitlines()[0]
    assert found(keys, token).store == "metadata"
    assert "metadata" in keys("list").stdout
    assert keys("create", "--agent", "a", "--store", "none").exit_code == 2
