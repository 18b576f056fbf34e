"""What a store does that remembers which calls were delivered."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol


class Issued(Protocol):
    """Digests of calls that were delivered. Raises GatewayError('unavailable') when they cannot be read or written."""

    def keep(self, owner: str, digests: Sequence[bytes], now_us: int) -> None:
        """May wait for others and for the disk."""

    def keep_at_once(self, owner: str, digests: Sequence[bytes], now_us: int) -> bool:
        """False when it cannot be done without waiting: then nothing is written, and `keep` is to do it."""

    def known(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]: ...
    def known_at_once(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes] | None:
        """None when it cannot be told without waiting: `known` can."""

    def seen(self, owner: str, digests: Collection[bytes]) -> frozenset[bytes]:
        """Those that this process is sure of without asking the store, in a moment."""

    def close(self) -> None: ...
