"""Which bodies were stored lately, so that a conversation that is sent again with every turn is not stored again with every turn.

It only saves room: a body that is stored twice is shown once by the views.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gateway.stores.fold import Row
from gateway.trace.days import DAY_US

SEEN_BODIES = 262_144


_Key = str | tuple[str, ...]


class SeenBodies:
    """The last `SEEN_BODIES` of one writer: some 40 MB, so keys are small."""

    def __init__(self) -> None:
        self._seen: set[_Key] = set()
        self._oldest_first: deque[_Key] = deque()

    def fresh(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """Rows that were not stored lately with their day; from now on they were."""
        return [row for row in rows if self._add(_key(table, row))]

    def recall(self, message: str, first_seen_us: int) -> None:
        """A message that an earlier process stored."""
        self._add(_key("message_bodies", (message, None, None, first_seen_us)))

    def clear(self) -> None:
        self._seen.clear()
        self._oldest_first.clear()

    def _add(self, key: _Key) -> bool:
        if key in self._seen:
            return False
        self._seen.add(key)
        self._oldest_first.append(key)
        if len(self._oldest_first) > SEEN_BODIES:
            self._seen.remove(self._oldest_first.popleft())
        return True


def _key(table: str, row: Row) -> _Key:
    """What makes a row the same: its address, the day, and for media everything. That of a message is one text: nearly all are such."""
    if table == "message_bodies":
        return f"{row[0]} {row[3] // DAY_US}"
    if table == "prompt_bodies":
        return (table, row[0], str(row[2] // DAY_US), row[1], row[5])
    return (table, *map(str, row[:-1]), str(row[-1] // DAY_US))
