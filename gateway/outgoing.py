"""A request as one target gets it: where it goes, its headers and its bytes, in the target's dialect and under its name for the model."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from gateway.errors import GatewayError
from gateway.request import Endpoint, Owed, Request
from gateway.trace.propagation import onward
from gateway.upstream import translate
from gateway.upstream.client import ProviderAnswer, Sending
from gateway.upstream.headers import ACCOUNTS, FOR_ONE_REQUEST, all_but_keys, matching, parameters
from gateway.upstream.platforms import Platform
from gateway.upstream.post import Asked
from gateway.upstream.routing import Target
from gateway.upstream.signed_ids import without_signatures
from gateway.upstream.translatable import spoken
from gateway.visit import Visit


class Letter(Struct, frozen=True):
    """Ready to be sent."""

    target: Target
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    translation: translate.Prepared | None = None

    def sending(self, visit: Visit) -> Sending:
        return visit.gateway.upstream.send(self.method, self.url, self.headers, self.body, self.target.timeouts)

    def opened(self, answer: ProviderAnswer) -> ProviderAnswer:
        """In the target's dialect, whatever frames it came in."""
        if self.target.platform is None:
            return answer
        return self.target.platform.opened(answer, "" if self.translation is None else self.translation.upstream)

    def read(self, answer: ProviderAnswer) -> ProviderAnswer:
        """In the dialect of the client."""
        return answer if self.translation is None else translate.TranslatedAnswer(answer, self.translation)


def endpoint(visit: Visit) -> Endpoint:
    if visit.incoming.endpoint is None:
        raise GatewayError("not_found", "unknown_path", "This gateway does not serve this path.")
    if visit.incoming.query == visit.incoming.endpoint.query:
        return visit.incoming.endpoint
    return msgspec.structs.replace(visit.incoming.endpoint, query=visit.incoming.query)


def named_for(visit: Visit, request: Request, target: Target) -> tuple[Endpoint, Request]:
    """The request as the target has it to understand: under its own name for the model."""
    found = endpoint(visit)
    if target.model is None or target.model == request.model:
        return found, request
    found, body = visit.incoming.dialect.renamed(request, found, target.model)
    return found, msgspec.structs.replace(request, model=target.model, body=body)


def provider_of(visit: Visit, target: Target) -> str:
    """Whose prices count: the cloud's, those that the settings name, or those of the dialect in which it is asked."""
    if target.platform is not None:
        return target.platform.provider
    if target.provider is not None:
        return target.provider
    dialect = visit.incoming.dialect
    said = None if dialect.NAME in target.dialects else spoken(dialect.NAME, target.dialects)
    return dialect.PROVIDER if said is None else translate.PROVIDERS[said]


async def letter(
    visit: Visit, found: Endpoint, request: Request, target: Target, waited: Sequence[Owed] = (), *, beside: bool = False
) -> Letter:
    """Raises GatewayError for what cannot be said in the target's dialect. `waited`: withheld calls for which the provider waits. `beside`:
    not the client's own request to whom it goes first, but another target's, a mirror's, or one that asks the model again."""
    if target.platform is not None:
        return await _through(target.platform, visit, found, request, target, waited, beside=beside)
    if request.operation == "pass_through" or request.dialect in target.dialects:
        url = target.base_url + found.upstream_path + _query(visit, request)
        headers = _headers(visit, target, request, beside=beside) | _trace(visit)
        asked = request if target.asked_for_counts else msgspec.structs.replace(request, wants_usage=True)  # as if it had been asked for
        return Letter(target, found.method, url, headers, _body(visit, asked, target, waited))
    prepared = await translate.prepare(request, target)
    return Letter(target, "POST", target.base_url + prepared.path, prepared.headers | _trace(visit), prepared.body, prepared)


async def _through(
    platform: Platform, visit: Visit, found: Endpoint, request: Request, target: Target, waited: Sequence[Owed], *, beside: bool
) -> Letter:
    """To a cloud's address, with its proof in the place of a key."""
    keyless, prepared = msgspec.structs.replace(target, key=None), None
    if request.dialect in target.dialects:
        path, headers = found.upstream_path + _query(visit, request), _headers(visit, keyless, request, beside=beside)
        body = _body(visit, request, target, waited)
        asked = Asked(request.dialect, found.method, path, request.model, request.stream, headers, body)
    else:
        prepared = await translate.prepare(request, keyless)
        asked = Asked(prepared.upstream, "POST", prepared.path, request.model, request.stream, prepared.headers, prepared.body)
    post = await platform.post(asked)
    for proof in post.proofs:
        visit.gateway.redactor.learn(proof)
    return Letter(target, asked.method, post.url, {"accept-encoding": "identity", **post.headers} | _trace(visit), post.body, prepared)


def _trace(visit: Visit) -> dict[str, str]:
    """Headers by which the provider can join the trace."""
    told = visit.gateway.settings.telemetry
    return onward(visit.x.id, visit.x.trace, recording=told.records_spans, share=told.share) if told.propagate else {}


def _body(visit: Visit, request: Request, target: Target, waited: Sequence[Owed]) -> bytes:
    """What a target is sent that speaks the client's dialect."""
    body = visit.incoming.dialect.upstream_body(request, waited)
    return without_signatures(body, request.model) if target.unsigned and request.operation == "chat" else body


def _query(visit: Visit, request: Request) -> str:
    query = visit.incoming.query
    return all_but_keys(query) if request.operation == "pass_through" else parameters(query)


def _headers(visit: Visit, target: Target, request: Request, *, beside: bool) -> dict[str, str]:
    dialect, named = visit.incoming.dialect, visit.incoming.named
    headers = matching(named, tuple(dialect.FORWARD_HEADERS))
    if target.provider not in (None, dialect.PROVIDER):
        headers = {name: value for name, value in headers.items() if name not in ACCOUNTS}
    if beside:
        headers = {name: value for name, value in headers.items() if name not in FOR_ONE_REQUEST}
    headers |= {"content-type": "application/json", "accept-encoding": "identity"}
    headers["accept"] = "text/event-stream" if request.stream else "application/json"
    if request.operation == "pass_through":
        headers |= matching(named, ("accept", "content-type"))
    return headers | (dialect.auth_headers(target.key, named) if target.key else {})
