"""`tollhouse keys`: what it prints, what it keeps, how it refuses."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from gateway.cli.keys import app
from gateway.cli.main import app as every_verb
from gateway.errors import GatewayError
from gateway.installation import open_keys
from gateway.scope import KeyScope
from tests.ports import free_port


@pytest.fixture
def keys(commands):
    return commands(app)


def found(keys, token: str):
    return keys.found(open_keys, token)


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


def test_where_there_is_no_key_the_list_says_how_one_is_made(keys):
    assert keys("list").stdout == "There is no key yet; 'tollhouse keys create --agent NAME' makes one.\n"
    assert json.loads(keys("list", "--json").stdout) == []


def test_teams_are_listed_as_people_are_bound_to_them(keys):
    for given in (["--team", "pay", "--org", "acme"], ["--team", "pay"], []):
        keys("create", "--agent", "a", *given)
    table = [line.split("│")[3].strip() for line in keys("list").stdout.splitlines() if line.startswith("│")]
    assert "".join(table) == "acme/paypay"
    listed = json.loads(keys("list", "--json").stdout)
    assert {(row["org"], row["team"]) for row in listed} == {("acme", "pay"), (None, "pay"), (None, None)}


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
    [
        ["create"], ["create", "--agent", ""], ["create", "--agent", "bad name"], ["create", "--agent", "a", "--label", "novalue"],
        ["create", "--agent", "a", "--label", "env=test", "--label", "env=live"], ["create", "--agent", "a", "--label", " env=test"],
        ["create", "--agent", "a", "--team", "pay*"],
    ],
)  # fmt: skip
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


def test_a_key_is_bound_to_models_dialects_and_upstreams_and_shows_it(keys):
    bound = ["--model", "gpt-*", "--model", "o9", "--dialect", "openai.chat", "--upstream", "eu"]
    made = json.loads(keys("create", "--agent", "a", "--org", "acme", *bound, "--json").stdout)
    shown = json.loads(keys("show", made["id"], "--json").stdout)
    assert shown["scope"] == {"models": ["gpt-*", "o9"], "dialects": ["openai.chat"], "upstreams": ["eu"]}
    assert (shown["org"], shown["family"], shown["live_beside"]) == ("acme", made["id"], [])
    assert found(keys, made["key"]).scope == KeyScope(("openai.chat",), ("gpt-*", "o9"), ("eu",))
    assert "acme" in keys("show", made["key"]).stdout
    assert made["key"].split("_")[2] not in keys("show", made["id"]).stdout


@pytest.mark.parametrize("wrong", [["--dialect", "openai"], ["--team", " red"], ["--team", "r\u202eed"], ["--org", ""], ["--user", "a\nb"]])
def test_a_scope_or_a_name_that_could_be_misread_is_a_usage_error(keys, wrong):
    assert keys("create", "--agent", "a", *wrong).exit_code == 2


def test_a_rotated_key_leaves_two_live_until_the_old_one_ends(keys):
    old = json.loads(keys("create", "--agent", "a", "--json").stdout)
    new = json.loads(keys("rotate", old["id"], "--keep-old", "2h", "--why", "yearly", "--json").stdout)
    assert new["replaces"] == old["id"]
    assert found(keys, old["key"]).agent == found(keys, new["key"]).agent == "a"
    assert json.loads(keys("show", old["id"], "--json").stdout)["live_beside"] == [new["id"]]
    assert keys("rotate", new["id"]).exit_code == 1
    last = keys("revoke", old["id"], "--json")
    assert json.loads(last.stdout) == {"id": old["id"], "state": "revoked"}
    assert keys("rotate", new["id"], "--keep-old", "0").exit_code == 0
    assert found(keys, new["key"]) is None


@pytest.mark.parametrize("length", ["", "1", "-1h", "1w", "1.5h", "²h", "99999999d"])
def test_a_length_of_time_is_a_number_and_a_unit(keys, length):
    made = json.loads(keys("create", "--agent", "a", "--json").stdout)
    assert keys("rotate", made["id"], f"--keep-old={length}").exit_code == 2
    assert len(json.loads(keys("list", "--json").stdout)) == 1


def test_what_is_no_key_is_not_shown(keys):
    for what in ("show", "revoke", "rotate"):
        done = keys(what, "nobody")
        assert (done.exit_code, "keys list" in done.output) == (1, True)


def test_a_key_for_an_upstream_that_there_is_not_is_made_and_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLHOUSE_DATA", raising=False)
    (tmp_path / "tollhouse.yaml").write_text("upstreams: {local: {dialect: openai.chat, base_url: 'http://127.0.0.1:9/v1'}}\n")
    made = CliRunner().invoke(app, ["create", "--agent", "a", "--upstream", "locl", "--upstream", "local"])
    assert (made.exit_code, len(made.stdout.splitlines())) == (0, 1)
    assert "no upstream 'locl' in the settings; did you mean 'local'?" in made.stderr
    assert "no upstream" not in CliRunner().invoke(app, ["create", "--agent", "a", "--upstream", "local"]).stderr


@pytest.mark.parametrize("arguments", [["create", "--agent", "a"], ["list"], ["teams"]])
def test_a_folder_without_a_name_is_not_the_one_somebody_stands_in(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [*arguments, "--data", ""])
    assert (done.exit_code, "--data" in done.output, list(tmp_path.iterdir())) == (2, True, [])


@pytest.mark.parametrize("arguments", [["list"], ["show", "a"], ["rotate", "a"], ["revoke", "a"], ["teams"]])
def test_a_folder_that_was_mistyped_is_said_and_not_made(arguments, tmp_path):
    done = CliRunner().invoke(app, [*arguments, "--data", str(tmp_path / "mistyped")])
    assert "no data folder" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("program", ["keys", "people", "sessions"])
def test_nothing_is_made_or_looked_up_with_another_secret_than_that_of_the_machines(program, tmp_path, monkeypatch, redis_server):
    monkeypatch.setenv("TOLLHOUSE_STATE", redis_server.url())
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    assert CliRunner().invoke(app, ["create", "--agent", "a", "--data", first]).exit_code == 0
    (tmp_path / "second").mkdir()
    people = ["people", "add", "ada", "--role", "admin"]
    command = {"keys": ["keys", "create", "--agent", "b"], "people": people, "sessions": ["sessions", "list"]}
    done = CliRunner().invoke(every_verb, [*command[program], "--data", second])
    assert "copy the file 'secret'" in str(done.exception)
    assert list((tmp_path / "second").iterdir()) == []
    assert [each["agent"] for each in json.loads(CliRunner().invoke(app, ["list", "--json", "--data", first]).stdout)] == ["a"]


def test_a_server_that_is_away_is_said_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("TOLLHOUSE_STATE", f"redis://127.0.0.1:{free_port()}/0")
    done = CliRunner().invoke(app, ["create", "--agent", "a", "--data", str(tmp_path)])
    assert isinstance(done.exception, GatewayError)
    assert done.exception.code == "state_unavailable"
