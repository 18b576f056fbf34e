"""Files of clients: what is written can be taken back, and nothing else is touched."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.cli import connect_files
from gateway.cli.connect_files import Blocks, Values, put, take_back
from gateway.errors import StartError

CODEX = Blocks('model_provider = "tollhouse"', '[model_providers.tollhouse]\nbase_url = "http://g/v1"')
CLAUDE = Values({("env", "ANTHROPIC_BASE_URL"): "http://g", ("env", "ANTHROPIC_API_KEY"): "th_key"})
ANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
INNER = st.dictionaries(st.sampled_from(["A", "ANTHROPIC_BASE_URL"]), JSONS)
SETTINGS = st.dictionaries(st.sampled_from(["env", "model", "x"]), INNER, max_size=3)


@ANY
@given(text=st.text(st.characters(codec="utf-8", exclude_characters="#"), max_size=60))
def test_blocks_are_taken_out_to_the_byte(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(text.encode())
    assert put(file, CODEX)
    assert text.encode() in file.read_bytes()
    assert not put(file, CODEX)
    assert take_back(file, blocks=True) == []
    assert (file.read_bytes() if file.exists() else b"") == text.encode()


def test_a_toml_file_stays_one_and_says_what_it_should(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "config.toml"
    put(file, CODEX)
    file.write_text(file.read_text().replace("# <<< tollhouse\n", '# <<< tollhouse\nmodel = "gpt-5"\n[tui]\na = 1\n', 1))
    told = tomllib.loads(file.read_text())
    assert (told["model_provider"], told["model"]) == ("tollhouse", "gpt-5")
    assert told["model_providers"]["tollhouse"]["base_url"] == "http://g/v1"
    take_back(file, blocks=True)
    assert file.read_text() == 'model = "gpt-5"\n[tui]\na = 1\n'


@ANY
@given(tree=SETTINGS, indent=st.sampled_from([2, 4]), end=st.sampled_from(["", "\n"]))
def test_values_are_put_back_to_the_byte(tmp_path: Path, tree: dict[str, Any], indent: int, end: str) -> None:
    file = tmp_path / "settings.json"
    text = json.dumps(tree, indent=indent) + end
    file.write_text(text)
    assert put(file, CLAUDE)
    assert json.loads(file.read_text())["env"]["ANTHROPIC_BASE_URL"] == "http://g"
    assert not put(file, CLAUDE)
    assert take_back(file, blocks=False) == []
    assert file.read_text() == text
    assert not list(tmp_path.glob("*.tollhouse-undo.json"))


def test_a_value_that_somebody_changed_since_is_left_and_named(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{\n  "env": {"A": "1"}\n}\n')
    put(file, CLAUDE)
    tree = json.loads(file.read_text())
    tree["env"]["ANTHROPIC_BASE_URL"] = "http://mine"
    file.write_text(json.dumps(tree, indent=2))
    assert take_back(file, blocks=False) == ["env.ANTHROPIC_BASE_URL"]
    assert json.loads(file.read_text()) == {"env": {"A": "1", "ANTHROPIC_BASE_URL": "http://mine"}}


def test_a_file_that_was_not_there_is_gone_again_or_empty(tmp_path: Path) -> None:
    file = tmp_path / "new" / "settings.json"
    put(file, CLAUDE)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    take_back(file, blocks=False)
    assert not file.exists()


@pytest.mark.parametrize("text", ["{ // comment\n}", "[1]", '{"env": 7}', "{"])
def test_a_file_that_cannot_be_edited_safely_is_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "settings.json"
    file.write_text(text)
    with pytest.raises(StartError, match="by hand"):
        put(file, CLAUDE)
    assert file.read_text() == text


def test_what_was_never_written_cannot_be_taken_back(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="nothing is remembered"):
        take_back(tmp_path / "settings.json", blocks=False)


def test_where_nothing_was_written_nothing_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("a = 1\n")
    for name in ("mine.toml", "none.toml"):
        with pytest.raises(StartError, match="nothing of tollhouse is in"):
            take_back(tmp_path / name, blocks=True)
    assert (tmp_path / "mine.toml").read_text() == "a = 1\n"


def test_a_key_is_never_left_where_others_can_read(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text("{}")
    file.chmod(0o644)
    put(file, CLAUDE)
    for each in tmp_path.iterdir():
        assert stat.S_IMODE(each.stat().st_mode) & 0o077 == 0


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "config.toml"
    real.write_text("a = 1\n")
    link.symlink_to(real)
    put(link, CODEX)
    assert link.is_symlink()
    assert "tollhouse" in real.read_text()


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.toml"
    file.write_text("a = 1\n")

    def fails(_: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="disk full"):
        put(file, CODEX)
    assert file.read_text() == "a = 1\n"
    assert [each.name for each in tmp_path.iterdir()] == ["config.toml"]


def test_bytes_that_are_no_text_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match="by hand"):
        put(file, CODEX)
    assert connect_files.BEGIN.encode() not in file.read_bytes()
