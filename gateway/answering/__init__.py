"""How an answer comes back: as the provider's refusal, in one piece, as a stream, or as the gateway's own error.

A `Head` and then bytes: of a stream one after the other, else together at the end. `whole_answer`, `streamed_answer` and `unjudged` are
the forms of a provider's answer, `decisions` what is decided about its calls, `rounds` the model asked again, `leaving` the one way in
which bytes leave, and `ending` how an exchange ends without an answer of a provider.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing

from gateway import identify
from gateway.answering.ending import audit_unavailable, close, fail
from gateway.answering.rounds import Rounds
from gateway.answering.streamed_answer import streamed
from gateway.answering.to_be_judged import hand_over
from gateway.answering.unjudged import passed, plain, provider_error
from gateway.answering.whole_answer import whole
from gateway.errors import GatewayError
from gateway.exchange import JUDGED, Request
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.headers import RESPONSE_HEADERS, matching
from gateway.visit import Head, Visit

__all__ = ["answer", "audit_unavailable", "close", "fail", "hand_over"]


async def answer(visit: Visit, request: Request, upstream: ProviderAnswer) -> AsyncGenerator[Head | bytes, None]:
    """The answer, or the one that follows it when a denial has the model asked again."""
    rounds = Rounds(visit)
    rounds.next = request, upstream
    try:
        while (asked := rounds.taken()) is not None:
            try:
                form = _form(visit, *asked, rounds)
                if isinstance(form, AsyncGenerator):
                    async with aclosing(form):
                        async for part in form:
                            yield part
                else:
                    for part in await form:
                        yield part
            except GatewayError as error:
                if not rounds.give_up(error):
                    raise
        for part in await rounds.explanation():
            yield part
    finally:
        await rounds.close()


Parts = Sequence[Head | bytes]


def _form(
    visit: Visit, request: Request, upstream: ProviderAnswer, rounds: Rounds
) -> AsyncGenerator[Head | bytes, None] | Coroutine[None, None, Parts]:
    """A stream, or what is read, judged and recorded before any of it leaves."""
    visit.headers |= matching(upstream.headers, RESPONSE_HEADERS)
    if request.operation == "pass_through":
        return passed(visit, upstream)
    if upstream.status >= 400:
        return provider_error(visit, upstream)
    if upstream.charset not in (None, "utf-8", "utf8", "us-ascii"):
        message = f"The provider answered in the character set {upstream.charset}; only UTF-8 is read."
        raise GatewayError("upstream", "upstream_charset", message)
    if request.stream and upstream.media_type == "text/event-stream":
        return streamed(visit, request, upstream, rounds)
    if upstream.media_type == "application/json":
        return whole(visit, request, upstream, rounds) if request.operation in JUDGED else plain(visit, request, upstream)
    said = identify.label(upstream.media_type)
    raise GatewayError("upstream", "upstream_media_type", f"The provider answered with '{said}', which cannot be judged.")
