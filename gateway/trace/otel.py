"""Exchanges and calls as OpenTelemetry spans, under the names of the GenAI conventions: plain data, for whoever sends or writes them.

A row of the view `gen_ai_exchanges` is a span of kind client, a row of `gen_ai_tool_calls` a child of it. Trace ids are the exchanges' own
(a UUIDv7 has the 128 bits of one), span ids follow from ids, so that what is exported twice is the same. The names are those of the views,
which are those of OpenTelemetry; what the conventions do not know begins with `tollhouse.`. Content (arguments, messages) is left out.
Pure; follows open-telemetry/semantic-conventions-genai 1.42.0 (development).
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import Struct

SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
_NAMES = {
    "gen_ai_operation_name": "gen_ai.operation.name",
    "gen_ai_provider_name": "gen_ai.provider.name",
    "gen_ai_request_model": "gen_ai.request.model",
    "gen_ai_response_model": "gen_ai.response.model",
    "gen_ai_response_id": "gen_ai.response.id",
    "gen_ai_request_stream": "gen_ai.request.stream",
    "gen_ai_request_temperature": "gen_ai.request.temperature",
    "gen_ai_request_max_tokens": "gen_ai.request.max_tokens",
    "gen_ai_response_finish_reasons": "gen_ai.response.finish_reasons",
    "gen_ai_response_time_to_first_chunk": "gen_ai.response.time_to_first_chunk",
    "gen_ai_agent_id": "gen_ai.agent.id",
    "gen_ai_conversation_id": "gen_ai.conversation.id",
    "user_id": "user.id",
    "gen_ai_usage_input_tokens": "gen_ai.usage.input_tokens",
    "gen_ai_usage_output_tokens": "gen_ai.usage.output_tokens",
    "gen_ai_usage_cache_read_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "gen_ai_usage_cache_creation_input_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai_usage_reasoning_output_tokens": "gen_ai.usage.reasoning.output_tokens",
    "gen_ai_usage_cost_amount": "gen_ai.usage.cost.amount",
    "gen_ai_usage_cost_currency": "gen_ai.usage.cost.currency",
    "http_response_status_code": "http.response.status_code",
    "error_type": "error.type",
    "state": "tollhouse.state",
    "calls": "tollhouse.calls",
    "denied": "tollhouse.denied",
    "gen_ai_tool_name": "gen_ai.tool.name",
    "gen_ai_tool_type": "gen_ai.tool.type",
    "gen_ai_tool_call_id": "gen_ai.tool.call.id",
    "gen_ai_security_verdict": "gen_ai.security.verdict",
    "gen_ai_security_policy": "gen_ai.security.policy",
    "gen_ai_security_policy_rule_id": "gen_ai.security.policy.rule.id",
    "released": "tollhouse.released",
    "reason": "tollhouse.reason",
}
"""Column of a view → attribute."""
UNSENT = frozenset({"id", "exchange_id", "start_time", "end_time", "gen_ai_tool_call_arguments"})
"""Columns that are no attributes: ids and times are the span's own, content is not for traces."""
_BROKEN = frozenset({"upstream_error", "upstream_reset", "upstream_timeout", "incomplete", "interrupted"})

Attribute = str | bool | int | float | tuple[str, ...]


class Span(Struct, frozen=True):
    """Times are nanoseconds since 1970 UTC."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start_ns: int
    end_ns: int
    client: bool
    """Asked another machine; else it was inside."""
    failed: str | None
    """What went wrong; None for what ended as it should, a denial included."""
    attributes: Mapping[str, Attribute]


def exchange(row: Mapping[str, Any]) -> Span:
    """Of a row of `gen_ai_exchanges` that has ended."""
    operation, model = row["gen_ai_operation_name"], row["gen_ai_request_model"]
    failed = (row["error_type"] or row["state"]) if row["state"] in _BROKEN else None
    start = _ns(row["start_time"])
    return Span(
        name=f"{operation} {model}".strip(),
        trace_id=_trace(row["id"]),
        span_id=_span(row["id"]),
        parent_id=None,
        start_ns=start,
        end_ns=_ns(row["end_time"]) if row["end_time"] else start,
        client=True,
        failed=failed,
        attributes=_attributes(row),
    )


def call(row: Mapping[str, Any]) -> Span:
    """Of a row of `gen_ai_tool_calls`: the moment of the decision, in the trace of its exchange."""
    at = _ns(row["start_time"])
    return Span(
        name=f"execute_tool {row['gen_ai_tool_name']}",
        trace_id=_trace(row["exchange_id"]),
        span_id=_span(row["id"]),
        parent_id=_span(row["exchange_id"]),
        start_ns=at,
        end_ns=at,
        client=False,
        failed=None,
        attributes=_attributes(row),
    )


def _attributes(row: Mapping[str, Any]) -> dict[str, Attribute]:
    known = ((_NAMES.get(name, f"tollhouse.{name}"), value) for name, value in row.items() if name not in UNSENT)
    return {name: _plain(value) for name, value in known if value not in (None, "", [])}


def _plain(value: Any) -> Attribute:
    """Money becomes a number, as the proposal for its attribute says; the ledger has it exactly."""
    match value:
        case bool() | str() | int() | float():
            return value
        case Decimal():
            return float(value)
        case list() | tuple():
            return tuple(map(str, value))
    return str(value)


def _trace(name: str) -> int:
    """An id that is no UUID is hashed."""
    digits = name.replace("-", "")
    if len(digits) == 32 and all(digit in "0123456789abcdef" for digit in digits):
        return int(digits, 16)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")


def _span(name: str) -> int:
    return int.from_bytes(hashlib.sha256(b"span " + name.encode()).digest()[:8], "big") or 1


def _ns(at: dt.datetime) -> int:
    """The ledger's times are UTC without saying so."""
    delta = at.replace(tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1000
