"""The book: reads a data folder's journal into the ledger and answers questions about it. One process has it (`book_process.py`).

1. A thread takes rounds over the journal's segments, oldest first, and applies what is new; the ledger commits rows and place together,
   so the book may be killed at any moment. Rounds are apart as the ledger wants them (`Pace`) unless much is waiting.
2. A complete segment is read to its end before any later one is begun: a new boot ends what the old one left open.
3. A damaged segment is quarantined at the damage and said so; the others go on. A ledger that takes nothing is tried again each second,
   opened anew when it is broken, and set aside and built again from the journal when that does not help.
4. What happens in the admin plane is written into a journal of the book's own (`write`) and read back like any other.
5. How far the chains have come is signed (`notary.py`), and what is older than retention says is taken away (`ageing.py`).

Not here: the process and its port, what is written (`journal.py`), what rows are (`stores/`), who may ask what (`web/`), how SQL that
people send is answered (`question/`: never in this process).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gateway.ageing import Ageing
from gateway.errors import LedgerInUse, StartError
from gateway.notary import Notary
from gateway.own_journal import OwnJournal
from gateway.question.office import Office
from gateway.question.snapshots import Snapshot, Snapshots
from gateway.question.wire import Question, Reply
from gateway.stores import Answer, Applied, Batch, Offset, Store, StoreTrouble
from gateway.stores.absent import Absent
from gateway.stores.counting import count
from gateway.stores.intake import SegmentReader, head_before, segments
from gateway.stores.sight import Narrowed
from gateway.trace.record import Record
from gateway.trace.segments import Segment, growing
from gateway.web.admin import Status, Subscription
from gateway.web.tail import Listeners, past

log = logging.getLogger(__name__)

POLL_S = 0.05
FLUSH_AT_BYTES = 32 * 1024 * 1024
BUSY = 20
"""Records of a round: fewer are a lone agent's, who may be waited for."""
RETRY_S = 1.0
RELIST_S = 1.0
TURN_OVER_S = 10.0
WARM_AFTER_S = 2.0
"""A process for questions is got ready when the gateway has started, lest it take the start's time; or when somebody asks."""


class Book:
    """Reads `journal` into the store that `open_store` opens. One thread calls `run`; everything else may be called from any."""

    def __init__(
        self,
        journal: Path,
        open_store: Callable[[], Store],
        *,
        set_aside: Callable[[Path], None] | None = None,
        own: OwnJournal | None = None,
        snapshots: Snapshots | None = None,
        notary: Notary | None = None,
        ageing: Ageing | None = None,
    ) -> None:
        self._journal = journal
        self._open_store = open_store
        self._set_aside = set_aside or (lambda _: None)
        self.caught_up = False
        self.problem: str | None = None
        self.store = self._opened()
        self.records = 0
        self.counters: Counter[str] = Counter()
        self._troubles = 0
        self._readers: dict[Segment, SegmentReader] = {}
        self._segments: list[Segment] = []
        self._listed_at, self._listed_mtime = -RELIST_S, -1
        self._rest_until: dict[Segment, float] = {}
        self._listeners = Listeners()
        self._tell: Callable[[Applied, Sequence[Batch]], None] = lambda *_: None
        self._untold: Callable[[], int] = lambda: 0
        self._own = own or OwnJournal(journal)
        self._notary, self._ageing = notary, ageing
        self._settled: set[Segment] = set()
        self._office = Office()
        self._snapshots = snapshots or Snapshots(journal.parent / "snapshots")

    def run(self, stop: threading.Event) -> None:
        """Rounds until `stop`, then what is left, then the store is closed."""
        warm_at = time.monotonic() + WARM_AFTER_S
        while not stop.is_set():
            began = time.monotonic()
            if began > warm_at:
                self._office.warm()
                warm_at = math.inf
            stop.wait(self._pause(self._safe_round(), time.monotonic() - began))
        self._listed_at = -RELIST_S
        while (self._safe_round() or 0) > 0:
            log.debug("applying what is left")
        self._listeners.end()
        if self._notary is not None:
            self._notary.close()
        self._office.close()
        self._snapshots.close()
        self.store.close()

    def round(self) -> int:
        """Applies everything that is there now, roughly; the number of records. Raises StoreTrouble."""
        applied, waiting = 0, list[Batch]()
        live = growing(self._list())
        for segment in self._segments:
            for batch in self._batches(segment, complete=segment not in live):
                waiting.append(batch)
                if self._enough(waiting):
                    applied += self._apply(waiting)
                    waiting = []
        applied += self._apply(waiting)
        self._note_damage()
        if applied == 0:
            self.store.tend()
            self.caught_up = True
            self._renew_worn()
        if self.store.whole:
            self._have_it_signed(live)
        if self._ageing is not None and self.caught_up and self.store.whole:
            self._ageing.work(self.store.offsets())
        return applied

    def status(self) -> Status:
        readers = list(self._readers.values())
        lag = sum(self._lag(segment) for segment in list(self._segments))
        damaged = {reader.segment.name: reader.damage for reader in readers if reader.damage}
        problem = self.problem or self._own.problem
        unsigned = self._notary.problem if self._notary is not None else None
        kept = self._ageing.problem if self._ageing is not None else None
        shorter = [f"{reader.segment.name} is shorter than what was read of it: see 'tollhouse verify'" for reader in self._cut(readers)]
        return Status(
            ready=self.caught_up and problem is None and not damaged,
            lag_bytes=lag,
            records=self.records,
            counters={**self.counters, **({"telemetry_dropped": untold} if (untold := self._untold()) else {})},
            ledger=self.store.version,
            problem=problem,
            quarantined=damaged,
            warnings=[warning for warning in (*(reader.warning for reader in readers), unsigned, kept, *shorter) if warning],
        )

    def _cut(self, readers: Sequence[SegmentReader]) -> Iterator[SegmentReader]:
        """Segments that lost something, and not to retention."""
        log = self._notary.log if self._notary is not None else None
        lawful = {*log.shed, *log.removed} if log is not None else set()
        return (reader for reader in readers if reader.shorter and reader.segment.name not in lawful)

    def _lag(self, segment: Segment) -> int:
        reader = self._readers.get(segment)
        if reader is None:  # not begun, or to be begun again after the store was in trouble
            offset = self.store.offsets().get(segment.name, Offset())
            reader = SegmentReader(self._journal, segment, offset)
        return reader.lag

    def ask(self, question: Question, teams: frozenset[str] | None = None) -> Reply:
        """Anybody's SQL: run in another process, which is lent the rows of these teams alone, where they are named. Raises Refused."""
        return self._office.ask(self.store if teams is None else Narrowed(self.store, teams), question)

    def snapshot(self, since: str | None = None, *, parquet: bool = False) -> Snapshot:
        """A copy of everything that can be asked about. Raises Refused."""
        return self._snapshots.make(self.store, self.store.views(), since=since, parquet=parquet)

    def views(self) -> Mapping[str, Mapping[str, str]]:
        return self.store.views()

    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        """SQL of our own. Raises Refused."""
        return self.store.query(sql, limit, params)

    def fetch(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> list[dict[str, Any]]:
        """The gateway's own questions; over what these teams may see, where they are named. Raises Refused."""
        return self.store.fetch(sql, params, teams)

    def arrow(self, sql: str, params: Mapping[str, Any]) -> Iterator[bytes]:
        """The same as a stream of Arrow's. Raises Refused."""
        return self.store.arrow(sql, params)

    async def write(self, record: Record) -> None:
        """A fact of the admin plane, durable when it returns; the ledger has it a moment later. Raises JournalUnavailable."""
        await self._own.write(record)

    async def let_own_age(self) -> None:
        """For ever: closes segments of the book's own journal that are old."""
        while True:
            await asyncio.sleep(TURN_OVER_S)
            await self._own.turn_over()

    async def close_own(self) -> None:
        """Lets go of the book's own journal."""
        await self._own.close()

    def subscribe(self) -> Subscription:
        """From the event loop that will read it."""
        return self._listeners.add()

    def told_to(self, tell: Callable[[Applied, Sequence[Batch]], None], untold: Callable[[], int]) -> None:
        """Who is told of everything that is newly applied, by the thread that applies: it must not wait. `untold`: what it has dropped."""
        self._tell, self._untold = tell, untold

    def history(self, since: str) -> Sequence[tuple[str, bytes]]:
        """Tail lines of what began since a point in time (anything DuckDB reads as one, UTC). Raises Refused."""
        return past(self.query, since)

    def _safe_round(self) -> int | None:
        """None when the store is in trouble."""
        try:
            applied = self.round()
        except StoreTrouble as trouble:
            self._recover(trouble)
            return None
        except OSError as error:
            self._say(f"cannot read the journal in {self._journal}: {error.strerror}")
            return None
        self.problem, self._troubles = None, 0
        return applied

    def _pause(self, applied: int | None, took: float) -> float:
        if applied is None:
            return RETRY_S
        if applied == 0:
            return POLL_S
        pace, behind = self.store.pace, sum(reader.lag for reader in self._readers.values())
        if applied >= pace.much or behind >= pace.behind_bytes:
            return 0.0
        return max(0.0, (pace.every_s if applied < BUSY else pace.steady_s or pace.every_s) - took)

    def _enough(self, waiting: Sequence[Batch]) -> bool:
        """For one commit."""
        size = sum(batch.next - batch.records[0][0] for batch in waiting)
        return size >= FLUSH_AT_BYTES or sum(len(batch.records) for batch in waiting) >= self.store.pace.at_most

    def _recover(self, trouble: StoreTrouble) -> None:
        self._say(str(trouble))
        self._readers.clear()
        self._rest_until.clear()
        if not trouble.broken:
            return
        self._troubles += trouble.at_fault is not None
        with contextlib.suppress(Exception):
            self.store.close()
        if (trouble.proven or self._troubles > 1) and trouble.at_fault is not None:
            self._set_aside(trouble.at_fault)
            self._troubles = 0
        try:
            self.store = self._open_store()
        except StartError as error:
            self._say(str(error))
            self.store = Absent(str(error))

    def _opened(self) -> Store:
        """What another process has open for a while is waited for: agents are served meanwhile. Raises StartError for all else."""
        try:
            return self._open_store()
        except LedgerInUse as error:
            self._say(str(error))
            return Absent(str(error))

    def _renew_worn(self) -> None:
        """Questions are refused for the moment; the data plane does not notice."""
        if self.store.worn:
            self.store.close()
            self._readers.clear()
            try:
                self.store = self._open_store()
            except StartError as error:
                raise StoreTrouble(str(error), broken=True) from error

    def _say(self, problem: str) -> None:
        if problem != self.problem:
            log.error("%s", problem)
        self.problem = problem

    def _list(self) -> list[Segment]:
        """The segments; the folder is listed when it changed, and now and then in case its clock is coarse."""
        now = time.monotonic()
        try:
            changed = self._journal.stat().st_mtime_ns
        except FileNotFoundError:
            changed = 0
        if now - self._listed_at >= RELIST_S or changed != self._listed_mtime:
            self._listed_at, self._listed_mtime = now, changed
            self._segments = segments(self._journal)
        return self._segments

    def _batches(self, segment: Segment, *, complete: bool) -> Iterator[Batch]:
        """One chunk of a growing segment, so that all get their turn; a complete one whole, and looked at again only now and then."""
        if complete and time.monotonic() < self._rest_until.get(segment, 0.0):
            return
        reader = self._reader(segment)
        while (batch := reader.read(complete=complete)) is not None:
            yield batch
            if not complete:
                return
        if complete:
            self._rest_until[segment] = time.monotonic() + RELIST_S

    def _reader(self, segment: Segment) -> SegmentReader:
        if segment not in self._readers:
            offsets = self.store.offsets()
            self._readers[segment] = SegmentReader(self._journal, segment, offsets.get(segment.name, Offset()))
        return self._readers[segment]

    def _apply(self, batches: Sequence[Batch]) -> int:
        if not batches:
            return 0
        applied = self.store.apply(batches)
        self.records += applied.records
        self.counters += count(applied)
        for batch in batches:
            self._check_link(batch.segment)
        self._listeners.tell(applied)
        self._tell(applied, batches)
        return applied.records

    def _check_link(self, segment: Segment) -> None:
        reader = self._readers[segment]
        if not reader.linked:
            reader.follow(head_before(segment, self.store.offsets(), self._segments))
            if reader.warning:
                log.error("%s", reader.warning)

    def _note_damage(self) -> None:
        for reader in self._readers.values():
            if reader.damage and self.store.offsets().get(reader.segment.name, Offset()).damage is None:
                log.error("%s is damaged and not read any further: %s", reader.segment.name, reader.damage)
                self.store.quarantine(reader.segment, reader.damage)

    def _have_it_signed(self, live: Collection[Segment]) -> None:
        """Tells the notary how far each segment is read and proven."""
        if self._notary is None:
            return
        offsets = self.store.offsets()
        for segment in self._segments:
            reader = self._readers.get(segment)
            if segment in self._settled or reader is None or reader.damage:
                continue
            ended = segment not in live and reader.lag == 0
            self._notary.note(segment, offsets.get(segment.name, Offset()), ended=ended)
            if self._notary.settled(segment):
                self._settled.add(segment)
        self._notary.sign_due()
