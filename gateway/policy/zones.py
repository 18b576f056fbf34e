"""Time zones that stand in conditions: `now.getHours('Europe/Zurich')`. Where the engine finds them, `policy_folder` says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from gateway.policy.tokens import Token

ZONED: Final = (
    *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours"),
    *("getMinutes", "getSeconds", "getMilliseconds"),
)
"""Functions of a time that take a zone."""
_FARTHEST: Final = 14 * 60
"""Minutes from UTC: the Line Islands."""
_LAST_MINUTE: Final = 59
_OF_THE_MACHINE: Final = ("", "localtime", "/", ":")
"""What the engine takes for a zone and what is another one on each machine: the whole name, or how it begins."""


def literal_zones(tokens: Sequence[Token]) -> Iterator[Token]:
    """The zone of each `.getHours('zone')`."""
    for name, _, zone, end in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.calls and name.text in ZONED and zone.kind == "string" and end.text == ")":
            yield zone


def of_the_machine(name: str) -> bool:
    return name in _OF_THE_MACHINE or name.startswith(_OF_THE_MACHINE[2:])


def beyond_the_earth(name: str) -> bool:
    """An offset that no place has: the engine counts with it all the same."""
    offset = re.fullmatch(r"[-+]?([0-9]+):([0-9]+)", name)
    return offset is not None and (int(offset[1]) * 60 + int(offset[2]) > _FARTHEST or int(offset[2]) > _LAST_MINUTE)
