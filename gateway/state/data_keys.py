"""Keys under which content is encrypted, wrapped, and what a store of them does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct


class DataKey(Struct, frozen=True):
    """A key under which content is encrypted, wrapped by a master key."""

    id: str
    tenant: str
    user: str
    """Empty where the tenant's keys name none."""
    wrapped: bytes
    created_us: int


class DataKeys(Protocol):
    """Where data keys are kept. Raises GatewayError('unavailable') when they cannot be read or written."""

    def take(self, tenant: str, user: str, now_us: int, make: Callable[[], DataKey]) -> tuple[DataKey, int]:
        """The key for new content, and how often it may be used before it is taken again. `make` makes one where there is none."""

    def find(self, name: str) -> DataKey | None:
        """None when there is no such key, or no longer."""

    def erase(self, tenant: str, user: str | None, now_us: int) -> list[str]:
        """Drops the keys of a tenant, or of one user of it; ids of all that are gone and not on record as such."""

    def noted(self, names: Sequence[str]) -> None:
        """Their erasure is on record."""

    def every(self) -> list[DataKey]:
        """Those that are there, oldest first."""

    def rewrap(self, key: DataKey) -> None:
        """Puts a key back that was wrapped anew; one that was erased meanwhile stays erased."""

    def close(self) -> None: ...
