"""Which sessions are stopped: counted exactly, stopped once, for every worker and across restarts, until an operator resumes them."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.installation import open_sessions
from gateway.state.sessions import EVERY_SESSION, Denial, whole

NOW = 1_800_000_000_000_000


def denial(
    session: str = "s", owner: str = "o", at_us: int = NOW, rule: str = "never", team: str | None = None, org: str | None = None
) -> Denial:
    return Denial(owner, session, "a", team, "ann", at_us, "bank", rule, "ex", "dec_1", org)


@pytest.fixture
def store(kept):
    made = open_sessions(kept)
    yield made
    made.close()


def test_a_session_is_stopped_by_the_denial_that_is_one_too_many_and_only_by_that_one(store):
    found = [store.denied(denial(rule=f"r{n}"), most=3) for n in range(5)]
    assert [each and (each.rule, each.denials) for each in found] == [None, None, ("r2", 3), None, None]
    stopped = store.stopped("o", "s")
    assert (stopped.state, stopped.policy, stopped.rule, stopped.decision) == ("stopped", "bank", "r2", "dec_1")


def test_a_stopped_session_says_whose_it_is_and_a_paused_agent_is_nobodys(store):
    store.denied(denial(team="red", org="acme"), most=1)
    store.denied(denial(team="red", session="other"), most=1)
    store.pause("bot", by="eve", why="", at_us=NOW)
    found = {(each.session, each.org, each.team) for each in store.every()}
    assert found == {("s", "acme", "red"), ("other", None, "red"), ("", None, None)}


def test_one_denial_is_enough_where_it_says_so(store):
    assert store.denied(denial(), most=1).denials == 1


def test_denials_are_counted_apart_for_each_caller_and_each_session(store):
    store.denied(denial(), most=1)
    assert store.stopped("o", "other") is None
    assert store.stopped("another", "s") is None


def test_a_session_that_is_resumed_counts_anew_and_can_be_stopped_again(store):
    store.denied(denial(), most=2)
    store.denied(denial(), most=2)
    assert store.resume("o", "s", by="eve", at_us=NOW + 1)
    assert not store.resume("o", "s", by="eve", at_us=NOW + 2)
    assert store.stopped("o", "s") is None
    assert store.denied(denial(), most=2) is None
    assert store.denied(denial(), most=2).change == 3


def test_a_stop_survives_a_restart_and_is_seen_by_every_worker(store, kept):
    other = open_sessions(kept)
    store.denied(denial(), most=1)
    assert other.stopped("o", "s").rule == "never"
    other.close()
    again = open_sessions(kept)
    assert [each.session for each in again.every()] == ["s"]
    again.close()


def test_of_many_denials_at_once_over_several_workers_one_stops_the_session(store, kept):
    workers = [open_sessions(kept) for _ in range(4)]
    found: list[object] = []

    def deny(worker) -> None:
        found.extend(worker.denied(denial(), most=25) for _ in range(10))

    threads = [threading.Thread(target=deny, args=(worker,)) for worker in workers]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.denials for each in found if each is not None] == [25]
    for worker in workers:
        worker.close()


def test_every_change_is_to_be_recorded_until_it_is(store):
    store.denied(denial(), most=1)
    [stopped] = store.unrecorded(10)
    store.resume("o", "s", by="eve", at_us=NOW + 1)
    store.recorded([stopped])
    [resumed] = store.unrecorded(10)
    assert (resumed.state, resumed.changed_by) == ("resumed", "eve")
    store.recorded([resumed])
    assert store.unrecorded(10) == []


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=30), st.integers(1, 4))
def test_a_session_is_stopped_exactly_while_its_count_has_reached_the_bound(anew, steps, most):
    store = open_sessions(anew())
    counts = {"a": 0, "b": 0}
    for session, resumes in steps:
        if resumes:
            assert store.resume("o", session, by="x", at_us=NOW) is (counts[session] >= most)
            counts[session] = 0 if counts[session] >= most else counts[session]
        else:
            store.denied(denial(session), most=most)
            counts[session] += 1
        assert (store.stopped("o", session) is not None) is (counts[session] >= most)
    store.close()


def test_a_paused_agent_is_stopped_in_every_session_of_every_caller_and_nobody_else_is(store, kept):
    other = open_sessions(kept)
    assert store.pause("a", by="eve", why="it loops", at_us=NOW)
    assert not store.pause("a", by="bob", why="again", at_us=NOW + 1)
    for owner, session in (("o", "s"), ("p", ""), ("", "")):
        found = other.stopped(owner, session, "a")
        assert (found.session, found.agent, found.changed_by, found.why) == (EVERY_SESSION, "a", "eve", "it loops")
    assert other.stopped("o", "s", "b") is None
    assert other.stopped("o", "s") is None
    assert [(each.agent, each.owner) for each in other.every()] == [("a", whole("a"))]
    other.close()


def test_an_agent_that_goes_on_leaves_sessions_stopped_that_a_denial_stopped(store):
    store.denied(denial(), most=1)
    store.pause("a", by="eve", why="", at_us=NOW)
    assert store.stopped("o", "s", "a").agent == "a"
    assert store.resume(whole("a"), EVERY_SESSION, by="bob", why="mended", at_us=NOW + 1)
    assert not store.resume(whole("a"), EVERY_SESSION, by="bob", at_us=NOW + 2)
    assert store.stopped("o", "s", "a").rule == "never"
    assert store.stopped("o", "other", "a") is None


def test_each_pause_and_its_end_are_to_be_recorded_with_who_and_why(store):
    told = []
    for n, (act, who) in enumerate((("pause", "eve"), ("resume", "bob"), ("pause", "ann"))):
        if act == "pause":
            store.pause("a", by=who, why=f"because {n}", at_us=NOW + n)
        else:
            store.resume(whole("a"), EVERY_SESSION, by=who, why=f"because {n}", at_us=NOW + n)
        [found] = store.unrecorded(10)
        told.append((found.session, found.state, found.changed_by, found.why, found.change))
        store.recorded([found])
    assert told == [
        ("", "stopped", "eve", "because 0", 1), ("", "resumed", "bob", "because 1", 2), ("", "stopped", "ann", "because 2", 3),
    ]  # fmt: skip
    assert store.unrecorded(10) == []
