"""An answer as a stream: words flow, each call is held until it is judged, and what ends the answer waits for its record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing

from gateway import steering
from gateway.answering.decisions import Decision, begun, decide, delivered, recorded
from gateway.answering.ending import broken_error
from gateway.answering.kept_back import END_GRACE_S, KeptBack, done
from gateway.answering.leaving import EVENT_STREAM, final, first_byte, release
from gateway.answering.rounds import Rounds
from gateway.answering.screens import OutputRules, output_rules
from gateway.approvals import Question
from gateway.continuity import keep, keep_early
from gateway.deadlines import within
from gateway.dialects import Stream
from gateway.dialects.events import Said
from gateway.holdback import Break, Finishing, Hold, Judge, Judging, Observing, Send, Step, Undecodable
from gateway.policy.screen import Hit
from gateway.request import Request
from gateway.screening.keys import KeyWatch
from gateway.upstream.client import ProviderAnswer
from gateway.visit import Head, Visit

TAIL_BYTES = 64 * 1024
"""How much of an answer waits behind its finish for the provider to end; beyond it only the newest piece does."""
OPENING_S = 15.0
"""How long an answer that says nothing is kept from beginning; clients give up on one that never begins."""


async def streamed(visit: Visit, request: Request, upstream: ProviderAnswer, rounds: Rounds) -> AsyncGenerator[Head | bytes, None]:
    x, gateway = visit.x, visit.gateway
    visit.output = rules = output_rules(visit)
    ahead = KeptBack(visit, request, rules, upstream.chunks())
    async with aclosing(_signs(visit, ahead)) as parts:
        async for part in parts:
            yield part
    stream, hold = _begun(visit, request, rules, ahead.condemned)
    reacts = x.enforcing and not request.background and (gateway.policies.reacts(x.caller.agent) or steering.repairs(visit))
    kept, chunks = b"", ahead.chunks
    while not _over(visit):
        if visit.opening:
            late = _Opening(visit, chunks)
            async with aclosing(late.signs()) as parts:
                async for part in parts:
                    yield part
            chunk = late.chunk
        else:
            chunk = await _next(visit, chunks)
        let = await _fed(visit, hold, chunk)
        if let.question is not None:
            async with aclosing(_asked(visit, hold, let)) as parts:
                async for part in parts:
                    yield part
        data, tail = let.data, let.tail
        _unless_refused(visit)
        if visit.provider_left:
            kept = b"".join((kept, data, tail))
            break
        data, kept = _behind(kept, data, tail)
        if reacts and not visit.begun:
            kept += await _reaction(visit, request, hold, chunks)
            if await rounds.begin(request, stream.answer, EVENT_STREAM, visit.opening + data + kept):
                return
            data = _kept_back(visit, data)
        await keep_early(visit)
        for part in await release(visit, data):
            yield part
    _unbroken(visit)
    _unless_refused(visit, last=True)
    await keep(visit)
    x.state = delivered(visit)
    for part in await final(visit, upstream.status, EVENT_STREAM, visit.opening + kept):
        yield part


async def _signs(visit: Visit, ahead: KeptBack) -> AsyncGenerator[Head | bytes, None]:
    """What a client gets while its answer is kept back."""
    async with aclosing(ahead.read()) as signs:
        async for sign in signs:
            for part in await release(visit, sign, sign=True):
                yield part


def _unless_refused(visit: Visit, *, last: bool = False) -> None:
    """Raises the error that the answer becomes, where a rule has ended it before it began. `last`: it will not be had anew."""
    if visit.withheld is not None and not visit.begun and (error := steering.error_of(visit, last=last)):
        raise error


def _behind(kept: bytes, data: bytes, tail: bytes) -> tuple[bytes, bytes]:
    """What leaves, and what waits for the provider's end."""
    if tail and len(kept) + len(tail) > TAIL_BYTES:
        return kept + data, tail
    return data, kept + tail


def _unbroken(visit: Visit) -> None:
    """Raises for an answer that broke off: what is kept says that it ended well, so it does not leave."""
    if visit.broken is not None:
        raise broken_error(visit.broken, cut=visit.provider_left)


def _begun(visit: Visit, request: Request, rules: OutputRules | None, condemned: Sequence[Hit]) -> tuple[Stream, Hold]:
    """What a stream goes through: its dialect, the hold, and what looks at its words."""
    x, gateway, dialect = visit.x, visit.gateway, visit.incoming.dialect
    visit.provider_left = False
    stream = begun(visit, request)
    visit.screening = rules.streamed(condemned) if rules else None
    visit.keys = KeyWatch(gateway.redactor, dialect.TEXTS.streamed, always=rules is not None and rules.acts)
    return stream, Judging(stream) if x.enforcing else Observing(stream)


def _over(visit: Visit) -> bool:
    return visit.provider_left or visit.broken is not None


async def _next(visit: Visit, chunks: AsyncIterator[bytes]) -> bytes | None:
    """The provider's next bytes; None at its end. A provider whose answer has finished and that keeps the connection open is not waited
    for much longer."""
    if not visit.finishing:
        return await anext(chunks, None)
    try:
        return await within(END_GRACE_S, anext(chunks, None))
    except TimeoutError:
        return None


class _Opening:
    """What follows an answer's opening that is kept back: the opening leaves when its time is over, whether or not anything has come."""

    def __init__(self, visit: Visit, chunks: AsyncIterator[bytes]) -> None:
        self.chunk: bytes | None = None
        self._visit, self._chunks = visit, chunks

    async def signs(self) -> AsyncGenerator[Head | bytes, None]:
        visit = self._visit
        coming = asyncio.ensure_future(_next(visit, self._chunks))
        try:
            if not await done(coming, max(0.0, OPENING_S - _waited_us(visit) / 1e6)):
                said, visit.opening = visit.opening, b""
                for part in await release(visit, said):
                    yield part
            self.chunk = await coming
        finally:
            coming.cancel()


class _Fed:
    """What one piece of a stream lets go: words, and what belongs to the answer's end; up to a call that people must decide about."""

    __slots__ = ("data", "question", "steps", "tail")

    def __init__(self, steps: Iterator[Step]) -> None:
        self.steps = steps
        self.data = self.tail = b""
        self.question: Question | None = None


async def _fed(visit: Visit, hold: Hold, chunk: bytes | None) -> _Fed:
    """Carries a piece of the stream, or its end, through the hold."""
    if visit.x.first_byte_us is None and chunk is not None:
        first_byte(visit)
    visit.provider_left = chunk is None
    fed = _Fed(hold.close() if chunk is None else hold.feed(chunk))
    fed.data, fed.tail, fed.question = await _step(visit, hold, fed.steps)
    return fed


async def _asked(visit: Visit, hold: Hold, fed: _Fed) -> AsyncGenerator[Head | bytes, None]:
    """Asks people about the calls of a piece, one after the other; yields what is sent meanwhile."""
    while fed.question is not None:
        async with aclosing(_held(visit, hold, fed.question, fed.data)) as parts:
            async for part in parts:
                yield part
        fed.data, tail, fed.question = await _step(visit, hold, fed.steps)
        fed.tail += tail


async def _reaction(visit: Visit, request: Request, hold: Hold, chunks: AsyncIterator[bytes]) -> bytes:
    """Raises the error that a denial asks for. Where the model is to be asked again, reads the answer to its end, for what it cost."""
    if error := steering.error_of(visit):
        raise error
    if visit.stream is None or steering.next_request(visit, request, visit.stream.answer) is None:
        return b""
    rest: list[bytes] = []
    while not visit.provider_left:
        chunk = await _next(visit, chunks)
        data, tail, question = await _step(visit, hold, hold.close() if chunk is None else hold.feed(chunk))
        rest += (data, tail)
        if question is not None:  # dialects propose all calls of a turn together, so this would be a call of another one
            raise RuntimeError("a person was to be asked about a call behind an answer's last")
        visit.provider_left = chunk is None
    if error := steering.error_of(visit):
        raise error
    return b"".join(rest)


def _kept_back(visit: Visit, data: bytes) -> bytes:
    """An answer that has said nothing yet does not begin: until then a denial can still do something else than explain."""
    said = visit.opening + data
    silent = visit.stream is not None and not visit.stream.spoken and not visit.round
    silent = silent and len(said) <= TAIL_BYTES and _waited_us(visit) < OPENING_S * 1e6
    visit.opening = said if silent else b""
    if said and not silent:
        _unless_refused(visit, last=True)
    return b"" if silent else said


def _waited_us(visit: Visit) -> int:
    return visit.gateway.clock.mono_us() - (visit.asked or 0)


async def _held(visit: Visit, hold: Hold, question: Question, data: bytes) -> AsyncGenerator[Head | bytes, None]:
    """Sends what stands before the call, then signs of life until a person has decided or the wait is over. Whatever ends it, the
    decision about the call is on record as it stands then."""
    before, visit.opening = visit.opening + data, b""
    try:
        for part in await release(visit, before):
            yield part
        async with aclosing(question.waiting()) as signs:
            async for _ in signs:
                for part in await release(visit, visit.incoming.dialect.KEEP_ALIVE):
                    yield part
    finally:
        await _settle(visit, hold, question)


async def _settle(visit: Visit, hold: Hold, made: Decision | Question) -> None:
    settled = await recorded(visit, made)
    hold.settle(released=settled.released, text=settled.text, edited=made.call)


async def _step(visit: Visit, hold: Hold, steps: Iterator[Step]) -> tuple[bytes, bytes, Question | None]:
    """Carries out the hold's steps, up to a call that a person must decide about; returns the bytes they let go, those of the answer's
    tail (its finish and what follows, which waits until the provider has ended without breaking off and the end is on record), and the
    question about that call."""
    out: list[bytes] = []
    tail: list[bytes] = []
    words = _Words()
    for step in _joined(steps, words):
        if words.pieces:
            (tail if visit.finishing else out).append(_looked_at(visit, *words.taken()))
        match step:
            case Send(data=data, said=said):
                (tail if visit.finishing else out).append(_looked_at(visit, data, said))
            case Judge(call=call):
                out.append(_settled(visit, visit.incoming.dialect.TEXTS.lane_of(call)))
                decision = await decide(visit, call)
                if isinstance(decision, Question):
                    return b"".join(out), b"".join(tail), decision
                await _settle(visit, hold, decision)
            case Finishing():  # what waits stays: the event that finishes may say words, and whoever looks at them knows where they end
                visit.finishing = True
            case Undecodable(broken=broken):
                visit.undecodable = broken
                visit.x.unevaluated.append(f"answer:{broken.code}")
            case Break(broken=broken):
                visit.broken = broken
    if visit.provider_left and visit.broken is None:
        tail.append(_settled(visit))
    return b"".join(out), b"".join(tail), None


def _joined(steps: Iterator[Step], words: _Words) -> Iterator[Step | None]:
    """The steps, but for those that say more of one text: these are in `words` when the next one is yielded, and None at the end."""
    for step in steps:
        if not (type(step) is Send and words.take(step.data, step.said)):
            yield step
    yield None


class _Words:
    """Events one after the other that say more of one text: looked at together, as the one event they could have been."""

    __slots__ = ("lane", "name", "pieces", "said")

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.said: list[str] = []
        self.lane, self.name = -1, ""

    def take(self, data: bytes, said: Said | None) -> bool:
        """Whether it goes on with what was taken before; then it is taken."""
        if said is None or len(said[1]) != 1:
            return False
        ((name, text),) = said[1].items()
        if type(text) is not str or (self.pieces and (said[0], name) != (self.lane, self.name)):
            return False
        self.lane, self.name = said[0], name
        self.pieces.append(data)
        self.said.append(text)
        return True

    def taken(self) -> tuple[bytes, Said]:
        data, said = b"".join(self.pieces), (self.lane, {self.name: "".join(self.said)})
        self.pieces.clear()
        self.said.clear()
        return data, said


def _looked_at(visit: Visit, data: bytes, said: Said | None) -> bytes:
    """What may leave now of the words in `data`, and of those before them."""
    if visit.screening is not None:
        data = visit.screening.through(data)
    return data if visit.keys is None else visit.keys.through(data, said)


def _settled(visit: Visit, lane: int | None = None) -> bytes:
    """What waits and may leave, for what follows must not overtake it."""
    waiting = b"" if visit.screening is None else visit.screening.settle(lane)
    return waiting if visit.keys is None else visit.keys.through(waiting, None) + visit.keys.settle(lane)
