"""Data keys on a server: one for all machines, gone for all once erased, and gone from the server's own file, too."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.installation import _stores
from gateway.state.data_keys import DataKey
from gateway.state.sqlite_data_keys import BLOCK, LIFE_US, MOST_USES

NOW = 1_700_000_000_000_000


@pytest.fixture
def store(kept):
    made = _stores(kept).data_keys()
    yield made
    made.close()


def new(tenant: str = "team:red", user: str = "ada", at: int = NOW) -> DataKey:
    return DataKey("dk" + secrets.token_hex(8), tenant, user, secrets.token_bytes(40), at)


def taken(store, tenant: str = "team:red", user: str = "ada", at: int = NOW) -> DataKey:
    return store.take(tenant, user, at, lambda: new(tenant, user, at))[0]


def test_whoever_takes_the_key_of_a_user_gets_the_same_until_it_is_old(store):
    first = taken(store)
    assert taken(store) == first == store.find(first.id)
    assert taken(store, user="eve") != first
    assert taken(store, tenant="team:blue") != first
    assert taken(store, at=NOW + LIFE_US - 1) == first
    assert taken(store, at=NOW + LIFE_US) != first
    assert len(store.every()) == 4


def test_a_key_is_not_used_more_often_than_its_nonces_allow(store):
    first = taken(store)
    for _ in range(MOST_USES // BLOCK - 1):
        assert taken(store) == first
    assert taken(store) != first


def test_of_many_machines_that_make_a_key_at_once_all_take_the_same(kept):
    stores = [_stores(kept).data_keys() for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert len({key.id for key in pool.map(taken, stores)}) == 1


@pytest.mark.parametrize("user", ["ada", None])
def test_what_is_erased_is_gone_and_told_until_it_is_on_record(store, user):
    first, other = taken(store), taken(store, user="eve")
    elsewhere = taken(store, tenant="team:blue")
    gone = [first.id] if user else [first.id, other.id]
    assert sorted(store.erase("team:red", user, NOW)) == sorted(gone)
    assert sorted(store.erase("team:red", user, NOW)) == sorted(gone)
    store.noted(gone)
    assert store.erase("team:red", user, NOW) == []
    assert store.find(first.id) is None
    assert (store.find(other.id) is None) is (user is None)
    assert store.find(elsewhere.id) == elsewhere
    assert taken(store) not in (first, other)


def test_a_key_that_was_erased_is_not_wrapped_anew(store):
    key = taken(store)
    store.rewrap(DataKey(key.id, key.tenant, key.user, b"anew", key.created_us))
    assert store.find(key.id).wrapped == b"anew"
    store.erase("team:red", "ada", NOW)
    store.rewrap(key)
    assert store.find(key.id) is None
    assert store.every() == []


def test_an_erased_key_is_not_in_the_files_of_the_server_any_more(tmp_path, own_redis_server):
    own_redis_server.kill()
    own_redis_server.start("--appendonly", "yes", "--appendfsync", "always")
    store = _stores(Settings(data=str(tmp_path / "data"), state=own_redis_server.url())).data_keys()
    key, other = taken(store), taken(store, user="eve")

    def on_disk(wrapped: bytes) -> bool:
        return any(wrapped in file.read_bytes() for file in Path(tmp_path).rglob("appendonlydir/*") if file.is_file())

    assert on_disk(key.wrapped)
    assert store.erase("team:red", "ada", NOW) == [key.id]
    assert not on_disk(key.wrapped)
    assert on_disk(other.wrapped)
