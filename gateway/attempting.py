"""Asks the provider, and where a route has targets asks again or asks another one, as `gateway/routes` says.

1. Only before anything of an answer has been passed on: an answer in one piece is read whole, a stream to its first event, and what follows
   is never asked for again.
2. Each attempt has its row in the exchange, its own place in budgets, and says to its target's breaker how it went; one whose client left
   says nothing.
3. When nobody is left to ask, the client hears the last failure that came from a provider, in its words.
4. Whichever target answered, its answer is decoded and judged by the one pipeline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from math import ceil
from typing import Final

import msgspec
from msgspec import Struct

from gateway.continuity import owed
from gateway.deadlines import InTime
from gateway.errors import GatewayError
from gateway.exchange import Attempt, AttemptKind
from gateway.mirroring import mirror
from gateway.outgoing import Letter, endpoint, letter, named_for, provider_of
from gateway.request import Request
from gateway.routes import outcomes, retry_after
from gateway.routes.breaker import Pass
from gateway.routes.health import Moment
from gateway.routes.outcomes import Failure
from gateway.routes.retrying import lasting, may_repeat, wait_s
from gateway.spending import COSTLY, reserve, settle_attempt
from gateway.upstream.begun import Begun, Whole
from gateway.upstream.client import ProviderAnswer, Sending
from gateway.upstream.opening import HELD_S, Opening, is_cut, is_stream, status_of
from gateway.upstream.routing import Target, Way
from gateway.upstream.said_error import UNKNOWN, status_in
from gateway.visit import Visit

SAID: Final = "provider_error"
"""The fault of an attempt that was answered with an error under a good status."""
EMPTY: Final = "empty_answer"
"""That of one whose answer ended, as it should, and said nothing."""


def ask(visit: Visit, request: Request, way: Target | Way, *, again: bool = False) -> AbstractAsyncContextManager[ProviderAnswer]:
    """A streamed request's opening record is made durable in the meantime. `again`: the model is asked once more in the same exchange."""
    if isinstance(way, Target):
        return _Once(visit, request, way, first=not again)
    return _Attempts(visit, request, way.only(visit.target) if again and visit.target else way, first=not again)


def _set_out(visit: Visit, request: Request, *, first: bool) -> None:
    if request.stream and first:
        visit.book.open()
    if first:
        visit.asked = visit.gateway.clock.mono_us()
    visit.reserved.settle()  # what the provider runs by itself it may run from here on


def _unheard(visit: Visit, *, first: bool, sent: bool) -> None:
    """A question that was given up before it was answered."""
    if first or visit.latest is None:
        visit.reached = sent
    else:
        visit.latest.sent = sent


def _translated(visit: Visit, sent: Letter) -> None:
    """On the exchange: by whom it is served, and what could not be said there."""
    visit.headers.pop("x-gateway-dropped-fields", None)
    prepared = sent.translation
    visit.x.translated, visit.x.dropped = ("", []) if prepared is None else (prepared.upstream, list(prepared.dropped))
    if prepared is not None:
        visit.headers |= prepared.dropped_header


class _Once:
    """One upstream, asked once."""

    def __init__(self, visit: Visit, request: Request, target: Target, *, first: bool) -> None:
        self._visit, self._request, self._target, self._first = visit, request, target, first

    async def __aenter__(self) -> ProviderAnswer:
        visit, request = self._visit, self._request
        visit.book.served_by(provider_of(visit, self._target), self._target.place)
        visit.asked_for_counts = self._target.asked_for_counts
        await reserve(visit, request)
        visit.x.upstream = self._target.name
        waited = owed(visit, request) if self._first else ()
        sent = await letter(visit, endpoint(visit), request, self._target, waited, beside=not self._first)
        if sent.translation is not None:
            _translated(visit, sent)
        _set_out(visit, request, first=self._first)
        self._sending = sent.sending(visit)
        try:
            upstream = await self._sending.__aenter__()
        except BaseException as error:
            _unheard(visit, first=self._first, sent=self._sending.sent)
            if isinstance(error, GatewayError) and not self._first:
                await settle_attempt(visit, charged=self._sending.sent)
            raise
        visit.x.upstream_status = upstream.status
        return sent.read(sent.opened(upstream))

    async def __aexit__(self, *error: object) -> None:
        await self._sending.__aexit__(*error)


class _Step(Struct, frozen=True):
    """Whom to ask next, with leave of its breaker."""

    at: int
    given: Pass
    kind: AttemptKind
    why: str
    waited_us: int = 0


class _Outcome(Struct):
    """What came of an attempt: an answer in the client's dialect, or an error."""

    step: _Step
    attempt: Attempt
    sent: Letter | None = None
    answer: ProviderAnswer | None = None
    error: GatewayError | None = None
    failure: Failure | None = None
    asked_for_s: float | None = None


class _Attempts:
    """The targets of a route, until one has answered or nobody is left to ask."""

    def __init__(self, visit: Visit, request: Request, way: Way, *, first: bool) -> None:
        self._visit, self._request, self._first = visit, request, first
        self._managed, self._health = way.managed, way.managed.health
        self._serving = _able(request, way)
        self._asked: dict[int, _Outcome] = {}
        self._repeats: dict[int, int] = {}
        self._tries = 0
        self._led = -1
        self._told: _Outcome | None = None
        self._sending: Sending | None = None

    async def __aenter__(self) -> ProviderAnswer:
        self._visit.spoilt = None  # what was asked before has been heard
        self._health.budget.request(self._now)
        step = self._begin()
        self._led = step.at
        await self._reserved(step)
        while True:
            outcome = await self._attempt(step)
            if outcome.failure is None and outcome.answer is not None:
                self._visit.spoilt = partial(self._spoilt, outcome)
                return outcome.answer
            self._failed(outcome)
            await settle_attempt(self._visit, charged=outcome.attempt.unsure)
            following = await self._next(outcome)
            if following is None:
                return self._last_word()
            step = following

    async def __aexit__(self, *error: object) -> None:
        await self._let_go()

    @property
    def _now(self) -> int:
        return self._visit.gateway.clock.mono_us()

    @property
    def _moment(self) -> Moment:
        return Moment(self._now, self._visit.gateway.clock.now_us())

    # -- whom to ask

    def _begin(self) -> _Step:
        at = self._chosen(self._serving)
        step = None if at is None else self._step(at, *self._first_reason(at))
        if step is None:
            raise self._nobody()
        return step

    def _chosen(self, among: Collection[int]) -> int | None:
        session = self._visit.x.caller.session
        return self._health.choose(among, self._asked, session, self._visit.gateway.chance(), self._now)

    def _step(self, at: int, kind: AttemptKind, why: str, waited_us: int = 0) -> _Step | None:
        """No breath between choosing and this: a breaker has one probe."""
        given = self._health.begun(at, self._now)
        return None if given is None else _Step(at, given, kind, f"{why}, probe" if given.probe else why, waited_us)

    def _first_reason(self, at: int) -> tuple[AttemptKind, str]:
        health, now = self._health, self._now
        mine = health.targets[at].target.priority
        better = [health.targets[each] for each in self._serving if health.targets[each].target.priority < mine]
        if better:
            return "fallback", ", ".join(f"{each.name} {health.standing(each, now)}" for each in better)
        equals = [each for each in self._serving if health.targets[each].target.priority == mine]
        return "primary", "only target" if len(equals) == 1 else "session" if health.sticks(self._visit.x.caller.session) else "weight"

    async def _next(self, last: _Outcome) -> _Step | None:
        """Whom to ask after a failure; None when that was the last."""
        failure, retries = last.failure, self._health.retries
        if failure is None or failure.where == "nowhere" or self._tries > retries.count or not may_repeat(failure, retries, self._request):
            return None
        at = self._chosen([each for each in self._serving if each not in self._asked])
        step = None if at is None else self._step(at, "fallback", f"{self._name(last.step.at)}: {failure.code}")
        step = step or await self._same_again()
        try:
            if step is not None:
                await self._reserved(step)
        except GatewayError:  # no room in a budget: the failure stands
            return None
        return step

    async def _same_again(self) -> _Step | None:
        """One that was asked already, after a wait."""
        gateway, retries = self._visit.gateway, self._health.retries
        at = self._chosen([each for each, told in self._asked.items() if told.failure is not None and told.failure.where == "anywhere"])
        if at is None:
            return None
        wait = wait_s(retries, self._repeats[at], self._asked[at].asked_for_s, gateway.chance())
        if wait is None or not self._health.budget.take(self._now):
            return None
        began, failure = self._now, self._asked[at].failure
        await asyncio.sleep(wait)
        return self._step(at, "retry", failure.code if failure else "", self._now - began)

    def _name(self, at: int) -> str:
        return self._health.targets[at].name

    def _nobody(self) -> GatewayError:
        health, now = self._health, self._now
        standing = ", ".join(f"{health.targets[at].name} {health.standing(health.targets[at], now)}" for at in self._serving)
        seconds = max(1, ceil(health.opens_in_us(self._serving, now) / 1_000_000))
        message = (
            f"Every provider of this route has failed of late, so none is asked for the moment ({standing}). Try again in {seconds} s; "
            "'tollhouse status' shows how they are."
        )
        return GatewayError("unavailable", "no_target", message, retry_after=seconds)

    # -- asking

    async def _reserved(self, step: _Step) -> None:
        target = self._managed.targets[step.at]
        self._visit.book.served_by(provider_of(self._visit, target), target.place)
        try:
            await reserve(self._visit, named_for(self._visit, self._request, target)[1])
        except BaseException:
            self._health.abandoned(step.at, step.given)
            raise

    async def _attempt(self, step: _Step) -> _Outcome:
        visit, clock = self._visit, self._visit.gateway.clock
        target = self._managed.targets[step.at]
        made = Attempt(
            len(visit.x.attempts) + 1,
            target.name,
            target.model or self._request.model,
            target.region,
            step.kind,
            step.why,
            clock.now_us(),
            round=sum(each.answered for each in visit.x.attempts),
            waited_us=step.waited_us,
        )
        visit.x.attempts.append(made)
        visit.failed = False
        outcome, began = _Outcome(step, made), self._now
        try:
            await self._ask(outcome, target, began)
        except GatewayError as error:
            sent = self._sending is not None and self._sending.sent and (error.code != EMPTY or lasting(self._request))
            outcome.error, outcome.failure = error, outcomes.of_fault(error.code, sent=sent)
            await self._let_go()
        except BaseException:
            made.fault = visit.incoming.gone
            made.unsure = self._sending is not None and self._sending.sent
            _unheard(visit, first=self._first, sent=made.unsure)
            self._health.abandoned(step.at, step.given)
            await self._let_go()
            raise
        finally:
            made.duration_us = self._now - began
        if outcome.failure is None:
            self._health.answered(step.at, step.given, made.first_byte_us or 0, self._now)
        return outcome

    async def _ask(self, outcome: _Outcome, target: Target, began: int) -> None:
        """Fills the outcome with the answer."""
        visit, made = self._visit, outcome.attempt
        found, request = named_for(visit, self._request, target)
        beside = not self._first or outcome.step.at != self._led
        outcome.sent = sent = await letter(visit, found, request, target, owed(visit, request) if self._first else (), beside=beside)
        self._stand(outcome)
        self._tries += 1
        if self._tries == 1:
            _set_out(visit, self._request, first=self._first)
            if self._first:
                mirror(visit, self._request, self._managed.mirror)
        self._sending = sending = sent.sending(visit)
        raw = sent.opened(await sending.__aenter__())
        made.first_byte_us, made.status, visit.x.upstream_status = self._now - began, raw.status, raw.status
        if raw.status >= 400:
            made.fault = f"status_{raw.status}"
            outcome.failure = outcomes.of_status(raw.status, raw.headers)
            outcome.asked_for_s = retry_after.asked_for(raw.headers, visit.gateway.clock.now_us())
        outcome.answer = sent.read(await self._held(raw, outcome))
        made.answered = not made.fault

    async def _held(self, raw: ProviderAnswer, outcome: _Outcome) -> ProviderAnswer:
        """As much of the answer as can be had before anything of it is passed on."""
        if raw.status < 400 and is_stream(raw, wanted=self._request.stream):
            return await self._opened(raw, outcome)
        limit = self._visit.gateway.settings.limits.answer_bytes
        try:
            body = await raw.read(limit)
        except GatewayError:
            if raw.status < 400:
                raise
            body = b""  # the status says it all
        if raw.status < 400 and not body.strip() and self._request.operation in COSTLY:
            raise _empty()
        if raw.status < 400 and not self._says_error(outcome, status_in(body)) and is_cut(body):
            raise _broken_off()
        await self._let_go()
        return Whole(raw, body)

    async def _opened(self, raw: ProviderAnswer, outcome: _Outcome) -> ProviderAnswer:
        """A stream whose first event is there."""
        opening, latest = Opening(), self._now + int(HELD_S * 1_000_000)
        pieces: AsyncIterator[bytes] = aiter(raw.chunks())
        if opening.more(await anext(pieces, b"")):
            pieces = late = InTime(pieces)
            while (piece := await late.within((latest - self._now) / 1e6)) is not None and opening.more(piece):
                continue
        if self._says_error(outcome, opening.error):
            await self._let_go()
            return Whole(raw, opening.read)
        if opening.cut:
            raise _empty() if opening.event is None else _broken_off()
        return Begun(raw, opening.read, pieces)

    def _says_error(self, outcome: _Outcome, status: int | None) -> bool:
        """An error under a good status counts as one."""
        if status is None:
            return False
        outcome.attempt.fault = SAID
        failure = outcomes.of_status(status, {})
        outcome.failure = None if failure is None else msgspec.structs.replace(failure, code=SAID)
        return True

    async def _let_go(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None and sending.lent:
            await sending.__aexit__(None, None, None)

    # -- how it went

    def _failed(self, outcome: _Outcome) -> None:
        failure, made, at = outcome.failure, outcome.attempt, outcome.step.at
        if failure is None:
            return
        self._visit.failed = True
        made.fault, made.unsure, made.answered = made.fault if made.status and made.status >= 400 else failure.code, failure.unsure, False
        if outcome.asked_for_s is not None:
            made.retry_after_ms = int(outcome.asked_for_s * 1000)
        self._health.failed(at, outcome.step.given, failure, outcome.asked_for_s, self._moment)
        self._asked[at] = outcome
        self._repeats[at] = self._repeats.get(at, 0) + 1
        if failure.sick or failure.where == "nowhere" or self._told is None:
            self._told = outcome

    def _spoilt(self, outcome: _Outcome, code: str, said: bytes) -> None:
        """An answer that had been taken."""
        made, step = outcome.attempt, outcome.step
        if made.fault:
            return
        made.fault, made.unsure = code, True
        failure = outcomes.of_status(status_of(said) or UNKNOWN, {}) if code == SAID else outcomes.of_break(code)
        if failure is not None:
            self._health.spoilt(step.at, step.given, failure, self._moment)

    def _stand(self, outcome: _Outcome) -> None:
        """The exchange says which target this is."""
        visit, made = self._visit, outcome.attempt
        visit.target = target = self._managed.targets[outcome.step.at]
        visit.asked_for_counts = target.asked_for_counts
        x = visit.x
        x.upstream, x.upstream_status, x.region = target.name, made.status, target.region or None
        x.upstream_model = made.model if made.model != self._request.model else None
        if outcome.sent is not None:
            _translated(visit, outcome.sent)

    def _last_word(self) -> ProviderAnswer:
        told = self._told
        if told is None:
            raise self._nobody()
        target = self._managed.targets[told.step.at]
        self._visit.book.served_by(provider_of(self._visit, target), target.place)
        self._stand(told)
        if told.answer is not None and (self._first or told.answer.status >= 400):
            return told.answer
        raise told.error or _failed_again()


def _able(request: Request, way: Way) -> tuple[int, ...]:
    """Only conversations are translated."""
    speaking = tuple(at for at in way.serving if request.dialect in way.managed.targets[at].dialects)
    return way.serving if request.operation == "chat" or not speaking else speaking


def _failed_again() -> GatewayError:
    """No answer for who asks a model again: an error in the words of a provider is for the client alone."""
    return GatewayError("upstream", SAID, "The provider reported an error.")


def _empty() -> GatewayError:
    return GatewayError("upstream", EMPTY, "The provider's answer ended before it said anything.")


def _broken_off() -> GatewayError:
    return GatewayError("upstream", "upstream_reset", "The provider's answer ended before it was whole.")
