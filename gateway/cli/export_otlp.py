"""Spans to a collector over OTLP/HTTP, or into a file as OTLP's JSON lines, by OpenTelemetry's own SDK and encoder."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from gateway.errors import GatewayError
from gateway.telemetry.spans import readable, resource
from gateway.trace import ledger_rows, otel

AT_ONCE = 512


def spans(exchanges: Iterable[Mapping[str, Any]], calls: Iterable[Mapping[str, Any]]) -> Iterator[ReadableSpan]:
    """Of rows of the views `exchanges` (those that have ended) and `calls`. The calls of an exchange that is not among them are told in a
    trace of its own."""
    about, traces = resource(), dict[str, str]()
    found = chain(_ended(exchanges, traces), (otel.call(ledger_rows.call(row), traces.get(row["exchange_id"])) for row in calls))
    return (readable(span, about) for span in found)


def _ended(exchanges: Iterable[Mapping[str, Any]], traces: dict[str, str]) -> Iterator[otel.Span]:
    """`traces` gets the clients' own: calls do not say theirs."""
    for row in exchanges:
        if row["trace_id"]:
            traces[row["id"]] = row["trace_id"]
        if row["state"] != "open":
            yield otel.exchange(ledger_rows.exchange(row))


def send(found: Iterator[ReadableSpan], to: str) -> int:
    """How many. Raises GatewayError for a collector that does not take them."""
    return _to_collector(found, to) if to.startswith(("http://", "https://")) else _to_file(found, Path(to))


def _to_collector(found: Iterator[ReadableSpan], to: str) -> int:
    exporter, count = OTLPSpanExporter(endpoint=to), 0
    try:
        while some := list(islice(found, AT_ONCE)):
            if exporter.export(some) is not SpanExportResult.SUCCESS:
                told = f"{to} took {count} spans and then no more; see what it says, and export again: what comes twice is the same"
                raise GatewayError("upstream", "collector", told)
            count += len(some)
    finally:
        exporter.shutdown()  # type: ignore[no-untyped-call]
    return count


def _to_file(found: Iterator[ReadableSpan], out: Path) -> int:
    count = 0
    with out.open("w", encoding="utf-8") as file:
        while some := list(islice(found, AT_ONCE)):
            file.write(json.dumps(_hex_ids(MessageToDict(encode_spans(some))), ensure_ascii=False) + "\n")
            count += len(some)
    return count


def _hex_ids(value: Any) -> Any:
    """OTLP's JSON has ids in hex, where protobuf's has base64."""
    match value:
        case dict():
            return {name: _hex(each) if name in ("traceId", "spanId", "parentSpanId") else _hex_ids(each) for name, each in value.items()}
        case list():
            return [_hex_ids(each) for each in value]
    return value


def _hex(coded: str) -> str:
    return base64.b64decode(coded).hex()
