"""Counts over a window that slides, in a fixed number of slices: as much memory however much is counted, and never more than one slice
too old."""

from __future__ import annotations

SLICES = 10


class Window:
    """Two counts side by side. Times are µs and may stand still, but not go back; one that does counts as the latest."""

    __slots__ = ("_at", "_first", "_second", "_slice_us")

    def __init__(self, seconds: float) -> None:
        self._slice_us = max(1, int(seconds * 1_000_000 / SLICES))
        self._at = 0
        self._first = [0] * SLICES
        self._second = [0] * SLICES

    def add(self, now_us: int, *, first: int = 0, second: int = 0) -> None:
        self._turn(now_us)
        self._first[self._at % SLICES] += first
        self._second[self._at % SLICES] += second

    def sums(self, now_us: int) -> tuple[int, int]:
        self._turn(now_us)
        return sum(self._first), sum(self._second)

    def clear(self) -> None:
        self._first, self._second = [0] * SLICES, [0] * SLICES

    def _turn(self, now_us: int) -> None:
        at = now_us // self._slice_us
        for gone in range(self._at + 1, min(at, self._at + SLICES) + 1):
            self._first[gone % SLICES] = self._second[gone % SLICES] = 0
        self._at = max(self._at, at)
