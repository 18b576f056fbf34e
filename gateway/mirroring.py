"""A route's mirror: asked the same as the target, beside it, for a share of the requests.

Nobody waits for it and nobody gets its answer: that is read to its end for what it says of tokens, and thrown away, with the calls it may
propose. It is on record as an attempt of its own (`Mirrored`), and has its own place in budgets: where there is none, it is left out. So
are requests that would leave something behind at the provider, and those for which there is no room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from decimal import Decimal

from msgspec import Struct

from gateway.answer import Usage
from gateway.dialects.events import Broken, Limits
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import Attempt
from gateway.leases import Holding
from gateway.outgoing import letter, named_for, provider_of
from gateway.request import Request
from gateway.routes.retrying import lasting
from gateway.spending import reserve_beside, settle_beside
from gateway.trace.record import Mirrored
from gateway.upstream.client import ProviderAnswer, Sending
from gateway.upstream.routing import Mirror, Target
from gateway.visit import Visit

log = logging.getLogger("gateway.mirroring")


def mirror(visit: Visit, request: Request, mirrored: Mirror | None) -> None:
    """Begins it, where this request is one of the share."""
    if mirrored is None or request.operation not in ("chat", "embeddings") or request.continues or lasting(request):
        return
    gateway, known = visit.gateway, visit.scope.upstreams
    if known is not None and mirrored.target.name not in known:  # the key is not for it
        return
    if gateway.mirrors.room and gateway.chance() < mirrored.share:
        gateway.mirrors.begin(_mirrored(visit, request, mirrored))


class _Told(Struct):
    """What came of it."""

    usage: Usage | None = None
    model: str | None = None


async def _mirrored(visit: Visit, request: Request, mirrored: Mirror) -> None:
    target, clock = mirrored.target, visit.gateway.clock
    try:
        held = await reserve_beside(visit, named_for(visit, request, target)[1], provider_of(visit, target))
    except GatewayError as error:
        log.info("the mirror of exchange %s was left out: %s", visit.x.id, error.code)
        return
    made = Attempt(0, target.name, target.model or request.model, target.region, "mirror", f"share {mirrored.share:g}", clock.now_us())
    told = _Told()
    try:
        await _asked(visit, request, target, made, told)
    except GatewayError as error:
        made.fault = error.code
    except asyncio.CancelledError:
        made.fault, made.unsure = "interrupted", made.status is None or made.status < 400
        raise
    except Exception:
        log.exception("the mirror of exchange %s failed inside the gateway", visit.x.id)
        made.fault = "internal_error"
    finally:
        await asyncio.shield(_recorded(visit, request, target, made, told, held))


async def _asked(visit: Visit, request: Request, target: Target, made: Attempt, told: _Told) -> None:
    clock = visit.gateway.clock
    found, named = named_for(visit, request, target)
    sent = await letter(visit, found, named, target, beside=True)
    sending, began = sent.sending(visit), clock.mono_us()
    try:
        async with sending as raw:
            made.first_byte_us, made.status = clock.mono_us() - began, raw.status
            made.fault = f"status_{raw.status}" if raw.status >= 400 else ""
            await _read(visit, named, sent.read(sent.opened(raw)), told)
    except GatewayError:
        made.unsure = _maybe_charged(sending, made)
        raise
    finally:
        made.duration_us = clock.mono_us() - began


def _maybe_charged(sending: Sending, made: Attempt) -> bool:
    return sending.sent and (made.status is None or made.status < 400)


async def _read(visit: Visit, request: Request, answer: ProviderAnswer, told: _Told) -> None:
    """All of it; only what it took is kept."""
    dialect, most = visit.incoming.dialect, visit.gateway.settings.limits.answer_bytes
    if answer.status >= 400:
        await answer.read(most)
    elif request.stream and answer.media_type == "text/event-stream":
        stream = dialect.stream(request, Limits(), enforcing=False)
        async for piece in _bounded(answer, most):
            _unbroken(stream.feed(piece))
        _unbroken(stream.close())
        told.usage, told.model = stream.answer.usage, stream.answer.model
    elif request.operation == "embeddings":
        found = dialect.decode_plain(await answer.read(most), request)
        told.usage, told.model = found.usage, found.model
    else:
        whole = dialect.decode_answer(await answer.read(most), request, Limits())
        _unbroken(() if whole.broken is None else (whole.broken,))
        told.usage, told.model = whole.answer.usage, whole.answer.model


def _unbroken(events: Iterable[object]) -> None:
    """Raises GatewayError for an answer that came to nothing: what it took is not known."""
    for event in events:
        if isinstance(event, Broken):
            code = "upstream_reset" if event.code == "truncated" else event.code
            raise GatewayError("upstream", code, f"The mirror's answer came to nothing: {event.detail}")


async def _bounded(answer: ProviderAnswer, most: int) -> AsyncIterator[bytes]:
    length = 0
    async for piece in answer.chunks():
        length += len(piece)
        if length > most:
            raise GatewayError("upstream", "answer_too_large", f"The mirror's answer is longer than {most} bytes.")
        yield piece


async def _recorded(visit: Visit, request: Request, target: Target, made: Attempt, told: _Told, held: Holding | None) -> None:
    gateway = visit.gateway
    cost = _cost(visit, request, target, told)
    if held is not None:
        await settle_beside(visit, held, told.usage, cost, charged=made.unsure or not made.fault)
    try:
        await gateway.journal.append(Mirrored(gateway.scribe.attempt(visit.x, made, told.usage, cost)))
    except JournalUnavailable as error:
        log.error("the mirror of exchange %s could not be recorded: %s", visit.x.id, error)  # noqa: TRY400 - no traceback wanted


def _cost(visit: Visit, request: Request, target: Target, told: _Told) -> Decimal | None:
    if told.usage is None:
        return None
    models = (told.model, target.model or request.model)
    usage = told.usage.at(target.place)
    return visit.gateway.prices.cost_of_either(provider_of(visit, target), models, usage, visit.x.started_us).amount
