"""An answer in one piece: every call of it judged, then all of it sent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import aclosing

import msgspec

from gateway import steering
from gateway.answering.decisions import decide, delivered, limits, recorded, undelivered
from gateway.answering.ending import broken_error
from gateway.answering.leaving import final, first_byte
from gateway.answering.rounds import Rounds
from gateway.answering.screens import output_rules
from gateway.approvals import Question
from gateway.continuity import keep
from gateway.dialects.events import WholeAnswer
from gateway.request import Request
from gateway.upstream.client import ProviderAnswer
from gateway.verdict import Finding
from gateway.visit import Head, Visit

log = logging.getLogger("gateway.answering")


async def whole(visit: Visit, request: Request, upstream: ProviderAnswer, rounds: Rounds) -> Sequence[Head | bytes]:
    x, dialect, gateway = visit.x, visit.incoming.dialect, visit.gateway
    body = await upstream.read(gateway.settings.limits.answer_bytes)
    first_byte(visit)
    found = dialect.decode_answer(body, request, limits(gateway.settings))
    x.answer = found.answer
    x.findings.extend(found.findings if x.enforcing else map(_only_seen, found.findings))
    rules = output_rules(visit)
    visit.output = rules
    denied = rules.looked_at(found.body, found.answer, len(found.calls)) if rules else ()
    if rules and denied:
        rules.explain(denied)
    data = await _judged(visit, found) if x.enforcing else await _observed(visit, found)
    data = rules.cleaned(data, denied) if rules else data
    if error := steering.error_of(visit):
        raise error
    headers = {"content-type": "application/json"}
    if x.calls or visit.withheld:
        headers["x-gateway-decision"] = f"deny; id={visit.denied}" if visit.denied else "allow"
    if await rounds.begin(request, found.answer, headers, data):
        return ()
    if error := steering.error_of(visit, last=True):
        raise error
    await keep(visit)
    x.state = delivered(visit)
    return await final(visit, upstream.status, headers, data)


async def _judged(visit: Visit, whole: WholeAnswer) -> bytes:
    if whole.broken is not None:
        raise broken_error(whole.broken, cut=False)
    decisions = [await decide(visit, call) for call in whole.calls]
    questions = [each for each in decisions if isinstance(each, Question)]
    try:
        for question in questions:  # all are asked before the first is waited for
            await question.ask()
        for question in questions:
            async with aclosing(question.waiting()) as signs:
                async for _ in signs:
                    log.debug("exchange %s waits for a person", visit.x.id)
    except BaseException:
        for each in decisions:
            await recorded(visit, undelivered(each))
        raise
    settled = [await recorded(visit, each) for each in decisions]
    texts = {made.call.index: each.text for made, each in zip(decisions, settled, strict=True) if not each.released}
    edited = {call.index: made.call for made, call in zip(decisions, whole.calls, strict=True) if made.call is not call}
    return visit.incoming.dialect.encode_answer(whole, texts, edited)


def _only_seen(finding: Finding) -> Finding:
    """What decoding would have stripped, had anything been taken out."""
    return msgspec.structs.replace(finding, action="none")


async def _observed(visit: Visit, whole: WholeAnswer) -> bytes:
    if whole.broken is not None:
        visit.undecodable = whole.broken
        visit.x.unevaluated.append(f"answer:{whole.broken.code}")
    for call in whole.calls:
        await recorded(visit, await decide(visit, call))
    return whole.body
