"""`tollhouse sessions`: what is stopped, and how it goes on."""

from __future__ import annotations

import contextlib
import json

import pytest
from typer.testing import CliRunner

from gateway.cli.sessions import app
from gateway.config import Settings
from gateway.installation import open_sessions
from gateway.state.sessions import Denial


@pytest.fixture
def sessions(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOLLHOUSE_DATA", raising=False)
    data = str(tmp_path / "data")
    (tmp_path / "data").mkdir()

    def run(*arguments: str):
        return CliRunner().invoke(app, [*arguments, "--data", data])

    def stop(session: str, agent: str = "coder", user: str | None = None, team: str | None = None, org: str | None = None) -> None:
        with contextlib.closing(open_sessions(Settings(data=data))) as store:
            owner = f"{agent}/{user}/{team}/{org}"
            store.denied(Denial(owner, session, agent, team, user, 1_790_000_000_000_000, "bank", "never", "x", "dec_1", org), most=1)

    run.stop = stop
    return run


def test_what_is_stopped_is_listed_with_the_rule_that_stopped_it(sessions):
    assert sessions("list").stdout == "No session is stopped.\n"
    sessions.stop("ses-1")
    [row] = json.loads(sessions("list", "--json").stdout)
    assert (row["session"], row["agent"], row["policy"], row["rule"], row["denials"]) == ("ses-1", "coder", "bank", "never", 1)
    assert row["stopped"] == "2026-09-21 14:13:20Z"
    assert "ses-1" in sessions("list").stdout


def test_a_resumed_session_is_not_listed_any_more(sessions):
    sessions.stop("ses-1")
    told = sessions("resume", "ses-1", "--by", "ann", "--json").stdout
    assert json.loads(told) == {"agent": "coder", "session": "ses-1", "state": "resumed", "by": "ann"}
    assert json.loads(sessions("list", "--json").stdout) == []


def test_a_session_that_is_not_stopped_cannot_be_resumed(sessions):
    done = sessions("resume", "ses-9")
    assert done.exit_code == 1
    assert "tollhouse sessions list" in done.output


def test_of_several_callers_with_a_session_of_one_name_one_must_be_named(sessions):
    sessions.stop("main", "coder", "ann")
    sessions.stop("main", "coder", "eve")
    sessions.stop("main", "bank")
    assert "--agent, --team, --user" in sessions("resume", "main").output
    assert sessions("resume", "main", "--agent", "coder", "--user", "eve").exit_code == 0
    assert [(row["agent"], row["user"]) for row in json.loads(sessions("list", "--json").stdout)] == [("coder", "ann"), ("bank", None)]


def test_sessions_of_one_name_of_teams_and_organisations_are_told_apart(sessions):
    for team, org in (("pay", None), ("pay", "acme"), (None, None)):
        sessions.stop("main", "coder", "ann", team, org)
    several = sessions("resume", "main", "--agent", "coder").output
    assert "coder (team acme/pay, user ann), coder (team none, user ann), coder (team pay, user ann)" in several
    assert sessions("resume", "main", "--team", "acme/pay").exit_code == 0
    assert sessions("resume", "main", "--team", "").exit_code == 0
    assert [(row["org"], row["team"]) for row in json.loads(sessions("list", "--json").stdout)] == [(None, "pay")]


def test_the_name_of_a_session_cannot_write_on_the_terminal(sessions):
    sessions.stop("a\x1b[31mb")
    assert "\x1b" not in sessions("list").stdout


def test_an_agent_is_paused_and_goes_on(sessions):
    told = sessions("pause", "coder", "--why", "it loops", "--by", "eve", "--json").stdout
    assert json.loads(told) == {"agent": "coder", "state": "paused", "by": "eve", "why": "it loops"}
    again = sessions("pause", "coder", "--why", "too", "--by", "bob")
    assert (again.exit_code, "paused already" in again.output) == (1, True)
    [row] = json.loads(sessions("list", "--json").stdout)
    assert (row["session"], row["agent"], row["by"], row["why"]) == ("", "coder", "eve", "it loops")
    assert sessions("resume").exit_code == 2
    assert "not paused" in sessions("resume", "--agent", "another").output
    assert "goes on" in sessions("resume", "--agent", "coder").stdout
    assert json.loads(sessions("list", "--json").stdout) == []
