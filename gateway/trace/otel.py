"""Records of the book as OpenTelemetry spans, under the names of the GenAI conventions: plain data, for who sends or writes them.

This is the one mapping: what is sent as it happens and what is exported later is the same, to the ids (`propagation`). An exchange is a
span, of kind client where a provider was asked; a call is a child of it. Names that the conventions do not know begin with `tollhouse.`:
theirs are not for others to add to. Content (messages, arguments, reasons, which may quote them) is left out unless it is given. Pure;
follows open-telemetry/semantic-conventions-genai 1.42.0 (development).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from gateway.trace import propagation
from gateway.trace.exchange_rows import CallRow, ExchangeRow, HeardRow
from gateway.verdict import Finding, Ran

SCHEMA_URL = "https://opentelemetry.io/schemas/gen-ai-dev/1.42.0-dev"
FAILED = frozenset({"upstream_error", "upstream_reset", "upstream_timeout", "incomplete", "interrupted", "rejected"})
"""States of an exchange that are errors. A denial is none: the gateway did what it is for."""
INFERENCE = {"chat", "embeddings"}
"""Operations that bring an answer of a model; what else an exchange does is no inference, and its numbers are not told as one's."""

Attribute = str | bool | int | float | tuple[str, ...]
Attributes = dict[str, Attribute]


class Event(Struct, frozen=True):
    name: str
    at_ns: int
    attributes: Mapping[str, Attribute]


class Span(Struct, frozen=True):
    """Times are nanoseconds since 1970 UTC."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start_ns: int
    end_ns: int
    kind: Literal["client", "internal"]
    """`client` asked another machine."""
    failed: str | None
    """What went wrong; None for what ended as it should, a denial included."""
    attributes: Mapping[str, Attribute]
    events: Sequence[Event] = ()
    links: Sequence[tuple[int, int]] = ()
    """(trace, span) of what it is made of, in traces of their own."""


class Said(Struct, frozen=True):
    """What was said in an exchange, as JSON in the conventions' form."""

    input: str = ""
    output: str = ""


def ids(row: ExchangeRow) -> tuple[int, int]:
    """(trace, span)"""
    return propagation.trace_id(row.id, row.trace_id), propagation.span_id(row.id)


def exchange(
    row: ExchangeRow,
    ran: Iterable[Ran] = (),
    heard: Iterable[HeardRow] = (),
    findings: Iterable[Finding] = (),
    said: Said | None = None,
) -> Span:
    """Of an exchange that has ended."""
    trace, span = ids(row)
    start, failed = row.started_us * 1000, failure(row)
    end = start + row.duration_us * 1000
    return Span(
        name=f"{_operation(row) or row.dialect} {row.request_model}".strip(),
        trace_id=trace,
        span_id=span,
        parent_id=int(row.parent_span_id, 16) if row.parent_span_id else None,
        start_ns=start,
        end_ns=end,
        kind="client" if row.upstream else "internal",
        failed=failed,
        attributes=there(_asked(row) | _answered(row, failed) | _own(row) | _told(said)),
        events=(*_evaluations(ran, end), *map(_rule, heard), *(_finding(each, end) for each in findings)),
    )


def _operation(row: ExchangeRow) -> str | None:
    """None where it never came to one: what was refused before it was a request is for no provider."""
    return row.operation if row.provider else None


def failure(row: ExchangeRow) -> str | None:
    """`error.type`: few and fixed, but for codes that providers make up."""
    return (row.error_code or row.state) if row.state in FAILED else None


def call(row: CallRow, client_trace: str | None, *, content: bool = False) -> Span:
    """The judgement over a call, in the trace of its exchange. What happens after it was released, the gateway does not see."""
    end = row.decided_us * 1000
    attributes: dict[str, Attribute | None] = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": row.name,
        "gen_ai.tool.type": row.type,
        "gen_ai.tool.call.id": row.call_id,
        "gen_ai.tool.call.arguments": row.arguments if content else None,
        **_who(row.agent, row.session),
        "tollhouse.verdict": row.effect,
        "tollhouse.verdict.code": row.code,
        "tollhouse.verdict.reason": row.reason if content else None,
        "tollhouse.verdict.would": row.would,
        "tollhouse.released": row.released,
        "tollhouse.policy": row.policy,
        "tollhouse.rule": row.rule,
        "tollhouse.policy.hash": row.policy_hash,
        "tollhouse.decision.id": row.id,
        "tollhouse.approval": row.approval,
    }
    return Span(
        name=f"execute_tool {row.name}",
        trace_id=propagation.trace_id(row.exchange_id, client_trace),
        span_id=propagation.span_id(row.id),
        parent_id=propagation.span_id(row.exchange_id),
        start_ns=end - row.judged_us * 1000,
        end_ns=end,
        kind="internal",
        failed=None,
        attributes=there(attributes),
    )


def input_tokens(row: ExchangeRow) -> int | None:
    """As the conventions count: what was read from and written to a cache is in it."""
    more = (row.cache_read_tokens, row.cache_write_tokens, row.cache_write_1h_tokens)
    return _sum(row.input_tokens, *more, row.audio_input_tokens, row.audio_cache_read_tokens, row.image_input_tokens)


def output_tokens(row: ExchangeRow) -> int | None:
    """Reasoning is in it."""
    return _sum(row.output_tokens, row.reasoning_tokens, row.audio_output_tokens, row.image_output_tokens)


def _asked(row: ExchangeRow) -> dict[str, Attribute | None]:
    return {
        "gen_ai.operation.name": _operation(row),
        "gen_ai.provider.name": row.provider,
        "gen_ai.request.model": row.request_model,
        "gen_ai.request.stream": row.stream or None,
        "gen_ai.request.temperature": row.temperature,
        "gen_ai.request.max_tokens": row.max_tokens,
        **_who(row.agent, row.session),
        "user.id": row.user,
    }


def _answered(row: ExchangeRow, failed: str | None) -> dict[str, Attribute | None]:
    counted = row.operation in INFERENCE
    return {
        "gen_ai.response.model": row.response_model,
        "gen_ai.response.id": row.response_id,
        "gen_ai.response.finish_reasons": row.finish_reasons,
        "gen_ai.response.time_to_first_chunk": row.first_byte_us / 1e6 if row.stream and row.first_byte_us is not None else None,
        "gen_ai.usage.input_tokens": input_tokens(row) if counted else None,
        "gen_ai.usage.output_tokens": output_tokens(row) if counted else None,
        "gen_ai.usage.cache_read.input_tokens": _sum(row.cache_read_tokens, row.audio_cache_read_tokens),
        "gen_ai.usage.cache_creation.input_tokens": _sum(row.cache_write_tokens, row.cache_write_1h_tokens),
        "gen_ai.usage.reasoning.output_tokens": row.reasoning_tokens,
        "http.response.status_code": row.status,
        "error.type": failed,
    }


def _own(row: ExchangeRow) -> dict[str, Attribute | None]:
    return {
        "tollhouse.exchange.id": row.id,
        "tollhouse.state": row.state,
        "tollhouse.dialect": row.dialect,
        "tollhouse.cache": row.cache,
        "tollhouse.upstream": row.upstream,
        "tollhouse.upstream.duration": row.upstream_us / 1e6,
        "tollhouse.overhead.duration": row.overhead_us / 1e6,
        "tollhouse.org": row.org,
        "tollhouse.team": row.team,
        "tollhouse.calls": row.calls,
        "tollhouse.denied": row.denied,
        "tollhouse.unevaluated": row.unevaluated,
        "tollhouse.enforcing": row.enforcing,
        "tollhouse.policy.hash": row.policy_hash,
        "tollhouse.prompt.hash": row.prompt_hash,
        "tollhouse.cost": float(row.cost) if row.cost is not None else None,
        "tollhouse.cost.currency": "USD" if row.cost is not None else None,
        "tollhouse.price.version": row.price_version,
    }


def _who(agent: str, session: str) -> dict[str, Attribute | None]:
    return {"gen_ai.agent.id": agent, "gen_ai.agent.name": agent, "gen_ai.conversation.id": session}


def _told(said: Said | None) -> dict[str, Attribute | None]:
    if said is None:
        return {}
    return {"gen_ai.input.messages": said.input, "gen_ai.output.messages": said.output}


def _evaluations(ran: Iterable[Ran], at_ns: int) -> Iterable[Event]:
    for each in ran:
        attributes: dict[str, Attribute | None] = {
            "gen_ai.evaluation.name": each.validator,
            "gen_ai.evaluation.score.value": each.score,
            "gen_ai.evaluation.score.label": each.outcome,
            "tollhouse.hook": each.hook,
            "tollhouse.policy": each.policy,
            "tollhouse.rule": each.rule,
        }
        yield Event("gen_ai.evaluation.result", at_ns, there(attributes))


def _rule(row: HeardRow) -> Event:
    attributes: dict[str, Attribute | None] = {
        "tollhouse.policy": row.policy,
        "tollhouse.rule": row.rule,
        "tollhouse.verdict": row.effect,
        "tollhouse.mode": row.mode,
        "tollhouse.hook": row.hook,
        "tollhouse.action": row.action,
        "tollhouse.detector": row.detector,
    }
    return Event("tollhouse.rule", row.heard_us * 1000, there(attributes))


def _finding(found: Finding, at_ns: int) -> Event:
    attributes: dict[str, Attribute | None] = {
        "tollhouse.validator": found.validator,
        "tollhouse.finding.code": found.code,
        "tollhouse.finding.severity": found.severity,
        "tollhouse.action": found.action,
        "tollhouse.policy": found.policy,
        "tollhouse.rule": found.rule,
    }
    return Event("tollhouse.finding", at_ns, there(attributes))


def there(attributes: Mapping[str, Attribute | None]) -> Attributes:
    """What has a value."""
    return {name: value for name, value in attributes.items() if value is not None and value not in ("", ())}


def _sum(*parts: int | None) -> int | None:
    """None where nothing is known."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
