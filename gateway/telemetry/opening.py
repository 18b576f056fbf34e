"""Puts the parts together as the settings have them: instruments, readers, the collector, and what the book looks up when it is asked."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from gateway.errors import GatewayError
from gateway.stores import Applied, Batch
from gateway.telemetry import sending, spans
from gateway.telemetry.metrics import Metrics, Watched
from gateway.telemetry.sending import Sender
from gateway.telemetry.telling import Fetch, Shown, Telling
from gateway.telemetry_settings import Telemetry

log = logging.getLogger("gateway.telemetry")


class Standing(Protocol):
    """How the book is doing."""

    @property
    def ready(self) -> bool: ...
    @property
    def lag_bytes(self) -> int: ...
    @property
    def records(self) -> int: ...
    @property
    def quarantined(self) -> Mapping[str, str]: ...


class Observatory:
    """All of it, for one book."""

    def __init__(
        self,
        settings: Telemetry,
        fetch: Fetch,
        now_us: Callable[[], int],
        *,
        standing: Callable[[], Standing],
        pending: Callable[[], int],
        shown: Shown | None = None,
    ) -> None:
        """`pending`: calls that wait for a person. Raises StartError for a header's secret that is not there."""
        given = settings.secret_headers(os.environ)
        about = spans.resource()
        self._sender = Sender(sending.span_exporter(settings, given)) if settings.traces else None
        self._registry = CollectorRegistry()
        readers: list[MetricReader] = [PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)]
        if settings.metrics:
            readers.append(PeriodicExportingMetricReader(sending.metric_exporter(settings, given)))
        self._metrics = Metrics(readers, about, self._watched(standing, pending))
        content = shown if settings.content else None
        self._telling = Telling(
            self._metrics, self._sender, fetch, now_us, resource=about, share=settings.share, shown=content
        )

    def start(self) -> None:
        self._telling.start()

    def tell(self, applied: Applied, batches: Sequence[Batch]) -> None:
        """From the book's thread. Never waits."""
        self._telling.tell(applied, batches)

    def page(self, accept: str) -> tuple[bytes, str]:
        """(body, media type) of `/metrics`."""
        encoder, media_type = choose_encoder(accept)
        return encoder(self._registry), media_type

    def dropped(self) -> dict[str, int]:
        """Spans or exchanges that were not told, by reason."""
        found: dict[str, int] = dict.fromkeys(("backlog", "stale", "fault", "full", "failed"), 0)
        found.update({str(reason): count for reason, count in self._telling.lost.items()})
        if self._sender is not None:
            found.update({str(reason): count for reason, count in self._sender.lost.items()})
        return found

    def untold(self) -> int:
        """What somebody should look at: all of it but what was no news any more."""
        return sum(count for reason, count in self.dropped().items() if reason != "stale")

    def close(self) -> None:
        """What is on its way has a moment to arrive; a collector that hangs is not waited for."""
        self._telling.close(sending.GOODBYE_S)
        if self._sender is not None:
            self._sender.close()
        sending.bounded(self._metrics.close)

    def _watched(self, standing: Callable[[], Standing], pending: Callable[[], int]) -> Watched:
        watched = Watched()
        watched.add("tollhouse.book.ready", "Whether the book has caught up and can write.", "1", _one(lambda: int(standing().ready)))
        watched.add("tollhouse.journal.lag", "What is written and not yet in the ledger.", "By", _one(lambda: standing().lag_bytes))
        watched.add(
            "tollhouse.journal.damaged", "Segments that are not read any further.", "{segment}", _one(lambda: len(standing().quarantined))
        )
        watched.add("tollhouse.records", "Records applied to the ledger.", "{record}", _one(lambda: standing().records), grows=True)
        watched.add("tollhouse.approvals.pending", "Calls that wait for a person.", "{approval}", _one(pending))
        watched.add("tollhouse.telemetry.dropped", "What was not told, by reason; the book has it.", "{item}", self._drops, grows=True)
        watched.add(
            "tollhouse.telemetry.spans", "Spans that the collector took.", "{span}", _one(lambda: self._sender.sent if self._sender else 0),
            grows=True,
        )  # fmt: skip
        return watched

    def _drops(self) -> Iterable[tuple[float, Mapping[str, str]]]:
        return [(count, {"tollhouse.reason": reason}) for reason, count in self.dropped().items()]


def _one(read: Callable[[], float]) -> Callable[[], Iterable[tuple[float, Mapping[str, Any]]]]:
    """A value without labels; none while it cannot be looked up."""

    def found() -> Iterable[tuple[float, Mapping[str, Any]]]:
        try:
            return [(read(), {})]
        except GatewayError as error:
            log.warning("a metric cannot be read now: %s", error.message)
            return []

    return found
