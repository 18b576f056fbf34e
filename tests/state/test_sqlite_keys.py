"""Virtual keys in SQLite."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from gateway.errors import GatewayError
from gateway.state.sqlite import CACHE_US, SqliteKeys

NOW = 1_700_000_000_000_000
DAY = 86_400_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "state.sqlite"


@pytest.fixture
def keys(path):
    store = SqliteKeys(path, b"p" * 32)
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


def test_the_secret_is_not_in_the_file(keys, path):
    token = keys.create(agent="a", now_us=NOW)
    secret = token.split("_")[2].encode()
    keys.close()
    assert all(secret not in file.read_bytes() for file in path.parent.iterdir())


def test_the_file_is_for_its_owner_only(keys, path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_pepper_finds_nothing(keys, path):
    token = keys.create(agent="a", now_us=NOW)
    stranger = SqliteKeys(path, b"q" * 32)
    assert stranger.find(token, NOW) is None
    stranger.close()


def test_an_expired_key_is_not_found(keys):
    token = keys.create(agent="a", now_us=NOW, expires_us=NOW + DAY)
    assert keys.find(token, NOW + DAY - 1) is not None
    assert keys.find(token, NOW + DAY) is None
    assert not keys.any_active(NOW + DAY)


def test_a_revocation_by_another_process_is_seen_within_a_second(keys, path):
    token = keys.create(agent="a", now_us=NOW)
    assert keys.find(token, NOW) is not None
    other = SqliteKeys(path, b"p" * 32)
    assert other.revoke(token.split("_")[1], NOW)
    other.close()
    assert keys.find(token, NOW + CACHE_US) is None
    assert CACHE_US <= 1_000_000


def test_a_clock_set_back_does_not_keep_a_revoked_key_alive(keys, path):
    token = keys.create(agent="a", now_us=NOW)
    assert keys.find(token, NOW) is not None
    other = SqliteKeys(path, b"p" * 32)
    other.revoke(token.split("_")[1], NOW)
    other.close()
    assert keys.find(token, NOW - DAY) is None


def test_a_new_key_of_another_process_works_at_once(keys, path):
    assert keys.find("th_00000000_" + "0" * 43, NOW) is None
    other = SqliteKeys(path, b"p" * 32)
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
    monkeypatch.setattr("gateway.state.sqlite.CACHE_SIZE", 3)
    tokens = [keys.create(agent=f"a{i}", now_us=NOW + i) for i in range(8)]
    assert [keys.find(token, NOW).agent for token in tokens] == [f"a{i}" for i in range(8)]
    assert [record.agent for record in keys.every()] == [f"a{i}" for i in range(8)]


def test_a_store_that_cannot_be_read_is_unavailable_not_open(path):
    store = SqliteKeys(path, b"p" * 32)
    token = store.create(agent="a", now_us=NOW)
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE keys")
    with pytest.raises(GatewayError) as caught:
        store.find(token, NOW)
    assert (caught.value.kind, caught.value.code) == ("unavailable", "state_unavailable")
    store.close()


def test_a_file_of_an_earlier_version_gets_the_column_for_what_is_stored(tmp_path):
    path = tmp_path / "state.sqlite"
    db = sqlite3.connect(path)
    db.execute(
        "CREATE TABLE keys (id TEXT PRIMARY KEY, hash BLOB NOT NULL, agent TEXT NOT NULL, team TEXT, user TEXT, labels TEXT NOT NULL,"
        " last4 TEXT NOT NULL, created_us INTEGER NOT NULL, expires_us INTEGER, revoked_us INTEGER) STRICT"
    )
    db.execute("INSERT INTO keys VALUES ('abcdefgh', x'00', 'old', NULL, NULL, '{}', 'zzzz', 1, NULL, NULL)")
    db.commit()
    first, second = SqliteKeys(path, b"p"), SqliteKeys(path, b"p")
    token = second.create(agent="new", now_us=2, store="metadata")
    assert [(key.agent, key.store) for key in first.every()] == [("old", None), ("new", "metadata")]
    assert first.find(token, 3).store == "metadata"
