"""What every store of virtual keys does the same way: makes them, and holds look-ups for half a second.

Unknown keys are held for none, so that a revocation reaches every worker within a second and a new key at once.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from typing import NamedTuple

from gateway.identify import base62, key_hash, split_key
from gateway.state import KeyRecord

CACHE_US = 500_000
CACHE_SIZE = 10_000

_Held = tuple[int, bytes, KeyRecord]
"""When it was read, and what: the hash and the record."""


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


class HeldKeys:
    """`read` gets (hash, record) of an id from the store."""

    def __init__(self, pepper: bytes, read: Callable[[str], tuple[bytes, KeyRecord] | None]) -> None:
        self._pepper, self._read = pepper, read
        self._held: dict[str, _Held] = {}
        self._proven: dict[str, _Held] = {}
        """By token: the look-up that it was compared with. It counts as long as that one is held."""

    def find(self, token: str, now_us: int) -> KeyRecord | None:
        proven = self._proven.get(token)
        if proven is not None and self._fresh(proven[2].id, now_us) is proven:
            return proven[2] if proven[2].active(now_us) else None
        return self._compared(token, now_us)

    def _compared(self, token: str, now_us: int) -> KeyRecord | None:
        parts = split_key(token)
        if parts is None:
            return None
        key_id, secret = parts
        found = self._found(key_id, now_us)
        presented = key_hash(self._pepper, secret)
        if found is None:
            return None
        _, stored, record = found
        if not hmac.compare_digest(stored, presented):
            return None
        if len(self._proven) >= CACHE_SIZE:
            self._proven.clear()
        self._proven[token] = found
        return record if record.active(now_us) else None

    def at_hand(self, token: str, now_us: int) -> bool:
        """What is no key at all is known to be none."""
        parts = split_key(token)
        return parts is None or self._fresh(parts[0], now_us) is not None

    def forget(self, key_id: str) -> None:
        self._held.pop(key_id, None)

    def _found(self, key_id: str, now_us: int) -> _Held | None:
        held = self._fresh(key_id, now_us)
        if held is not None:
            return held
        read = self._read(key_id)
        if read is None:
            return None
        if len(self._held) >= CACHE_SIZE:
            self._held.clear()
        found = self._held[key_id] = (now_us, *read)
        return found

    def _fresh(self, key_id: str, now_us: int) -> _Held | None:
        held = self._held.get(key_id)
        return held if held is not None and 0 <= now_us - held[0] < CACHE_US else None
