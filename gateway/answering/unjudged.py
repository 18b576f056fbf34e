"""Answers that bring no calls: the provider's own errors, what is proven to hold none, and what the settings let pass."""

from __future__ import annotations

from collections.abc import Sequence

from gateway import identify, strict_json
from gateway.answering.leaving import final, first_byte
from gateway.continuity import keep
from gateway.errors import GatewayError
from gateway.request import Request
from gateway.upstream.client import ProviderAnswer
from gateway.visit import Head, Visit

ERROR_BYTES = 1024 * 1024
"""How much of a provider's error answer is read."""
ERROR_KEYS = frozenset(
    {"code", "detail", "details", "error", "errors", "message", "object", "param", "request_id", "status", "type"}
)
"""Where providers put what went wrong."""


async def provider_error(visit: Visit, upstream: ProviderAnswer) -> Sequence[Head | bytes]:
    """The provider's own refusal, passed on in its own words."""
    body = visit.gateway.redactor.data(await upstream.read(ERROR_BYTES))
    x = visit.x
    x.state, x.error_code, x.error_message = (
        "upstream_error",
        "upstream_error",
        identify.label(body.decode("utf-8", "replace"), 500),
    )
    said = _error_alone(body, enforcing=x.enforcing) if upstream.media_type == "application/json" else None
    if said is None:
        words = GatewayError(
            "upstream", "upstream_error", f"The provider answered {upstream.status} without a readable error."
        )
        said = visit.incoming.dialect.error_answer(words).body
    return await final(visit, upstream.status, {"content-type": "application/json"}, said)


def _error_alone(body: bytes, *, enforcing: bool) -> bytes | None:
    """What a client may see of a provider's error: while enforcing the error and nothing beside it, for what stands there could be an
    answer with calls that nobody judged. None when there is no error in it that is read in one way."""
    if not enforcing:
        return body
    try:
        tree = strict_json.parse(body, exact_numbers=False)
    except strict_json.Ambiguous:
        return None
    if not isinstance(tree, dict) or not tree.keys() & ERROR_KEYS:
        return None
    return body if tree.keys() <= ERROR_KEYS else strict_json.encode({k: v for k, v in tree.items() if k in ERROR_KEYS})


async def plain(visit: Visit, request: Request, upstream: ProviderAnswer) -> Sequence[Head | bytes]:
    """An answer that brings no calls, proven to be one."""
    body = await upstream.read(visit.gateway.settings.limits.answer_bytes)
    first_byte(visit)
    visit.x.answer = visit.incoming.dialect.decode_plain(body, request)
    await keep(visit)
    visit.x.state = "complete"
    return await final(visit, upstream.status, {"content-type": "application/json"}, body)


async def passed(visit: Visit, upstream: ProviderAnswer) -> Sequence[Head | bytes]:
    """Whatever the provider answers on a route that the settings let pass."""
    body = await upstream.read(visit.gateway.settings.limits.answer_bytes)
    first_byte(visit)
    visit.x.state = "complete" if upstream.status < 400 else "upstream_error"
    headers = {"content-type": identify.label(upstream.headers.get("content-type")) or "application/octet-stream"}
    return await final(visit, upstream.status, headers, body)
