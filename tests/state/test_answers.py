"""Answers kept to be given again: for a time, within a bound, the same in memory and on a server."""

from __future__ import annotations

import time

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.redis_place import parse
from gateway.state.memory_answers import OVERHEAD, MemoryAnswers
from gateway.state.redis_answers import RedisAnswers
from gateway.state.redis_line import Line

HOUR = 3_600_000_000


@pytest.fixture(scope="module", params=["memory", "redis"])
def opened(request, tmp_path_factory):
    """Makes a new store of so many bytes with each call."""
    if request.param == "memory":
        return MemoryAnswers
    server, data = request.getfixturevalue("redis_server"), tmp_path_factory.mktemp("data")
    return lambda most: RedisAnswers(Line(parse(server.url()), None), data, most)


def test_what_was_kept_is_found_until_it_is_forgotten(opened):
    store = opened(10_000)
    store.keep("a", b"one", HOUR)
    store.keep("b", b"", HOUR)
    assert (store.find("a"), store.find("b"), store.find("c")) == (b"one", b"", None)
    store.keep("a", b"two", HOUR)
    assert store.find("a") == b"two"
    store.forget("a")
    store.forget("never there")
    assert (store.find("a"), store.find("b")) == (None, b"")
    store.close()


def test_what_was_kept_ends_with_its_time(opened):
    store = opened(10_000)
    store.keep("short", b"x", 1_000_000)
    store.keep("long", b"x", HOUR)
    assert store.find("short") == b"x"
    time.sleep(1.1)
    assert (store.find("short"), store.find("long")) == (None, b"x")


def test_what_is_larger_than_the_bound_is_not_kept_and_takes_the_old_one_with_it(opened):
    store = opened(2 * OVERHEAD)
    noise = b"".join(n.to_bytes(2, "big") for n in range(40_000, 40_000 + OVERHEAD))
    store.keep("a", b"one", HOUR)
    store.keep("a", noise, HOUR)
    assert store.find("a") is None
    store.keep("b", b"one", HOUR)
    assert store.find("b") == b"one"


NAMES = st.sampled_from("abcdefgh")


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["keep", "forget", "find"]), NAMES, st.binary(max_size=900)), max_size=40))
def test_whatever_is_done_all_together_stay_within_the_bound_and_what_is_found_was_kept_last(opened, steps):
    store, last = opened(4 * OVERHEAD), {}
    for what, name, data in steps:
        if what == "keep":
            store.keep(name, data, HOUR)
            last[name] = data
        elif what == "forget":
            store.forget(name)
            last.pop(name, None)
        else:
            assert store.find(name) in (None, last.get(name))
    found = [data for name in "abcdefgh" if (data := store.find(name)) is not None]
    assert len(found) <= 3  # a fourth would not fit beside its own overhead
    if steps and steps[-1][0] == "keep" and len(steps[-1][2]) < 2 * OVERHEAD:
        assert store.find(steps[-1][1]) == steps[-1][2]


def test_in_memory_what_was_asked_for_longest_ago_goes_first():
    store = MemoryAnswers(3 * (OVERHEAD + 1))
    for name in "abc":
        store.keep(name, b"x", HOUR)
    assert store.find("a") == b"x"
    store.keep("d", b"x", HOUR)
    assert [name for name in "abcd" if store.find(name)] == ["a", "c", "d"]


def test_a_clock_that_is_set_ends_nothing_in_memory(monkeypatch):
    store = MemoryAnswers(10_000)
    store.keep("a", b"x", HOUR)
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 40 * 86_400 * 10**9)
    assert store.find("a") == b"x"


def test_on_a_server_what_ends_first_goes_first_and_its_books_come_to_nothing(redis_server, tmp_path):
    url = redis_server.url()
    store = RedisAnswers(Line(parse(url), None), tmp_path, 3 * (OVERHEAD + 60))
    for name, hours in (("a", 3), ("b", 1), ("c", 2), ("d", 3)):
        store.keep(name, b"x", hours * HOUR)
    assert [name for name in "abcd" if store.find(name)] == ["a", "c", "d"]
    for name in "abcd":
        store.forget(name)
    server = redis.Redis.from_url(url.partition("?")[0])
    prefix = parse(url).prefix
    assert server.get(f"{{{prefix}}}:answers:bytes") == b"0"
    assert server.zcard(f"{{{prefix}}}:answers:by end") == 0


def test_a_server_holds_nothing_that_can_be_read_and_another_secret_finds_nothing(redis_server, tmp_path):
    url, said = redis_server.url(), b"the quick brown fox " * 9
    store = RedisAnswers(Line(parse(url), None), tmp_path / "one", 10_000)
    store.keep("a", said, HOUR)
    server = redis.Redis.from_url(url.partition("?")[0])
    held = server.get(f"{{{parse(url).prefix}}}:answer:a")
    assert held is not None
    assert b"quick" not in held
    assert RedisAnswers(Line(parse(url), None), tmp_path / "two", 10_000).find("a") is None
    assert RedisAnswers(Line(parse(url), None), tmp_path / "one", 10_000).find("a") == said
