"""What was worked out lately from the same bytes, kept within a bound: agents send the whole conversation again with every turn.

Only for what depends on the bytes alone. Two generations instead of an order of use: what is asked for again moves to the young one, and
when that is full the old one is forgotten. A look costs one hash of the bytes, and none where they are the very object that was kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic, TypeVar

Value = TypeVar("Value")

LARGEST: Final = 64 * 1024
"""Bytes of one key; what is longer is not kept."""
_OVERHEAD: Final = 200
"""Bytes that an entry takes beside its key, about."""


class Recent(Generic[Value]):
    """`room`: bytes of all keys together, about."""

    def __init__(self, room: int) -> None:
        self._room = room // 2
        self.forget()

    def forget(self) -> None:
        self._left = self._room
        self._young: dict[bytes, Value] = {}
        self._old: dict[bytes, Value] = {}

    def get(self, key: bytes) -> Value | None:
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.keep(key, found)
        return found

    def several(self, keys: Sequence[bytes]) -> list[Value | None]:
        """As `get`, for each: most of them are young."""
        found: list[Value | None] = []
        for key in keys:
            young = self._young  # of this moment: whoever keeps something, here or in a thread, may put another in its place
            found.append(young[key] if key in young else self.get(key))
        return found

    def keep(self, key: bytes, value: Value) -> None:
        if len(key) > LARGEST:
            return
        self._left -= len(key) + _OVERHEAD
        if self._left < 0:
            self._old, self._young, self._left = self._young, {}, self._room - len(key) - _OVERHEAD
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)
