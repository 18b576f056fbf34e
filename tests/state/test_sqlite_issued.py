"""Digests of delivered calls: kept for their owner, for a time."""

from __future__ import annotations

import pytest

from gateway.errors import GatewayError
from gateway.state.sqlite_issued import KEPT_US, SqliteIssued


@pytest.fixture
def store(tmp_path):
    made = SqliteIssued(tmp_path / "state.sqlite")
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
    monkeypatch.setattr("gateway.state.sqlite_issued.SWEEP_EVERY", 2)
    store.keep("ada", [b"a", b"b"], 1)
    store.keep("ada", [b"a"], KEPT_US)
    store.keep("ada", [b"c"], KEPT_US + 2)
    assert store.known("ada", [b"a", b"b", b"c"]) == {b"a", b"c"}


def test_it_survives_a_restart_and_is_shared(tmp_path):
    first, second = (SqliteIssued(tmp_path / "s.sqlite") for _ in range(2))
    first.keep("ada", [b"a"], 1)
    assert second.known("ada", [b"a"]) == {b"a"}


def test_a_store_that_is_gone_says_so(store):
    store.close()
    for use in (lambda: store.keep("ada", [b"a"], 1), lambda: store.known("ada", [b"a"])):
        with pytest.raises(GatewayError) as error:
            use()
        assert error.value.code == "state_unavailable"
