"""Where a state server is, as one line: read in one way, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redis_place import Place, parse


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("redis://cache", Place("cache", 6379, 0, "th", False, None)),
        ("rediss://th@cache.internal:6380/2?prefix=prod-1", Place("cache.internal", 6380, 2, "prod-1", True, "th")),
        ("redis://[::1]:7000/", Place("::1", 7000, 0, "th", False, None)),
        ("redis://a%40b@cache", Place("cache", 6379, 0, "th", False, "a@b")),
    ],
)
def test_a_line_says_host_port_database_prefix_tls_and_user(text, place):
    assert parse(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "", "SQLite", "redis", "redis:", "redis://", "http://cache", "redis://cache:port", "redis://cache:99999", "redis://cache:0", "redis://cache/zero",
        "redis://cache/0/1", "redis://cache/-1", "redis://cache#x", "redis://[::1", "unix:///run/redis.sock",
    ],
)  # fmt: skip
def test_what_is_no_server_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="is no state store; write sqlite, or redis://host:6379/0"):
        parse(text)


@pytest.mark.parametrize("query", ["db=1", "prefix=", "prefix=a&prefix=b", "prefix=a&db=1", "prefix={a}", "prefix=:", f"prefix={65 * 'x'}"])
def test_a_parameter_that_is_no_prefix_is_refused_not_ignored(query):
    with pytest.raises(ValueError, match="is no prefix; write"):
        parse(f"redis://cache?{query}")


def test_a_password_in_the_line_is_refused_and_not_repeated():
    with pytest.raises(ValueError, match="name the variable or file") as caught:
        parse("redis://th:made-up-word@cache")
    assert "made-up-word" not in str(caught.value)


@given(st.text(max_size=40))
def test_whatever_is_written_is_a_place_or_a_value_error(text):
    try:
        place = parse(f"redis://{text}")
    except ValueError:
        return
    assert place.host
    assert 0 < place.port < 65536
    assert parse(f"{place}?prefix={place.prefix}") == place._replace(user=None)
