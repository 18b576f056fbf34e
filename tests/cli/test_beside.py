"""Which state a command works on: the one the gateway beside it asks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.cli import asking
from gateway.cli.beside import folder_beside, settings_beside, settings_there, user_name
from gateway.config import Settings
from gateway.errors import StartError

THERE = "redis://cache:6379/0?prefix=th"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A data folder whose gateway had its state on a server."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOLLHOUSE_STATE", "TOLLHOUSE_DATA"):
        monkeypatch.delenv(name, raising=False)
    data = tmp_path / "data"
    data.mkdir()
    (data / "settings.json").write_text(Settings(data=str(data), state=THERE).model_dump_json())
    return data


def test_with_data_given_the_state_is_where_the_gateway_of_that_folder_had_it(folder):
    assert settings_beside(folder).state == THERE


def test_a_folder_where_nothing_ran_has_its_state_inside(folder, tmp_path):
    assert settings_beside(tmp_path / "new").state == "sqlite"


def test_the_environment_says_it_before_the_folder(folder, monkeypatch):
    monkeypatch.setenv("TOLLHOUSE_STATE", "redis://other")
    assert settings_beside(folder).state == "redis://other"


def test_a_settings_file_here_says_it(folder, tmp_path):
    (tmp_path / "tollhouse.yaml").write_text("tollhouse: 1\ndata: data\nstate: {url: 'redis://file', password: {env: WORD}}\n")
    found = settings_beside(None)
    assert (found.data_path, found.state.url, found.state.password.env) == (folder, "redis://file", "WORD")
    assert settings_beside(folder).state == THERE


def test_a_password_in_the_env_file_is_found(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("WORD", raising=False)
    (tmp_path / "tollhouse.yaml").write_text("tollhouse: 1\nstate: {url: 'redis://file', password: {env: WORD}}\n")
    (tmp_path / ".env").write_text("WORD=made-up\n")
    try:
        assert settings_beside(None).state.password.read(os.environ) == "made-up"
    finally:
        os.environ.pop("WORD", None)


def test_settings_of_another_version_are_not_guessed_at(folder):
    (folder / "settings.json").write_text('{"tollhouse": 1, "something_new": 3}')
    with pytest.raises(StartError, match="of another version of tollhouse"):
        settings_beside(folder)


@pytest.fixture
def unnamed(tmp_path, monkeypatch):
    """A folder in which nothing says where the data are."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOLLHOUSE_DATA", "TOLLHOUSE_ADMIN_URL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return tmp_path


def test_every_command_works_on_the_data_folder_that_up_would_use(unnamed, monkeypatch):
    assert folder_beside(None) == unnamed / ".tollhouse"
    (unnamed / "tollhouse.yaml").write_text("data: by-file\n")
    assert folder_beside(None) == unnamed / "by-file"
    (unnamed / ".env").write_text("TOLLHOUSE_DATA=by-env\n")
    assert folder_beside(None) == unnamed / "by-env"
    monkeypatch.setenv("TOLLHOUSE_DATA", "by-variable")
    assert folder_beside(None) == unnamed / "by-variable"
    assert folder_beside(Path("by-flag")) == unnamed / "by-flag"


def test_the_book_is_asked_where_the_settings_file_puts_it(unnamed):
    (unnamed / "tollhouse.yaml").write_text("data: elsewhere\n")
    with pytest.raises(StartError, match=r"no data folder .*/elsewhere: "):
        asking.data_folder(None)
    (unnamed / "elsewhere").mkdir()
    assert asking.data_folder(None) == unnamed / "elsewhere"


def test_a_gateway_that_is_elsewhere_needs_no_settings_here(unnamed, monkeypatch):
    monkeypatch.setenv("TOLLHOUSE_ADMIN_URL", "https://gate.example.com")
    (unnamed / "tollhouse.yaml").write_text("nonsense: 1\n")
    asking.data_folder(None)


def test_whoever_looks_makes_no_data_folder(unnamed):
    with pytest.raises(StartError, match=r"no data folder .*/mistyped: .* --data"):
        settings_there(Path("mistyped"))
    assert not (unnamed / "mistyped").exists()


def test_a_user_without_a_name_on_this_machine_is_written_down_by_number(monkeypatch):
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_000_000_001)
    assert user_name() == "uid:2000000001"
