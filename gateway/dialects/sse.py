"""Server-sent events, cut anywhere: bytes in, events out, every wire byte accounted for.

Follows the WHATWG HTML standard, 9.2 (lines end in LF, CRLF or CR; one byte order mark may lead the stream; several `data` lines are
joined). Two things are added for a gate:
1. Each event keeps its `raw` bytes, comments and blank line included, and the raws in order are the input. A blank line without
   fields is an event with `data=None` (keep-alives pass at once).
2. What is an event, and where its raw ends, depends on the bytes alone and never on how they were cut. After a CRLF line a blank line
   ending in CR waits for the LF that must come; after LF or CR lines it ends the event at once, and an LF that still follows is
   an event of its own, without data.

An event that no blank line has ended is never dispatched: it stays in `rest`. Not a client: no reconnecting; `id` and `retry`
live on only inside `raw`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

_BOM = b"\xef\xbb\xbf"
_LF = 0x0A
_PLAIN = b"data: "
_line_end = re.compile(rb"[\r\n]").search
_line_ends = re.compile(rb"\r\n|\r|\n")


class SseEvent(Struct, frozen=True):
    event: str | None
    """The last `event:` field, None when there is none."""
    data: bytes | None
    """The `data:` fields joined with LF, None when there is none."""
    raw: bytes


class Oversize(ValueError):  # noqa: N818 - names what the stream is
    """One event is longer than the limit, or there are too many of them."""


class SseParser:
    """Fed with chunks, says the events they complete. Linear in the bytes, however they are cut."""

    def __init__(self, limit: int, most: int) -> None:
        self._limit, self._left, self._most = limit, most, most
        self._buffer = bytearray()
        self._line = 0  # where the line being read begins in the buffer
        self._scanned = 0  # no line end before this
        self._event: str | None = None
        self._data: bytearray | None = None
        self._first_line = True
        self._crlf = False  # the last line ended in CRLF
        self._lf_may_follow = False  # the last event ended in CR: an LF now belongs to that line end

    @property
    def rest(self) -> bytes:
        """The bytes of an event that no blank line has ended yet."""
        return bytes(self._buffer)

    def feed(self, chunk: bytes) -> Iterator[SseEvent]:
        """Raises `Oversize` once an event is known to be longer than the limit, or the stream to have more events than it may; feed
        nothing more then."""
        read = 0
        if self._buffer:
            begun, chunk = self.completed(chunk)
            if begun is None:
                return
            yield begun
        while (event := self.plain(chunk, read)) is not None:
            read += len(event.raw)
            yield event
        self._buffer += chunk[read:] if read else chunk
        while (event := self._next_event()) is not None:
            yield event
        self._refuse_oversize()

    @property
    def between(self) -> bool:
        """Whether no event has begun."""
        return not self._buffer

    def completed(self, chunk: bytes) -> tuple[SseEvent | None, bytes]:
        """The event that has begun, and what of the chunk stands behind it; None while it has not ended."""
        self._buffer += chunk
        event = self._next_event()
        if event is None:
            self._refuse_oversize()
            return None, b""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return event, rest

    def room(self, chunk: bytes) -> int:
        """How many events of this chunk may be known without being read here (`passed`); none where one could be too long."""
        return self._left if len(chunk) <= self._limit else 0

    def passed(self, events: int) -> None:
        """So many events that whoever feeds knows already: one `data` line each, LF, behind whole events only. They count like others."""
        self._first_line = self._crlf = self._lf_may_follow = False
        self._left -= events

    def _refuse_oversize(self) -> None:
        if len(self._buffer) > self._limit:
            raise Oversize(f"a server-sent event is longer than {self._limit} bytes")

    def plain(self, chunk: bytes, at: int) -> SseEvent | None:
        """The event at this place, where it comes as almost all do: whole in a chunk, one `data` line, LF. Only between events."""
        if not chunk.startswith(_PLAIN, at):
            return None
        end = chunk.find(b"\n", at)
        data = chunk[at + len(_PLAIN) : end]
        if end < 0 or not chunk.startswith(b"\n", end + 1) or b"\r" in data:
            return None
        self._first_line = self._crlf = self._lf_may_follow = False  # as after reading it line by line
        return SseEvent(None, data, self._within_limit(chunk[at : end + 2]))

    def _within_limit(self, raw: bytes) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise Oversize(f"the stream has more than {self._most} events")
        if len(raw) > self._limit:
            raise Oversize(f"a server-sent event is longer than {self._limit} bytes")
        return raw

    def _next_event(self) -> SseEvent | None:
        if self._lf_may_follow and self._buffer:
            self._lf_may_follow = False
            if self._buffer[0] == _LF:
                return self._dispatch(1)
        while found := _line_end(self._buffer, self._scanned):
            end = self._scanned = found.start()
            begin_next = self._past_line_end(end)
            if begin_next is None:
                return None
            line = self._buffer[self._line : end]
            self._line = self._scanned = begin_next
            if self._is_blank(line):
                return self._dispatch(begin_next)
        self._scanned = len(self._buffer)
        return None

    def _past_line_end(self, end: int) -> int | None:
        """Where the next line begins, or None when a byte must come first to tell."""
        if self._buffer[end] == _LF:
            self._crlf = False
            return end + 1
        if end == self._line and not self._crlf:
            self._lf_may_follow = True
            return end + 1
        if end + 1 == len(self._buffer):
            return None
        self._crlf = self._buffer[end + 1] == _LF
        return end + 1 + self._crlf

    def _is_blank(self, line: bytearray) -> bool:
        if self._first_line:
            self._first_line = False
            line = line.removeprefix(_BOM)
        if not line:
            return True
        name, _, value = line.partition(b":")
        if name == b"data":
            self._add_data(value.removeprefix(b" "))
        elif name == b"event":
            self._event = value.removeprefix(b" ").decode(errors="replace")
        return False

    def _add_data(self, value: bytearray) -> None:
        if self._data is None:
            self._data = value
        else:
            self._data += b"\n"
            self._data += value

    def _dispatch(self, size: int) -> SseEvent:
        raw = self._within_limit(bytes(self._buffer[:size]))
        data = None if self._data is None else bytes(self._data)
        event = SseEvent(self._event, data, raw)
        del self._buffer[:size]
        self._event = self._data = None
        self._line = self._scanned = 0
        return event


def frame(data: bytes, event: str | None = None) -> bytes:
    """One event. Line breaks inside `data` become further `data` lines, so that no content can begin a line of its own.

    `event` is a name this code chose, never a provider's or a model's text.
    """
    head = f"event: {event}\n".encode() if event else b""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_line_ends.split(data))
    return head + b"data: " + data + b"\n\n"
