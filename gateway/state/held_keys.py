"""What every store of virtual keys does the same way: makes them, and holds look-ups for half a second.

What is no key that counts is not held, so that a revocation reaches every worker within a second and a new key at once.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import NamedTuple

from gateway.identify import base62, key_hash, split_key
from gateway.state.keys import KeyRecord

CACHE_US = 500_000
CACHE_SIZE = 10_000


class _Held(NamedTuple):
    read_us: int
    record: KeyRecord


class Fresh(NamedTuple):
    """A new key; `token` is the only time its secret is seen."""

    token: str
    id: str
    hash: bytes
    last4: str


def fresh(pepper: bytes) -> Fresh:
    key_id = base62(secrets.randbelow(62**8), 8)
    secret = base62(secrets.randbits(256), 43)
    return Fresh(f"th_{key_id}_{secret}", key_id, key_hash(pepper, secret), secret[-4:])


_NOBODYS = bytes(32)
"""A hash to compare with where there is none."""


class HeldKeys:
    """`hash_of` gets the hash that the store has of an id, None where it has none that counts now; `read` gets what a key proves, once that
    hash is its own. Only a key that counts is held: every other token, whether it never was a key, is one no longer, or has another's id,
    costs the same reading and the same comparing each time, so that its time tells nothing."""

    def __init__(self, pepper: bytes, hash_of: Callable[[str, int], bytes | None], read: Callable[[str], KeyRecord | None]) -> None:
        self._pepper, self._hash_of, self._read = pepper, hash_of, read
        self._held: dict[str, _Held] = {}
        self._tokens: dict[str, str] = {}
        """By the key's id: what it is held under."""

    def find(self, token: str, now_us: int) -> KeyRecord | None:
        held = self._fresh(token, now_us)
        if held is not None and held.record.active(now_us):
            return held.record
        parts = split_key(token)
        return None if parts is None else self._compared(token, *parts, now_us)

    def _compared(self, token: str, key_id: str, secret: str, now_us: int) -> KeyRecord | None:
        stored, presented = self._hash_of(key_id, now_us), key_hash(self._pepper, secret)
        same = hmac.compare_digest(_NOBODYS if stored is None else stored, presented)
        record = self._read(key_id) if same and stored is not None else None
        if record is None or not record.active(now_us):
            return None
        if len(self._held) >= CACHE_SIZE:
            self._held.clear()
            self._tokens.clear()
        self._held[token], self._tokens[key_id] = _Held(now_us, record), token
        return record

    def at_hand(self, token: str, now_us: int) -> bool:
        """What is no key at all is known to be none."""
        return self._fresh(token, now_us) is not None or split_key(token) is None

    def forget(self, key_id: str) -> None:
        self._held.pop(self._tokens.pop(key_id, ""), None)

    def _fresh(self, token: str, now_us: int) -> _Held | None:
        held = self._held.get(token)
        return held if held is not None and 0 <= now_us - held.read_us < CACHE_US else None
