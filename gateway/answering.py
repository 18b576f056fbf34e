"""How an answer comes back: as the provider's refusal, in one piece, as a stream, or as the gateway's own error.

Each is an async generator that yields a `Head` and then bytes. Two rules: bytes leave by `_release` (a piece of a stream, after the
records it depends on) or by `_final` (what completes the answer, after the record of its end), and by nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing

import msgspec

from gateway import identify
from gateway.config import Settings
from gateway.continuity import keep, keep_early, withheld
from gateway.dialects import strict_json
from gateway.dialects.events import Broken, Limits, WholeAnswer
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import JUDGED, Call, EndState, Finding, Request
from gateway.holdback import Break, Finishing, Hold, Judge, Judging, Observing, Send, Step, Undecodable
from gateway.judge import judge
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
    data = _judged(visit, whole) if x.enforcing else _observed(visit, whole)
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


def _judged(visit: Visit, whole: WholeAnswer) -> bytes:
    if whole.broken is not None:
        raise _broken_error(whole.broken, cut=False)
    texts = {}
    for call in whole.calls:
        released, text = _settled(visit, call)
        if not released:
            texts[call.index] = text
    return visit.incoming.dialect.encode_answer(whole, texts)


def _only_seen(finding: Finding) -> Finding:
    """What decoding would have stripped, had anything been taken out."""
    return msgspec.structs.replace(finding, action="none")


def _observed(visit: Visit, whole: WholeAnswer) -> bytes:
    if whole.broken is not None:
        visit.x.unevaluated.append(f"answer:{whole.broken.code}")
    for call in whole.calls:
        _settled(visit, call)
    return whole.body


async def _chunks(visit: Visit, upstream: ProviderAnswer) -> AsyncGenerator[bytes, None]:
    """The provider's bytes. Once its answer has finished, a provider that keeps the connection open is not waited for much longer."""
    pieces = upstream.chunks()
    while True:
        try:
            async with asyncio.timeout(END_GRACE_S if visit.finishing else None):
                chunk = await anext(pieces, None)
        except TimeoutError:
            return
        if chunk is None:
            return
        yield chunk


async def _streamed(visit: Visit, request: Request, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
    x, gateway, dialect = visit.x, visit.gateway, visit.incoming.dialect
    visit.stream = dialect.stream(request, _limits(gateway.settings), enforcing=x.enforcing)
    hold: Hold = Judging(visit.stream) if x.enforcing else Observing(visit.stream)
    kept = b""
    async for chunk in _chunks(visit, upstream):
        if x.first_byte_us is None:
            _first_byte(visit)
        data, tail = _step(visit, hold, hold.feed(chunk))
        if len(kept) + len(tail) > TAIL_BYTES and tail:
            data, kept = kept + data, b""
        kept += tail
        await keep_early(visit)
        async for part in _release(visit, data):
            yield part
        if visit.broken is not None:
            break
    else:
        visit.provider_left = True
        kept = b"".join((kept, *_step(visit, hold, hold.close())))
    if visit.broken is not None:  # what is kept says that the answer ended well: it does not leave
        raise _broken_error(visit.broken, cut=visit.provider_left)
    await keep(visit)
    x.state = _delivered(visit)
    async for part in _final(visit, upstream.status, _EVENT_STREAM, kept):
        yield part


_EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


def _step(visit: Visit, hold: Hold, steps: Iterator[Step]) -> tuple[bytes, bytes]:
    """Carries out the hold's steps; returns the bytes they let go, and those of the answer's tail: its finish and what follows, which
    waits until the provider has ended without breaking off and the end is on record."""
    out: list[bytes] = []
    tail: list[bytes] = []
    for step in steps:
        match step:
            case Send(data=data):
                (tail if visit.finishing else out).append(data)
            case Judge(call=call):
                released, text = _settled(visit, call)
                hold.settle(released=released, text=text)
            case Finishing():
                visit.finishing = True
            case Undecodable(broken=broken):
                visit.undecodable = broken.code
                visit.x.unevaluated.append(f"answer:{broken.code}")
            case Break(broken=broken):
                visit.broken = broken
    return b"".join(out), b"".join(tail)


def _settled(visit: Visit, call: Call) -> tuple[bool, str]:
    """Judges one call and puts the decision in line for the journal; whether it is released, and if not the text in its place."""
    if visit.court is None:
        raise RuntimeError("a call was proposed before the request was admitted")
    clock = visit.gateway.clock
    start = clock.mono_us()
    judged = judge(visit.court, call, clock.now_us())
    visit.x.calls.append((call, judged.verdict))
    visit.x.findings.extend(judged.findings)
    decision = visit.book.decided(call, judged.verdict, clock.mono_us() - start)
    if judged.verdict.released:
        return True, ""
    visit.denied = visit.denied or decision
    text = denial_text(judged.verdict, call, decision)
    withheld(visit, call, text)
    return False, text


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
    if visit.x.request is not None and visit.x.answer.text:
        visit.x.findings.extend(text_calls.check(visit.x.answer.text, (tool.name for tool in visit.x.request.tools)))
    visit.x.duration_us = visit.gateway.clock.mono_us() - visit.started
