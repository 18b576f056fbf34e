"""Virtual keys in SQLite: what the file holds and who may read it."""

from __future__ import annotations

import sqlite3
import stat

import pytest

from gateway.errors import GatewayError
from gateway.state.sqlite import SqliteKeys

NOW = 1_700_000_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "state.sqlite"


@pytest.fixture
def keys(path):
    store = SqliteKeys(path, b"p" * 32)
    yield store
    store.close()


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
