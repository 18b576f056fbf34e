"""Which upstream a model goes to."""

from __future__ import annotations

import pytest

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.routes.health import Moment
from gateway.upstream.routing import Routes, key_name

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


MANAGED = {
    "a": {"dialect": "openai.chat", "base_url": "https://a.example/v1", "key": {"env": "A"}},
    "b": {"dialect": ["openai.chat", "openai.responses"], "base_url": "https://b.example/v1"},
    "c": {"dialect": "anthropic.messages", "base_url": "https://c.example/v1", "key": {"file": "k"}},
}


def managed(targets, keys=None, **more) -> Routes:
    route = {"models": ["m*"], "targets": targets, **more}
    return Routes(Settings(upstreams=MANAGED, routes=[route]), {"a": "ka", "c": "kc"} if keys is None else keys)


def test_a_route_with_targets_leads_to_those_that_can_serve_the_dialect():
    table = managed([{"upstream": "a"}, {"upstream": "b", "model": "x"}, {"upstream": "c"}])
    assert sorted(table.find("openai.chat", "m").names) == ["a", "b", "c"]
    assert table.find("openai.responses", "m").names == {"b"}
    assert table.find("anthropic.messages", "m").serving == (0, 1, 2)
    with pytest.raises(GatewayError, match=r"Models served in this dialect: m\*"):
        table.find("openai.chat", "other")


def test_targets_have_their_own_keys_names_and_time_outs():
    targets = [{"upstream": "a", "key": {"env": "OWN"}, "region": "eu", "timeouts": {"total": 9}}, {"upstream": "a", "model": "x"}]
    way = managed(targets, {"a": "ka", key_name(0, 0): "own"}).find("openai.chat", "m")
    first, second = way.managed.targets
    assert (first.key, first.region, first.timeouts.total, first.model) == ("own", "eu", 9, None)
    assert (second.key, second.model) == ("ka", "x")
    assert "own" not in repr(first)


def test_a_target_whose_own_key_is_missing_does_not_take_the_upstream_s():
    way = managed([{"upstream": "a", "key": {"env": "OWN"}}, {"upstream": "b"}]).find("openai.chat", "m")
    assert way.serving == (1,)


def test_a_route_without_any_key_says_what_to_set():
    table = managed([{"upstream": "a", "key": {"env": "OWN"}}, {"upstream": "c"}, {"upstream": "a"}], {})
    with pytest.raises(GatewayError, match="Set OWN, the file k, A where") as caught:
        table.find("openai.chat", "m")
    assert caught.value.code == "no_provider_key"


def test_a_mirror_has_its_share_and_its_own_key():
    table = managed([{"upstream": "b"}], {key_name(0, None): "mk"}, mirror={"upstream": "a", "key": {"env": "M"}, "share": 0.25})
    mirror = table.find("openai.chat", "m").managed.mirror
    assert (mirror.target.name, mirror.target.key, mirror.share) == ("a", "mk", 0.25)


def test_a_way_can_be_narrowed_to_who_keeps_something_or_to_one_target():
    way = managed([{"upstream": "a"}, {"upstream": "b"}, {"upstream": "a", "model": "x"}]).find("openai.chat", "m")
    assert way.kept_by({"a"}).serving == (0, 2)
    assert way.only(way.managed.targets[2]).serving == (2,)


def test_only_routes_that_are_managed_are_reported():
    routes_ = [{"models": ["p"], "upstream": "b"}, {"models": ["m"], "upstream": "b", "retries": {}}]
    table = Routes(Settings(upstreams=MANAGED, routes=routes_), {})
    (told,) = table.report(Moment(0, 0))
    assert (told["models"], [each["target"] for each in told["targets"]]) == (["m"], ["b"])
    assert table.find("openai.chat", "p").name == "b"
