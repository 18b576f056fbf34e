"""Upstreams that are a cloud's: what of them is refused when the settings are read, and what before the gateway starts."""

from __future__ import annotations

import json

import pytest

from gateway.config import Settings
from gateway.errors import StartError
from gateway.installation import check_platforms, provider_secrets

BEDROCK = {"bedrock": {"region": "us-east-1"}}
VERTEX = {"vertex": {"project": "p-1", "location": "us-east5"}}


def settings(platform, dialect="anthropic.messages", key=True, tmp_path=".", provider=None):
    place = {"dialect": dialect, "base_url": "https://cloud.example", "platform": platform, "provider": provider}
    return Settings.model_validate({"data": str(tmp_path), "upstreams": {"c": place | ({"key": {"env": "CLOUD_KEY"}} if key else {})}})


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"platform": {}}, "exactly one of 'bedrock' and 'vertex'"),
        ({"platform": BEDROCK | VERTEX}, "exactly one of 'bedrock' and 'vertex'"),
        ({"platform": BEDROCK, "dialect": "openai.responses"}, "anthropic.messages or openai.chat here, not in openai.responses"),
        ({"platform": BEDROCK, "dialect": ["anthropic.messages", "google.gemini"]}, "not in google.gemini"),
        ({"platform": VERTEX, "dialect": "openai.responses"}, "anthropic.messages or google.gemini here, not in openai.responses"),
        ({"platform": BEDROCK, "key": False}, "needs a 'key': ACCESS_KEY_ID:SECRET"),
        ({"platform": VERTEX, "key": False}, "needs a 'key': a service account's JSON; or 'credentials: machine'"),
        ({"platform": {"bedrock": BEDROCK["bedrock"] | {"credentials": "machine"}}}, "either a 'key' or 'credentials: machine', not both"),
        ({"platform": {"vertex": VERTEX["vertex"] | {"credentials": "machine"}}}, "either a 'key' or 'credentials: machine', not both"),
        ({"platform": {"bedrock": {"region": "us-east-1", "credentials": "role"}}, "key": False}, "machine"),
        ({"platform": {"bedrock": {"region": "us-east-1/../x"}}}, "region"),
        ({"platform": {"vertex": {"project": "p/q", "location": "us"}}}, "project"),
        ({"platform": BEDROCK, "provider": "azure"}, "either a 'platform' or a 'provider', not both"),
        ({"platform": None, "provider": "xai/grok"}, "provider"),
        ({"platform": None, "provider": ""}, "provider"),
    ],
)
def test_a_platform_that_cannot_work_is_refused_with_what_would(wrong, said):
    with pytest.raises(ValueError, match=said):
        settings(**wrong)


@pytest.mark.parametrize("key", ["AKIAZ7:", ":x", "a:b:c:d", "AKIAZ7:two words", "AKIAZ7:sécret"])
def test_a_key_of_bedrock_without_its_form_stops_the_start(monkeypatch, key):
    monkeypatch.setenv("CLOUD_KEY", key)
    with pytest.raises(StartError, match="ACCESS_KEY_ID:SECRET") as raised:
        check_platforms(settings(BEDROCK))
    assert key not in str(raised.value)


@pytest.mark.parametrize("key", ["AIzaMadeUp", "[]", '{"client_email":"a"}', '{"client_email":"a","private_key":1,"token_uri":"x"}'])
def test_a_key_of_vertex_that_is_no_service_account_stops_the_start(monkeypatch, key):
    monkeypatch.setenv("CLOUD_KEY", key)
    with pytest.raises(StartError, match="a service account's JSON"):
        check_platforms(settings(VERTEX))


def test_vertex_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setenv("CLOUD_KEY", json.dumps(dict.fromkeys(("client_email", "private_key", "token_uri"), "x")))
    with pytest.raises(StartError, match=r"pip install 'tollhouse\[vertex\]'"):
        check_platforms(settings(VERTEX))


def test_each_part_of_a_key_is_kept_secret(monkeypatch):
    monkeypatch.setenv("CLOUD_KEY", "AKIAZ7Z7Z7Z7Z7Z7:a-secret-of-nobody")
    assert {"AKIAZ7Z7Z7Z7Z7Z7", "a-secret-of-nobody"} <= provider_secrets(settings(BEDROCK))
