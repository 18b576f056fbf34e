"""What the bench can measure: a file each, and a line in the registry.

A peer names the package it is had from, and runs in front of a provider (`running`) until the block ends. Others' gateways run as their
makers would have them in production, one worker, with nothing recorded.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from tests.bench.peers import envoy, haproxy, litellm, mlflow, nginx, portkey, relay, tensorzero, tollhouse
from tests.bench.peers.installing import Package
from tests.bench.peers.subject import Subject


class Peer(Protocol):
    """A module of this shelf."""

    NAME: str
    PACKAGE: Package | None
    """None: it is here."""

    @staticmethod
    def running(folder: Path, provider_port: int) -> AbstractContextManager[Subject]: ...


_SHELF = (tollhouse, relay, nginx, haproxy, envoy, tensorzero, portkey, mlflow, litellm)
PEERS: dict[str, Peer] = {peer.NAME: peer for peer in _SHELF}  # type: ignore[misc]

OUT_OF_REACH = {
    "agentgateway": "it is no package of PyPI, npm or Debian: a program to download, or a container image",
    "bifrost": "its npm package holds no gateway: it downloads one when it is first run",
    "otari": "its package on PyPI is a client; the gateway is a container image beside a PostgreSQL",
}
"""Gateways that are not measured, and why: nothing is run here that does not come from a package registry."""


def absent(name: str) -> str | None:
    """Why it cannot run here, and what would make it; None when it can."""
    if name in OUT_OF_REACH:
        return OUT_OF_REACH[name]
    package = PEERS[name].PACKAGE
    return package.absent() if package else None
