"""The way of one request, top to bottom: read `relay`.

An async generator that yields a `Head` and then bytes. Whatever happens (a refusal, a broken provider, a client that leaves, a shutdown),
the exchange ends in exactly one state and is recorded; nothing reaches the client before the record that must precede it is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial

import msgspec

from gateway import caching, history, identify, logs
from gateway.admission import admit
from gateway.answering import answer, audit_unavailable, close, fail, hand_over
from gateway.attempting import ask
from gateway.bookkeeping import Bookkeeping
from gateway.continuity import recall
from gateway.entrance import admitted
from gateway.errors import ClientGone, GatewayError, JournalUnavailable
from gateway.exchange import Caller, Exchange
from gateway.inbound import screened
from gateway.outgoing import endpoint
from gateway.prompt.fingerprint import fingerprint
from gateway.prompting import compare, prompted
from gateway.reading import read
from gateway.request import Request
from gateway.scope import KeyScope, refuse_dialect, refuse_model, refuse_upstream
from gateway.spending import reserve
from gateway.state.asking import at_once
from gateway.state.reservations import Reservations
from gateway.stopping import refuse_stopped
from gateway.undeployed import notice
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.routing import Target, Way
from gateway.verdict import Finding
from gateway.visit import Again, Gateway, Head, Incoming, Visit

log = logging.getLogger("gateway.pipeline")

MOST_MESSAGES = 20_000
MOST_TOOLS = 2_000
"""Of one request: some ten times what the largest agents send. Each one costs time in which a worker serves nobody else."""


async def relay(gateway: Gateway, incoming: Incoming) -> AsyncGenerator[Head | bytes, None]:
    """Answers one request: a `Head`, then bytes. Never raises but for cancellation."""
    visit = _begin(gateway, incoming)
    x, book = visit.x, visit.book
    logs.about.set((x.id, x.trace))
    try:
        await _identify(visit)  # who asks; a caller without a right to be here costs no body
        body = await _receive(visit)  # the bytes, within limits
        request = await _decode(visit, body)  # one meaning, or refused
        refuse_model(visit.scope, request.model, read=request.operation != "pass_through")  # what the key is for
        await refuse_stopped(visit)  # a session that a denial has stopped
        request = await recall(visit, request)  # what the provider keeps for it is this caller's own
        await history.verify(visit, request)  # what it tells of earlier calls happened
        request = screened(visit, request, _reader(visit))  # what is said to the model may be said to it
        await admit(visit, request)  # what nobody can judge is refused while a policy enforces
        request = _without_denied(visit, request)
        if request.operation == "chat":
            found = fingerprint(request)  # which prompt version this is
            book.prompt(found)
            compare(visit, request, found)  # an agent that is pinned comes as it was approved
            await notice(visit, found)  # what nobody deployed is on record
        way = _within(visit.scope, _way(visit, request))
        async with await _asking(visit, request, way) as upstream:  # the provider; what it may cost is kept free, its record opened
            # judged, held, released or replaced; recorded, then sent
            parts = await answer(visit, request, caching.noted(visit, upstream))
            async with aclosing(parts):
                async for part in parts:
                    yield part
    except (GatewayError, JournalUnavailable) as error:
        try:
            for part in await fail(visit, audit_unavailable(error) if isinstance(error, JournalUnavailable) else error):
                yield part
        finally:
            error.__traceback__ = None  # who holds the error would hold its frames, and with these the exchange
    except ClientGone:
        x.state = "client_gone"
    except asyncio.CancelledError:
        x.state = incoming.gone
        if incoming.gone != "interrupted":
            raise
        _stay()
        for part in await fail(visit, _stopped(), "interrupted"):
            yield part
    except GeneratorExit:
        x.state = incoming.gone
        raise
    except Exception:
        log.exception("exchange %s failed inside the gateway", x.id)
        for part in await fail(visit, _fault(x.id)):
            yield part
    finally:
        try:
            await close(visit)
        finally:
            logs.about.set(None)
            hand_over(visit)  # what a model shall be asked about the answer, now that it has left
            await caching.keep(visit)
            visit.again = visit.spoilt = visit.screening = None  # they refer back: the exchange would stay until garbage is looked for


def _begin(gateway: Gateway, incoming: Incoming) -> Visit:
    clock = gateway.clock
    started = clock.mono_us()  # before the date is read: nothing that follows may look as if it came after the exchange's end
    named = incoming.named
    x = Exchange(
        id=clock.new_id(),
        started_us=clock.now_us(),
        dialect=incoming.dialect.NAME,
        route=identify.label(incoming.path),
        caller=Caller(agent="", client=identify.label(named.get("user-agent"))),
        policy_hash=gateway.policies.hash,
        policy_git=gateway.policies.git,
        storing=gateway.settings.storing,
        client_request_id=identify.label(named.get("x-request-id")) or None,
        trace=identify.trace_parent(incoming.headers) if "traceparent" in named else None,
    )
    book = Bookkeeping(x, gateway.journal, gateway.scribe, gateway.prices, clock, provider=incoming.dialect.PROVIDER)
    reserved, headers = Reservations(gateway.limits), {"x-gateway-trace-id": x.id}
    return Visit(gateway, incoming, x, book, gateway.redactor.flow(), started, reserved, headers=headers)


async def _identify(visit: Visit) -> None:
    gateway, incoming, x = visit.gateway, visit.incoming, visit.x
    if gateway.draining:
        raise GatewayError(
            "unavailable", "shutting_down", "This gateway is shutting down. Try again shortly.", retry_after=1
        )
    client = x.caller.client
    record = None if incoming.own else await admitted(gateway, incoming.headers, incoming.query, incoming.dialect.PROVIDER)
    if incoming.own is not None:
        x.caller, x.storing = incoming.own.caller, incoming.own.storing
    elif record is None:
        x.caller = Caller(agent="anonymous", client=client)
    else:
        x.caller = Caller(record.agent, record.id, record.team, record.user, record.labels, client=client, org=record.org)
        x.storing, visit.scope = record.store or x.storing, record.scope
    x.enforcing = gateway.policies.enforces(x.caller.agent)
    if gateway.settings.encryption is not None and gateway.ask is not at_once:  # the key of its records is at hand from here on
        await gateway.ask(gateway.scribe.hands.of, x.storing, x.caller)
    refuse_dialect(visit.scope, x.dialect)


async def _receive(visit: Visit) -> bytes:
    if visit.incoming.refusal is not None:
        raise visit.incoming.refusal
    body = await visit.incoming.body()
    visit.x.request_bytes = len(body)
    return body


async def _decode(visit: Visit, body: bytes) -> Request:
    x, headers = visit.x, visit.incoming.named
    if "content-encoding" in headers and _encoded(visit.incoming):
        raise GatewayError(
            "bad_request", "content_encoding", "Send the request body uncompressed (without content-encoding)."
        )
    key, operation = x.caller.key_id, endpoint(visit).operation
    if operation == "pass_through":
        request = _not_read(visit, body)
        session, source = identify.session(headers, request, key)
    else:
        reader = _reader(visit)

        def decode(raw: bytes) -> tuple[Request, tuple[str, str]]:
            return _known_by(headers, reader(prompted(visit, operation, raw, reader)), key)

        request, (session, source) = await read(body, visit.gateway.settings.limits, decode)
    x.caller = msgspec.structs.replace(x.caller, session=session, session_source=source)
    x.request = request
    return request


def _not_read(visit: Visit, body: bytes) -> Request:
    return Request(visit.x.dialect, "", stream=False, messages=(), tools=(), body=body, operation="pass_through")


def _known_by(headers: Mapping[str, str], request: Request, key_id: str | None) -> tuple[Request, tuple[str, str]]:
    """A request and its session, which may be worked out from all its words."""
    _refuse_crowds(request)
    return request, identify.session(headers, request, key_id)


def _encoded(incoming: Incoming) -> bool:
    return any(name == "content-encoding" and value.lower() != "identity" for name, value in incoming.headers)


def _reader(visit: Visit) -> Callable[[bytes], Request]:
    """Reads a body of this exchange."""
    incoming, allowed, found = visit.incoming, _allowed(visit), endpoint(visit)
    return lambda body: incoming.dialect.decode_request(body, incoming.named, allowed, found)


def _allowed(visit: Visit) -> frozenset[str]:
    """Fields that the settings let pass unjudged."""
    return frozenset(visit.gateway.settings.allow_fields.get(visit.incoming.dialect.NAME, ()))  # type: ignore[call-overload]


def _without_denied(visit: Visit, request: Request) -> Request:
    """The model is not shown tools that no policy grants, where one says so. Calls of them would be denied all the same."""
    policies, agent = visit.gateway.policies, visit.x.caller.agent
    names = sorted({tool.name for tool in request.tools if policies.hides(agent, tool.name)})
    body = visit.incoming.dialect.without_tools(request, names) if names and request.operation == "chat" else None
    if body is None:
        return request
    left_out = f"left out of the request: {identify.label(', '.join(names), 500)}"
    visit.x.findings.append(Finding("policy", "hidden_tools", "info", "tools", left_out))
    return msgspec.structs.replace(request, body=body)


def _refuse_crowds(request: Request) -> None:
    for what, found, most in (("messages", request.messages, MOST_MESSAGES), ("tools", request.tools, MOST_TOOLS)):
        if len(found) > most:
            message = f"This request has {len(found)} {what}; this gateway takes {most}. Send fewer: leave out what is no longer needed."
            raise GatewayError("too_large", f"too_many_{what}", message, param=what)


def _way(visit: Visit, request: Request) -> Target | Way:
    """The upstream of the model, or the targets of its route; where something stored is needed, only those that keep it."""
    if request.operation == "pass_through":
        return visit.gateway.routes.named(endpoint(visit).subject)
    routes, keepers = visit.gateway.routes, {belonging.upstream for belonging in visit.belongings}
    if not request.model:
        return routes.named(*keepers) if len(keepers) == 1 else routes.first(request.dialect)
    found = routes.find(request.dialect, request.model)
    if not keepers:
        return found
    names = found.names if isinstance(found, Way) else {found.name}
    if len(keepers) > 1 or not keepers <= names:
        message = (
            f"What this request builds on is kept by the upstream '{', '.join(sorted(keepers))}', but the model '{request.model}' is "
            f"routed to '{', '.join(sorted(names))}'. Send the whole conversation, or use a model of the same upstream."
        )
        raise GatewayError("refused", "kept_elsewhere", message, param="model")
    return found.kept_by(keepers) if isinstance(found, Way) else found


def _within(scope: KeyScope, way: Target | Way) -> Target | Way:
    """What the key is for: of a route's targets those of its upstreams."""
    if isinstance(way, Target) or scope.upstreams is None or way.names.isdisjoint(scope.upstreams):
        for name in (way.name,) if isinstance(way, Target) else sorted(way.names):
            refuse_upstream(scope, name)
        return way
    return way.kept_by(scope.upstreams)


def _stay() -> None:
    """A shutdown cancels the request's task only to wake it: it still says goodbye and writes its record."""
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()


def _stopped() -> GatewayError:
    message = "This gateway was stopped before the answer ended."
    return GatewayError("unavailable", "shutting_down", message, retry_after=1)


def _fault(exchange: str) -> GatewayError:
    message = f"The gateway failed on this request ({exchange}). Nothing of its answer was passed on unjudged."
    return GatewayError("unavailable", "internal_error", message, retry_after=5)


async def _asking(visit: Visit, request: Request, way: Target | Way) -> AbstractAsyncContextManager[ProviderAnswer]:
    """The provider, or what it answered before where that may be given again."""
    kept = await caching.look(visit, request, way)
    if kept is None:
        visit.again = _again(visit, way)
        return ask(visit, request, way)
    await reserve(visit, request, again=True)
    return caching.given(visit, request, kept)


def _again(visit: Visit, way: Target | Way) -> Callable[[bytes], AbstractAsyncContextManager[tuple[Request, ProviderAnswer]]]:
    """Asks the same provider once more, with another body of the same dialect."""

    return partial(_asked_again, visit, way)


@asynccontextmanager
async def _asked_again(visit: Visit, way: Target | Way, body: bytes) -> AsyncIterator[tuple[Request, ProviderAnswer]]:
    request = _reader(visit)(body)
    visit.latest = Again(request, visit.gateway.clock.mono_us())
    async with ask(visit, request, way, again=True) as upstream:
        yield request, upstream
