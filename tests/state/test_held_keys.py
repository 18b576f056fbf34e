"""Look-ups that are held: a key that was compared once need not be compared again while its look-up is held, and not a moment longer."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.identify import key_hash
from gateway.state.held_keys import CACHE_US, HeldKeys, fresh
from gateway.state.keys import KeyRecord

PEPPER = b"pepper"


class Store:
    def __init__(self) -> None:
        self.new = fresh(PEPPER)
        self.row: tuple[bytes, KeyRecord] | None = (self.new.hash, KeyRecord(self.new.id, "bot", self.new.last4, 0))
        self.reads = 0

    def hash_of(self, key_id: str, now_us: int) -> bytes | None:
        self.reads += 1
        return self.row[0] if self.row and key_id == self.new.id and self.row[1].active(now_us) else None

    def read(self, key_id: str) -> KeyRecord | None:
        return self.row[1] if self.row and key_id == self.new.id else None

    def put(self, **changed: int) -> None:
        assert self.row is not None
        self.row = (self.row[0], replace(self.row[1], **changed))


def test_a_key_is_read_once_while_its_look_up_is_held() -> None:
    store = Store()
    keys = HeldKeys(PEPPER, store.hash_of, store.read)
    assert all(keys.find(store.new.token, now) for now in range(0, CACHE_US, CACHE_US // 10))
    assert store.reads == 1


def test_a_revocation_is_seen_when_the_look_up_is_no_longer_held() -> None:
    store = Store()
    keys = HeldKeys(PEPPER, store.hash_of, store.read)
    assert keys.find(store.new.token, 0) is not None
    store.put(revoked_us=1)
    assert keys.find(store.new.token, CACHE_US) is None
    assert keys.find(store.new.token, CACHE_US + 1) is None


def test_a_key_that_expires_while_its_look_up_is_held_ends_with_its_time() -> None:
    store = Store()
    store.put(expires_us=100)
    keys = HeldKeys(PEPPER, store.hash_of, store.read)
    assert keys.find(store.new.token, 99) is not None
    assert keys.find(store.new.token, 100) is None


def test_a_forgotten_key_is_read_and_compared_anew() -> None:
    store = Store()
    keys = HeldKeys(PEPPER, store.hash_of, store.read)
    assert keys.find(store.new.token, 0) is not None
    keys.forget(store.new.id)
    store.row = (key_hash(PEPPER, "another secret"), KeyRecord(store.new.id, "bot", store.new.last4, 0))
    assert keys.find(store.new.token, 1) is None


def test_another_secret_under_a_held_id_is_refused_before_and_after_the_right_one() -> None:
    store = Store()
    keys = HeldKeys(PEPPER, store.hash_of, store.read)
    wrong = store.new.token[:-1] + ("0" if store.new.token[-1] != "0" else "1")
    assert keys.find(wrong, 0) is None
    assert keys.find(store.new.token, 1) is not None
    assert keys.find(wrong, 2) is None


def test_a_clock_that_goes_back_holds_nothing() -> None:
    store = Store()
    keys = HeldKeys(PEPPER, store.hash_of, store.read)
    assert keys.find(store.new.token, 10) is not None
    store.row = None
    assert keys.find(store.new.token, 5) is None


def test_whatever_does_not_count_is_read_from_the_store_each_time() -> None:
    """A look-up at hand would be told from one that is not by its time."""
    store = Store()
    keys = HeldKeys(PEPPER, store.hash_of, store.read)
    wrong, unknown = store.new.token[:-1] + ("0" if store.new.token[-1] != "0" else "1"), fresh(PEPPER).token
    assert keys.find(store.new.token, 0) is not None
    before = store.reads
    store.put(revoked_us=1)
    keys.forget(store.new.id)
    for now, token in enumerate([store.new.token, wrong, unknown] * 2, 2):
        assert keys.find(token, now) is None
        assert not keys.at_hand(token, now)
    assert store.reads == before + 6


def test_a_key_that_is_revoked_between_its_hash_and_what_it_proves_is_refused() -> None:
    store = Store()

    def revoked_meanwhile(key_id: str) -> KeyRecord | None:
        store.put(revoked_us=1)
        return store.read(key_id)

    assert HeldKeys(PEPPER, store.hash_of, revoked_meanwhile).find(store.new.token, 2) is None
    store.row = None
    assert HeldKeys(PEPPER, lambda key_id, now_us: store.new.hash, store.read).find(store.new.token, 2) is None
