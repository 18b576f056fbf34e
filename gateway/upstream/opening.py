"""How a stream begins, as far as a route has to know before anything of it is passed on: whether it says something, and whether that is an
error.

Providers send comments and pings while a model gets ready, which say nothing. An answer that ends behind them is none, though its status is
good. No judgement: what says something goes the way of every answer.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.dialects.sse import Oversize, SseParser
from gateway.upstream.said_error import LONGEST, status_in

HELD_S: Final = 15.0
"""How long signs of life are kept back; clients give up on an answer that never begins."""
_NOTHING: Final = re.compile(rb'\s*(?:\[DONE\]\s*)?|\{\s*"type"\s*:\s*"(?:ping|keepalive)"[^{}]*\}\s*')
_END: Final = b"\n\n"
_FIELDS: Final = (b":", b"data", b"event", b"id", b"retry")
"""How lines of an event stream begin."""


class Opening:
    """Given pieces until it knows. `read` is all of them."""

    def __init__(self) -> None:
        self.read = b""
        self.event: bytes | None = None
        """The data of the first event that says something; all that came where that is no event stream."""
        self.cut = False
        """The stream has ended inside that event."""
        self._parser = SseParser(LONGEST, LONGEST)

    def more(self, piece: bytes) -> bool:
        """Whether the next piece has to be seen too. None follow an empty one."""
        self.read += piece
        self.cut = not piece
        try:
            events = self._parser.feed(piece or _END)
            self.event = next((each.data for each in events if each.data is not None and not _NOTHING.fullmatch(each.data)), None)
        except Oversize:
            self.event = b""
        if self.cut and self.event is None and not self._is_stream():
            self.event = self.read
        return bool(piece) and self.event is None and len(self.read) <= LONGEST

    def _is_stream(self) -> bool:
        return all(not line or line.startswith(_FIELDS) for line in self.read.removeprefix(b"\xef\xbb\xbf").splitlines())

    @property
    def error(self) -> int | None:
        """The status that fits, where it begins with an error."""
        return None if self.event is None else status_in(self.event)


def status_of(error: bytes) -> int | None:
    """The status that fits an error as it stands in an answer: an event, or JSON."""
    opening = Opening()
    opening.more(error)
    return opening.error or status_in(error)
