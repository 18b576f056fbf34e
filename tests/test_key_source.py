"""Where a key is found, and when it is not taken from there."""

from __future__ import annotations

import pytest

from gateway.config import Settings
from gateway.errors import StartError
from gateway.key_source import KeySource


def test_a_key_file_must_be_private(tmp_path):
    file = tmp_path / "key"
    file.write_text("sk-1\n")
    source = KeySource(file=str(file))
    file.chmod(0o644)
    with pytest.raises(StartError, match="chmod 600"):
        source.read({})
    file.chmod(0o600)
    assert source.read({}) == "sk-1"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(StartError, match="is no text"):
        source.read({})
    file.unlink()
    with pytest.raises(StartError, match="cannot read"):
        source.read({})


@pytest.mark.parametrize("given", [{}, {"env": ""}, {"file": ""}, {"env": "A", "file": "b"}, {"env": "", "file": "b"}, {"env": " "}])
def test_a_source_names_one_place(given):
    with pytest.raises(ValueError, match="give exactly one of 'env' and 'file'"):
        KeySource(**given)


@pytest.mark.parametrize("key", ["sk-made-up-1", "A B", "1KEY", "made/up+key=", "$OPENAI_API_KEY", "sk-ant-api03-x\n"])
def test_what_is_no_name_of_a_variable_is_refused_and_not_repeated(key):
    with pytest.raises(ValueError, match="'env' is the name of a variable, not what it holds") as told:
        Settings.model_validate({"upstreams": {"u": {"dialect": "openai.chat", "base_url": "https://a.example", "key": {"env": key}}}})
    assert key.strip() not in told.value.errors()[0]["msg"]


def test_a_key_variable_that_is_unset_or_empty_is_no_key():
    source = KeySource(env="OPENAI_API_KEY")
    assert source.read({"OPENAI_API_KEY": "sk"}) == "sk"
    assert source.read({"OPENAI_API_KEY": ""}) is None
    assert source.read({}) is None
