"""Encrypts what is kept of content, so that it can be erased by throwing a key away.

1. Each tenant (`identify.tenant`) and each user of it has data keys of its own: 32 random bytes, wrapped by a master key
   (`sealing`, AES-256-GCM), kept in `state/sqlite_data_keys`.
2. A body is packed where that makes it smaller, sealed under its data key about the row it belongs to, and written as
   `enc:1:<data key>:<base64>`: journal, ledger, their copies and backups hold nothing else of it.
3. Erasing drops the data keys: what was sealed under them is noise from then on, wherever it lies. The chain of the journal covers what was
   written and goes on verifying. New content of the same tenant comes under a new key.
4. A worker holds unwrapped keys in memory and looks every second whether they still stand; what it seals in that second under a key that
   was just dropped is lost, which is what was asked for.
5. Where nothing can be encrypted nothing is written: that is a journal that cannot be used (503), not content in clear text.

Master keys are listed newest first: the first wraps, all unwrap, so that a key can be changed (`tollhouse encryption rewrap`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from gateway import identify
from gateway.clock import now_us as wall
from gateway.errors import GatewayError, JournalUnavailable, StartError
from gateway.exchange import Caller
from gateway.sealing import KEY, Box, CannotOpen
from gateway.state.data_keys import DataKey, DataKeys
from gateway.storage_settings import Encryption

MARK = "enc:1:"
CHECK_US = 1_000_000
PACK_FROM = 256
"""Bytes; shorter texts hardly pack."""
HELD = 4096
"""Data keys in memory at once."""
_PLAIN, _PACKED = b"\0", b"\1"


class Master:
    """The master keys. `of` reads them from where the settings say."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._boxes = {_fingerprint(key): Box(key) for key in keys}

    @classmethod
    def of(cls, settings: Encryption, environment: Mapping[str, str]) -> Master:
        """Raises StartError."""
        text = settings.keys.read(environment)
        if not text:
            where = f"the variable {settings.keys.env}" if settings.keys.env else settings.keys.file
            raise StartError(f"encryption.keys: {where} holds no master key; make one with: head -c 32 /dev/urandom | base64")
        return cls([_key(line) for line in text.split()])

    def wrap(self, key: bytes, about: str) -> bytes:
        name, box = next(iter(self._boxes.items()))
        return name + box.seal(key, about)

    def unwrap(self, wrapped: bytes, about: str) -> bytes:
        """Raises CannotOpen."""
        box = self._boxes.get(wrapped[:8])
        if box is None:
            raise CannotOpen(f"{about}: wrapped by a master key that is not among those configured")
        return box.open(wrapped[8:], about)

    def current(self, wrapped: bytes) -> bool:
        """Whether it was wrapped by the first master key."""
        return wrapped[:8] == next(iter(self._boxes))


class _Held(Struct):
    """A data key in memory."""

    id: str
    box: Box
    left: int
    checked_us: int


class TenantSealer:
    """Seals for one tenant and user."""

    def __init__(self, held: _Held) -> None:
        self._held = held

    @property
    def scope(self) -> str:
        return self._held.id

    def seal(self, text: str, about: str) -> str:
        held = self._held
        held.left -= 1
        data = text.encode("utf-8", "surrogatepass")
        packed = zlib.compress(data, 1) if len(data) >= PACK_FROM else data
        body = _PACKED + packed if len(packed) < len(data) else _PLAIN + data
        return f"{MARK}{held.id}:{base64.b64encode(held.box.seal(body, about)).decode()}"


class TenantVault:
    """Data keys, unwrapped."""

    def __init__(self, keys: DataKeys, master: Master, now_us: Callable[[], int] = wall) -> None:
        self.keys, self._master, self._now_us = keys, master, now_us
        self._held: dict[tuple[str, str], _Held] = {}

    def sealer(self, caller: Caller) -> TenantSealer:
        """Raises JournalUnavailable when nothing can be encrypted."""
        whose = (identify.tenant(caller), caller.user or "")
        held, now = self._held.get(whose), self._now_us()
        try:
            if held is None or held.left <= 0 or not self._stands(held, now):
                held = self._taken(*whose, now)
        except GatewayError as error:
            raise JournalUnavailable(f"content cannot be encrypted: {error.message}") from error
        except CannotOpen as error:
            raise JournalUnavailable(f"content cannot be encrypted, no master key opens {error}; see encryption.keys") from error
        return TenantSealer(held)

    def open(self, text: str, about: str) -> str | None:
        """What was sealed; a text that was not is what it is. None where its key was dropped. Raises CannotOpen, GatewayError."""
        if not text.startswith(MARK):
            return text
        name, _, coded = text[len(MARK) :].partition(":")
        key = self.keys.find(name)
        if key is None:
            return None
        try:
            sealed = base64.b64decode(coded, validate=True)
        except binascii.Error as error:
            raise CannotOpen(f"{about}: it was cut or changed") from error
        body = Box(self._master.unwrap(key.wrapped, _about(key))).open(sealed, about)
        data = zlib.decompress(body[1:]) if body[:1] == _PACKED else body[1:]
        return data.decode("utf-8", "surrogatepass")

    def rewrap(self) -> int:
        """Wraps every data key by the first master key; how many were wrapped by another. Raises CannotOpen, GatewayError."""
        old = [key for key in self.keys.every() if not self._master.current(key.wrapped)]
        for key in old:
            plain = self._master.unwrap(key.wrapped, _about(key))
            self.keys.rewrap(DataKey(key.id, key.tenant, key.user, self._master.wrap(plain, _about(key)), key.created_us))
        return len(old)

    def _stands(self, held: _Held, now: int) -> bool:
        if 0 <= now - held.checked_us < CHECK_US:
            return True
        held.checked_us = now
        return self.keys.find(held.id) is not None

    def _taken(self, tenant: str, user: str, now: int) -> _Held:
        key, uses = self.keys.take(tenant, user, now, lambda: self._new(tenant, user, now))
        if len(self._held) >= HELD:
            self._held.clear()
        held = _Held(key.id, Box(self._master.unwrap(key.wrapped, _about(key))), uses, now)
        self._held[tenant, user] = held
        return held

    def _new(self, tenant: str, user: str, now: int) -> DataKey:
        key = DataKey("dk" + secrets.token_hex(8), tenant, user, b"", now)
        return DataKey(key.id, tenant, user, self._master.wrap(secrets.token_bytes(KEY), _about(key)), now)


def _about(key: DataKey) -> str:
    return f"data key {key.id} of {key.tenant} {key.user}"


def _fingerprint(key: bytes) -> bytes:
    return hashlib.sha256(b"tollhouse master key:" + key).digest()[:8]


def _key(line: str) -> bytes:
    try:
        key = base64.b64decode(line, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != KEY:
        raise StartError("encryption.keys: each line must be 32 bytes in base64; make one with: head -c 32 /dev/urandom | base64")
    return key
