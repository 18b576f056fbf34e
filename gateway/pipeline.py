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

from gateway import history, identify
from gateway.admission import admit
from gateway.answering import answer, audit_unavailable, close, fail, hand_over
from gateway.bookkeeping import Bookkeeping
from gateway.continuity import owed, recall
from gateway.entrance import admitted
from gateway.errors import ClientGone, GatewayError, JournalUnavailable
from gateway.exchange import Caller, Endpoint, Exchange, Finding, Request
from gateway.inbound import screened
from gateway.prompt.fingerprint import fingerprint
from gateway.prompting import compare, prompted
from gateway.reading import read
from gateway.spending import reserve
from gateway.state.asking import at_once
from gateway.state.reservations import Reservations
from gateway.stopping import refuse_stopped
from gateway.upstream import translate
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.headers import all_but_keys, matching, parameters
from gateway.upstream.routing import Target
from gateway.visit import Gateway, Head, Incoming, Visit

log = logging.getLogger("gateway.pipeline")

MOST_MESSAGES = 20_000
MOST_TOOLS = 2_000
"""Of one request: some ten times what the largest agents send. Each one costs time in which a worker serves nobody else."""


async def relay(gateway: Gateway, incoming: Incoming) -> AsyncGenerator[Head | bytes, None]:
    """Answers one request: a `Head`, then bytes. Never raises but for cancellation."""
    visit = _begin(gateway, incoming)
    x, book = visit.x, visit.book
    try:
        await _identify(visit)  # who asks; a caller without a right to be here costs no body
        body = await _receive(visit)  # the bytes, within limits
        request = await _decode(visit, body)  # one meaning, or refused
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
        target = _target(visit, request)
        await reserve(visit, request)  # what it may cost at the most is kept free for it
        visit.again = _again(visit, target)
        async with _ask(visit, request, target) as upstream:  # the provider; the opening record is written meanwhile
            parts = answer(visit, request, upstream)
            async with aclosing(parts):
                async for part in parts:  # judged, held, released or replaced; recorded, then sent
                    yield part
    except (GatewayError, JournalUnavailable) as error:
        for part in await fail(visit, audit_unavailable(error) if isinstance(error, JournalUnavailable) else error):
            yield part
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
            hand_over(visit)  # what a model shall be asked about the answer, now that it has left


def _begin(gateway: Gateway, incoming: Incoming) -> Visit:
    clock = gateway.clock
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
        trace_id=identify.trace_id(incoming.headers),
    )
    book = Bookkeeping(x, gateway.journal, gateway.scribe, gateway.prices, clock, provider=incoming.dialect.PROVIDER)
    reserved, headers = Reservations(gateway.limits), {"x-gateway-trace-id": x.id}
    return Visit(gateway, incoming, x, book, gateway.redactor.flow(), clock.mono_us(), reserved, headers=headers)


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
        x.caller = Caller(record.agent, record.id, record.team, record.user, record.labels, client=client)
        x.storing = record.store or x.storing
    x.enforcing = gateway.policies.enforces(x.caller.agent)
    if gateway.settings.encryption is not None and gateway.ask is not at_once:  # the key of its records is at hand from here on
        await gateway.ask(gateway.scribe.hand, x.storing, x.caller)


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
    key, operation = x.caller.key_id, _endpoint(visit).operation
    if operation == "pass_through":
        request = _not_read(visit, body)
        session, source = identify.session(headers, request, key)
    else:
        reader = _reader(visit)

        def decode(raw: bytes) -> tuple[Request, tuple[str, str]]:
            return _known_by(headers, reader(prompted(visit, operation, raw)), key)

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
    incoming, allowed, endpoint = visit.incoming, _allowed(visit), _endpoint(visit)
    return lambda body: incoming.dialect.decode_request(body, incoming.named, allowed, endpoint)


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


def _endpoint(visit: Visit) -> Endpoint:
    if visit.incoming.endpoint is None:
        raise GatewayError("not_found", "unknown_path", "This gateway does not serve this path.")
    if visit.incoming.query == visit.incoming.endpoint.query:
        return visit.incoming.endpoint
    return msgspec.structs.replace(visit.incoming.endpoint, query=visit.incoming.query)


def _target(visit: Visit, request: Request) -> Target:
    """The upstream of the model; where something stored is needed, the one that keeps it."""
    if request.operation == "pass_through":
        return visit.gateway.routes.named(_endpoint(visit).subject)
    routes, keepers = visit.gateway.routes, {belonging.upstream for belonging in visit.belongings}
    if not request.model:
        return routes.named(*keepers) if len(keepers) == 1 else routes.first(request.dialect)
    target = routes.find(request.dialect, request.model)
    if keepers - {target.name}:
        message = (
            f"What this request builds on is kept by the upstream '{', '.join(sorted(keepers))}', but the model '{request.model}' is "
            f"routed to '{target.name}'. Send the whole conversation, or use a model of the same upstream."
        )
        raise GatewayError("refused", "kept_elsewhere", message, param="model")
    return target


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


class _ask:  # noqa: N801 - reads as a statement: async with _ask(...)
    """Asks the provider. A streamed request's opening record is made durable in the meantime."""

    def __init__(self, visit: Visit, request: Request, target: Target, *, again: bool = False) -> None:
        self._visit, self._request, self._target, self._first = visit, request, target, not again

    async def __aenter__(self) -> ProviderAnswer:
        visit, request, dialect = self._visit, self._request, self._visit.incoming.dialect
        visit.x.upstream = self._target.name
        prepared = await _translation(visit, request, self._target)
        if request.stream and self._first:
            visit.book.open()
        visit.asked = visit.gateway.clock.mono_us()
        visit.reserved.settle()  # what the provider runs by itself it may run from here on
        if prepared is None:
            endpoint = _endpoint(visit)
            url = self._target.base_url + endpoint.upstream_path + _query(visit, request)
            waited = owed(visit, request) if self._first else ()
            headers, body = _headers(visit, self._target, request), dialect.upstream_body(request, waited)
            self._sending = visit.gateway.upstream.send(endpoint.method, url, headers, body)
        else:
            url = self._target.base_url + prepared.path
            self._sending = visit.gateway.upstream.send("POST", url, prepared.headers, prepared.body)
        upstream = await self._sending.__aenter__()
        visit.x.upstream_status = upstream.status
        return upstream if prepared is None else translate.TranslatedAnswer(upstream, prepared)

    async def __aexit__(self, *error: object) -> None:
        await self._sending.__aexit__(*error)


def _again(visit: Visit, target: Target) -> Callable[[bytes], AbstractAsyncContextManager[tuple[Request, ProviderAnswer]]]:
    """Asks the same provider once more, with another body of the same dialect."""

    return partial(_asked_again, visit, target)


@asynccontextmanager
async def _asked_again(visit: Visit, target: Target, body: bytes) -> AsyncIterator[tuple[Request, ProviderAnswer]]:
    request = _reader(visit)(body)
    await reserve(visit, request)
    async with _ask(visit, request, target, again=True) as upstream:
        yield request, upstream


async def _translation(visit: Visit, request: Request, target: Target) -> translate.Prepared | None:
    """The request in the provider's dialect, where that is not the client's."""
    if request.operation == "pass_through" or request.dialect in target.dialects:
        return None
    prepared = await translate.prepare(request, target)
    visit.x.translated, visit.x.dropped = prepared.upstream, list(prepared.dropped)
    visit.headers |= prepared.dropped_header
    visit.book.served_by(prepared.provider)
    return prepared


def _query(visit: Visit, request: Request) -> str:
    query = visit.incoming.query
    return all_but_keys(query) if request.operation == "pass_through" else parameters(query)


def _headers(visit: Visit, target: Target, request: Request) -> dict[str, str]:
    dialect, named = visit.incoming.dialect, visit.incoming.named
    headers = matching(named, tuple(dialect.FORWARD_HEADERS))
    headers |= {"content-type": "application/json", "accept-encoding": "identity"}
    headers["accept"] = "text/event-stream" if request.stream else "application/json"
    if request.operation == "pass_through":
        headers |= matching(named, ("accept", "content-type"))
    return headers | (dialect.auth_headers(target.key, named) if target.key else {})
