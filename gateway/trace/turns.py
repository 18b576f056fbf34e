"""Turns of an agent: the exchanges from what it was asked to its answer, as a span `invoke_agent`. Pure, and bounded.

1. A turn goes on after an answer with calls that were delivered, for the agent runs them and comes back; any other answer ends it.
2. It is a trace of its own, linked with its exchanges: those may be told before anybody knows where the turn ends.
3. A client that traces itself says where its turns begin and end: of its exchanges no turn is made.
4. What is guessed is forgotten rather than told wrong: a turn that nobody goes on with for `IDLE_US`, or the oldest of more than `MOST`.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

from gateway.trace import otel, propagation
from gateway.trace.exchange_rows import ExchangeRow
from gateway.trace.otel import Span

IDLE_US = 3600 * 1_000_000
MOST = 10_000
MOST_LINKS = 128
"""Of one span: OpenTelemetry's own limit."""


class _Turn(Struct):
    first: ExchangeRow
    links: list[tuple[int, int]] = []
    end_us: int = 0
    exchanges: int = 0
    calls: int = 0
    denied: int = 0
    input: int | None = None
    output: int | None = None
    cost: Decimal | None = None


class Turns:
    """Fed with exchanges in the order in which they ended."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._open: dict[tuple[str | None, ...], _Turn] = {}

    def ended(self, row: ExchangeRow) -> Span | None:
        """The turn that it ends, if it ends one."""
        if row.operation != "chat" or row.trace_id or not row.session or row.state == "rejected":
            return None
        key = (row.agent, row.org, row.team, row.user, row.session)
        turn = self._open.pop(key, None)
        if turn is None or row.started_us - turn.end_us > IDLE_US:
            turn = _Turn(row)
        _add(turn, row)
        if row.calls > row.denied and row.state in ("complete", "denied"):
            self._open[key] = turn
            if len(self._open) > self._most:
                self._open.pop(next(iter(self._open)))
            return None
        return _span(turn, row)


def _add(turn: _Turn, row: ExchangeRow) -> None:
    turn.exchanges += 1
    if len(turn.links) < MOST_LINKS:
        turn.links.append(otel.ids(row))
    turn.end_us = max(turn.end_us, row.started_us + row.duration_us)
    turn.calls += row.calls
    turn.denied += row.denied
    turn.input, turn.output = _plus(turn.input, otel.input_tokens(row)), _plus(turn.output, otel.output_tokens(row))
    if row.cost is not None:
        turn.cost = (turn.cost or Decimal(0)) + Decimal(row.cost)


def _span(turn: _Turn, last: ExchangeRow) -> Span:
    failed = otel.failure(last)
    told: dict[str, otel.Attribute | None] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": last.provider,
        "gen_ai.agent.id": last.agent,
        "gen_ai.agent.name": last.agent,
        "gen_ai.conversation.id": last.session,
        "gen_ai.request.model": last.request_model,
        "gen_ai.response.finish_reasons": last.finish_reasons,
        "gen_ai.usage.input_tokens": turn.input,
        "gen_ai.usage.output_tokens": turn.output,
        "error.type": failed,
        "tollhouse.exchanges": turn.exchanges,
        "tollhouse.calls": turn.calls,
        "tollhouse.denied": turn.denied,
        "tollhouse.cost": None if turn.cost is None else float(turn.cost),
        "tollhouse.org": last.org,
        "tollhouse.team": last.team,
    }
    name = f"turn {turn.first.id}"
    return Span(
        name=f"invoke_agent {last.agent}",
        trace_id=propagation.trace_id(name),
        span_id=propagation.span_id(name),
        parent_id=None,
        start_ns=turn.first.started_us * 1000,
        end_ns=turn.end_us * 1000,
        kind="internal",
        failed=failed,
        attributes=otel.there(told),
        links=tuple(turn.links),
    )


def _plus(so_far: int | None, more: int | None) -> int | None:
    return more if so_far is None else so_far + (more or 0)
