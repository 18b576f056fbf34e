"""`tollhouse connect`: what the printed lines do in a real shell and in real SDKs."""

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.cli.connect import lines
from gateway.cli.connect_clients import CLIENTS
from gateway.cli.main import app

ROOT = "http://127.0.0.1:9"


def connect(*args):
    return CliRunner().invoke(app, ["connect", *args])


@pytest.mark.parametrize(
    ("client", "program", "expected"),
    [
        ("openai", "import openai; c = openai.OpenAI(); print(c.base_url, c.api_key)", f"{ROOT}/v1/ th_a_b"),
        ("anthropic", "import anthropic; c = anthropic.Anthropic(); print(c.base_url, c.api_key)", f"{ROOT} th_a_b"),
    ],
)
def test_an_unmodified_sdk_takes_gateway_and_key_from_the_printed_lines(client, program, expected):
    script = "\n".join([*lines(client, ROOT, "th_a_b"), 'exec "$0" -c "$1"'])
    done = subprocess.run(["sh", "-c", script, sys.executable, program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_key_is_data_to_the_shell_whatever_it_holds(key):
    script = "\n".join([*lines("openai", ROOT, key), 'printf %s "$OPENAI_API_KEY"'])
    assert subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout == key


@pytest.mark.parametrize("client", CLIENTS)
def test_standard_output_holds_only_shell_lines(client):
    done = connect(client, "--url", ROOT + "/")
    assert done.exit_code == 0
    assert all(line.startswith("export ") for line in done.stdout.splitlines())
    if CLIENTS[client].content is None or client == "claude-code":
        assert f"={ROOT}" in done.stdout
    else:
        assert "--write" in done.stderr
    assert "{" not in done.stdout


@pytest.mark.parametrize("args", [("nobody",), ("openai", "--key", "a b"), ("openai", "--key", ""), ("openai", "--url", "x")])
def test_what_cannot_be_meant_is_a_usage_error_and_prints_no_lines(args):
    done = connect(*args)
    assert (done.exit_code, done.stdout) == (2, "")


def test_a_gateway_that_listens_everywhere_is_reached_on_loopback(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "TOLLHOUSE_LISTEN", "0.0.0.0:9000")
    assert "OPENAI_BASE_URL=http://127.0.0.1:9000/v1" in connect("openai").stdout


def test_every_client_is_in_the_list():
    assert all(name in connect().stdout for name in CLIENTS)


@pytest.mark.parametrize(
    ("client", "file"),
    [("claude-code", ".claude/settings.json"), ("codex", ".codex/config.toml"), ("gemini-cli", ".gemini/.env")],
)
def test_what_is_written_for_a_client_can_be_taken_back(client, file, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    given = ["connect", client, "--url", "http://127.0.0.1:9/v1", "--key", "th_key"]
    assert CliRunner().invoke(app, [*given, "--write"]).exit_code == 0
    assert "http://127.0.0.1:9" in (tmp_path / file).read_text()
    again = CliRunner().invoke(app, [*given, "--write"])
    assert "nothing to change" in again.output
    assert CliRunner().invoke(app, ["connect", client, "--undo"]).exit_code == 0
    assert not (tmp_path / file).exists()


def test_the_settings_of_sdks_go_into_the_projects_env_file(tmp_path):
    (tmp_path / ".env").write_text("A=1")
    assert (
        CliRunner()
        .invoke(app, ["connect", "openai", "--url", "http://127.0.0.1:9", "--write", "--project", str(tmp_path)])
        .exit_code
        == 0
    )
    assert "OPENAI_BASE_URL=http://127.0.0.1:9/v1" in (tmp_path / ".env").read_text()
    CliRunner().invoke(app, ["connect", "openai", "--undo", "--project", str(tmp_path)])
    assert (tmp_path / ".env").read_text() == "A=1"


@pytest.mark.parametrize("its_own", ["tollhouse.yaml", ".tollhouse"])
def test_nothing_is_written_where_a_gateway_would_read_it_as_the_provider_s_key(tmp_path, its_own):
    (tmp_path / its_own).mkdir() if its_own == ".tollhouse" else (tmp_path / its_own).write_text("tollhouse: 1\n")
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-its-own\n")
    done = CliRunner().invoke(app, ["connect", "openai", "--url", ROOT, "--write", "--project", str(tmp_path)])
    assert (done.exit_code, "--project" in done.output) == (2, True)
    assert (tmp_path / ".env").read_text() == "OPENAI_API_KEY=sk-its-own\n"
    assert CliRunner().invoke(app, ["connect", "opencode", "--url", ROOT, "--write", "--project", str(tmp_path)]).exit_code == 0


def test_writing_and_undoing_at_once_is_a_usage_error():
    assert CliRunner().invoke(app, ["connect", "openai", "--write", "--undo"]).exit_code == 2
