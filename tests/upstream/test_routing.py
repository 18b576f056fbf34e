"""Which upstream a model goes to."""

from __future__ import annotations

import pytest

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.upstream.routing import Routes

UPSTREAMS = {
    "openai": {"dialect": "openai.chat", "base_url": "https://api.openai.com/v1", "key": {"env": "OPENAI_API_KEY"}},
    "local": {"dialect": "openai.chat", "base_url": "http://127.0.0.1:1/v1/"},
    "anthropic": {"dialect": "anthropic.messages", "base_url": "https://api.anthropic.com/v1", "key": {"file": "k"}},
}
KEYS = {"openai": "sk-secret-value"}


def routes(*rules: tuple[list[str], str], upstreams=UPSTREAMS) -> Routes:
    return Routes(Settings(upstreams=upstreams, routes=[{"models": m, "upstream": u} for m, u in rules]), KEYS)


def test_without_routes_a_dialect_goes_to_its_first_upstream():
    target = routes().find("openai.chat", "anything")
    assert (target.name, target.base_url, target.key) == ("openai", "https://api.openai.com/v1", "sk-secret-value")


def test_the_first_matching_route_wins():
    table = routes((["gpt-*"], "openai"), (["*"], "local"))
    assert table.find("openai.chat", "gpt-4o").name == "openai"
    assert table.find("openai.chat", "llama").name == "local"
    assert table.find("openai.chat", "xgpt-4o").name == "local"


def test_a_glob_means_star_and_question_mark_and_nothing_else():
    table = routes((["a.b?[c]"], "local"))
    assert table.find("openai.chat", "a.bX[c]").name == "local"
    for model in ("aXbX[c]", "a.b[c]", "a.bXc"):
        with pytest.raises(GatewayError):
            table.find("openai.chat", model)


def test_a_route_of_a_dialect_that_nothing_translates_does_not_match():
    with pytest.raises(GatewayError, match="none") as caught:
        routes((["*"], "anthropic")).find("made.up", "gpt-4o")
    assert (caught.value.kind, caught.value.code, caught.value.param) == ("not_found", "model_not_found", "model")


def test_a_route_to_an_upstream_of_another_dialect_asks_for_translation():
    target = routes((["claude-*"], "anthropic"), upstreams=UPSTREAMS | {"anthropic": UPSTREAMS["anthropic"] | {"key": None}}).find(
        "openai.chat", "claude-sonnet-4-5"
    )
    assert (target.name, target.dialects) == ("anthropic", ("anthropic.messages",))


def test_an_upstream_that_speaks_the_dialect_comes_before_one_that_needs_translation():
    table = routes((["*"], "anthropic"), (["gpt-*"], "local"))
    assert table.find("openai.chat", "gpt-4o").name == "local"


def test_without_a_route_nothing_is_translated():
    with pytest.raises(GatewayError, match="No upstream of this gateway speaks"):
        routes(upstreams={"local": UPSTREAMS["local"]}).find("anthropic.messages", "gpt-4o")


def test_an_unknown_model_is_told_what_is_served():
    with pytest.raises(GatewayError, match=r"'nope'.*gpt-\*, o1"):
        routes((["gpt-*", "o1"], "local")).find("openai.chat", "nope")


def test_a_dialect_without_upstream_is_told_what_to_add():
    with pytest.raises(GatewayError, match="upstreams") as caught:
        routes(upstreams={"local": UPSTREAMS["local"]}).find("anthropic.messages", "claude")
    assert caught.value.code == "no_upstream"


def test_a_missing_provider_key_names_the_variable_or_the_file():
    no_keys = Routes(Settings(upstreams=UPSTREAMS), {})
    with pytest.raises(GatewayError, match="OPENAI_API_KEY"):
        no_keys.find("openai.chat", "m")
    with pytest.raises(GatewayError, match="file"):
        no_keys.find("anthropic.messages", "m")


def test_a_target_does_not_show_its_key():
    assert "secret" not in repr(routes().find("openai.chat", "m"))
