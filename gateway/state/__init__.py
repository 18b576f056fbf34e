"""SHELF: state that all workers share at once: virtual keys, whose what is that providers keep, and what limits have counted.

The embedded stores are in SQLite: `sqlite` (`Keys`), `sqlite_belongings` (`Belongings`) and `sqlite_limits` (`Limits`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from gateway.exchange import Owed, StoredKind, Tool
from gateway.policy.limits import Charge


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


class Belonging(Struct, frozen=True):
    """A stored answer or conversation that a provider keeps for one caller."""

    kind: StoredKind
    id: str
    owner: str
    """`identify.owner` of the caller it was made for. It never changes."""
    upstream: str
    """Name of the upstream that keeps it."""
    created_us: int
    owed: tuple[Owed, ...] = ()
    """Withheld calls for whose results the provider waits."""
    tools: tuple[Tool, ...] = ()
    """What the request declared that the answer was made for."""
    settled: bool = False
    """Its cost is on record: whoever fetches it later spends nothing."""


class Belongings(Protocol):
    """What providers keep, and whose it is. Raises GatewayError('unavailable') when that cannot be read or written."""

    def find(self, dialect: str, kind: StoredKind, name: str) -> Belonging | None: ...
    def keep(self, dialect: str, belongings: Sequence[Belonging]) -> None:
        """Remembers them, or what they owe now; what is another caller's is left as it is."""

    def settle(self, dialect: str, kind: StoredKind, name: str) -> bool:
        """True for the first who says that its cost is on record."""

    def forget(self, dialect: str, kind: StoredKind, name: str) -> None: ...


class Taken(Struct, frozen=True):
    """What one charge took, to give it back by."""

    account: str
    amount: int
    at_us: int = 0
    id: int | None = None
    """None where nothing expires by itself."""


class Taking(Struct, frozen=True):
    """The answer to charges."""

    spent: tuple[int, ...]
    """How much was spent of each before."""
    taken: tuple[Taken, ...] = ()
    """Empty when one of them did not fit: then nothing was taken."""


class Limits(Protocol):
    """What limits have counted. Raises GatewayError('unavailable') when that cannot be read or written."""

    def take(self, charges: Sequence[Charge], now_us: int) -> Taking:
        """Takes all of them when every one fits, otherwise nothing; atomic over all workers."""

    def look(self, charges: Sequence[Charge], now_us: int) -> tuple[int, ...]: ...
    def give_back(self, taken: Sequence[Taken]) -> None: ...
