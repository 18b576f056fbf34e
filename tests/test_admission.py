"""What of a request is refused before a provider is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.admission import host_of


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://images.example.com/a.png", "images.example.com"),
        ("https://IMAGES.example.com:8443/a.png?x=1#y", "images.example.com"),
        ("HTTPS://a.example", "a.example"),
        ("http://a.example/x", "http://a.example"),
        ("gs://bucket/object", "gs://bucket"),
        ("https://[2001:db8::1]/x", "2001:db8::1"),
    ],
)
def test_a_plain_url_has_one_host(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "", "a.png", "/a.png", "//evil.example/a", "https://good.example@evil.example/", "https://good.example\\@evil.example/",
        "https://good.example\\.evil.example/", "https://ex%61mple.com/", "https://exa mple.com", "https://a.example/\n", "\thttps://a.example",
        "https://ｅxample.com/", "https://[::1", "https://", "https:///a", "https:a.example", "file:///etc/passwd", "javascript:alert(1)",
        "https://a.example;b/", "https://good.example#@evil.example\x00",
    ],
)  # fmt: skip
def test_what_readers_take_apart_differently_has_no_host(url: str) -> None:
    assert host_of(url) == ""


@given(st.text(max_size=40), st.sampled_from(["https://", "http://", "https:/", "https:\\\\", " https://"]))
def test_where_a_host_is_found_another_reader_finds_the_same(rest: str, scheme: str) -> None:
    host = host_of(scheme + rest)
    if host:
        assert URL(scheme + rest).host == host.rpartition("://")[2]
