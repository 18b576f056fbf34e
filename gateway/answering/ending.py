"""How an exchange ends that has no answer of a provider to give: with the gateway's own error, or without a word."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from gateway import spending
from gateway.answering.decisions import begun
from gateway.answering.leaving import final, give_back, head, lasted
from gateway.dialects.events import Broken
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import EndState
from gateway.visit import Head, Visit

log = logging.getLogger("gateway.answering")


async def fail(visit: Visit, error: GatewayError, state: EndState | None = None) -> Sequence[Head | bytes]:
    """Ends the exchange with an error in the caller's dialect: as an answer, or as the last frame of a stream that has begun."""
    x = visit.x
    spoilt(visit, error)
    await give_back(visit)
    visit.issued.clear()
    x.state, x.error_code, x.error_message = state or _end_state(visit, error), error.code, error.message
    if visit.book.ended:  # its end could not be recorded: the error is all that is left to say
        return _unrecorded(visit, error)
    if not visit.answering:  # what waits to leave belongs to an answer that will not come
        visit.flow = visit.gateway.redactor.flow()
    wire = visit.incoming.dialect.error_answer(error)
    frame = _frame(visit, error) if visit.answering else None
    try:
        return await final(visit, wire.status, wire.headers, wire.body if frame is None else frame)
    except JournalUnavailable as unavailable:
        return _unrecorded(visit, audit_unavailable(unavailable))


def _frame(visit: Visit, error: GatewayError) -> bytes | None:
    """The last frame of a stream that has begun, also where only signs of life have left and the model is being asked again."""
    stream = visit.stream
    if stream is None and visit.x.request is not None:
        stream = begun(visit, visit.x.request)
    return None if stream is None else stream.error(error)


def spoilt(visit: Visit, error: GatewayError) -> None:
    """Tells the target whose answer this is where the fault is the provider's."""
    if visit.spoilt is not None and error.kind in ("upstream", "upstream_timeout"):
        visit.spoilt(error.code, visit.broken.raw if visit.broken is not None else b"")


def _unrecorded(visit: Visit, error: GatewayError) -> Sequence[Head | bytes]:
    """An error that says that nothing can be recorded: the one thing that leaves without a record."""
    if visit.answering and visit.stream is not None:
        return (visit.stream.error(error),)
    wire = visit.incoming.dialect.error_answer(error)
    visit.x.status, visit.x.bytes_out = wire.status, len(wire.body)
    return head(visit, wire.status, {**wire.headers, "content-length": str(len(wire.body))}), wire.body


async def close(visit: Visit) -> None:
    """The record of an exchange that ended by cancellation. Shielded: the client's leaving must not cost the record. Calls that had not
    begun to leave do not count. Where a provider was asked and the journal takes no record, it gets it later: what was spent is spent."""
    try:
        await give_back(visit)
    finally:
        try:
            await _recorded(visit)
        finally:
            if visit.book.refused and (visit.asked is not None or visit.book.opened):
                visit.gateway.late_ends.keep(visit.book)
            await spending.settle(visit)


async def _recorded(visit: Visit) -> None:
    if visit.book.ended:
        return
    lasted(visit)
    try:
        await asyncio.shield(visit.book.end())
    except JournalUnavailable:
        log.error("the end of exchange %s could not be recorded", visit.x.id)  # noqa: TRY400 - the cause is logged by the journal


def _end_state(visit: Visit, error: GatewayError) -> EndState:
    if visit.asked is None:
        return "rejected"
    if error.code == "policy_denied":
        return "denied"
    if error.kind == "upstream_timeout":
        return "upstream_timeout"
    if error.code in ("upstream_reset", "upstream_unreachable", "empty_answer"):
        return "upstream_reset"
    return "upstream_error" if error.code == "provider_error" else "incomplete"


def broken_error(broken: Broken, *, cut: bool) -> GatewayError:
    """`cut`: the provider's connection ended, as against an answer that says itself that it was cut off."""
    if broken.code == "truncated" and cut:
        return GatewayError("upstream", "upstream_reset", "The provider's connection ended inside its answer.")
    if broken.code == "truncated":
        return GatewayError("upstream", "truncated", f"The provider's answer was cut off: {broken.detail}")
    if broken.code == "provider_error":
        return GatewayError("upstream", "provider_error", f"The provider reported an error: {broken.detail}")
    return GatewayError(
        "upstream", broken.code, f"The provider's answer broke its own protocol and was stopped: {broken.detail}"
    )


def audit_unavailable(error: JournalUnavailable) -> GatewayError:
    return GatewayError(
        "unavailable",
        "audit_unavailable",
        f"The gateway cannot record decisions now ({error}), so it answers nothing. Try again shortly.",
        retry_after=5,
    )
