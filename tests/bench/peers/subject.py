"""Something that runs and is measured: where it listens, what it wants to be told, and which processes are whose."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

START_S = 90.0


@dataclass(frozen=True)
class Subject:
    name: str
    port: int
    processes: Callable[[], dict[str, list[int]]]
    """Process ids by what they do: `workers` answer, the others do the rest."""
    path: str = "/v1/chat/completions"
    prefix: str = ""
    """What a model's name is written behind."""
    headers: tuple[str, ...] = ()
    cold_start_s: float = 0.0

    @property
    def everyone(self) -> list[int]:
        return [pid for pids in self.processes().values() for pid in pids]


def await_port(port: int, started: float) -> float:
    """Seconds from `started` (time.monotonic) until something listens."""
    while time.monotonic() < started + START_S:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return time.monotonic() - started
        time.sleep(0.005)
    raise TimeoutError(f"nothing listens on port {port} after {START_S:g} s; look at the log in the bench's folder (--keep)")
