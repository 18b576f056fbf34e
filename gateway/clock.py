"""Time and ids, so that everything else can take them as arguments."""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass


def now_us() -> int:
    """Wall clock, microseconds since 1970 UTC."""
    return time.time_ns() // 1000


def mono_us() -> int:
    """Monotonic microseconds: for durations, never for dates."""
    return time.monotonic_ns() // 1000


def uuid7(at_us: int | None = None) -> uuid.UUID:
    """A time-ordered id (RFC 9562): 48 bits of milliseconds, then random bits."""
    milliseconds = (now_us() if at_us is None else at_us) // 1000
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of a gateway; tests give their own functions."""

    now_us: Callable[[], int] = now_us
    mono_us: Callable[[], int] = mono_us
    new_id: Callable[[], str] = lambda: str(uuid7())
