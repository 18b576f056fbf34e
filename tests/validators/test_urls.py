"""Addresses lead where a rule allows, and carry nothing elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators.urls import URLS, Urls
from gateway.validators.validator import Subject, Unjudged


def seen(text: str, **options):
    return [(one.code, text[one.start : one.end]) for one in URLS.make(Urls(**options))(Subject(text))]


ALLOWED = {"allow": ("example.com", "*.example.com")}


@pytest.mark.parametrize(
    "text",
    [
        "no address at all: 3.5, a/b, x@y",
        "see https://example.com/a?b=c#d and http://www.example.com:8080/",
        "![x](https://img.example.com/?q=anything-goes-here)",
        "[a](/docs/a) [b](#top) [c](b.md) [d](../e?f=g)",
        "[mail](mailto:a@example.org) [call](tel:+123)",
        "[x](https://example.com/?a=1&amp;b=2)",
        "[x]: https://example.com/\n",
    ],
)
def test_addresses_that_are_allowed_and_those_that_lead_nowhere_else_pass(text):
    assert seen(text, **ALLOWED) == []


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://evil.test/a.", "https://evil.test/a"),
        ("see https://example.com.evil.test/", "https://example.com.evil.test/"),
        ("see https://example.com@evil.test/", "https://example.com@evil.test/"),
        ("Grüße 🎉 www.evil.test/x", "www.evil.test/x"),
        ("![x](//evil.test/?q)", "//evil.test/?q"),
        ("![x](https:\\\\evil.test\\?q)", "https:\\\\evil.test\\?q"),
        ("![x](&#104;ttps://evil.test/?q)", "&#104;ttps://evil.test/?q"),
        ("![x](https\\://evil.test/?q)", "https\\://evil.test/?q"),
        ("[x](&sol;&sol;evil.test)", "&sol;&sol;evil.test"),
        ("[x]: https&colon;//evil.test/", "https&colon;//evil.test/"),
        ("text\n[x]: <https&colon;//evil.test/>", "https&colon;//evil.test/"),
        ("<a href='https&#58;//evil.test/'>", "https&#58;//evil.test/"),
        ("[x]: //evil.test/?q\n\n![x]", "//evil.test/?q"),
        ("<img src='/\t/evil.test/?q'>", "/\t/evil.test/?q"),
        ("[a](b&![x](&sol;/evil.test)", "&sol;/evil.test"),
        ("<img srcset='/a, //evil.test/b 2x'>", "//evil.test/b"),
    ],
)
def test_an_address_of_another_host_is_found_however_it_is_written(text, address):
    assert seen(text, **ALLOWED) == [("foreign_address", address)]
    assert seen(text) == [("foreign_address", address)]


@pytest.mark.parametrize(
    "target", ["javascript:alert", "JavaScript:alert", "&#106;avascript:alert", "data:text/html,x", "vbscript:x", "file:///etc/passwd"]
)
def test_a_link_that_runs_or_holds_something_is_no_address(target):
    for text in (f"[x]({target})", f'<a href="{target}">', f"\n[x]: {target}\n"):
        for options in ({}, ALLOWED, {"others": "plain"}):
            assert seen(text, **options) == [("other_scheme", target)]


LONG = "the quick brown fox jumps over the lazy dog and comes back again"


@pytest.mark.parametrize(
    ("text", "carries"),
    [
        ("see https://a.test/", False),
        ("see https://a.test/page?id=5#top", False),
        ("see https://a.test/the-long-name-of-an-article-about-nothing-2024", False),
        ("see https://a.test/commit/0123456789abcdef0123456789abcdef01234567", False),
        ("see https://a.test/x/123e4567-e89b-12d3-a456-426614174000", False),
        ("![x](https://a.test/pictures/cat-1.png)", False),
        ("![x](https://a.test/cat.png?size=3)", True),
        ("![x](https://a.test/cat.png#size)", True),
        ("![x](https://a.test/" + "cat/" * 40 + ")", True),
        ("![x](https://a.test/0123456789abcdef0123456789abcdef01234567.png)", True),
        ("![a [b] c](https://a.test/?q)", True),
        ("<img alt='y' src=\"https://a.test/?q\">", True),
        ("<img srcset='https://a.test/?q 2x'>", True),
        ("<link rel=stylesheet href=https://a.test/?q>", True),
        ("<script src=//a.test/?q></script>", True),
        ("<p style='background:url(https://a.test/?q)'>", True),
        ("<a class='b' href='https://a.test/?q'>", False),
        ("![x][r]\n\n[r]: https://a.test/?q", True),
        (f"see https://a.test/?q={LONG.replace(' ', '%20')}", True),
        (f"see https://a.test/?q={LONG.replace(' ', '+')}", True),
        ("see https://a.test/QWxhZGRpbjpvcGVuIHNlc2FtZTEyMzQ1", True),
        ("see https://QWxhZGRpbjpvcGVuIHNlc2FtZTEyMzQ1.a.test/", True),
        ("see https://a.test/?q=QWxhZGRpbjpvcGVuIHNlc2FtZTEyMzQ1", True),
        ("see https://a.test/?q=%51%57%78hZGRpbjpvcGVuIHNlc2FtZTEyMzQ1", True),
    ],
)
def test_elsewhere_an_address_carries_nothing(text, carries):
    assert [code for code, _ in seen(text, others="plain")] == ["carries_data"] * carries


def test_how_long_a_query_may_be_is_for_the_rule_to_say():
    text = "https://a.test/?q=a%20b%20c"
    assert seen(text, others="plain", max_query=7) == []
    assert seen(text, others="plain", max_query=6) == [("carries_data", text)]


def test_what_an_address_says_is_in_no_detail():
    for options in ({}, {"others": "plain"}):
        text = "![x](https://private.test/?private) [y](private:private)"
        assert "private" not in str([one.detail for one in URLS.make(Urls(**options))(Subject(text))])


@pytest.mark.parametrize("host", ["https://example.com", "example.com/", "a b", "", "*.", "*", "example.com:80", "-a.com"])
def test_what_is_no_host_is_an_error_of_the_rule(host):
    with pytest.raises(ValueError, match="no name of a host"):
        Urls(allow=(host,))


@given(st.text("ab:/\\.?#!()[]<>&; ='\"h", max_size=60))
def test_what_leads_nowhere_but_to_allowed_hosts_carries_nothing_elsewhere_either(text):
    if not seen(text):
        assert seen(text, others="plain") == []


@pytest.mark.parametrize("piece", ["![", "![x](", "[x]:", "https://a", "https://a.test/?q ", "<img ", "href=", "&#", "//", "&amp;", "a"])
def test_time_grows_with_the_text(piece, cpu_at_most):
    with cpu_at_most(3):
        seen(piece * (100_000 // len(piece)), others="plain")


def test_a_text_beyond_the_limit_is_unjudged():
    with pytest.raises(Unjudged, match="1000001 characters"):
        seen("a" * 1_000_001)
