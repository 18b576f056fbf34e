"""Digests of delivered calls: kept for their owner, for a time."""

from __future__ import annotations

import pytest

from gateway.installation import open_issued
from gateway.state.sqlite_issued import KEPT_US


@pytest.fixture
def store(kept):
    made = open_issued(kept)
    yield made
    made.close()


def test_what_was_kept_is_known_to_its_owner_alone(store):
    store.keep("ada", [b"a", b"b"], 1)
    assert store.known("ada", [b"a", b"b", b"c"]) == {b"a", b"b"}
    assert store.known("eve", [b"a"]) == frozenset()


def test_many_are_asked_for_at_once(store):
    digests = [at.to_bytes(4, "big") for at in range(2000)]
    store.keep("ada", digests[::2], 1)
    assert store.known("ada", digests) == set(digests[::2])


def test_what_is_old_is_forgotten_and_what_is_said_again_is_not(store, monkeypatch):
    monkeypatch.setattr("gateway.state.sqlite_issued.CLEARED_EVERY", 2)
    store.keep("ada", [b"a", b"b"], 1)
    store.keep("ada", [b"a"], KEPT_US)
    store.keep("ada", [b"c"], KEPT_US + 2)
    assert store.known("ada", [b"a", b"b", b"c"]) == {b"a", b"c"}


def test_it_survives_a_restart_and_is_shared(kept):
    first, second = (open_issued(kept) for _ in range(2))
    first.keep("ada", [b"a"], 1)
    assert second.known("ada", [b"a"]) == {b"a"}
