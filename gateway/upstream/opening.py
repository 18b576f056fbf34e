"""How an answer begins, as far as a route has to know before anything of it is passed on: its form, and of a stream whether it says
something, and whether that is an error.

Providers send comments and pings while a model gets ready, which say nothing. An answer that ends behind them is none, though its status is
good. No judgement: what says something goes the way of every answer.
"""

from __future__ import annotations

import re
from typing import Final

from gateway import identify
from gateway.dialects.sse import Oversize, SseParser
from gateway.errors import GatewayError
from gateway.upstream.client import ProviderAnswer
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


def is_stream(answer: ProviderAnswer, *, wanted: bool) -> bool:
    """Of an answer with a good status: whether it is an event stream, which was `wanted`; else it is JSON. Raises GatewayError for any
    other form: only these two are judged."""
    if answer.charset not in (None, "utf-8", "utf8", "us-ascii"):
        message = f"The provider answered in the character set {answer.charset}; only UTF-8 is read."
        raise GatewayError("upstream", "upstream_charset", message)
    if wanted and answer.media_type == "text/event-stream":
        return True
    if answer.media_type == "application/json":
        return False
    said = identify.label(answer.media_type)
    raise GatewayError("upstream", "upstream_media_type", f"The provider answered with '{said}', which cannot be judged.")


def is_cut(body: bytes) -> bool:
    """Whether this JSON, which is not empty, ends before its last bracket."""
    return not body.rstrip().endswith((b"}", b"]"))


def status_of(error: bytes) -> int | None:
    """The status that fits an error as it stands in an answer: an event, or JSON."""
    opening = Opening()
    opening.more(error)
    return opening.error or status_in(error)
