"""The command line as a person with a token of their own: their rights, their name, and nothing of the data folder in their place."""

from __future__ import annotations

import json
import time

import pytest
from typer.testing import CliRunner

from gateway.approval_settings import Approvals
from gateway.cli import approvals, sql
from gateway.cli.asking import admin_client
from gateway.cli.main import app as every_verb
from gateway.config import Settings
from gateway.errors import GatewayError, StartError
from gateway.installation import open_approvals, open_people
from gateway.state.approvals import Approval, Bindings
from gateway.state.people import PersonRecord
from gateway.web import admin
from gateway.web.approvals import ApprovalsDesk
from gateway.web.doors import Doors, admin_token, of_people
from tests.serving import served_at

FOLDERS = "tha_" + "f" * 40


@pytest.fixture
def at(tmp_path, monkeypatch):
    """An admin plane with approvals over a data folder, and two people."""
    for name in ("TOLLHOUSE_TOKEN", "TOLLHOUSE_ADMIN_URL", "TOLLHOUSE_DATA"):
        monkeypatch.delenv(name, raising=False)
    data = tmp_path / "data"
    settings = Settings(data=str(data))
    people, store = open_people(settings), open_approvals(settings)
    now = time.time_ns() // 1000
    tokens = {role: people.add(PersonRecord(f"of-{role}", (role,), "", now)) for role in ("approver", "viewer-metadata")}
    doors = Doors([admin_token(FOLDERS), of_people(people.find, lambda: time.time_ns() // 1000)])
    app = admin.create(None, doors, ["127.0.0.1"], ApprovalsDesk(store, Approvals(), lambda: time.time_ns() // 1000))  # type: ignore[arg-type]
    with served_at(app) as url:
        (data / "run.json").write_text(json.dumps({"admin": url}))
        (data / "admin.token").write_text(FOLDERS)

        def asked(n: int) -> str:
            given = {"agent": "a", "session": "s", "tool": "t", "arguments": "{}", "policy": "p", "rule": "r", "message": "m"}
            new = Approval(f"apr_{n}", now, now + 600_000_000, Bindings(f"o{n}", "s", "a"), decision="d", exchange="x", **given)
            return store.ask(new, 99).id

        yield data, url, tokens, asked, store
    people.close()
    store.close()


def run(*arguments: str):
    return CliRunner().invoke(approvals.app, [*arguments])


def test_who_decides_is_the_person_of_the_token_and_without_one_who_they_say(at, monkeypatch):
    data, _, tokens, asked, store = at
    assert run("approve", asked(1), "--by", "Somebody", "--data", str(data)).exit_code == 0
    monkeypatch.setenv("TOLLHOUSE_TOKEN", f" {tokens['approver']}\n")
    assert run("approve", asked(2), "--data", str(data)).exit_code == 0
    assert [store.find(name).decided_by for name in ("apr_1", "apr_2")] == ["Somebody", "of-approver"]
    said = run("deny", asked(3), "--by", "ada", "--data", str(data))
    assert isinstance(said.exception, GatewayError)
    assert "must be you" in str(said.exception)


def test_somebody_without_the_right_is_refused_though_the_folders_token_lies_beside(at, monkeypatch):
    data, _, tokens, asked, store = at
    monkeypatch.setenv("TOLLHOUSE_TOKEN", tokens["viewer-metadata"])
    done = run("approve", asked(1), "--data", str(data))
    assert "decide-approvals" in str(done.exception)
    monkeypatch.setenv("TOLLHOUSE_TOKEN", "thp_made_up")
    for told in (run("list", "--data", str(data)), CliRunner().invoke(every_verb, ["sql", "SELECT 1", "--data", str(data)])):
        assert "TOLLHOUSE_TOKEN proves nobody there" in str(told.exception)
    assert store.find("apr_1").state == "pending"


def test_a_gateway_elsewhere_is_asked_without_a_data_folder(at, tmp_path, monkeypatch):
    _, url, tokens, asked, store = at
    monkeypatch.setenv("TOLLHOUSE_ADMIN_URL", url)
    monkeypatch.setenv("TOLLHOUSE_TOKEN", tokens["approver"])
    assert run("approve", asked(1), "--data", str(tmp_path / "none")).exit_code == 0
    assert store.find("apr_1").decided_by == "of-approver"


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [
        ("http://tollhouse.example.com", "thp_x", "must begin with https://"),
        ("https://tollhouse.example.com", "", "set TOLLHOUSE_TOKEN, too"),
        ("https://u:p@tollhouse.example.com", "thp_x", "must be where the admin plane is reached"),
        ("tollhouse.example.com", "thp_x", "must be where the admin plane is reached"),
        ("file:///etc/passwd", "thp_x", "must be where the admin plane is reached"),
        ("https://tollhouse.example.com/ui/", "thp_x", "must be where the admin plane is reached"),
        ("https://tollhouse.example.com:99999", "thp_x", "must be where the admin plane is reached"),
        ("https://[::1", "thp_x", "must be where the admin plane is reached"),
        ("https://tollhouse.example.com", "thp_\u00e4", "TOLLHOUSE_TOKEN is no token"),
        ("https://tollhouse.example.com", "thp_x\nthp_y", "TOLLHOUSE_TOKEN is no token"),
    ],
)
def test_no_token_is_sent_where_it_should_not_go(at, monkeypatch, url, token, said):
    monkeypatch.setenv("TOLLHOUSE_ADMIN_URL", url)
    monkeypatch.setenv("TOLLHOUSE_TOKEN", token)
    with pytest.raises(StartError, match=said):
        admin_client(at[0])


@pytest.mark.parametrize("gone", ["no run.json", "nobody answers"])
def test_no_file_is_read_in_the_place_of_a_gateway_for_somebody_with_a_token(at, monkeypatch, gone):
    data, _, tokens, _, _ = at
    (data / "run.json").write_text('{"admin": "http://127.0.0.1:9"}')
    if gone == "no run.json":
        (data / "run.json").unlink()
    monkeypatch.setenv("TOLLHOUSE_TOKEN", tokens["approver"])
    with pytest.raises((StartError, GatewayError), match="no gateway"):
        sql.ask(data, "SELECT 1", 1, {})
