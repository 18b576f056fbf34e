"""Answers kept in a worker's memory: bounded, what was asked for longest ago goes first. Asked from the event loop and from threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from gateway.clock import boot_us

OVERHEAD = 400
"""Bytes that an entry takes beside its data, about."""


class MemoryAnswers:
    """`most`: bytes of all together."""

    def __init__(self, most: int, now_us: Callable[[], int] = boot_us) -> None:
        self._most, self._now_us = most, now_us
        self._kept: OrderedDict[str, tuple[bytes, int]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def find(self, name: str) -> bytes | None:
        with self._lock:
            found = self._kept.get(name)
            if found is None:
                return None
            data, until_us = found
            if until_us <= self._now_us():
                self._take_out(name)
                return None
            self._kept.move_to_end(name)
            return data

    def keep(self, name: str, data: bytes, ttl_us: int) -> None:
        with self._lock:
            self._take_out(name)
            if len(data) + OVERHEAD > self._most:
                return
            self._kept[name] = (data, self._now_us() + ttl_us)
            self._size += len(data) + OVERHEAD
            while self._size > self._most:
                self._take_out(next(iter(self._kept)))

    def forget(self, name: str) -> None:
        with self._lock:
            self._take_out(name)

    def close(self) -> None:
        with self._lock:
            self._kept.clear()
            self._size = 0

    def _take_out(self, name: str) -> None:
        found = self._kept.pop(name, None)
        if found is not None:
            self._size -= len(found[0]) + OVERHEAD
