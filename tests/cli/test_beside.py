"""Which state a command works on: the one the gateway beside it asks."""

from __future__ import annotations

import os

import pytest

from gateway.cli.beside import settings_beside
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
    assert settings_beside(str(folder)).state == THERE


def test_a_folder_where_nothing_ran_has_its_state_inside(folder, tmp_path):
    assert settings_beside(str(tmp_path / "new")).state == "sqlite"


def test_the_environment_says_it_before_the_folder(folder, monkeypatch):
    monkeypatch.setenv("TOLLHOUSE_STATE", "redis://other")
    assert settings_beside(str(folder)).state == "redis://other"


def test_a_settings_file_here_says_it(folder, tmp_path):
    (tmp_path / "tollhouse.yaml").write_text("tollhouse: 1\ndata: data\nstate: {url: 'redis://file', password: {env: WORD}}\n")
    found = settings_beside(None)
    assert (found.data_path, found.state.url, found.state.password.env) == (folder, "redis://file", "WORD")
    assert settings_beside(str(folder)).state == THERE


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
        settings_beside(str(folder))
