"""Time and ids, so that everything else can take them as arguments."""

from __future__ import annotations

import os
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


def boot_us() -> int:
    """Microseconds since this machine started, time asleep included where the system tells: no setting of a clock moves it."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1000


def uuid7(at_us: int | None = None) -> uuid.UUID:
    """A time-ordered id (RFC 9562): 48 bits of milliseconds, then random bits."""
    return uuid.UUID(int=_uuid7(at_us))


def new_id() -> str:
    """A `uuid7` as text, without the detour through an object: every exchange and decision takes one."""
    digits = f"{_uuid7(None):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _uuid7(at_us: int | None) -> int:
    milliseconds = (now_us() if at_us is None else at_us) // 1000
    value = (milliseconds & (2**48 - 1)) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 0x7 << 76
    return value & ~(0x3 << 62) | 0x2 << 62


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of a gateway; tests give their own functions."""

    now_us: Callable[[], int] = now_us
    mono_us: Callable[[], int] = mono_us
    new_id: Callable[[], str] = new_id
