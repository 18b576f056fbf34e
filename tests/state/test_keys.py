"""Virtual keys: found, revoked and expired the same way in every store."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType

import pytest

from gateway.installation import open_keys
from gateway.state.held_keys import CACHE_US

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000


@pytest.fixture
def keys(kept):
    store = open_keys(kept)
    yield store
    store.close()


def test_a_made_key_is_found_with_what_it_proves(keys):
    token = keys.create(agent="bank-bot", now_us=NOW, team="payments", user="ann", labels={"env": "test"})
    found = keys.find(token, NOW)
    assert (found.agent, found.team, found.user, dict(found.labels)) == ("bank-bot", "payments", "ann", {"env": "test"})
    assert found.last4 == token[-4:]


def test_a_wrong_secret_an_unknown_id_and_nonsense_are_not_found(keys):
    token = keys.create(agent="a", now_us=NOW)
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    for presented in (wrong, "th_00000000_" + "0" * 43, "sk-abc", "", "th_"):
        assert keys.find(presented, NOW) is None


def calls_of(work: Callable[[], object]) -> list[str]:
    """What the gateway's code calls for it, in order; a driver reads an answer in as many steps as the network brings."""
    called: list[str] = []

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event in ("call", "c_call") and frame.f_globals["__name__"].startswith("gateway."):
            called.append(frame.f_code.co_qualname if event == "call" else str(getattr(argument, "__qualname__", argument)))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return called


def test_no_token_that_is_refused_takes_more_work_than_another(keys):
    """Unknown, revoked, expired, with another secret: whoever measures the time learns nothing."""
    revoked, expired, good = (keys.create(agent="a", now_us=NOW, labels={"a": "b"}, expires_us=NOW + end) for end in (DAY, 1, DAY))
    keys.revoke(revoked.split("_")[1], NOW)
    wrong = good[:-1] + ("A" if good[-1] != "A" else "B")
    refused = ["th_00000000_" + "0" * 43, revoked, expired, wrong]
    for token in refused:
        assert keys.find(token, NOW + 2) is None  # what is worked out once is
    unknown, *others = (calls_of(lambda token=token: keys.find(token, NOW + 2)) for token in refused)
    assert len(unknown) > 5
    assert others == [unknown] * 3


def test_an_expired_key_is_not_found(keys):
    token = keys.create(agent="a", now_us=NOW, expires_us=NOW + DAY)
    assert keys.find(token, NOW + DAY - 1) is not None
    assert keys.find(token, NOW + DAY) is None
    assert not keys.any_active(NOW + DAY)


def test_a_revocation_by_another_process_is_seen_within_a_second(keys, kept):
    token = keys.create(agent="a", now_us=NOW)
    assert keys.find(token, NOW) is not None
    other = open_keys(kept)
    assert other.revoke(token.split("_")[1], NOW)
    other.close()
    assert keys.find(token, NOW + CACHE_US) is None
    assert CACHE_US <= 1_000_000


def test_a_key_is_at_hand_as_long_as_it_is_held_and_what_is_no_key_always_is(keys):
    token = keys.create(agent="a", now_us=NOW)
    assert not keys.at_hand(token, NOW)
    keys.find(token, NOW)
    assert [keys.at_hand(token, NOW + past) for past in (0, CACHE_US - 1, CACHE_US, -1)] == [True, True, False, False]
    assert keys.at_hand("sk-another", NOW)
    assert keys.find("sk-another", NOW) is None


def test_a_clock_set_back_does_not_keep_a_revoked_key_alive(keys, kept):
    token = keys.create(agent="a", now_us=NOW)
    assert keys.find(token, NOW) is not None
    other = open_keys(kept)
    other.revoke(token.split("_")[1], NOW)
    other.close()
    assert keys.find(token, NOW - DAY) is None


def test_a_new_key_of_another_process_works_at_once(keys, kept):
    assert keys.find("th_00000000_" + "0" * 43, NOW) is None
    other = open_keys(kept)
    token = other.create(agent="b", now_us=NOW)
    other.close()
    assert keys.find(token, NOW).agent == "b"


def test_revoking_twice_keeps_the_first_time_and_an_unknown_id_says_so(keys):
    token = keys.create(agent="a", now_us=NOW)
    key_id = token.split("_")[1]
    assert keys.revoke(key_id, NOW + 1)
    assert keys.revoke(key_id, NOW + 2)
    assert keys.every()[0].revoked_us == NOW + 1
    assert not keys.revoke("nobody", NOW)


def test_once_a_key_was_made_it_counts_even_when_revoked(keys):
    assert not keys.any_created()
    token = keys.create(agent="a", now_us=NOW)
    keys.revoke(token.split("_")[1], NOW)
    assert keys.any_created()
    assert not keys.any_active(NOW)


def test_the_cache_stays_small_and_right(keys, monkeypatch):
    monkeypatch.setattr("gateway.state.held_keys.CACHE_SIZE", 3)
    tokens = [keys.create(agent=f"a{i}", now_us=NOW + i) for i in range(8)]
    assert [keys.find(token, NOW).agent for token in tokens] == [f"a{i}" for i in range(8)]
    assert [record.agent for record in keys.every()] == [f"a{i}" for i in range(8)]
