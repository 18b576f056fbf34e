"""Answers and conversations that providers keep for callers, and what a store does that remembers whose they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from gateway.request import Owed, StoredKind, Tool


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
    def close(self) -> None: ...
