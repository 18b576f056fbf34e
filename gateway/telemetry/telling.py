"""The thread that tells: it takes what the ledger has newly applied and makes spans and metrics of it.

1. The book hands over what it has applied and goes on: a reference into a bounded line (`MOST_RECORDS`), never a wait. What does not fit is
   left out and counted (`backlog`); the book has it all the same.
2. What ended more than `STALE_US` ago is not news: a ledger that is built anew from its journal tells nobody of last month (`stale`).
3. Calls are told with their exchange, whose trace they are in. What a restart of the book has forgotten of them is asked of the ledger,
   and so is an exchange that its worker did not live to end.
4. A fault here is logged and counted (`fault`); it ends neither the thread nor the book.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from opentelemetry.sdk.resources import Resource

from gateway.stores import Applied, Batch, Refused
from gateway.telemetry import content
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.sending import Sender
from gateway.telemetry.spans import readable
from gateway.trace import ledger_rows, otel, propagation
from gateway.trace.exchange_rows import CallRow, ExchangeRow
from gateway.trace.record import ApprovalChanged, Ended, Judged
from gateway.trace.turns import Turns

log = logging.getLogger("gateway.telemetry")

MOST_RECORDS = 50_000
MOST_OPEN = 10_000
"""Exchanges whose calls are remembered until they end."""
STALE_US = 3600 * 1_000_000
Fetch = Callable[[str, Mapping[str, Any]], Sequence[Mapping[str, Any]]]
Shown = Callable[[str], Mapping[str, Any] | None]
"""An exchange with what was said in it, as it is kept."""
Lost = Literal["backlog", "stale", "fault"]
_CALLS = "SELECT * FROM calls WHERE exchange_id IN (SELECT unnest($ids)) ORDER BY decided_at"
_EXCHANGES = "SELECT * FROM exchanges WHERE id IN (SELECT unnest($ids))"


class Telling:
    """`tell` from the book's thread; the rest happens in one of its own, from `start` to `close`."""

    def __init__(
        self,
        metrics: Metrics,
        sender: Sender | None,
        fetch: Fetch,
        now_us: Callable[[], int],
        *,
        resource: Resource,
        share: float = 1.0,
        shown: Shown | None = None,
    ) -> None:
        """`shown`: where content is told too."""
        self._metrics, self._sender, self._fetch, self._now_us = metrics, sender, fetch, now_us
        self._resource, self._share, self._shown = resource, share, shown
        self.lost: Counter[Lost] = Counter()
        self._line: deque[tuple[Applied, Sequence[Batch]]] = deque()
        self._handed = self._done = 0
        """Records; each is counted by one thread alone."""
        self._calls: dict[str, list[CallRow]] = {}
        self._turns = Turns()
        self._wake, self._stopping = threading.Event(), False
        self._thread = threading.Thread(target=self._run, daemon=True, name="telemetry")

    def start(self) -> None:
        self._thread.start()

    def tell(self, applied: Applied, batches: Sequence[Batch]) -> None:
        """Never waits, never raises."""
        if self._handed - self._done + applied.records > MOST_RECORDS:
            self.lost["backlog"] += len(applied.exchanges)
            return
        self._handed += applied.records
        self._line.append((applied, batches))
        self._wake.set()

    def close(self, seconds: float) -> None:
        """What is in the line is told first, if that takes no longer than this."""
        self._stopping = True
        self._wake.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._line:
                self._one(*self._line.popleft())
            if self._stopping:
                return

    def _one(self, applied: Applied, batches: Sequence[Batch]) -> None:
        try:
            self._round(applied, batches)
        except Exception:
            self.lost["fault"] += len(applied.exchanges)
            log.exception("what was applied could not be told; the book has it")
        finally:
            self._done += applied.records
            self._metrics.flush()

    def _round(self, applied: Applied, batches: Sequence[Batch]) -> None:
        ended: dict[str, Ended] = {}
        for record in (record for batch in batches for _, record in batch.records):
            match record:
                case Ended():
                    ended[record.exchange.id] = record
                case Judged():
                    self._judged(record)
                case ApprovalChanged(approval) if not self._stale(approval.decided_us or approval.created_us):
                    self._metrics.approval(approval)
        for call in applied.calls:
            self._called(call)
        self._ended([*applied.exchanges, *self._interrupted(applied.interrupted)], ended)

    def _called(self, call: CallRow) -> None:
        if not self._stale(call.decided_us):
            self._metrics.call(call)
        if self._sender is not None:
            self._calls.setdefault(call.exchange_id, []).append(call)
            if len(self._calls) > MOST_OPEN:
                self._calls.pop(next(iter(self._calls)))

    def _judged(self, record: Judged) -> None:
        """A model's opinion, when the span of its exchange has long been sent."""
        if self._stale(record.started_us):
            return
        for each in record.ran:
            self._metrics.ran(each)
        for heard in record.heard:
            self._metrics.heard(heard)

    def _ended(self, rows: Iterable[ExchangeRow], ended: Mapping[str, Ended]) -> None:
        news = [row for row in rows if self._news(row)]
        for row in news:
            self._metrics.exchange(row)
            record = ended.get(row.id)
            for each in record.ran if record else ():
                self._metrics.ran(each)
            for heard in record.heard if record else ():
                self._metrics.heard(heard)
        if self._sender is not None:
            for span in self._spans(news, ended):
                self._sender.hand(readable(span, self._resource))

    def _news(self, row: ExchangeRow) -> bool:
        stale = self._stale(row.started_us + row.duration_us)
        if stale:
            self.lost["stale"] += 1
            self._calls.pop(row.id, None)
        return not stale

    def _stale(self, at_us: int) -> bool:
        return self._now_us() - at_us > STALE_US

    def _spans(self, rows: Sequence[ExchangeRow], ended: Mapping[str, Ended]) -> Iterator[otel.Span]:
        calls = {row.id: self._calls.pop(row.id, []) for row in rows}
        wanted = [row for row in rows if propagation.sampled(otel.ids(row)[0], row.trace_sampled, self._share)]
        calls |= self._forgotten([row.id for row in wanted if len(calls[row.id]) < row.calls])
        for row in wanted:
            record = ended.get(row.id)
            more = (record.ran, record.heard, record.findings) if record else ((), (), ())
            said = self._said(row.id)
            yield otel.exchange(row, *more, said)
            for call in calls[row.id]:
                yield otel.call(call, row.trace_id, content=said is not None)
        for turn in filter(None, map(self._turns.ended, rows)):
            if propagation.sampled(turn.trace_id, None, self._share):
                yield turn

    def _said(self, exchange: str) -> otel.Said | None:
        found = self._shown(exchange) if self._shown else None
        return content.said(found) if found else None

    def _interrupted(self, ids: Sequence[str]) -> Iterator[ExchangeRow]:
        return map(ledger_rows.exchange, self._asked(_EXCHANGES, ids))

    def _forgotten(self, ids: Sequence[str]) -> dict[str, list[CallRow]]:
        found: dict[str, list[CallRow]] = {}
        for call in map(ledger_rows.call, self._asked(_CALLS, ids)):
            found.setdefault(call.exchange_id, []).append(call)
        return found

    def _asked(self, sql: str, ids: Sequence[str]) -> Sequence[Mapping[str, Any]]:
        try:
            return self._fetch(sql, {"ids": list(ids)}) if ids else ()
        except Refused as refused:
            log.warning("the ledger could not be asked for what is to be told: %s", refused.message)
            return ()
