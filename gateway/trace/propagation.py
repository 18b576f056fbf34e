"""The trace of an exchange: its ids, whether it is recorded, and what the provider is told of it (W3C Trace Context). Pure.

1. An exchange belongs to the trace that its client named; else to one of its own, whose id is the exchange's (a UUIDv7 has 128 bits).
2. Span ids follow from the ids of what they are about: worker, book and a later export name the same span without asking each other.
3. Whether a trace is recorded is decided by the client that began it; of our own ones, by the rightmost 56 bits of the trace id, as in
   OpenTelemetry's consistent probability sampling: these are random in a UUIDv7, its upper ones are time and version.
"""

from __future__ import annotations

import hashlib

from gateway.exchange import TraceParent

_RANDOM = 1 << 56


def trace_id(exchange: str, client: str | None = None) -> int:
    """An id that is no UUID is hashed."""
    digits = client or exchange.replace("-", "")
    if len(digits) == 32 and all(digit in "0123456789abcdef" for digit in digits):
        return int(digits, 16)
    return int.from_bytes(hashlib.sha256(exchange.encode()).digest()[:16], "big")


def span_id(name: str) -> int:
    """`name` is the id of an exchange or of a decision."""
    return int.from_bytes(hashlib.sha256(b"span " + name.encode()).digest()[:8], "big") or 1


def sampled(trace: int, client: bool | None, share: float) -> bool:
    """`client`: what the one who began the trace decided, None where that is us; `share`: of our own, how many (0 to 1)."""
    return trace % _RANDOM >= round((1 - share) * _RANDOM) if client is None else client


def onward(exchange: str, parent: TraceParent | None, *, recording: bool, share: float) -> dict[str, str]:
    """Headers for the provider. Who records nothing is not part of the trace: what came is handed on as it is."""
    if parent is None:
        if not recording:
            return {}
        trace = trace_id(exchange)
        return {"traceparent": f"00-{trace:032x}-{span_id(exchange):016x}-{sampled(trace, None, share):02x}"}
    span = f"{span_id(exchange):016x}" if recording else parent.span_id
    told = {"traceparent": f"00-{parent.trace_id}-{span}-{parent.flags & 3:02x}"}
    return told | {"tracestate": parent.state} if parent.state else told
