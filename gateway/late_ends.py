"""Ends of exchanges that the journal refused while it could not be written: a full disk, a cap that was reached.

A provider was asked for them, so their tokens and their cost belong in the book, and one that was opened would stay open there as long as
its worker lives. They wait here, bounded, and are written when the journal takes records again.
"""

from __future__ import annotations

import logging
from collections import deque

from gateway.bookkeeping import Bookkeeping
from gateway.errors import JournalUnavailable, RecordTooLong

log = logging.getLogger("gateway.late_ends")
MOST, MOST_BYTES = 256, 32 * 1024 * 1024
"""Exchanges, and the bytes of their requests. While the journal is broken, nobody new is let in: what waits was under way."""


class LateEnds:
    """The records are made as they are written, not before: until then nobody may believe that the bodies in them were."""

    def __init__(self) -> None:
        self._waiting: deque[Bookkeeping] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def keep(self, book: Bookkeeping) -> None:
        if len(self._waiting) < MOST and sum(each.request_bytes for each in self._waiting) + book.request_bytes <= MOST_BYTES:
            self._waiting.append(book)
        else:
            log.error("an exchange has no end on record: the journal has refused those of %s already, which wait", len(self._waiting))

    async def write(self) -> None:
        """Those that can be written; the rest waits on."""
        for _ in range(len(self._waiting)):
            book = self._waiting.popleft()
            try:
                await book.end_late()
            except RecordTooLong as error:
                log.error("the end of an exchange cannot be recorded: %s", error)  # noqa: TRY400 - no traceback wanted
            except JournalUnavailable:
                self._waiting.appendleft(book)
                return
            except Exception:
                log.exception("the end of an exchange could not be recorded")
