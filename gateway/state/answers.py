"""What a store does that keeps answers to be given again."""

from __future__ import annotations

from typing import Protocol


class Answers(Protocol):
    """Answers to be given again, by name, sealed or not. What was kept may be gone at any time. Raises GatewayError('unavailable')."""

    def find(self, name: str) -> bytes | None: ...
    def keep(self, name: str, data: bytes, ttl_us: int) -> None:
        """In the place of what had the name; what is too large for the bound on all of them is not kept."""

    def forget(self, name: str) -> None: ...
    def close(self) -> None: ...
