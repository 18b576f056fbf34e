"""Time zones of conditions (`now.getHours('Europe/Zurich')`): which there are, and the same on every machine.

The engine looks for them in the system's files, which small images do not have and which differ from machine to machine: it is pointed to
those of `pytz`, a package that is installed with the gateway. Whoever sets `TZDIR` has others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from gateway.policy.tokens import Token

ZONED: Final = (
    *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours"),
    *("getMinutes", "getSeconds", "getMilliseconds"),
)
"""Functions of a time that take a zone."""
_OF_THE_MACHINE: Final = ("", "localtime", "/", ":")
"""What the engine takes for a zone and what is another one on each machine: the whole name, or how it begins."""


def point_to_installed_zones() -> None:
    """Before the first zone is looked up."""
    found = find_spec("pytz")
    if found is not None and found.origin is not None:
        os.environ.setdefault("TZDIR", str(Path(found.origin).parent / "zoneinfo"))


def literal_zones(tokens: Sequence[Token]) -> Iterator[Token]:
    """The zone of each `.getHours('zone')`."""
    for name, _, zone, end in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False):
        if name.calls and name.text in ZONED and zone.kind == "string" and end.text == ")":
            yield zone


def of_the_machine(name: str) -> bool:
    return name in _OF_THE_MACHINE or name.startswith(_OF_THE_MACHINE[2:])
