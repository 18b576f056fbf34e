"""Answers given again on the way of a request (`cache:` in the settings): looked for before a provider is asked, kept when one has gone
well.

1. What is kept is what the provider said. What is given is judged again, as if it had just come: by the policy of now, whole or streamed,
   with limits, approvals and screens. What is then not delivered whole is forgotten, and the model is not asked anew in its place.
2. Kept is only what went out whole and unchanged: nothing denied, redacted, repaired, cut off or failed, nothing of a request that makes a
   provider act, fetch, store or remember, nothing of callers of whom the book keeps only metadata.
3. It is kept under a name that stands for all it depends on and for whom it is (`cache_key`). A request is admitted before anybody looks.
4. A cache that cannot be asked costs an answer nothing but the way to the provider.
"""

from __future__ import annotations

import logging
from typing import Final, Literal

from gateway import identify
from gateway.answer_cache import Entry
from gateway.cache_key import Asked, name_of
from gateway.cache_settings import Cache
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import Caller
from gateway.request import Request
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.headers import matching, parameters
from gateway.upstream.replay import Noted, Replayed
from gateway.upstream.routing import Target, Way
from gateway.verdict import Verdict
from gateway.visit import Visit

log = logging.getLogger("gateway.caching")

HEADER: Final = "x-tollhouse-cache"
DROPPED = "x-gateway-dropped-fields"
WHOLE_ENDS = frozenset({"stop", "tool_calls", "function_call", "end_turn", "tool_use", "stop_sequence", "completed", "STOP"})
"""What providers say of an answer that ended by itself; every other word may stand for one that was cut off or refused."""
Wish = Literal["", "refresh", "no-store"]


async def look(visit: Visit, request: Request, way: Target | Way) -> Entry | None:
    """The answer that this request was given before, where there is one to be given again."""
    cache = visit.gateway.cache
    if cache is None:
        return None
    wish, x = _wish(visit), visit.x
    visit.headers[HEADER] = "off"
    if wish == "no-store" or not _may_be_kept(visit, request, cache.settings):
        return None
    name = name_of(_asked(visit, request, way, cache.settings), cache.key)
    if name is None:
        return None
    try:
        found = None if wish == "refresh" else await visit.gateway.ask(cache.find, name)
    except GatewayError as error:
        log.warning("exchange %s goes to the provider: %s", x.id, error.message)
        return None
    visit.cached_as = name
    if found is None:
        x.cache = visit.headers[HEADER] = "miss"
    return found


def _wish(visit: Visit) -> Wish:
    """What the client says about the cache. Raises GatewayError for what is not understood."""
    said = [value.strip().lower() for name, value in visit.incoming.headers if name == HEADER]
    match said:
        case []:
            return ""
        case ["refresh"]:
            return "refresh"
        case ["no-store"]:
            return "no-store"
    message = (
        f"The header {HEADER} takes one of two words, once: no-store (give me no kept answer, and do not keep mine) or refresh (ask the "
        "provider, and keep its answer in the place of the one that is kept). Leave it out for a kept answer where there is one."
    )
    raise GatewayError("bad_request", "cache_header", message, param=HEADER)


def _may_be_kept(visit: Visit, request: Request, settings: Cache) -> bool:
    """Whether an answer to this request depends on nothing but the request."""
    x = visit.x
    if visit.incoming.own is not None or x.storing == "metadata" or request.operation not in ("chat", "embeddings"):
        return False
    acts = request.unjudged or request.powerful or request.server_tools or request.stores or request.background
    if acts or request.continues or not settings.concerns(x.caller.agent, request.model, x.route):
        return False
    if any(media.url for message in request.messages for media in message.media):
        return False
    if not settings.tool_results and any(message.results or message.role == "tool" for message in request.messages):
        return False
    return settings.sampled or request.operation == "embeddings" or request.temperature == 0


def _asked(visit: Visit, request: Request, way: Target | Way, settings: Cache) -> Asked:
    incoming, endpoint = visit.incoming, visit.incoming.endpoint
    return Asked(
        dialect=request.dialect,
        path=endpoint.upstream_path if endpoint is not None else "",
        query=parameters(incoming.query),
        headers=matching(incoming.named, tuple(incoming.dialect.FORWARD_HEADERS)),
        body=request.body,
        stream=request.stream,
        policy=visit.x.policy_hash,
        upstream=_who(way),
        whose=whose(visit.x.caller, settings),
    )


def _who(way: Target | Way) -> tuple[str, ...]:
    """Who could have answered: of a route, every target that may be asked."""
    targets = (way,) if isinstance(way, Target) else way.targets
    return tuple(part for each in targets for part in (each.name, each.base_url, *each.dialects, *((each.model,) if each.model else ())))


def whose(caller: Caller, settings: Cache) -> tuple[str, ...]:
    """To whom an answer of this caller may be given."""
    tenant = identify.tenant(caller)
    match settings.per:
        case "all":
            return ("all",)
        case "team":
            return ("team", tenant)
        case "agent":
            return ("agent", tenant, caller.agent)
    return ("key", tenant, caller.agent, caller.key_id or "")


class given:  # noqa: N801 - reads as a statement: async with given(...)
    """Stands where a provider would be asked. A streamed answer's opening record is made durable in the meantime. Only from here on it is a
    hit: one that a budget refuses is none."""

    def __init__(self, visit: Visit, request: Request, entry: Entry) -> None:
        self._visit, self._request, self._entry = visit, request, entry

    async def __aenter__(self) -> ProviderAnswer:
        visit, entry = self._visit, self._entry
        x = visit.x
        x.cache = visit.headers[HEADER] = "hit"
        x.cached_from, x.upstream_model = entry.exchange, entry.model
        x.translated, x.dropped = entry.translated, list(entry.dropped)
        visit.headers |= entry.headers
        visit.book.served_by(entry.provider, entry.place)
        if self._request.stream:
            visit.book.open()
        visit.asked = visit.gateway.clock.mono_us()
        return Replayed(entry.media_type, entry.body)

    async def __aexit__(self, *error: object) -> None:
        """There is nothing to let go of."""


def noted(visit: Visit, upstream: ProviderAnswer) -> ProviderAnswer:
    """The answer, remembered as it is read where it may be kept."""
    cache = visit.gateway.cache
    if cache is None or not visit.cached_as or upstream.status != 200:
        return upstream
    visit.noted = Noted(upstream, cache.settings.answer_bytes)
    return visit.noted


async def keep(visit: Visit) -> None:
    """Keeps an answer that has gone well, when it has left; forgets one that was given again and did not go well."""
    cache, name = visit.gateway.cache, visit.cached_as
    if cache is None or not name:
        return
    try:
        if visit.x.cache == "hit":
            if visit.x.state not in ("complete", "client_gone", "interrupted"):
                await visit.gateway.ask(cache.forget, name)
        elif (entry := _entry(visit, cache.settings)) is not None:
            await visit.gateway.ask(cache.keep, name, entry, visit.x.caller)
    except (GatewayError, JournalUnavailable) as error:
        log.warning("the answer of exchange %s is not kept: %s", visit.x.id, error)


def _entry(visit: Visit, settings: Cache) -> Entry | None:
    x, body = visit.x, visit.noted.body if visit.noted is not None else None
    if body is None or visit.noted is None or not _went_out_unchanged(visit, body) or not all(_clean(v, settings) for _, v in x.calls):
        return None
    told = {name: value for name, value in visit.headers.items() if name == DROPPED}
    by, place = visit.book.provider, visit.book.place
    return Entry(x.id, by, visit.noted.media_type, body, x.translated, tuple(x.dropped), told, place, x.upstream_model)


def _went_out_unchanged(visit: Visit, body: bytes) -> bool:
    x, redactor = visit.x, visit.gateway.redactor
    if x.state != "complete" or x.error_code or x.earlier or visit.withheld is not None or not visit.book.recorded:
        return False
    if visit.undecodable or any(reason.startswith("answer:") for reason in x.unevaluated):
        return False
    if any(finding.action != "none" for finding in x.findings) or any(heard.action != "none" for heard in x.heard):
        return False
    if redactor.finds(x.answer.text) or redactor.data(body) != body:
        return False
    ended = x.answer.finish and set(x.answer.finish) <= WHOLE_ENDS
    return bool(ended) or (x.request is not None and x.request.operation == "embeddings")


def _clean(verdict: Verdict, settings: Cache) -> bool:
    asked = verdict.effect == "ask" or bool(verdict.approval or verdict.decided_by)
    return verdict.released and verdict.effect not in ("redact", "repair", "deny") and (settings.held_calls or not asked)
