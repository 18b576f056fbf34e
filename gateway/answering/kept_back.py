"""A streamed answer read to its end before anything of it is judged or sent: what a rule can only tell of a whole answer is told before its
first word leaves, and before its calls are judged, which go with it.

Meanwhile the client gets signs of life, which say nothing, so that another answer can still take the place of this one. The answer is read
twice by the dialect's decoder, once here for what it says, then as any other stream. Not for answers that nothing could withhold for their
end: those are looked at when they have left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

from gateway.answering.decisions import begun
from gateway.answering.leaving import first_byte
from gateway.answering.screens import OutputRules
from gateway.errors import GatewayError
from gateway.holdback import Finishing, Judge, Observing, Step, Undecodable
from gateway.policy.screen import Hit
from gateway.request import Request
from gateway.visit import Visit

END_GRACE_S = 5.0
"""How long a provider may take between the finish of its answer and the end of its stream."""


class KeptBack:
    """`chunks` is the stream, and the same again when it was read; `condemned` then says why nothing of it may be given."""

    def __init__(self, visit: Visit, request: Request, rules: OutputRules | None, chunks: AsyncIterator[bytes]) -> None:
        self._visit, self._request, self._rules = visit, request, rules
        self.chunks = chunks
        self.condemned: tuple[Hit, ...] = ()
        self._calls, self._problem, self._finishing = 0, "", False

    async def read(self) -> AsyncGenerator[bytes, None]:
        """Yields signs of life. Reads nothing where no rule wants all of the answer first."""
        rules, visit = self._rules, self._visit
        if rules is None or not rules.decides_at_end:
            return
        stream = begun(visit, self._request)
        hold, length = Observing(stream), 0
        read: list[bytes] = []
        async for chunk in self._chunks():
            if not chunk:
                yield visit.incoming.dialect.KEEP_ALIVE
                continue
            if not read:
                first_byte(visit)
            read.append(chunk)
            length += len(chunk)
            self._bounded(length)
            self._follow(hold.feed(chunk))
        self._follow(hold.close())
        self.chunks = _again(read)
        self.condemned = self._said(rules, f"the answer broke off ({self._problem})" if self._problem else "")
        if self.condemned:
            rules.explain(self.condemned)

    def _said(self, rules: OutputRules, problem: str) -> tuple[Hit, ...]:
        if problem or self._visit.stream is None:
            return rules.unreadable(problem)
        return rules.ended(self._visit.stream.answer, self._calls)

    def _follow(self, steps: Iterator[Step]) -> None:
        for step in steps:
            self._calls += isinstance(step, Judge)
            self._finishing = self._finishing or isinstance(step, Finishing)
            if isinstance(step, Undecodable):
                self._problem = self._problem or step.broken.code

    def _bounded(self, length: int) -> None:
        most = self._visit.gateway.settings.limits.answer_bytes
        if length > most:
            message = f"The provider's answer is longer than {most} bytes, and a rule keeps it back until it is whole."
            raise GatewayError("upstream", "answer_too_large", message)

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """The stream, and nothing (`b""`) whenever a sign of life is due. A provider whose answer has finished and that keeps the
        connection open is not waited for much longer."""
        every = self._visit.gateway.settings.approvals.keep_alive
        while True:
            next_one = asyncio.ensure_future(anext(self.chunks, None))
            try:
                while not await done(next_one, END_GRACE_S if self._finishing else every):
                    if self._finishing:
                        return
                    yield b""
                chunk = next_one.result()
            finally:
                next_one.cancel()
            if chunk is None:
                return
            if chunk:
                yield chunk


async def done(task: asyncio.Future[bytes | None], seconds: float) -> bool:
    """Whether it is, after so long at the most. It goes on."""
    return bool((await asyncio.wait({task}, timeout=seconds))[0])


async def _again(read: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in read:
        yield chunk
