"""Whether the conversation that a client sends is one that happened.

A client keeps the conversation and sends it along, so that it can also make one up: a call that was never approved, arguments that were
others, a result of a call that nobody made. Each delivered call is remembered by digests, for its owner; what a request tells of earlier
calls must be among them. Answers that a result brings are the client's own words, here as everywhere.

1. `verify_history: true`: what is not among them is refused.
2. Where conditions ask what tools said, it is labelled (`Told`): only where this gateway has seen the conversation begin, for otherwise it
   may have happened elsewhere, before, or longer ago than is remembered. Unknown is not forged.
3. A conversation is known by its session and its first words; one that the provider keeps is not told, so nothing of it is labelled.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import NamedTuple

from gateway import identify
from gateway.errors import GatewayError
from gateway.policy import Told
from gateway.request import Request
from gateway.verdict import Call, Finding
from gateway.visit import Visit

SHORT = 4096
"""Characters of arguments and of first words whose digest is remembered."""
MOST_NAMED = 20
"""Of one request: findings about what was made up."""


class _Claim(NamedTuple):
    """What a request tells of an earlier call."""

    digest: bytes
    place: Told
    name: str
    """Of the call; of a result, the id of its call."""

    @property
    def path(self) -> str:
        return f"messages[{self.place.message}]"

    @property
    def what(self) -> str:
        return f"a {'call of' if self.place.kind == 'call' else 'result for'} '{identify.label(self.name, 64)}'"


async def verify(visit: Visit, request: Request) -> None:
    """Raises GatewayError('refused') for a conversation that holds what was never delivered here to this caller, where a policy wants that;
    labels it, where a condition wants to know."""
    policies, agent = visit.gateway.policies, visit.x.caller.agent
    if policies.verifies(agent):
        await _refuse_forged(visit, request)
    elif policies.recalls(agent):
        await _label_forged(visit, request)


async def _refuse_forged(visit: Visit, request: Request) -> None:
    claims = list(_claims(request))
    known = await _known(visit, {claim.digest for claim in claims})
    forged = [claim for claim in claims if claim.digest not in known]
    if not forged:
        return
    visit.x.findings += [Finding("history", "forged_history", "error", claim.path, claim.what, "refused") for claim in forged]
    message = (
        f"The conversation tells of something that this gateway never delivered to this caller: {forged[0].what} ({forged[0].path}). "
        "Begin a new conversation, or send what was delivered unchanged."
    )
    raise GatewayError("refused", "forged_history", message, param=forged[0].path)


async def _label_forged(visit: Visit, request: Request) -> None:
    begun = _beginning(visit, request)
    if begun is None:
        return
    if not any(message.calls or message.results for message in request.messages):
        visit.issued.append(begun)
        return
    if not await _known(visit, (begun,)):
        return
    digests = _digests(request)
    known = await _known(visit, digests)
    if len(known) == len(digests):
        return
    forged = [claim for claim in _claims(request) if claim.digest not in known]
    visit.forged = frozenset(claim.place for claim in forged)
    visit.x.findings += [Finding("history", "forged", "warn", claim.path, claim.what) for claim in forged[:MOST_NAMED]]


async def _known(visit: Visit, digests: Collection[bytes]) -> frozenset[bytes]:
    """Asks the store only for what this worker does not know."""
    issued, owner = visit.gateway.issued, identify.owner(visit.x.caller)
    seen = issued.seen(owner, digests)
    unseen = [digest for digest in digests if digest not in seen]
    if not unseen:
        return seen
    found = issued.known_at_once(owner, unseen)
    return seen | (await asyncio.to_thread(issued.known, owner, unseen) if found is None else found)


def delivered(visit: Visit, call: Call) -> None:
    """Remembers a released call, in a moment: `keep` writes it down before it leaves."""
    policies, agent = visit.gateway.policies, visit.x.caller.agent
    if policies.verifies(agent) or policies.recalls(agent):
        visit.issued += (_of_call(call.id or call.name, call.name, call.arguments), _of_id(call.id or call.name))


async def keep(visit: Visit) -> None:
    """Writes down what is about to leave. Raises GatewayError('unavailable') when it cannot: then it does not leave."""
    if visit.issued:
        digests, visit.issued = list(visit.issued), []
        owner, now_us, issued = identify.owner(visit.x.caller), visit.gateway.clock.now_us(), visit.gateway.issued
        if not issued.keep_at_once(owner, digests, now_us):
            await asyncio.to_thread(issued.keep, owner, digests, now_us)


def _beginning(visit: Visit, request: Request) -> bytes | None:
    """What the conversation is known by: its session and the user's first words. None without words."""
    if request.operation != "chat" or request.continues:
        return None
    first = next((message.text for message in request.messages if message.role == "user" and message.text), None)
    if first is None:
        return None
    return (_short_beginning if len(first) <= SHORT else _begun)(visit.x.caller.session, first)


def _begun(session: str, first: str) -> bytes:
    return _digest("begun", session, _brief(first))


_short_beginning = lru_cache(maxsize=1024)(_begun)
"""All requests of a conversation ask for the same."""


def _claims(request: Request) -> Iterator[_Claim]:
    """Each earlier call and each result."""
    for at, message in enumerate(request.messages):
        for nth, call in enumerate(message.calls):
            yield _Claim(_of_call(call.id or call.name, call.name, call.arguments), Told("call", at, nth), call.name)
        for nth, (call_id, _) in enumerate(message.results):
            yield _Claim(_of_id(call_id), Told("result", at, nth), call_id)


def _digests(request: Request) -> set[bytes]:
    """Of all claims, without what they are about: nearly always all of them are known."""
    calls = {_of_call(call.id or call.name, call.name, call.arguments) for message in request.messages for call in message.calls}
    return calls | {_of_id(call_id) for message in request.messages for call_id, _ in message.results}


def _of_call(call_id: str, name: str, arguments: str) -> bytes:
    """Remembered where it is short, because each request tells the conversation anew."""
    made = _short_call if len(arguments) <= SHORT else _call
    return made(call_id, name, arguments)


def _call(call_id: str, name: str, arguments: str) -> bytes:
    """Equal arguments are equal, however they are written."""
    try:
        found = json.loads(arguments or "{}")
    except (ValueError, RecursionError):
        found = arguments
    if isinstance(found, dict):
        found = {key: value for key, value in found.items() if value is not None}
    text = json.dumps(found, sort_keys=True)
    return _digest("call", call_id, name, text)


_short_call = lru_cache(maxsize=16_384)(_call)


@lru_cache(maxsize=16_384)
def _of_id(call_id: str) -> bytes:
    return _digest("id", call_id)


def _brief(text: str) -> str:
    """A long text by its hash: written as JSON first, it would keep all others waiting."""
    return text if len(text) <= SHORT else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _digest(*parts: str) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()[:16]
