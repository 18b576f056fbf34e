"""How an answer comes back: as the provider's refusal, in one piece, as a stream, or as the gateway's own error.

Each is an async generator that yields a `Head` and then bytes. Two rules: bytes leave by `_release` (a piece of a stream, after the
records it depends on) or by `_final` (what completes the answer, after the record of its end), and by nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import NamedTuple

import msgspec

from gateway import history, identify, steering
from gateway.approvals import Question, wanted
from gateway.config import Settings
from gateway.continuity import keep, keep_early, withheld
from gateway.dialects import strict_json
from gateway.dialects.events import Broken, Limits, WholeAnswer
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import JUDGED, Answer, Call, EndState, Finding, Request
from gateway.holdback import Break, Finishing, Hold, Judge, Judging, Observing, Send, Step, Undecodable
from gateway.judge import Judged, judge
from gateway.policy.explain import denial_text
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.headers import RESPONSE_HEADERS, matching
from gateway.validators import text_calls
from gateway.visit import Head, Visit

log = logging.getLogger("gateway.answering")

TAIL_BYTES = 64 * 1024
"""How much of an answer waits behind its finish for the provider to end; beyond it only the newest piece does."""
END_GRACE_S = 5.0
"""How long a provider may take between the finish of its answer and the end of its stream."""
OPENING_S = 15.0
"""How long an answer that says nothing is kept from beginning; clients give up on one that never begins."""
ERROR_BYTES = 1024 * 1024
"""How much of a provider's error answer is read."""
ERROR_KEYS = frozenset(
    {"code", "detail", "details", "error", "errors", "message", "object", "param", "request_id", "status", "type"}
)
"""Where providers put what went wrong."""


async def answer(visit: Visit, request: Request, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
    visit.headers |= matching(upstream.headers, RESPONSE_HEADERS)
    if request.operation == "pass_through":
        parts = _passed(visit, upstream)
    elif upstream.status >= 400:
        parts = _provider_error(visit, upstream)
    elif upstream.charset not in (None, "utf-8", "utf8", "us-ascii"):
        raise GatewayError(
            "upstream",
            "upstream_charset",
            f"The provider answered in the character set {upstream.charset}; only UTF-8 is read.",
        )
    elif request.stream and upstream.media_type == "text/event-stream":
        parts = _streamed(visit, request, upstream)
    elif upstream.media_type == "application/json":
        parts = _whole(visit, request, upstream) if request.operation in JUDGED else _plain(visit, request, upstream)
    else:
        raise GatewayError(
            "upstream",
            "upstream_media_type",
            f"The provider answered with '{identify.label(upstream.media_type)}', which cannot be judged.",
        )
    async with aclosing(parts):
        async for part in parts:
            yield part


async def _provider_error(visit: Visit, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
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
    async for part in _final(visit, upstream.status, {"content-type": "application/json"}, said):
        yield part


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


async def _whole(visit: Visit, request: Request, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
    x, dialect, gateway = visit.x, visit.incoming.dialect, visit.gateway
    body = await upstream.read(gateway.settings.limits.answer_bytes)
    _first_byte(visit)
    whole = dialect.decode_answer(body, request, _limits(gateway.settings))
    x.answer = whole.answer
    x.findings.extend(whole.findings if x.enforcing else map(_only_seen, whole.findings))
    data = await _judged(visit, whole) if x.enforcing else _observed(visit, whole)
    if error := steering.error_of(visit):
        raise error
    async with AsyncExitStack() as stack:
        if again := await _ask_again(stack, visit, request, whole.answer):
            async for part in answer(visit, *again):
                yield part
            return
    await keep(visit)
    x.state = _delivered(visit)
    if x.calls:
        visit.headers["x-gateway-decision"] = f"deny; id={visit.denied}" if visit.denied else "allow"
    async for part in _final(visit, upstream.status, {"content-type": "application/json"}, data):
        yield part


async def _plain(visit: Visit, request: Request, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
    """An answer that brings no calls, proven to be one."""
    body = await upstream.read(visit.gateway.settings.limits.answer_bytes)
    _first_byte(visit)
    visit.x.answer = visit.incoming.dialect.decode_plain(body, request)
    await keep(visit)
    visit.x.state = "complete"
    async for part in _final(visit, upstream.status, {"content-type": "application/json"}, body):
        yield part


async def _passed(visit: Visit, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
    """Whatever the provider answers on a route that the settings let pass."""
    body = await upstream.read(visit.gateway.settings.limits.answer_bytes)
    _first_byte(visit)
    visit.x.state = "complete" if upstream.status < 400 else "upstream_error"
    headers = {"content-type": identify.label(upstream.headers.get("content-type")) or "application/octet-stream"}
    async for part in _final(visit, upstream.status, headers, body):
        yield part


async def _judged(visit: Visit, whole: WholeAnswer) -> bytes:
    if whole.broken is not None:
        raise _broken_error(whole.broken, cut=False)
    decisions = [_decision(visit, call) for call in whole.calls]
    questions = [each for each in decisions if isinstance(each, Question)]
    try:
        for question in questions:  # all are asked before the first is waited for
            await question.ask()
        for question in questions:
            async with aclosing(question.waiting()) as signs:
                async for _ in signs:
                    log.debug("exchange %s waits for a person", visit.x.id)
    finally:
        settled = [_recorded(visit, each) for each in decisions]
    texts = {made.call.index: each.text for made, each in zip(decisions, settled, strict=True) if not each.released}
    edited = {call.index: made.call for made, call in zip(decisions, whole.calls, strict=True) if made.call is not call}
    return visit.incoming.dialect.encode_answer(whole, texts, edited)


def _only_seen(finding: Finding) -> Finding:
    """What decoding would have stripped, had anything been taken out."""
    return msgspec.structs.replace(finding, action="none")


def _observed(visit: Visit, whole: WholeAnswer) -> bytes:
    if whole.broken is not None:
        visit.x.unevaluated.append(f"answer:{whole.broken.code}")
    for call in whole.calls:
        _recorded(visit, _decision(visit, call))
    return whole.body


async def _chunks(visit: Visit, upstream: ProviderAnswer) -> AsyncGenerator[bytes | None, None]:
    """The provider's bytes, then None. A provider whose answer has finished and that keeps the connection open is not waited for much
    longer."""
    pieces = upstream.chunks()
    while True:
        try:
            async with asyncio.timeout(END_GRACE_S if visit.finishing else None):
                chunk = await anext(pieces, None)
        except TimeoutError:
            chunk = None
        yield chunk
        if chunk is None:
            return


async def _streamed(visit: Visit, request: Request, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
    x, gateway, dialect = visit.x, visit.gateway, visit.incoming.dialect
    visit.stream = dialect.stream(request, _limits(gateway.settings), enforcing=x.enforcing)
    hold: Hold = Judging(visit.stream) if x.enforcing else Observing(visit.stream)
    reacts = x.enforcing and gateway.policies.reacts(x.caller.agent)
    kept, chunks = b"", _chunks(visit, upstream)
    async for chunk in chunks:
        let = _LetGo()
        async with aclosing(_stepped(visit, hold, chunk, let)) as parts:
            async for part in parts:
                yield part
        data, tail = let.data, let.tail
        if visit.provider_left:
            kept = b"".join((kept, data, tail))
            break
        if len(kept) + len(tail) > TAIL_BYTES and tail:
            data, kept = kept + data, b""
        kept += tail
        if reacts and not visit.answering:
            kept += await _reaction(visit, request, hold, chunks)
            async with AsyncExitStack() as stack:
                if again := await _ask_again(stack, visit, request, visit.stream.answer):
                    async for part in answer(visit, *again):
                        yield part
                    return
            data = _kept_back(visit, data)
        await keep_early(visit)
        async for part in _release(visit, data):
            yield part
        if visit.broken is not None:
            break
    if visit.broken is not None:  # what is kept says that the answer ended well: it does not leave
        raise _broken_error(visit.broken, cut=visit.provider_left)
    await keep(visit)
    x.state = _delivered(visit)
    async for part in _final(visit, upstream.status, _EVENT_STREAM, visit.opening + kept):
        yield part


class _LetGo:
    """What one piece of a stream lets go: words, and what belongs to the answer's end."""

    data = tail = b""


async def _stepped(visit: Visit, hold: Hold, chunk: bytes | None, let: _LetGo) -> AsyncGenerator[Head | bytes, None]:
    """Carries a piece of the stream, or its end, through the hold; yields only while people are asked about its calls."""
    if visit.x.first_byte_us is None and chunk is not None:
        _first_byte(visit)
    visit.provider_left = chunk is None
    steps = hold.close() if chunk is None else hold.feed(chunk)
    let.data, let.tail, question = _step(visit, hold, steps)
    while question is not None:
        async with aclosing(_held(visit, hold, question, let.data)) as parts:
            async for part in parts:
                yield part
        let.data, tail, question = _step(visit, hold, steps)
        let.tail += tail


async def _reaction(
    visit: Visit, request: Request, hold: Hold, chunks: AsyncGenerator[bytes | None, None]
) -> bytes:
    """Raises the error that a denial asks for. Where the model is to be asked again, reads the answer to its end, for what it cost."""
    if error := steering.error_of(visit):
        raise error
    if visit.stream is None or steering.next_request(visit, request, visit.stream.answer) is None:
        return b""
    rest: list[bytes] = []
    async for chunk in chunks:
        data, tail, question = _step(visit, hold, hold.close() if chunk is None else hold.feed(chunk))
        rest += (data, tail)
        if question is not None:  # dialects propose all calls of a turn together, so this would be a call of another one
            raise RuntimeError("a person was to be asked about a call behind an answer's last")
        visit.provider_left = chunk is None
    return b"".join(rest)


def _kept_back(visit: Visit, data: bytes) -> bytes:
    """An answer that has said nothing yet does not begin: until then a denial can still do something else than explain."""
    said, waited_us = visit.opening + data, visit.gateway.clock.mono_us() - (visit.asked or 0)
    silent = visit.stream is not None and not visit.stream.spoken and not visit.round
    silent = silent and len(said) <= TAIL_BYTES and waited_us < OPENING_S * 1e6
    visit.opening = said if silent else b""
    return b"" if silent else said


async def _ask_again(
    stack: AsyncExitStack, visit: Visit, request: Request, said: Answer
) -> tuple[Request, ProviderAnswer] | None:
    """The next round, where a denial steers and the provider takes it; None leaves the explanation to be sent."""
    body = steering.next_request(visit, request, said)
    if body is None or visit.again is None or visit.broken is not None:
        return None
    first_status = visit.x.upstream_status
    try:
        asked, upstream = await stack.enter_async_context(visit.again(body))
        problem = f"the provider answered {upstream.status} when it was asked again" if upstream.status >= 400 else ""
    except GatewayError as error:
        problem = f"the model could not be asked again: {error.code}"
    if problem:
        visit.x.findings.append(Finding("policy", "not_steered", "warn", "round", problem))
        visit.x.upstream_status = first_status
        return None
    steering.begin_round(visit, said)
    return asked, upstream


_EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


async def _held(visit: Visit, hold: Hold, question: Question, data: bytes) -> AsyncGenerator[Head | bytes, None]:
    """Sends what stands before the call, then signs of life until a person has decided or the wait is over. Whatever ends it, the
    decision about the call is on record as it stands then."""
    before, visit.opening = visit.opening + data, b""
    try:
        async for part in _release(visit, before):
            yield part
        async with aclosing(question.waiting()) as signs:
            async for _ in signs:
                async for part in _release(visit, visit.incoming.dialect.KEEP_ALIVE):
                    yield part
    finally:
        _settle(visit, hold, question)


def _settle(visit: Visit, hold: Hold, made: _Decision | Question) -> None:
    settled = _recorded(visit, made)
    hold.settle(released=settled.released, text=settled.text, edited=made.call)


def _step(visit: Visit, hold: Hold, steps: Iterator[Step]) -> tuple[bytes, bytes, Question | None]:
    """Carries out the hold's steps, up to a call that a person must decide about; returns the bytes they let go, those of the answer's
    tail (its finish and what follows, which waits until the provider has ended without breaking off and the end is on record), and the
    question about that call."""
    out: list[bytes] = []
    tail: list[bytes] = []
    for step in steps:
        match step:
            case Send(data=data):
                (tail if visit.finishing else out).append(data)
            case Judge(call=call):
                decision = _decision(visit, call)
                if isinstance(decision, Question):
                    return b"".join(out), b"".join(tail), decision
                _settle(visit, hold, decision)
            case Finishing():
                visit.finishing = True
            case Undecodable(broken=broken):
                visit.undecodable = broken.code
                visit.x.unevaluated.append(f"answer:{broken.code}")
            case Break(broken=broken):
                visit.broken = broken
    return b"".join(out), b"".join(tail), None


class _Decision(NamedTuple):
    """A call that needs nobody's word."""

    call: Call
    judged: Judged
    judged_us: int
    decision: str


class _Settled(NamedTuple):
    released: bool
    text: str
    """In the place of a call that is not released."""


def _decision(visit: Visit, call: Call) -> _Decision | Question:
    """Judges one call."""
    if visit.court is None:
        raise RuntimeError("a call was proposed before the request was admitted")
    clock = visit.gateway.clock
    start = clock.mono_us()
    judged = judge(visit.court, call, clock.now_us())
    took = clock.mono_us() - start
    if wanted(judged.verdict):
        return Question(visit, call, judged.verdict, took)
    return _Decision(call, judged, took, visit.book.new_decision())


def _recorded(visit: Visit, made: _Decision | Question) -> _Settled:
    """Puts the decision in line for the journal."""
    call, verdict = made.call, made.judged.verdict
    visit.x.calls.append((call, verdict))
    visit.x.findings.extend(made.judged.findings)
    visit.book.decided(call, verdict, made.judged_us, made.decision)
    if verdict.released:
        visit.round.append((call, verdict, ""))
        history.delivered(visit, call)
        return _Settled(True, "")
    visit.denied = visit.denied or made.decision
    text = denial_text(verdict, call, made.decision)
    visit.round.append((call, verdict, text))
    withheld(visit, call, text)
    return _Settled(False, text)


def _delivered(visit: Visit) -> EndState:
    """How an exchange ended whose answer went out to its end."""
    if visit.undecodable == "truncated" and visit.provider_left:
        return "upstream_reset"
    return "complete" if all(verdict.released for _, verdict in visit.x.calls) else "denied"


async def _release(visit: Visit, data: bytes) -> AsyncGenerator[Head | bytes, None]:
    """Sends a piece of a stream, after everything that must be on record before it."""
    given, data = data, visit.flow.piece(data)
    if not data:
        if given:  # it may leave with what follows
            visit.reserved.settle()
        return
    await visit.book.settle()
    await history.keep(visit)
    if not visit.answering:
        visit.answering = True
        visit.x.status = 200
        _overhead(visit)
        yield _head(visit, 200, _EVENT_STREAM)
    visit.reserved.settle()
    visit.x.bytes_out += len(data)
    yield data


async def _final(
    visit: Visit, status: int, headers: Mapping[str, str], data: bytes
) -> AsyncGenerator[Head | bytes, None]:
    """Records the end, then sends what completes the answer: its last piece, or all of it."""
    x = visit.x
    data = visit.flow.last(data)
    x.bytes_out += len(data)
    x.status = x.status or status
    if not visit.answering:
        _overhead(visit)
    _lasted(visit)
    await history.keep(visit)
    await visit.book.end()
    visit.reserved.settle()
    if not visit.answering:
        visit.answering = True
        yield _head(visit, status, {**headers, "content-length": str(len(data))})
    if data:
        yield data


async def fail(visit: Visit, error: GatewayError, state: EndState | None = None) -> AsyncGenerator[Head | bytes, None]:
    """Ends the exchange with an error in the caller's dialect: as an answer, or as the last frame of a stream that has begun."""
    x = visit.x
    visit.reserved.give_back()
    visit.issued.clear()
    x.state, x.error_code, x.error_message = state or _end_state(visit, error), error.code, error.message
    if visit.book.ended:  # its end could not be recorded: the error is all that is left to say
        parts = _unrecorded(visit, error)
    else:
        if not visit.answering:  # what waits to leave belongs to an answer that will not come
            visit.flow = visit.gateway.redactor.flow()
        wire = visit.incoming.dialect.error_answer(error)
        frame = visit.stream.error(error) if visit.answering and visit.stream is not None else None
        parts = _final(visit, wire.status, wire.headers, wire.body if frame is None else frame)
    try:
        async for part in parts:
            yield part
    except JournalUnavailable as unavailable:
        async for part in _unrecorded(visit, audit_unavailable(unavailable)):
            yield part


async def _unrecorded(visit: Visit, error: GatewayError) -> AsyncGenerator[Head | bytes, None]:
    """An error that says that nothing can be recorded: the one thing that leaves without a record."""
    if visit.answering and visit.stream is not None:
        yield visit.stream.error(error)
        return
    wire = visit.incoming.dialect.error_answer(error)
    yield _head(visit, wire.status, {**wire.headers, "content-length": str(len(wire.body))})
    yield wire.body


def _head(visit: Visit, status: int, headers: Mapping[str, str]) -> Head:
    """The provider's headers leave with the answer's own, known secrets taken out of all."""
    clean = visit.gateway.redactor.text
    return Head(status, {name: clean(value) for name, value in {**visit.headers, **headers}.items()})


async def close(visit: Visit) -> None:
    """The record of an exchange that ended by cancellation. Shielded: the client's leaving must not cost the record. Calls that had not
    begun to leave do not count."""
    visit.reserved.give_back()
    if visit.book.ended:
        return
    _lasted(visit)
    try:
        await asyncio.shield(visit.book.end())
    except JournalUnavailable:
        log.error("the end of exchange %s could not be recorded", visit.x.id)  # noqa: TRY400 - the cause is logged by the journal


def _end_state(visit: Visit, error: GatewayError) -> EndState:
    if visit.asked is None:
        return "rejected"
    if error.code == "policy_denied":
        return "denied"
    if error.kind == "upstream_timeout":
        return "upstream_timeout"
    if error.code in ("upstream_reset", "upstream_unreachable"):
        return "upstream_reset"
    return "upstream_error" if error.code == "provider_error" else "incomplete"


def _broken_error(broken: Broken, *, cut: bool) -> GatewayError:
    """`cut`: the provider's connection ended, as against an answer that says itself that it was cut off."""
    if broken.code == "truncated" and cut:
        return GatewayError("upstream", "upstream_reset", "The provider's connection ended inside its answer.")
    if broken.code == "truncated":
        return GatewayError("upstream", "truncated", f"The provider's answer was cut off: {broken.detail}")
    if broken.code == "provider_error":
        return GatewayError("upstream", "provider_error", f"The provider reported an error: {broken.detail}")
    return GatewayError(
        "upstream", broken.code, f"The provider's answer broke its own protocol and was stopped: {broken.detail}"
    )


def audit_unavailable(error: JournalUnavailable) -> GatewayError:
    return GatewayError(
        "unavailable",
        "audit_unavailable",
        f"The gateway cannot record decisions now ({error}), so it answers nothing. Try again shortly.",
        retry_after=5,
    )


def _limits(settings: Settings) -> Limits:
    bounds = settings.limits
    return Limits(call_bytes=bounds.call_bytes, hold_bytes=bounds.hold_bytes, calls=bounds.calls)


def _first_byte(visit: Visit) -> None:
    now = visit.gateway.clock.mono_us()
    visit.x.upstream_us = now - (visit.asked or now)
    visit.x.first_byte_us = now - visit.started


def _overhead(visit: Visit) -> None:
    """Own time until the client's first byte: all of it but the wait for the provider."""
    visit.x.overhead_us = visit.gateway.clock.mono_us() - visit.started - visit.x.upstream_us


def _forget_paid(visit: Visit) -> None:
    """An answer that is fetched again costs nothing: its tokens were counted when it was made."""
    if visit.paid:
        visit.x.answer = msgspec.structs.replace(visit.x.answer, usage=None)


def _lasted(visit: Visit) -> None:
    """Everything that is known only at the end."""
    if visit.stream is not None:
        visit.x.answer = visit.stream.answer
        visit.x.findings.extend(visit.stream.findings)
    _forget_paid(visit)
    visit.x.answer = msgspec.structs.replace(visit.x.answer, usage=steering.total(visit.x.answer.usage, visit.x.earlier))
    if visit.x.request is not None and visit.x.answer.text:
        visit.x.findings.extend(text_calls.check(visit.x.answer.text, (tool.name for tool in visit.x.request.tools)))
    visit.x.duration_us = visit.gateway.clock.mono_us() - visit.started
