"""Digests of delivered calls in a file: what is done at once and what in a thread, and a file that is gone."""

from __future__ import annotations

import sqlite3

import pytest

from gateway.errors import GatewayError
from gateway.state.sqlite_issued import FEW, KEPT_US, SqliteIssued


@pytest.fixture
def store(tmp_path):
    made = SqliteIssued(tmp_path / "state.sqlite")
    yield made
    made.close()


def test_a_store_that_is_gone_says_so(store):
    store.close()
    for use in (lambda: store.keep("ada", [b"a"], 1), lambda: store.known("ada", [b"a"])):
        with pytest.raises(GatewayError) as error:
            use()
        assert error.value.code == "state_unavailable"


def test_a_few_are_written_and_looked_up_at_once(store):
    assert store.keep_at_once("ada", [b"a", b"b"], 1)
    assert store.known_at_once("ada", [b"a", b"c"]) == store.known("ada", [b"a", b"c"]) == {b"a"}
    assert store.known_at_once("eve", [b"a"]) == frozenset()
    assert store.seen("ada", [b"a", b"b", b"c"]) == {b"a", b"b"}


def test_what_is_found_at_once_need_not_be_asked_again(tmp_path):
    first, second = (SqliteIssued(tmp_path / "s.sqlite") for _ in range(2))
    first.keep("ada", [b"a"], 1)
    assert second.seen("ada", [b"a"]) == frozenset()
    assert second.known_at_once("ada", [b"a"]) == second.seen("ada", [b"a"]) == {b"a"}


def test_many_are_left_to_a_thread(store):
    many = [at.to_bytes(4, "big") for at in range(FEW + 1)]
    assert not store.keep_at_once("ada", many, 1)
    assert store.known_at_once("ada", many) is None
    assert store.known("ada", many) == frozenset()


def test_while_another_process_writes_nothing_waits_and_nothing_is_half_written(store, tmp_path):
    other = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert not store.keep_at_once("ada", [b"a"], 1)
    assert store.known_at_once("ada", [b"a"]) == store.seen("ada", [b"a"]) == frozenset()
    other.execute("ROLLBACK")
    assert store.keep_at_once("ada", [b"a"], 1)


def test_now_and_then_a_write_is_left_to_the_thread_which_moves_the_log(store, monkeypatch):
    monkeypatch.setattr("gateway.state.sqlite_issued.MOVE_EVERY", 3)
    assert [store.keep_at_once("ada", [bytes([at])], 1) for at in range(4)] == [True, True, False, False]
    store.keep("ada", [b"x"], 1)
    assert store.keep_at_once("ada", [b"y"], 1)


def test_what_was_written_at_once_is_forgotten_when_it_is_old(store, monkeypatch):
    monkeypatch.setattr("gateway.state.sqlite_issued.CLEARED_EVERY", 2)
    store.keep("ada", [b"x"], 1)
    assert store.keep_at_once("ada", [b"a"], 1)
    store.keep("ada", [b"c"], KEPT_US + 2)
    assert store.known("ada", [b"a", b"c", b"x"]) == {b"c"}


def test_what_a_worker_is_sure_of_is_bounded(store, monkeypatch):
    monkeypatch.setattr("gateway.state.sure.MOST", 3)
    for at in range(5):
        store.keep_at_once("ada", [bytes([at])], 1)
    assert store.seen("ada", [bytes([at]) for at in range(5)]) == {b"\2", b"\3", b"\4"}


def test_a_store_that_is_gone_is_left_to_the_thread_to_say(store):
    store.close()
    assert not store.keep_at_once("ada", [b"a"], 1)
    assert store.known_at_once("ada", [b"a"]) is None
