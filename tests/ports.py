"""Ports for servers that a test or a bench starts by themselves."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path

ANY = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST, HIGHEST = 10_000, 32_768
_random = random.SystemRandom()
"""Not the one that Hypothesis seeds: processes that test side by side would draw the same."""


def free_port() -> int:
    """A port of loopback that nobody has, and of those the kernel gives to nobody who asks for any: it is free until its taker comes, and
    what is expected to be away stays away."""
    while True:
        port = _random.randrange(LOWEST, _highest())
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _highest() -> int:
    try:
        first = int(ANY.read_text().split()[0])
    except OSError:
        return HIGHEST
    return first if first > LOWEST + 1000 else HIGHEST
