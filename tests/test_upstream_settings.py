"""Providers as people write them."""

from __future__ import annotations

import pytest

from gateway.upstream_settings import PROVIDERS, PassThrough, Upstream


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_that_needs_no_writing_is_one_that_could_be_written(name):
    dialects, url, variable = PROVIDERS[name]
    upstream = Upstream(dialect=list(dialects), base_url=url, key={"env": variable})
    assert (upstream.dialects, upstream.spoken, upstream.base_url) == (dialects, dialects, url)


def test_one_dialect_is_written_without_a_list():
    assert Upstream(dialect="openai.chat", base_url="https://x").dialects == ("openai.chat",)


def test_a_base_url_ends_without_a_slash():
    assert Upstream(dialect="openai.chat", base_url="https://x/v1/").base_url == "https://x/v1"


@pytest.mark.parametrize("end", ["chat/completions", "responses", "messages", "embeddings/"])
def test_the_address_of_one_kind_of_request_is_no_base_url(end):
    with pytest.raises(ValueError, match=r"write what stands before it: https://x/v1$|write what stands before it: https://x/v1 "):
        Upstream(dialect="openai.chat", base_url=f"https://x/v1/{end}")
    assert Upstream(dialect="openai.chat", base_url="https://x.services.ai.azure.com/models").base_url.endswith("/models")


@pytest.mark.parametrize(
    ("dialect", "url", "right"),
    [
        ("openai.responses", "https://api.openai.com", "https://api.openai.com/v1"),
        ("anthropic.messages", "https://api.anthropic.com", "https://api.anthropic.com/v1"),
        ("google.gemini", "https://generativelanguage.googleapis.com/v1beta", "https://generativelanguage.googleapis.com"),
    ],
)
def test_a_known_provider_has_one_address(dialect, url, right):
    with pytest.raises(ValueError, match=f"'base_url' of this provider is {right} "):
        Upstream(dialect=dialect, base_url=url)
    assert Upstream(dialect=dialect, base_url=right + "/").base_url == right
    assert Upstream(dialect=dialect, base_url="https://eu.example.com").base_url == "https://eu.example.com"
    assert Upstream(dialect="openai.chat", base_url="https://generativelanguage.googleapis.com/v1beta/openai")


def test_an_upstream_of_no_dialect_is_refused():
    with pytest.raises(ValueError, match="at least 1 item"):
        Upstream(dialect=[], base_url="https://x/v1")


def test_a_key_travels_in_clear_text_only_where_that_is_permitted():
    with pytest.raises(ValueError, match="sends the key in clear text; use https:// or set allow_http: true"):
        Upstream(dialect="openai.chat", base_url="http://x")
    assert Upstream(dialect="openai.chat", base_url="http://x", allow_http=True).base_url == "http://x"


@pytest.mark.parametrize("route", ["POST /files", "GET /files/*/content", "DELETE /v1/a.b_c~d-e"])
def test_a_route_that_is_passed_through_is_method_and_path(route):
    assert PassThrough(upstream="a", routes=[route]).routes == [route]


@pytest.mark.parametrize(
    "route", ["/files", "post /files", "HEAD /files", "GET files", "GET /", "GET /a/", "GET /a*", "GET /a/../b", "GET /a?b"]
)
def test_another_route_is_refused(route):
    with pytest.raises(ValueError, match=r"must be a method and a path, for example 'GET /files/\*/content'"):
        PassThrough(upstream="a", routes=[route])


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://api.openai.com/v1", ""),
        ("https://eu.api.openai.com/v1", "processed_in_eu"), ("https://US.api.openai.com", "processed_in_us"),
        ("https://eu.api.openai.com.example/v1", ""), ("https://eu.api.example.com/v1", ""),
    ],
)  # fmt: skip
def test_hosts_of_openai_for_data_that_stays_in_a_region_are_places_of_their_own(url: str, place: str) -> None:
    assert Upstream(dialect="openai.chat", base_url=url).place == place


@pytest.mark.parametrize(("location", "place"), [("global", ""), ("us-east5", "regional_endpoint"), ("eu", "regional_endpoint")])
def test_every_location_of_vertex_but_the_global_one_is_regional(location: str, place: str) -> None:
    vertex = {"vertex": {"project": "p-1", "location": location, "credentials": "machine"}}
    assert Upstream(dialect="anthropic.messages", base_url="https://x.example", platform=vertex).place == place
