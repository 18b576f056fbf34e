"""Keys that replace each other: at most two are live, whoever asks at once; every change is written down with the step that makes it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from gateway.errors import GatewayError
from gateway.installation import open_access_log, open_keys
from gateway.scope import KeyScope
from gateway.state.held_keys import CACHE_US

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000


@pytest.fixture
def keys(kept):
    store = open_keys(kept)
    yield store
    store.close()


def id_of(token: str) -> str:
    return token.split("_")[1]


def test_a_rotated_key_proves_the_same_and_lives_as_long_as_the_old_one_was_made_for(keys):
    scope = KeyScope(models=("gpt-*",), dialects=("openai.chat",))
    more = {"team": "pay", "user": "ann", "org": "acme", "labels": {"env": "test"}, "store": "metadata", "scope": scope}
    old = keys.create(agent="bot", now_us=NOW, expires_us=NOW + 30 * DAY, **more)
    new = keys.rotate(id_of(old), NOW + DAY, NOW + 2 * DAY)
    first, second = (keys.find(token, NOW + DAY) for token in (old, new))
    same = {"id": "", "last4": "", "created_us": 0, "expires_us": 0, "family": ""}
    assert msgspec.structs.replace(first, **same) == msgspec.structs.replace(second, **same)
    assert (first.expires_us, second.expires_us) == (NOW + 2 * DAY, NOW + 31 * DAY)
    assert (second.org, second.scope, second.line) == ("acme", scope, first.id)


def test_the_old_key_ends_at_its_time_and_no_later_than_it_would_have(keys):
    old = keys.create(agent="bot", now_us=NOW)
    new = keys.rotate(id_of(old), NOW, NOW + DAY)
    assert keys.find(old, NOW + DAY - 1) is not None
    assert keys.find(old, NOW + DAY) is None
    assert keys.find(new, NOW + 100 * DAY) is not None
    short = keys.create(agent="bot", now_us=NOW, expires_us=NOW + 10)
    keys.rotate(id_of(short), NOW + 5, NOW + DAY)
    assert keys.find(short, NOW + 10) is None


def test_an_end_that_another_process_has_set_is_seen_within_a_second(keys, kept):
    old = keys.create(agent="bot", now_us=NOW)
    assert keys.find(old, NOW) is not None
    other = open_keys(kept)
    other.rotate(id_of(old), NOW, NOW)
    other.close()
    assert keys.find(old, NOW + CACHE_US) is None


def test_two_are_live_at_the_most(keys):
    first = keys.create(agent="bot", now_us=NOW)
    second = keys.rotate(id_of(first), NOW, NOW + DAY)
    for each in (first, second):
        with pytest.raises(GatewayError, match="both are live: revoke") as refusal:
            keys.rotate(id_of(each), NOW + 1, NOW + DAY)
        assert refusal.value.code == "two_live"
    third = keys.rotate(id_of(second), NOW + DAY, NOW + 2 * DAY)
    assert [keys.find(token, NOW + DAY) is not None for token in (first, second, third)] == [False, True, True]


def test_what_is_no_active_key_cannot_be_rotated(keys):
    revoked, expired = keys.create(agent="a", now_us=NOW), keys.create(agent="a", now_us=NOW, expires_us=NOW + 1)
    keys.revoke(id_of(revoked), NOW)
    for name, code in ((id_of(revoked), "key_not_active"), (id_of(expired), "key_not_active"), ("nobody", "unknown_key")):
        with pytest.raises(GatewayError) as refusal:
            keys.rotate(name, NOW + 2, NOW + DAY)
        assert refusal.value.code == code
    assert len(keys.every()) == 2


def test_of_many_who_rotate_a_key_at_once_one_does(kept):
    stores = [open_keys(kept) for _ in range(6)]
    token = stores[0].create(agent="bot", now_us=NOW)
    ready = threading.Barrier(len(stores))

    def rotated(store) -> str:
        ready.wait()
        try:
            store.rotate(id_of(token), NOW, NOW + DAY)
        except GatewayError as error:
            return error.code
        return "made"

    with ThreadPoolExecutor(len(stores)) as pool:
        came = list(pool.map(rotated, stores))
    assert came.count("made") == 1
    assert set(came) <= {"made", "two_live", "state_busy"}
    assert len([key for key in stores[0].every() if key.active(NOW)]) == 2
    for store in stores:
        store.close()


def test_every_change_is_written_down_once_in_order_without_a_secret(keys, kept):
    token = keys.create(agent="bot", now_us=NOW, team="pay", org="acme", by="ada")
    new = keys.rotate(id_of(token), NOW + 1, NOW + DAY, by="bob", why="yearly")
    keys.revoke(id_of(token), NOW + 2, by="cem", why="leaked")
    keys.revoke(id_of(token), NOW + 3, by="dan")
    log = open_access_log(kept)
    found = log.unrecorded(10)
    assert [(each.what, each.subject, each.who, each.why, each.changed_us - NOW) for each in found] == [
        ("created", id_of(token), "ada", "", 0),
        ("rotated", id_of(new), "bob", "yearly", 1),
        ("ends", id_of(token), "bob", "yearly", 1),
        ("revoked", id_of(token), "cem", "leaked", 2),
    ]
    assert {(each.kind, each.agent, each.org, each.team, each.family) for each in found} == {("key", "bot", "acme", "pay", id_of(token))}
    told = msgspec.json.encode(found).decode()
    assert not any(secret in told for secret in (token.split("_")[2], new.split("_")[2]))
    log.recorded(found[:3])
    assert log.unrecorded(10) == found[3:]
    log.recorded(found)
    assert log.unrecorded(10) == []
    log.close()


def test_a_revocation_is_effective_everywhere_within_a_second(kept):
    """Five stores, as five workers have them, that look the key up all the time."""
    stores, token = [open_keys(kept) for _ in range(5)], ""
    token = stores[0].create(agent="bot", now_us=time.time_ns() // 1000)
    last, ended, stop = [0.0] * len(stores), [0.0] * len(stores), time.monotonic() + 10

    def look(at: int) -> None:
        """Notes when the last look began that still found it."""
        while (begun := time.monotonic()) < stop and stores[at].find(token, time.time_ns() // 1000) is not None:
            last[at] = begun
            time.sleep(0.002)
        ended[at] = time.monotonic()

    threads = [threading.Thread(target=look, args=(at,)) for at in range(len(stores))]
    for each in threads:
        each.start()
    time.sleep(0.3)
    other = open_keys(kept)
    before = time.monotonic()
    other.revoke(id_of(token), time.time_ns() // 1000)
    revoked = time.monotonic()
    for each in threads:
        each.join()
    assert max(last) - revoked <= 1.0
    assert min(ended) >= before
    for store in (*stores, other):
        store.close()
