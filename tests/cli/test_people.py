"""`tollhouse people`: what it prints, what it keeps, how it refuses."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gateway.cli.people import app
from gateway.config import Settings
from gateway.installation import open_people
from gateway.supervisor import settings_file


@pytest.fixture
def people(commands):
    return commands(app)


def found(people, token: str):
    return people.found(open_people, token)


def test_a_token_is_shown_once_and_works(people):
    done = people("add", "ada", "--role", "approver", "--role", "viewer-content", "--team", "red")
    token = done.stdout.splitlines()[0]
    assert (found(people, token).id, found(people, token).teams) == ("ada", ("red",))
    listed = people("list").stdout + people("list", "--json").stdout
    assert token.split("_")[2] not in listed
    assert json.loads(people("list", "--json").stdout)[0]["roles"] == ["viewer-content", "approver"]


def test_where_there_is_nobody_the_list_says_how_somebody_is_added(people):
    assert people("list").stdout == "There is nobody yet; 'tollhouse people add NAME --role ROLE' adds somebody.\n"
    assert json.loads(people("list", "--json").stdout) == []


def test_roles_and_teams_are_replaced_and_somebody_is_removed(people):
    made = json.loads(people("add", "ada@example.org", "--role", "admin", "--json").stdout)
    assert json.loads(people("roles", "ada@example.org", "--role", "viewer-metadata", "--team", "blue", "--json").stdout) == {
        "person": "ada@example.org", "roles": ["viewer-metadata"], "teams": ["blue"],
    }  # fmt: skip
    assert found(people, made["token"]).roles == ("viewer-metadata",)
    assert people("remove", "ada@example.org").exit_code == 0
    assert found(people, made["token"]) is None
    assert "removed" in people("list").stdout


def test_an_invitation_is_an_address_that_lets_one_person_set_a_password(people):
    done = json.loads(people("invite", "Ada", "--role", "approver", "--role", "admin", "--json").stdout)
    assert (done["person"], done["roles"]) == ("ada", ["approver", "admin"])
    assert done["address"].startswith("http://127.0.0.1:8485/ui/begin?token=")
    store = open_people(Settings(data=people.data))
    now = time.time_ns() // 1000
    made = store.join(done["address"].partition("token=")[2], "ada", "scrypt:00:11", now)
    store.close()
    assert (made.roles, made.teams) == (("approver", "admin"), None)
    listed = json.loads(people("list", "--json").stdout)
    assert [(each["person"], each["password"], each["last4"]) for each in listed] == [("ada", True, "")]
    assert people("invite", "ada").exit_code == 0
    for wrong in (["invite", "ada", "--role", "admin"], ["invite", "bob"], ["invite"], ["invite", "b b", "--role", "admin"]):
        assert people(*wrong).exit_code == 2, wrong


def test_an_invitation_leads_to_the_gateway_that_runs_and_to_where_it_is_reached_from(people):
    data = Path(people.data)
    (data / "run.json").write_text('{"listen": "http://127.0.0.1:1", "admin": "http://127.0.0.1:2"}')
    assert people("invite", "--role", "admin").stdout.startswith("http://127.0.0.1:2/ui/begin?token=")
    ran = Settings.model_validate({"data": people.data, "face": {"url": "https://tollhouse.example.com"}})
    settings_file(data).write_text(ran.model_dump_json())
    assert people("invite", "--role", "admin").stdout.startswith("https://tollhouse.example.com/ui/begin?token=")


def test_a_token_is_renewed_and_ended(people):
    first = json.loads(people("add", "ada", "--role", "approver", "--json").stdout)["token"]
    second = people("token", "ADA").stdout.strip()
    assert (found(people, first), found(people, second).id) == (None, "ada")
    assert people("token", "ada", "--end").exit_code == 0
    assert found(people, second) is None
    assert people("token", "eve").exit_code == 1
    assert people("token", "eve", "--end").exit_code == 1


@pytest.mark.parametrize(
    "wrong",
    [
        ["add", "ada"],
        ["add", "ada", "--role", "root"],
        ["add", "ada", "--role", "Admin"],
        ["add", "", "--role", "admin"],
        ["add", "admin.token", "--role", "admin"],
        ["add", "a\u202eda", "--role", "admin"],
        ["add", "a da", "--role", "admin"],
        ["add", "ada", "--role", "admin", "--team", " red"],
        ["add", "ada", "--role", "admin", "--team", ""],
        ["add", "ada", "--role", "admin", "--team", "pay*"],
        ["add", "ada", "--role", "admin", "--team", "acme/pay*"],
        ["roles", "ada"],
    ],
)
def test_what_has_no_one_meaning_is_a_usage_error(people, wrong):
    assert people(*wrong).exit_code == 2
    assert json.loads(people("list", "--json").stdout) == []


def test_somebody_is_told_by_their_name_however_it_was_typed(people):
    assert json.loads(people("add", "Ada", "--role", "admin", "--json").stdout)["person"] == "ada"
    assert json.loads(people("roles", " ADA ", "--role", "approver", "--json").stdout)["person"] == "ada"
    assert people("remove", "ADA", "--json").stdout == '{"person": "ada", "state": "removed"}\n'


def test_whose_time_is_over_is_here_no_longer_and_can_be_added_again(people):
    people("add", "ada", "--role", "admin", "--expires-days", "0")
    for arguments in (["token", "ada"], ["token", "ada", "--end"], ["roles", "ada", "--role", "approver"]):
        done = people(*arguments)
        assert (done.exit_code, "people list" in done.output) == (1, True), arguments
    again = people("add", "ada", "--role", "approver").stdout.strip()
    assert (found(people, again).id, found(people, again).roles) == ("ada", ("approver",))


def test_nobody_unknown_is_changed_and_it_says_where_to_look(people):
    for arguments in (["roles", "bob", "--role", "admin"], ["remove", "bob"]):
        done = people(*arguments)
        assert (done.exit_code, "people list" in done.output) == (1, True)
