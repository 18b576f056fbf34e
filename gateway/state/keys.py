"""Virtual keys: what is known of each, and what a store of them does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field

from gateway.exchange import Storing
from gateway.scope import ANYTHING, KeyScope


class KeyRecord(Struct, frozen=True):
    """A virtual key as it is stored: never the secret."""

    id: str
    agent: str
    last4: str
    created_us: int
    team: str | None = None
    user: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    expires_us: int | None = None
    revoked_us: int | None = None
    store: Storing | None = None
    """What is kept of its content; None = as the settings say."""
    org: str | None = None
    """The organisation the team belongs to."""
    scope: KeyScope = ANYTHING
    family: str = ""
    """Id of the first of the keys that were made in each other's place; empty for one that stands for itself."""

    @property
    def line(self) -> str:
        """The family, of which at most two are live."""
        return self.family or self.id

    def active(self, now_us: int) -> bool:
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


class Keys(Protocol):
    """Where virtual keys are kept. A revocation is effective everywhere within a second."""

    def find(self, token: str, now_us: int) -> KeyRecord | None:
        """The active key this token proves, or None: unknown, expired and revoked look the same."""

    def at_hand(self, token: str, now_us: int) -> bool:
        """Whether `find` answers without asking the store."""

    def any_created(self) -> bool:
        """Whether a key was ever made here, revoked ones included."""

    def any_active(self, now_us: int) -> bool: ...
    def create(
        self,
        *,
        agent: str,
        now_us: int,
        team: str | None,
        user: str | None,
        labels: Mapping[str, str],
        expires_us: int | None,
        store: Storing | None = None,
        org: str | None = None,
        scope: KeyScope = ANYTHING,
        by: str = "",
    ) -> str:
        """Makes a key and returns it: the only time it is seen."""

    def rotate(self, key_id: str, now_us: int, old_until_us: int, *, by: str = "", why: str = "") -> str:
        """A key in the place of another one, which lives on until then at the most; the new one lives as long as the old one was made for.
        Raises GatewayError: `not_found`, or `bad_request` for one that is not active, or where two are live already."""

    def revoke(self, key_id: str, now_us: int, *, by: str = "", why: str = "") -> bool:
        """False when there is no such key. The first time counts."""

    def every(self) -> list[KeyRecord]:
        """All keys, oldest first, revoked ones included."""

    def close(self) -> None: ...
