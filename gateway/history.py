"""Whether the conversation that a client sends is one that happened (`verify_history: true`).

A client keeps the conversation and sends it along, so that it can also make one up: a call that was never approved, arguments that were
others, a result of a call that nobody made. Each delivered call is remembered by digests, for its owner; what a request tells of earlier
calls must be among them. Answers that a result brings are the client's own words, here as everywhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator

from gateway import identify
from gateway.errors import GatewayError
from gateway.exchange import Call, Finding, Request
from gateway.visit import Visit


async def verify(visit: Visit, request: Request) -> None:
    """Raises GatewayError('refused') for a conversation that holds what was never delivered here to this caller."""
    if not visit.gateway.policies.verifies(visit.x.caller.agent):
        return
    told = dict(_told(request))
    if not told:
        return
    known = await asyncio.to_thread(visit.gateway.issued.known, identify.owner(visit.x.caller), told.keys())
    forged = [words for digest, words in told.items() if digest not in known]
    if not forged:
        return
    visit.x.findings += [Finding("history", "forged_history", "error", path, what, "refused") for path, what in forged]
    path, what = forged[0]
    message = (
        f"The conversation tells of something that this gateway never delivered to this caller: {what} ({path}). "
        "Begin a new conversation, or send what was delivered unchanged."
    )
    raise GatewayError("refused", "forged_history", message, param=path)


def delivered(visit: Visit, call: Call) -> None:
    """Remembers a released call, in a moment: `keep` writes it down before it leaves."""
    if visit.gateway.policies.verifies(visit.x.caller.agent):
        visit.issued += (_of_call(call.id or call.name, call.name, call.arguments), _of_id(call.id or call.name))


async def keep(visit: Visit) -> None:
    """Writes down what is about to leave. Raises GatewayError('unavailable') when it cannot: then it does not leave."""
    if visit.issued:
        digests, visit.issued = list(visit.issued), []
        now_us = visit.gateway.clock.now_us()
        await asyncio.to_thread(visit.gateway.issued.keep, identify.owner(visit.x.caller), digests, now_us)


def _told(request: Request) -> Iterator[tuple[bytes, tuple[str, str]]]:
    """(digest, (where, what)) of each earlier call and each result."""
    for at, message in enumerate(request.messages):
        for call in message.calls:
            what = f"a call of '{identify.label(call.name, 64)}'"
            yield _of_call(call.id or call.name, call.name, call.arguments), (f"messages[{at}]", what)
        for call_id, _ in message.results:
            yield _of_id(call_id), (f"messages[{at}]", f"a result for '{identify.label(call_id, 64)}'")


def _of_call(call_id: str, name: str, arguments: str) -> bytes:
    """Equal arguments are equal, however they are written."""
    try:
        found = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        found = arguments
    if isinstance(found, dict):
        found = {key: value for key, value in found.items() if value is not None}
    text = json.dumps(found, sort_keys=True)
    return _digest("call", call_id, name, text)


def _of_id(call_id: str) -> bytes:
    return _digest("id", call_id)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]
