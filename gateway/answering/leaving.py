"""How bytes leave: a piece of a stream after the records it depends on (`release`), what completes an answer after the record of its end
(`final`), and by nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway import history, spending, steering
from gateway.answering.looking import look
from gateway.answering.to_be_judged import plan
from gateway.visit import Head, Visit

EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


async def release(visit: Visit, data: bytes, *, sign: bool = False) -> Sequence[Head | bytes]:
    """What may be sent now of a piece of a stream, after everything that must be on record before it. `sign`: it says nothing."""
    given, data = data, visit.flow.piece(data)
    if not data:
        if given:  # it may leave with what follows
            visit.reserved.settle()
        return ()
    if not visit.book.settled:
        await visit.book.settle()
    if visit.issued:
        await history.keep(visit)
    visit.reserved.settle()
    visit.x.bytes_out += len(data)
    visit.begun = visit.begun or not sign
    if visit.answering:
        return (data,)
    visit.answering = True
    visit.x.status = 200
    overhead(visit)
    return (head(visit, 200, EVENT_STREAM), data)


async def final(visit: Visit, status: int, headers: Mapping[str, str], data: bytes) -> Sequence[Head | bytes]:
    """Records the end; what may be sent then completes the answer: its last piece, or all of it."""
    x = visit.x
    data = visit.flow.last(data)
    x.bytes_out += len(data)
    x.status = x.status or status
    if not visit.answering:
        overhead(visit)
    lasted(visit)
    await history.keep(visit)
    await visit.book.end()
    visit.reserved.settle()
    await spending.settle(visit)
    body = (data,) if data else ()
    if visit.answering:
        return body
    visit.answering = True
    return (head(visit, status, {**headers, "content-length": str(len(data))}), *body)


async def give_back(visit: Visit) -> None:
    """What calls have taken from limits that did not leave."""
    if visit.reserved.holds:
        await visit.gateway.ask(visit.reserved.give_back)


def head(visit: Visit, status: int, headers: Mapping[str, str]) -> Head:
    """The provider's headers leave with the answer's own, known secrets taken out of all."""
    clean = visit.gateway.redactor.text
    return Head(status, {name: clean(value) for name, value in {**visit.headers, **headers}.items()})


def first_byte(visit: Visit) -> None:
    now = visit.gateway.clock.mono_us()
    visit.x.upstream_us = now - (visit.asked or now)
    visit.x.first_byte_us = now - visit.started


def overhead(visit: Visit) -> None:
    """Own time until the client's first byte: all of it but the wait for the provider."""
    visit.x.overhead_us = visit.gateway.clock.mono_us() - visit.started - visit.x.upstream_us


def _forget_paid(visit: Visit) -> None:
    """An answer that is fetched or given again costs nothing: its tokens were counted when it was made."""
    x = visit.x
    if x.cache == "hit":
        x.spared = x.answer.usage
    if visit.paid or x.cache == "hit":
        x.answer = msgspec.structs.replace(x.answer, usage=None)


def _add_up(visit: Visit) -> None:
    """What all rounds took. An exchange that ends in another way than it was about to has done so before."""
    x = visit.x
    x.rounds = x.rounds or (*x.earlier, *(x.fruitless or [x.answer.usage]))
    usage = steering.total(x.rounds)
    if x.guess is not None and usage is not None:  # what is known of the last does not stand as if it were all
        usage = msgspec.structs.replace(usage, output=None, reasoning=None)
    x.answer = msgspec.structs.replace(x.answer, usage=usage)


def lasted(visit: Visit) -> None:
    """Everything that is known only at the end."""
    if visit.stream is not None:
        visit.x.answer = visit.stream.answer
        visit.x.findings.extend(visit.stream.findings)
        if visit.screening is not None and visit.screening.differs:
            visit.x.answer = msgspec.structs.replace(visit.x.answer, text=visit.screening.text)
    _forget_paid(visit)
    spending.unheard(visit)
    _add_up(visit)
    if visit.output is not None:
        visit.output.finish(complete=visit.x.state in ("complete", "denied") and visit.x.error_code is None)
        visit.output = None
    look(visit)
    plan(visit)
    visit.x.duration_us = visit.gateway.clock.mono_us() - visit.started
