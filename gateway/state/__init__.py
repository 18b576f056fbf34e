"""SHELF: state that all workers share at once. So far: keys. `sqlite` is the embedded store; a store satisfies `Keys`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct, field


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

    def active(self, now_us: int) -> bool:
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)


class Keys(Protocol):
    """Where virtual keys are kept. A revocation is effective everywhere within a second."""

    def find(self, token: str, now_us: int) -> KeyRecord | None:
        """The active key this token proves, or None: unknown, expired and revoked look the same."""

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
    ) -> str:
        """Makes a key and returns it: the only time it is seen."""

    def revoke(self, key_id: str, now_us: int) -> bool: ...
    def every(self) -> list[KeyRecord]:
        """All keys, oldest first, revoked ones included."""
