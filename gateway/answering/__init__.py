"""How an answer comes back: as the provider's refusal, in one piece, as a stream, or as the gateway's own error.

A `Head` and then bytes: of a stream one after the other, else together at the end. `whole_answer`, `streamed_answer` and `unjudged` are
the forms of a provider's answer, `decisions` what is decided about its calls, `rounds` the model asked again, `leaving` the one way in
which bytes leave, and `ending` how an exchange ends without an answer of a provider.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Self

from gateway.answering.ending import audit_unavailable, close, fail
from gateway.answering.rounds import Rounds
from gateway.answering.streamed_answer import streamed
from gateway.answering.to_be_judged import hand_over
from gateway.answering.unjudged import passed, plain, provider_error
from gateway.answering.whole_answer import whole
from gateway.errors import GatewayError
from gateway.request import JUDGED, Request
from gateway.upstream.client import ProviderAnswer
from gateway.upstream.headers import RESPONSE_HEADERS, matching
from gateway.upstream.opening import is_stream
from gateway.visit import Head, Visit

__all__ = ["answer", "audit_unavailable", "close", "fail", "hand_over"]


class AtOnce:
    """Parts that are all there, as a generator would give them, without one: each costs its event loop a note and a hook."""

    __slots__ = ("_left",)

    def __init__(self, parts: Sequence[Head | bytes]) -> None:
        self._left = iter(parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Head | bytes:
        for part in self._left:
            return part
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Nothing is open."""


async def answer(visit: Visit, request: Request, upstream: ProviderAnswer) -> AtOnce | AsyncGenerator[Head | bytes, None]:
    """The answer, or the one that follows it when a denial has the model asked again."""
    rounds = Rounds(visit)
    goes_on = False
    try:
        form = _form(visit, request, upstream, rounds)
        parts = form if isinstance(form, AsyncGenerator) else AtOnce(await form)
        goes_on = parts is form or rounds.next is not None
        return _going_on(rounds, parts) if goes_on else parts
    finally:
        if not goes_on:
            await rounds.close()


async def _going_on(rounds: Rounds, parts: AtOnce | AsyncGenerator[Head | bytes, None]) -> AsyncGenerator[Head | bytes, None]:
    """A stream, and the answers of further rounds."""
    try:
        while True:
            try:
                async with aclosing(parts):
                    async for part in parts:
                        yield part
                if (asked := rounds.taken()) is None:
                    break
                form = _form(rounds.visit, *asked, rounds)
                parts = form if isinstance(form, AsyncGenerator) else AtOnce(await form)
            except GatewayError as error:
                if not rounds.give_up(error):
                    raise
                break
        for part in await rounds.explanation():
            yield part
    finally:
        await rounds.close()


def _form(
    visit: Visit, request: Request, upstream: ProviderAnswer, rounds: Rounds
) -> AsyncGenerator[Head | bytes, None] | Coroutine[None, None, Sequence[Head | bytes]]:
    """A stream, or what is read, judged and recorded before any of it leaves."""
    visit.headers |= matching(upstream.headers, RESPONSE_HEADERS)
    if request.operation == "pass_through":
        return passed(visit, upstream)
    if upstream.status >= 400:
        return provider_error(visit, upstream)
    if is_stream(upstream, wanted=request.stream):
        return streamed(visit, request, upstream, rounds)
    if visit.answering:  # signs of life have left before the model was asked again: the client has a stream
        raise GatewayError("upstream", "upstream_media_type", "The provider answered in one piece when it was asked again for a stream.")
    return whole(visit, request, upstream, rounds) if request.operation in JUDGED else plain(visit, request, upstream)
