"""How what was said is written down for one tenant: by the pen of the exchange's mode (`pens`), sealed where content is encrypted
(`Vault`), found again by an address of its content. Addresses are a tenant's own, and other ones for each mode and each data key: equal
bodies of two tenants do not look equal. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

import msgspec

from gateway import identify
from gateway.exchange import Caller, Storing
from gateway.trace.keyed import keyed
from gateway.trace.pens import Detect, Pen, pens
from gateway.trace.redact import Redactor

PREVIEW = 200
MOST_HANDS = 256
"""Kept ready: tenants times modes."""


class Sealer(Protocol):
    """Makes content unreadable without a key that may be thrown away."""

    @property
    def scope(self) -> str:
        """Another one for each key."""

    def seal(self, text: str, about: str) -> str:
        """`about` names the row that the text is for; it opens only there."""


class Vault(Protocol):
    def sealer(self, caller: Caller) -> Sealer: ...


class Unsealed:
    """Content is not encrypted."""

    scope = ""

    def sealer(self, caller: Caller) -> Sealer:
        return self

    def seal(self, text: str, about: str) -> str:
        return text


class Hand:
    """Writes for one tenant in one mode."""

    def __init__(self, pen: Pen, teller: Pen, sealer: Sealer, address_key: bytes, *, legible: bool) -> None:
        self.pen, self.key, self._teller, self._sealer, self._legible = pen, address_key, teller, sealer, legible

    def address(self, body: bytes) -> str:
        return _address(self.key, body)

    def body(self, text: str, about: str) -> str:
        """What was said, as it may be kept. Sizes and hashes are for everybody to read."""
        written = self.pen.body(text)
        return self._sealer.seal(written, about) if written and self._legible else written

    def told(self, text: str, quoted: Iterable[object] = ()) -> str:
        """A reason. It stays legible where content is sealed, so it quotes nothing of it."""
        return self._teller.told(text, quoted)

    def preview(self, text: str, about: str) -> str:
        written = self.pen.body(text)[:PREVIEW]
        return self._sealer.seal(written, about) if written and self._legible else written


class Hands:
    """Those of one installation: its address key, its redactor and detectors, its vault."""

    def __init__(self, address_key: bytes, redactor: Redactor, detect: Detect, vault: Vault | None) -> None:
        self.pens = pens(redactor, detect, _derived(address_key, "marks"))
        self._key = address_key
        self._vault: Vault = vault or Unsealed()
        self._ready: dict[tuple[Storing, str], Hand] = {}

    def address(self, body: bytes) -> str:
        """Content address: HMAC-SHA-256 cut to 128 bits, hex. Without the key nobody can tell which contents are equal."""
        return _address(self._key, body)

    def of(self, storing: Storing, caller: Caller) -> Hand:
        sealer, tenant = self._vault.sealer(caller), identify.tenant(caller)
        if sealer.scope:  # its key may be dropped at any time
            return self._hand(storing, tenant, sealer)
        found = self._ready.get((storing, tenant))
        if found is None:
            if len(self._ready) >= MOST_HANDS:
                self._ready.clear()
            found = self._ready[storing, tenant] = self._hand(storing, tenant, sealer)
        return found

    def _hand(self, storing: Storing, tenant: str, sealer: Sealer) -> Hand:
        key = _derived(self._key, storing, tenant, sealer.scope)
        teller = self.pens["metadata" if sealer.scope else storing]
        return Hand(self.pens[storing], teller, sealer, key, legible=storing != "metadata")


def about_message(address: str) -> str:
    return f"message:{address}"


def about_prompt(prompt: str) -> str:
    return f"prompt:{prompt}"


def about_rendered(exchange: str) -> str:
    return f"rendered:{exchange}"


def about_call(decision: str) -> str:
    return f"call:{decision}"


def about_approval(approval: str) -> str:
    return f"approval:{approval}"


def about_feedback(feedback: str) -> str:
    return f"feedback:{feedback}"


def about_exchange(exchange: str) -> str:
    return f"exchange:{exchange}"


def _address(key: bytes, body: bytes) -> str:
    return keyed(key).digest(body)[:16].hex()


@lru_cache(maxsize=4096)
def _derived(key: bytes, *parts: str) -> bytes:
    return keyed(key).digest(msgspec.json.encode(parts))
