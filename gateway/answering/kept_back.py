"""A streamed answer read to its end before anything of it is judged or sent: what a rule can only tell of a whole answer is told before its
first word leaves, and before its calls are judged, which go with it.

The answer is read twice by the dialect's decoder, once here for what it says, then as any other stream. Not for answers that nothing could
withhold for their end: those are looked at when they have left.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from gateway.answering.decisions import limits
from gateway.answering.leaving import first_byte
from gateway.answering.screens import OutputRules
from gateway.deadlines import within
from gateway.errors import GatewayError
from gateway.exchange import Request
from gateway.holdback import Finishing, Judge, Observing, Undecodable
from gateway.policy.screen import Hit
from gateway.visit import Visit

END_GRACE_S = 5.0
"""How long a provider may take between the finish of its answer and the end of its stream."""


class KeptBack(NamedTuple):
    chunks: AsyncIterator[bytes]
    """The same stream again."""
    condemned: tuple[Hit, ...] = ()
    """Why nothing of it may be given."""


async def kept_back(visit: Visit, request: Request, rules: OutputRules, chunks: AsyncIterator[bytes]) -> KeptBack:
    stream = visit.incoming.dialect.stream(request, limits(visit.gateway.settings), enforcing=visit.x.enforcing)
    hold = Observing(stream)
    read: list[bytes] = []
    calls, length, problem, finishing = 0, 0, "", False
    while (chunk := await _next(chunks, finishing=finishing)) is not None:
        if not read:
            first_byte(visit)
        read.append(chunk)
        length += len(chunk)
        _bounded(visit, length)
        for step in hold.feed(chunk):
            calls += isinstance(step, Judge)
            finishing = finishing or isinstance(step, Finishing)
            problem = problem or (step.broken.code if isinstance(step, Undecodable) else "")
    for step in hold.close():
        calls += isinstance(step, Judge)
        problem = problem or (step.broken.code if isinstance(step, Undecodable) else "")
    condemned = rules.unreadable(f"the answer broke off ({problem})") if problem else rules.ended(stream.answer, calls)
    if condemned:
        rules.explain(condemned)
    return KeptBack(_again(read), condemned)


def _bounded(visit: Visit, length: int) -> None:
    most = visit.gateway.settings.limits.answer_bytes
    if length > most:
        message = f"The provider's answer is longer than {most} bytes, and a rule keeps it back until it is whole."
        raise GatewayError("upstream", "answer_too_large", message)


async def _next(chunks: AsyncIterator[bytes], *, finishing: bool) -> bytes | None:
    """None at the end. A provider whose answer has finished and that keeps the connection open is not waited for much longer."""
    if not finishing:
        return await anext(chunks, None)
    try:
        return await within(END_GRACE_S, anext(chunks, None))
    except TimeoutError:
        return None


async def _again(read: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in read:
        yield chunk
