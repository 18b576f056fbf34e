"""A span of ours as one of OpenTelemetry's SDK, whole: it has happened, so there is nothing to start or end."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gateway import __version__
from gateway.trace import otel

SCOPE = InstrumentationScope("tollhouse", __version__, otel.SCHEMA_URL)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_KINDS = {"client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}


def resource() -> Resource:
    """What `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say, over what we say ourselves."""
    return Resource({"service.name": "tollhouse", "service.version": __version__}, otel.SCHEMA_URL).merge(_named())


def _named() -> Resource:
    found = Resource.create().attributes
    unnamed = str(found.get("service.name", "")).startswith("unknown_service")
    return Resource({name: value for name, value in found.items() if not (name == "service.name" and unnamed)})


def readable(of: otel.Span, about: Resource) -> ReadableSpan:
    return ReadableSpan(
        name=of.name,
        context=_context(of.trace_id, of.span_id),
        parent=None if of.parent_id is None else _context(of.trace_id, of.parent_id),
        resource=about,
        attributes=of.attributes,
        events=[Event(each.name, each.attributes, each.at_ns) for each in of.events],
        links=[Link(_context(*each)) for each in of.links],
        kind=_KINDS[of.kind],
        status=Status(StatusCode.ERROR, of.failed) if of.failed else Status(StatusCode.UNSET),
        start_time=of.start_ns,
        end_time=of.end_ns,
        instrumentation_scope=SCOPE,
    )


def _context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, is_remote=False, trace_flags=_SAMPLED)
