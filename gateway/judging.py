"""Asks models about answers that have left (`validate: [judge]`), one after the other, and puts on record what they say.

1. A model is asked through this gateway itself: `pipeline.relay`, with the route of its name, and so under policies, budgets and prices,
   and with a record of its own. It is asked in the name of the rule's agent, for the team and user of the exchange that is judged, whose
   budgets pay and whose key seals what is said; nothing is asked about that exchange in turn.
2. It reads what the book keeps: the texts are written by the pen of the exchange's mode of storing.
3. Whatever does not come to an answer in the form that was asked for (no place left in the hour, a refusal, a failure, time that is up, a
   gateway that stops) is `unevaluated`, with the reason, and never passed.
4. One task of a worker, which is there only while something waits; no request waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from gateway import identify
from gateway.afterwards import Due
from gateway.dialects import DIALECTS
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import Caller
from gateway.pipeline import relay
from gateway.policy import running
from gateway.policy.limits import Charge
from gateway.policy.policy_set import Watch
from gateway.trace.exchange_rows import HeardRow
from gateway.trace.record import Judged
from gateway.validators.use import Said, Use
from gateway.validators.validator import Question, Unjudged
from gateway.visit import Gateway, Head, Incoming, Own

log = logging.getLogger("gateway.judging")

PATH: Final = "/v1/chat/completions"
HOUR_US: Final = 3600 * 1_000_000
STOPPED: Final = "the gateway stopped before a model was asked"


class Opinion(NamedTuple):
    """What came of asking."""

    said: Said
    exchange: str | None = None
    """In which the model was asked."""


class _Message(Struct):
    content: str | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class _Completion(Struct):
    choices: list[_Choice]


class _Error(Struct):
    code: str | None = None


class _Refusal(Struct):
    error: _Error


class Judging:
    """That of one worker."""

    def __init__(self, gateway: Callable[[], Gateway]) -> None:
        """`gateway` says which is in force."""
        self._gateway = gateway
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[Opinion] | None = None
        self._incoming: Incoming | None = None
        self._stopped = False
        gateway().afterwards.wake = self._wake

    def drain(self) -> None:
        """No model is asked from here on; the one that is being asked may answer."""
        self._stopped = True

    async def close(self) -> None:
        """Ends the asking, and returns when what waited is on record as unevaluated."""
        self.drain()
        if self._asking is not None and self._incoming is not None:
            self._incoming.gone = "interrupted"
            self._asking.cancel()
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def _wake(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while (due := self._gateway().afterwards.next()) is not None:
            told = [self._record(due, watch, await self._opinion(due, watch)) for watch in due.watches]
            while self._stopped and (due := self._gateway().afterwards.next()) is not None:
                told += [self._record(due, watch, Opinion(Said(problem=STOPPED))) for watch in due.watches]
            try:
                await self._gateway().journal.append(*told)
            except JournalUnavailable as error:
                log.error("what a judge says of exchange %s could not be recorded: %s", told[0].exchange_id, error)  # noqa: TRY400 - no traceback wanted

    async def _opinion(self, due: Due, watch: Watch) -> Opinion:
        """Never raises but for cancellation."""
        use = watch.guard.afterwards
        try:
            if self._stopped or use is None or use.question is None:
                return Opinion(Said(problem=STOPPED))
            await self._take(watch, use.question)
            self._asking = asyncio.get_running_loop().create_task(self._asked(due, use, use.question))
            await asyncio.wait([self._asking])
            return Opinion(Said(problem=STOPPED)) if self._asking.cancelled() else self._asking.result()
        except Unjudged as error:
            return Opinion(Said(problem=str(error)))
        except GatewayError as error:
            return Opinion(Said(problem=f"the judge's model cannot be asked now ({error.code})"))
        except Exception as error:
            log.exception("exchange %s could not be judged", due.exchange)
            return Opinion(Said(problem=f"the judge failed ({type(error).__name__})"))
        finally:
            self._asking = self._incoming = None

    def _record(self, due: Due, watch: Watch, opinion: Opinion) -> Judged:
        use, said = watch.guard.afterwards, opinion.said
        if use is None:
            raise RuntimeError(f"rule {watch.guard.id} asks no model")
        ran = (running.afterwards(watch, use, said, opinion.exchange),)
        findings = tuple(running.findings(watch, use, Said(said.hits, said.problem), "answer", "none"))
        heard = tuple(_heard(due, watch, use, self._gateway().clock.now_us()) for _ in said.hits[:1])
        return Judged(due.exchange, due.started_us, due.caller.agent, ran, findings, heard)

    async def _take(self, watch: Watch, question: Question) -> None:
        """One of the times that the rule may ask in an hour. Raises Unjudged when there is none."""
        gateway = self._gateway()
        place = (watch.layer.policy, watch.guard.id)
        charge = Charge(*place, "asked", ("judge", watch.mode), 1, question.per_hour, HOUR_US)
        taking = await gateway.ask(gateway.limits.take, [charge], gateway.clock.now_us())
        if not charge.fits(taking.spent[0]):
            raise Unjudged(f"the rule has asked {question.per_hour} times in this hour already (max_per_hour)")

    async def _asked(self, due: Due, use: Use, question: Question) -> Opinion:
        gateway = self._gateway()
        pen = gateway.scribe.hands.pens["redacted" if due.storing == "metadata" else due.storing]
        mark = gateway.clock.new_id().replace("-", "")
        self._incoming = _incoming(due, question, question.body(pen.body(due.said), pen.body(due.answer), mark))
        answered = _Answered()
        try:
            async with asyncio.timeout(question.seconds), aclosing(relay(gateway, self._incoming)) as parts:
                await answered.take(parts)
        except TimeoutError:
            return Opinion(Said(problem=f"the judge's model gave no answer in {question.seconds:g} s (timeout)"), answered.exchange)
        try:
            return Opinion(use.heard(answered.text()), answered.exchange)
        except Unjudged as error:
            return Opinion(Said(problem=str(error)), answered.exchange)


class _Answered:
    """What the gateway answered itself."""

    def __init__(self) -> None:
        self.exchange: str | None = None
        self._status = 0
        self._body = bytearray()

    async def take(self, parts: AsyncGenerator[Head | bytes, None]) -> None:
        async for part in parts:
            if isinstance(part, Head):
                self._status, self.exchange = part.status, part.headers.get("x-gateway-trace-id")
            else:
                self._body += part

    def text(self) -> str:
        """What the model said, whole. Raises Unjudged."""
        if self._status != 200:
            raise Unjudged(f"the judge's model was not asked, or gave no answer ({self._status} {self._code()})")
        try:
            (choice,) = msgspec.json.decode(self._body, type=_Completion).choices
        except (msgspec.DecodeError, ValueError):
            raise Unjudged("the judge's model gave no answer that can be read") from None
        if choice.finish_reason != "stop" or choice.message.content is None:
            raise Unjudged(f"the judge's model did not end its answer ({identify.label(choice.finish_reason, 40) or 'no reason given'})")
        return choice.message.content

    def _code(self) -> str:
        try:
            return identify.label(msgspec.json.decode(self._body, type=_Refusal).error.code, 80)
        except msgspec.DecodeError:
            return ""


def _incoming(due: Due, question: Question, body: bytes) -> Incoming:
    """A request as an agent would send it; its session and its own name for it are the exchange that is judged."""
    named = {"content-type": "application/json", "x-request-id": due.exchange, "x-session-id": due.exchange}
    dialect, of = DIALECTS["openai.chat"], due.caller
    caller = Caller(question.agent, team=of.team, user=of.user, client="tollhouse judge", org=of.org)

    async def given() -> bytes:
        return body

    endpoint = dialect.endpoints(PATH)[0]
    return Incoming("POST", PATH, "", tuple(named.items()), named, dialect, endpoint, given, own=Own(caller, due.storing))


def _heard(due: Due, watch: Watch, use: Use, now_us: int) -> HeardRow:
    guard = watch.guard
    by = (watch.layer.policy, guard.id, guard.effect, watch.mode)
    return HeardRow(due.exchange, now_us, "output", "answer", *by, line=guard.line, detector=use.name)
