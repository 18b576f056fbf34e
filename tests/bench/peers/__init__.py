"""What the bench can measure: a file each, and a line in the registry.

A peer says why it cannot run here (`absent`), or runs in front of a provider (`running`) until the block ends.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tests.bench.peers import litellm, nginx, portkey, relay, tollhouse
from tests.bench.peers.subject import Subject


class Peer(Protocol):
    """A module of this shelf."""

    NAME: str

    @staticmethod
    def absent() -> str | None:
        """Why it cannot run here, and what would make it; None when it can."""

    @staticmethod
    def running(folder: Path, provider_port: int) -> AbstractContextManager[Subject]: ...


PEERS: dict[str, Peer] = {peer.NAME: peer for peer in (tollhouse, relay, nginx, litellm, portkey)}  # type: ignore[dict-item]
