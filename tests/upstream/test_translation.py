"""Without litellm nothing is translated: what is refused at a start then, what is told, and what requests hear."""

from __future__ import annotations

import asyncio
import sys

import pytest

from gateway.config import Settings
from gateway.errors import GatewayError, StartError
from gateway.upstream import translate
from gateway.upstream.routing import Routes
from gateway.upstream.translation import look

UPSTREAMS = {
    "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": "https://api.openai.com/v1"},
    "spare": {"dialect": "openai.chat", "base_url": "http://127.0.0.1:1/v1"},
    "anthropic": {"dialect": "anthropic.messages", "base_url": "https://api.anthropic.com/v1"},
    "google": {"dialect": "google.gemini", "base_url": "https://google.example"},
}
PLAIN = [{"models": ["gpt-*", "o?"], "upstream": "openai"}, {"models": ["claude-*"], "upstream": "anthropic"}]


@pytest.fixture
def without_litellm(monkeypatch):
    """As where it is not installed: every import of it fails."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "litellm" or each == translate.ADAPTER]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "litellm", None)


def settings(*routes) -> Settings:
    return Settings(upstreams=UPSTREAMS, routes=list(routes))


def led(*names, **more) -> dict:
    return {"models": ["smart"], "targets": [{"upstream": name} for name in names], **more}


NEEDING = [
    (led("openai", "anthropic"), "openai.chat", "anthropic"),
    (led("anthropic", "spare"), "anthropic.messages", "spare"),
    (led("anthropic", "google"), "anthropic.messages", "google"),
    (led("google", "spare"), "openai.chat", "google"),
    ({"models": ["smart"], "upstream": "openai", "mirror": {"upstream": "anthropic"}}, "openai.chat", "anthropic"),
]


@pytest.mark.parametrize(("route", "client", "upstream"), NEEDING)
def test_targets_that_clients_of_another_could_not_ask_stop_the_start(without_litellm, route, client, upstream):
    with pytest.raises(StartError) as raised:
        look(settings(PLAIN[0], route))
    said = str(raised.value)
    assert said.startswith(f"routes[1] (smart) leads clients that speak {client} to the upstream '{upstream}' too")
    assert "litellm is not installed" in said
    assert "targets that speak one dialect" in said
    assert "requirements.lock" in said


@pytest.mark.parametrize(("route", "client", "upstream"), NEEDING)
def test_with_litellm_they_stop_nothing_and_nothing_is_told(route, client, upstream):
    assert look(settings(PLAIN[0], route)) == []


@pytest.mark.parametrize("route", [led("openai", "spare"), {"models": ["*"], "upstream": "spare", "mirror": {"upstream": "openai"}}])
def test_targets_of_which_none_needs_a_translation_stop_nothing(without_litellm, route):
    [warning] = look(settings(route))
    assert warning.startswith("litellm is not installed, so nothing is translated: ")


def test_whose_requests_are_turned_away_is_told_before_the_start(without_litellm):
    [warning] = look(settings(*PLAIN, {"models": ["gemini-*"], "upstream": "google"}))
    told = warning.removeprefix("litellm is not installed, so nothing is translated: ").partition(". If agents ask so, ")[0]
    assert told.split("; ") == [
        "gpt-*, o? is not served in anthropic.messages",
        "claude-* is not served in openai.chat",
        "gemini-* is not served in openai.chat",
        "gemini-* is not served in anthropic.messages",
    ]


def test_without_routes_there_is_nothing_to_tell(without_litellm):
    assert look(Settings(upstreams=UPSTREAMS)) == []


def test_a_request_that_would_want_one_is_told_that_its_model_is_not_served_and_why(without_litellm):
    routes = Routes(settings(*PLAIN), {})
    assert routes.find("openai.chat", "gpt-4o").name == "openai"
    with pytest.raises(GatewayError, match=r"Models served in this dialect: claude-\*\. .*litellm is not installed") as raised:
        routes.find("anthropic.messages", "gpt-4o")
    assert (raised.value.kind, raised.value.code) == ("not_found", "model_not_found")


def test_with_litellm_the_same_request_is_led_on_and_an_unknown_model_hears_nothing_of_it():
    routes = Routes(settings(*PLAIN), {})
    assert routes.find("anthropic.messages", "gpt-4o").name == "openai"
    with pytest.raises(GatewayError) as raised:
        routes.find("anthropic.messages", "nope")
    assert "litellm" not in str(raised.value)


def test_a_litellm_that_cannot_be_loaded_ends_the_request_and_not_the_worker(without_litellm):
    with pytest.raises(GatewayError, match="litellm cannot be loaded") as raised:
        asyncio.run(translate.load())
    assert (raised.value.kind, raised.value.code) == ("unavailable", "no_translation")


def bedrock(dialect) -> Settings:
    place = {"base_url": "https://bedrock.example", "platform": {"bedrock": {"region": "us-east-1"}}, "key": {"env": "NOBODYS"}}
    return Settings.model_validate({"upstreams": {"aws": place | {"dialect": dialect}}})


@pytest.mark.parametrize("dialect", ["openai.chat", ["anthropic.messages", "openai.chat"]])
def test_a_cloud_that_can_only_be_asked_by_a_translation_stops_the_start(without_litellm, dialect):
    with pytest.raises(StartError, match=r"upstreams\.aws is asked in aws\.converse for what is asked for in openai\.chat") as raised:
        look(bedrock(dialect))
    assert "Take openai.chat out of its dialects, or install" in str(raised.value)


def test_a_cloud_that_speaks_the_dialect_itself_needs_none(without_litellm):
    assert look(bedrock("anthropic.messages")) == []
    assert Routes(bedrock("anthropic.messages"), {"aws": "a:b"}).find("anthropic.messages", "m").name == "aws"


def test_with_litellm_it_is_one_that_speaks_the_dialect():
    assert look(bedrock("openai.chat")) == []
    routes = Routes(bedrock("openai.chat"), {"aws": "a:b"})
    assert routes.find("openai.chat", "m").dialects == ("aws.converse",)
    with pytest.raises(GatewayError, match=r"No upstream of this gateway speaks anthropic\.messages"):
        routes.find("anthropic.messages", "m")
