"""Batches of spans and metrics to a collector, by OpenTelemetry's SDK and exporters (OTLP over HTTP or gRPC).

1. The SDK's processor holds at most `OTEL_BSP_MAX_QUEUE_SIZE` spans. What would not fit is not handed to it: so every span that is lost was
   counted, as `full` here, or as `failed` where the collector did not take it (the exporter tries again by itself until its time-out).
2. Whoever hands over a span waits for nobody. Ending waits `GOODBYE_S` in all, however long a collector hangs.
3. Headers may be secrets: they come from variables or files and are in no message of ours.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from opentelemetry.sdk.metrics.export import MetricExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from gateway.telemetry_settings import Telemetry

log = logging.getLogger("gateway.telemetry")

QUEUE = 2048
"""OpenTelemetry's own default."""
GOODBYE_S = 3.0
Lost = Literal["full", "failed"]


class Sender:
    """Spans on their way. From one thread."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.lost: Counter[Lost] = Counter()
        self.sent = 0
        self._most = int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE") or QUEUE)
        self._handed = self._taken = 0
        self._processor = BatchSpanProcessor(_Counting(exporter, self._tried), max_queue_size=self._most)

    @property
    def waiting(self) -> int:
        return self._handed - self._taken

    def hand(self, span: ReadableSpan) -> None:
        if self.waiting >= self._most:
            self.lost["full"] += 1
            return
        self._handed += 1
        self._processor.on_end(span)

    def close(self) -> None:
        """What is on its way has a moment to arrive."""
        bounded(self._processor.shutdown)

    def _tried(self, count: int, *, arrived: bool | None) -> None:
        """`arrived` None: the exporter has taken them, nothing more is known."""
        if arrived is None:
            self._taken += count
        elif arrived:
            self.sent += count
        else:
            self.lost["failed"] += count


class _Counting(SpanExporter):
    def __init__(self, exporter: SpanExporter, tried: Callable[..., None]) -> None:
        self._exporter, self._tried = exporter, tried

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._tried(len(spans), arrived=None)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._tried(len(spans), arrived=result is SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def bounded(close: Callable[[], object]) -> None:
    """Waits for it no longer than `GOODBYE_S`; a collector that hangs keeps no process from ending."""
    closing = threading.Thread(target=close, daemon=True, name="telemetry-close")
    closing.start()
    closing.join(GOODBYE_S)
    if closing.is_alive():
        log.warning("the collector does not answer; what was not sent yet is dropped")


def span_exporter(settings: Telemetry, given: Mapping[str, str]) -> SpanExporter:
    """What the settings do not say, the exporter takes from OpenTelemetry's variables."""
    if settings.spoken("traces", os.environ) == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        return Grpc(endpoint=settings.endpoint, headers=dict(given) or None)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=_path(settings, "traces"), headers=dict(given) or None)


def metric_exporter(settings: Telemetry, given: Mapping[str, str]) -> MetricExporter:
    if settings.spoken("metrics", os.environ) == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as Grpc

        return Grpc(endpoint=settings.endpoint, headers=dict(given) or None)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(endpoint=_path(settings, "metrics"), headers=dict(given) or None)


def _path(settings: Telemetry, signal: str) -> str | None:
    return None if settings.endpoint is None else f"{settings.endpoint}/v1/{signal}"
