"""What is decided about each call of an answer, and put in line for the journal."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from gateway import history, stopping
from gateway.approvals import Question, wanted
from gateway.config import Settings
from gateway.continuity import withheld
from gateway.dialects import Stream
from gateway.dialects.events import Limits
from gateway.exchange import EndState
from gateway.judge import Judged, judge
from gateway.metering import metered
from gateway.policy.explain import denial_text
from gateway.request import Request
from gateway.verdict import NOT_DELIVERED, Call, Verdict
from gateway.visit import Visit


class Decision(NamedTuple):
    """A call that needs nobody's word."""

    call: Call
    judged: Judged
    judged_us: int
    decision: str


class Settled(NamedTuple):
    released: bool
    text: str
    """In the place of a call that is not released."""


async def decide(visit: Visit, call: Call) -> Decision | Question:
    """Judges one call."""
    if visit.court is None:
        raise RuntimeError("a call was proposed before the request was admitted")
    if visit.withheld is not None:
        return Decision(call, Judged(_withheld_with_its_answer(visit.withheld.verdict)), 0, visit.book.new_decision())
    clock = visit.gateway.clock
    start = clock.mono_us()
    now = clock.now_us()
    judged = await metered(visit, lambda court: judge(court, call, now))
    took = clock.mono_us() - start
    found = judged.call or call
    if wanted(judged.verdict):
        visit.x.findings.extend(judged.findings)
        return Question(visit, found, judged.verdict, took)
    return Decision(found, judged, took, visit.book.new_decision())


def _withheld_with_its_answer(said: Verdict) -> Verdict:
    """A call behind words that must not be said: the client never sees what it follows from."""
    reason = f"The answer that proposes it was withheld. {said.reason}"
    return Verdict("deny", released=False, code="answer_withheld", reason=reason, policy=said.policy, rule=said.rule)


async def recorded(visit: Visit, made: Decision | Question) -> Settled:
    """Puts the decision in line for the journal."""
    call, verdict = made.call, made.judged.verdict
    visit.x.calls.append((call, verdict))
    visit.x.findings.extend(made.judged.findings)
    visit.x.ran.extend(verdict.ran)
    visit.book.decided(call, verdict, made.judged_us, made.decision)
    if verdict.released:
        visit.round.append((call, verdict, ""))
        history.delivered(visit, call)
        return Settled(True, "")
    visit.denied = visit.denied or made.decision
    await stopping.denied(visit, verdict, made.decision)
    text = denial_text(verdict, call, made.decision, stopped=visit.stopped)
    visit.round.append((call, verdict, text))
    withheld(visit, call, text)
    return Settled(False, text)


def undelivered(made: Decision | Question) -> Decision | Question:
    """The same where nothing of its answer leaves any more."""
    verdict = made.judged.verdict
    if not verdict.released:
        return made
    reason = f"{verdict.reason} It was not delivered: the answer ended while a person was waited for."
    verdict = msgspec.structs.replace(verdict, released=False, code=NOT_DELIVERED, reason=reason)
    return Decision(made.call, msgspec.structs.replace(made.judged, verdict=verdict), made.judged_us, made.decision)


def delivered(visit: Visit) -> EndState:
    """How an exchange ended whose answer went out to its end."""
    if (state := _observed_break(visit)) is not None:
        return state
    if visit.withheld is not None:
        return "denied"
    return "complete" if all(verdict.released for _, verdict in visit.x.calls) else "denied"


def _observed_break(visit: Visit) -> EndState | None:
    """How it ended where its provider did not bring it to an end, and nobody kept that from the client."""
    broken = visit.undecodable
    if broken is None or not (broken.code == "provider_error" or (broken.code == "truncated" and visit.provider_left)):
        return None
    code = visit.x.error_code = "provider_error" if broken.code == "provider_error" else "upstream_reset"
    if visit.spoilt is not None:
        visit.spoilt(code, broken.raw)
    return "upstream_error" if code == "provider_error" else "upstream_reset"


def begun(visit: Visit, request: Request) -> Stream:
    """What reads a streamed answer; `visit.stream` from here on."""
    shown = request if visit.asked_for_counts else msgspec.structs.replace(request, wants_usage=True)
    stream = visit.incoming.dialect.stream(shown, limits(visit.gateway.settings), enforcing=visit.x.enforcing)
    visit.stream = stream
    return stream


def limits(settings: Settings) -> Limits:
    bounds = settings.limits
    return Limits(call_bytes=bounds.call_bytes, hold_bytes=bounds.hold_bytes, calls=bounds.calls)
