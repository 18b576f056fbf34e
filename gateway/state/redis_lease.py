"""Whose turn it is to bring changes to where they are told or recorded: of several machines one at a time.

The turn lasts `TURN_MS` and goes on while its holder gets things done or finds nothing to do. Who holds it and gets nothing done loses it,
so that another machine may try.
"""

from __future__ import annotations

import secrets
from typing import TypeVar

from gateway.state.redis_line import Line

TURN_MS = 5_000
_Found = TypeVar("_Found")
_OTHERWISE = "The state store cannot be used, so nobody can tell whose turn it is."


class Lease:
    def __init__(self, line: Line, what: str) -> None:
        self._line, self._name, self._me = line, line.key("turn", what), secrets.token_hex(8)
        self._script = line.script("redis_lease")

    def mine(self, found: list[_Found]) -> list[_Found]:
        """What was found, when it is this one's turn; otherwise nothing."""
        return found if self._asked("look" if found else "go on") else []

    def done(self) -> None:
        """Something was done."""
        self._asked("go on")

    def _asked(self, what: str) -> bool:
        with self._line.asking(_OTHERWISE):
            return bool(self._script([self._name], [what, self._me, TURN_MS]))
