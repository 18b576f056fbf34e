"""The book's own journal: facts of the admin plane (what was read, asked, said or erased) become records like those of the workers.

It is a journal as any other, in the same folder, under the slot `BOOK_SLOT`; the book reads it back into the ledger with the rest. It is
begun with the first record, so that a book that is only asked leaves no trace. It always commits: what a person did is durable before
they hear that it was done.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway import __version__, clock
from gateway.journal import Journal
from gateway.stores.intake import segments
from gateway.trace.record import Booted, Record
from gateway.trace.redact import Redactor
from gateway.trace.segments import BOOK_SLOT


class OwnJournal:
    """`run` is the run of the gateway the book belongs to; a book on its own (None) continues the last one. The rest is the journal's."""

    def __init__(
        self,
        directory: Path,
        run: str | None = None,
        *,
        max_total_bytes: int | None = None,
        max_segment_s: float = 86_400.0,
    ) -> None:
        self._directory = directory
        self._run = run
        self._max_total, self._max_segment_s = max_total_bytes, max_segment_s
        self._journal: Journal | None = None
        self._opening = asyncio.Lock()

    @property
    def problem(self) -> str | None:
        """Why nothing can be written; None when something can, or was never to be."""
        return self._journal.problem if self._journal is not None else None

    async def write(self, *records: Record) -> None:
        """Durable when it returns. Raises JournalUnavailable."""
        async with self._opening:
            if self._journal is None:
                self._journal = await asyncio.to_thread(self._begin)
        await self._journal.append(*records)

    async def turn_over(self) -> None:
        """Closes a segment that is old, so that what is in it can age, also when nothing more is written."""
        if self._journal is not None:
            await self._journal.turn_over()

    async def close(self) -> None:
        if self._journal is not None:
            await self._journal.close()

    def _begin(self) -> Journal:
        run, boot = self._run or self._last_run(), clock.uuid7().hex
        return Journal(
            self._directory,
            run=run,
            slot=BOOK_SLOT,
            boot=boot,
            durability="commit",
            first=lambda: Booted(run, BOOK_SLOT, boot, clock.now_us(), __version__),
            clean=Redactor(()).data,
            max_total_bytes=self._max_total,
            max_segment_s=self._max_segment_s,
        )

    def _last_run(self) -> str:
        """A later run than the workers' would say that those are gone."""
        known = segments(self._directory)
        return known[-1].run if known else clock.uuid7().hex
