"""The cache as people write it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.cache_settings import Cache
from gateway.config import Settings


def test_there_is_none_unless_it_is_written_and_one_that_is_written_shares_with_nobody() -> None:
    assert Settings().cache is None
    plain = Settings.model_validate({"cache": {}}).cache
    assert plain is not None
    assert (plain.store, plain.per, plain.ttl_us, plain.sampled, plain.tool_results, plain.held_calls) == (
        "memory", "key", 3_600_000_000, False, False, False,
    )  # fmt: skip


@pytest.mark.parametrize(("ttl", "minutes"), [("10m", 10), ("12h", 720), ("30d", 43_200)])
def test_a_time_is_a_span(ttl: str, minutes: int) -> None:
    assert Cache(ttl=ttl).ttl_us == minutes * 60_000_000


@pytest.mark.parametrize("ttl", ["", "0m", "31d", "1w", "forever", "-1h"])
def test_a_time_that_is_none_is_refused(ttl: str) -> None:
    with pytest.raises(ValidationError, match="write a span of at most 30d"):
        Cache(ttl=ttl)


@pytest.mark.parametrize(
    "wrong",
    [
        {"per": "tenant"}, {"store": "disk"}, {"max_bytes": 1}, {"answer_bytes": 0}, {"new": 1}, {"sampled": "yes"},
        {"models": [""]}, {"agents": ["a", " "]}, {"routes": [""]},
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Cache.model_validate(wrong)


def test_a_shared_cache_needs_a_server() -> None:
    with pytest.raises(ValidationError, match="name a server there"):
        Settings.model_validate({"cache": {"store": "redis"}})
    Settings.model_validate({"cache": {"store": "redis"}, "state": "redis://127.0.0.1:6379/0"})


@pytest.mark.parametrize(
    ("globs", "concerned"),
    [({}, True), ({"agents": ["b*"]}, True), ({"agents": ["c"]}, False), ({"models": ["m"], "routes": ["/v1/*"]}, True),
     ({"models": ["m"], "routes": ["/v2/*"]}, False), ({"models": ["n"]}, False)],
)  # fmt: skip
def test_globs_narrow_it(globs: dict[str, list[str]], concerned: bool) -> None:
    assert Cache.model_validate(globs).concerns("bot", "m", "/v1/messages") is concerned
