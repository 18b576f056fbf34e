"""Which bodies were stored lately, so that a conversation that is sent again with every turn is not stored again with every turn.

It only saves room: a body that is stored twice is shown once by the views.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from gateway.stores.fold import Row
from gateway.trace.days import DAY_US

SEEN_BODIES = 262_144


class SeenBodies:
    """The last `SEEN_BODIES` of one writer."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, ...], None] = OrderedDict()

    def fresh(self, table: str, rows: Sequence[Row]) -> list[Row]:
        """Rows that were not stored lately with their day; from now on they were."""
        fresh = []
        for row in rows:
            key = _key(table, row)
            if key not in self._seen:
                self._seen[key] = None
                fresh.append(row)
        while len(self._seen) > SEEN_BODIES:
            self._seen.popitem(last=False)
        return fresh

    def recall(self, message: str, first_seen_us: int) -> None:
        """A message that an earlier process stored."""
        self._seen[_key("message_bodies", (message, None, None, first_seen_us))] = None

    def clear(self) -> None:
        self._seen.clear()


def _key(table: str, row: Row) -> tuple[str, ...]:
    """What makes a row the same: its address, the day, and for media everything."""
    if table == "message_bodies":
        return (table, row[0], str(row[3] // DAY_US))
    if table == "prompt_bodies":
        return (table, row[0], str(row[2] // DAY_US), row[1], row[5])
    return (table, *map(str, row[:-1]), str(row[-1] // DAY_US))
