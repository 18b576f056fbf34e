"""Routes as people write them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import Settings
from gateway.route_settings import BreakerSettings, Retries, Route

A, B = {"upstream": "a"}, {"upstream": "b"}


def test_a_route_with_one_upstream_and_nothing_else_is_plain():
    route = Route(models=["*"], upstream="a")
    assert route.plain
    assert [target.upstream for target in route.asked] == ["a"]


@pytest.mark.parametrize("more", [{"retries": {}}, {"breaker": {}}, {"mirror": B}])
def test_a_route_with_one_upstream_that_says_more_is_managed(more):
    assert not Route(models=["*"], upstream="a", **more).plain


def test_what_is_not_said_is_as_documented():
    route = Route(models=["*"], targets=[A], retries={}, breaker={})
    assert (route.retries, route.breaker) == (Retries(), BreakerSettings())
    assert (Retries().count, Retries().sent, Retries().share, Retries().least) == (2, False, 0.1, 3)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "exactly one of 'upstream' and 'targets'"),
        ({"upstream": "a", "targets": [A]}, "exactly one of 'upstream' and 'targets'"),
        ({"targets": [A, A]}, "two targets are 'a'"),
        ({"targets": [A | {"weight": 0}]}, "greater than or equal to 1"),
        ({"targets": [A | {"priority": -1}]}, "greater than or equal to 0"),
        ({"targets": [A], "retries": {"count": 9}}, "less than or equal to 5"),
        ({"targets": [A], "breaker": {"share": 0}}, "greater than 0"),
        ({"targets": [A], "mirror": B | {"share": 1.5}}, "less than or equal to 1"),
        ({"targets": [A | {"key": {"env": "X", "file": "y"}}]}, "exactly one of 'env' and 'file'"),
        ({"targets": [A | {"timeout": 3}]}, "Extra inputs"),
        ({"targets": [A | {"model": "gpt-*"}]}, "sent as it stands: globs are for 'models'"),
        ({"targets": [A], "mirror": B | {"model": "*"}}, "sent as it stands: globs are for 'models'"),
        ({"targets": [A | {"model": ""}]}, "at least 1 character"),
        ({"upstream": "a", "sticky": True}, "one of several 'targets'; here is one alone"),
        ({"targets": [A], "sticky": True}, "one of several 'targets'; here is one alone"),
        ({"models": ["m", ""], "upstream": "a"}, "an empty name"),
    ],
)
def test_what_cannot_be_meant_is_refused(said, message):
    with pytest.raises(ValidationError, match=message):
        Route(**{"models": ["*"]} | said)


def test_targets_of_one_upstream_may_differ_by_model_region_or_key():
    more = [A, A | {"model": "m"}, A | {"region": "eu"}, A | {"key": {"env": "K"}}]
    assert len(Route(models=["*"], targets=more).targets) == 4


@pytest.mark.parametrize("route", [{"targets": [A, B]}, {"upstream": "a", "mirror": B}])
def test_a_target_or_a_mirror_that_is_no_upstream_is_refused_by_name(route):
    upstreams = {"a": {"dialect": "openai.chat", "base_url": "https://a.example/v1"}}
    with pytest.raises(ValidationError, match=r"the upstream 'b', which is not under 'upstreams' \(a\)"):
        Settings(upstreams=upstreams, routes=[{"models": ["*"], **route}])


@pytest.mark.parametrize("at", ["http://127.0.0.1:8484/v1", "http://localhost:8485", "http://10.0.0.7:8484/v1"])
def test_a_gateway_that_would_ask_itself_is_refused(at):
    upstreams = {"a": {"dialect": "openai.chat", "base_url": at, "allow_http": True}}
    with pytest.raises(ValidationError, match="it would ask itself"):
        Settings(listen="10.0.0.7:8484", upstreams=upstreams)
    assert Settings(listen="10.0.0.8:8486", admin="127.0.0.1:8487", upstreams=upstreams)
    assert Settings(listen="127.0.0.1:0", admin="127.0.0.1:0", upstreams=upstreams)
