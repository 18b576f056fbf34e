"""What becomes of a call that a person must approve (`effect: ask`).

1. A person approves one call and no other: tool, arguments, agent, session and policy version are bound together by a digest. What a
   person wants to be remembered is bound to the rules that asked, the tool and the arguments; in one session or for the agent.
2. An approval is consumed before the call leaves, in one step of the store: of many who ask, one gets it.
3. While a person decides, the answer is held (`waiting`): up to a limit, while there are seats, with signs of life. After that the agent is
   told that approval is pending; the same call later finds the decision.
4. Arguments that a person changed are judged like any others. What a person approved cannot be denied by a rule that asks, but by any
   other it can.
5. When the store cannot be used, the call is denied.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator

import msgspec
from msgspec.structs import replace

from gateway import identify
from gateway.approval_settings import Approvals as Settings
from gateway.dialects.events import Limits
from gateway.dialects.proposals import read_arguments
from gateway.errors import GatewayError
from gateway.judge import EDITABLE, Court, Judged, judge
from gateway.metering import metered
from gateway.policy.explain import APPROVAL_PENDING
from gateway.policy.wording import one_line
from gateway.state.approvals import Approval, Bindings
from gateway.trace.scribe import canonical
from gateway.verdict import Call, Verdict
from gateway.visit import Visit


def wanted(verdict: Verdict) -> bool:
    """Whether a person must decide."""
    return verdict.effect == "ask" and not verdict.released


class Question:
    """One call that a person is asked about. `call` and `judged` are the outcome as it stands at any time."""

    def __init__(self, visit: Visit, call: Call, verdict: Verdict, judged_us: int) -> None:
        self.call, self.judged, self.judged_us = call, Judged(verdict), judged_us
        self.decision = visit.book.new_decision()
        self._visit, self._proposed, self._asked = visit, call, verdict
        self._name = ""
        self._decided = False

    async def ask(self) -> bool:
        """Whether it is decided now. The first time makes it pending, if nobody asked before; what was decided stays so."""
        self._decided = self._decided or await self._ask()
        return self._decided

    async def _ask(self) -> bool:
        gateway = self._visit.gateway
        try:
            new = _new(self._visit, self._proposed, self._asked, self.decision)
            stands = await asyncio.to_thread(gateway.approvals.ask, new, gateway.settings.approvals.pending)
        except GatewayError as error:
            self.judged = Judged(replace(self._asked, code=error.code, reason=f"{self._asked.reason} {error.message}"))
            return True
        self._name = stands.id
        if stands.state == "pending":
            self.judged = Judged(replace(self._asked, code=APPROVAL_PENDING, approval=stands.id))
            return False
        if stands.state == "denied":
            self.judged = Judged(_denied(self._asked, stands))
        else:
            self.call, self.judged = await _approved(self._visit, self._proposed, stands)
        return True

    async def waiting(self) -> AsyncGenerator[None, None]:
        """Until it is decided or the answer was held long enough; yields when a sign of life is due, the first at once."""
        room, settings = self._visit.gateway.waiting, self._visit.gateway.settings.approvals
        with room.seat() as seated:
            alive = False
            while not await self.ask():
                left = self._left_us(settings) / 1e6
                if not seated or room.closed or left <= 0:
                    return
                if not alive:
                    yield
                alive = await room.wait(self._name, min(left, settings.keep_alive)) and not room.closed

    def _left_us(self, settings: Settings) -> int:
        """How long this answer is still held: the limit is for all its calls together."""
        visit = self._visit
        now = visit.gateway.clock.mono_us()
        if visit.held_until is None:
            seconds = settings.hold if visit.stream is not None else settings.hold_whole
            visit.held_until = now + int(seconds * 1e6)
        return visit.held_until - now


def _new(visit: Visit, call: Call, verdict: Verdict, decision: str) -> Approval:
    clock, caller = visit.gateway.clock, visit.x.caller
    now = clock.now_us()
    return Approval(
        id="apr_" + clock.new_id().replace("-", ""),
        created_us=now,
        expires_us=now + int(visit.gateway.settings.approvals.expires * 1e6),
        bindings=bindings(visit, call, verdict),
        agent=caller.agent,
        session=visit.gateway.scribe.session(visit.x),
        tool=call.name,
        arguments=call.arguments,
        policy=verdict.policy,
        rule=verdict.rule,
        message=verdict.reason,
        decision=decision,
        exchange=visit.x.id,
        policy_hash=visit.x.policy_hash,
        team=caller.team,
        user=caller.user,
        four_eyes=_four_eyes(verdict),
        storing=visit.x.storing,
        org=caller.org,
    )


def bindings(visit: Visit, call: Call, verdict: Verdict) -> Bindings:
    """Which calls are the same for an approval of each scope."""
    caller, what = visit.x.caller, canonical(call)
    whose = identify.owner(caller)
    rules = sorted({f"{hit.policy}/{hit.rule}" for hit in verdict.hits if hit.effect == "ask" and hit.mode == "enforce"})
    return Bindings(
        once=_digest(what, "once", call.type, whose, caller.session, visit.x.policy_hash),
        session=_digest(what, "session", call.type, whose, caller.session, *rules),
        agent=_digest(what, "agent", call.type, caller.agent, *rules),
    )


def _digest(what: bytes, *parts: str) -> str:
    """The parts as JSON hold no zero byte, so that nothing can pass for another part."""
    return hashlib.sha256(msgspec.json.encode(parts) + b"\0" + what).hexdigest()


def _four_eyes(verdict: Verdict) -> bool:
    return any(hit.four_eyes for hit in verdict.hits if hit.effect == "ask" and hit.mode == "enforce")


def _denied(asked: Verdict, by: Approval) -> Verdict:
    who = one_line(by.decided_by or "", 80)
    why = one_line(by.reason, 300) if by.reason else "No reason was given."
    return replace(asked, effect="deny", code="approval_denied", reason=f"{who}: {why}", approval=by.id, decided_by=who)


async def _approved(visit: Visit, call: Call, by: Approval) -> tuple[Call, Judged]:
    """Judged once more, as approved: for what the person wrote, and because only now it takes what limits count."""
    if visit.court is None:
        raise RuntimeError("a call was approved before the request was admitted")
    who = one_line(by.decided_by or "", 80)
    found = call if by.edited is None else _edited(visit, call, by.edited)
    how = f"Approved by {who}" if by.edited is None else f"Approved by {who} with changed arguments"
    now = visit.gateway.clock.now_us()
    judged = await metered(visit, lambda court: _judged_again(court, found, now, who, how))
    verdict = replace(judged.verdict, approval=by.id, decided_by=who if judged.verdict.released else "")
    return judged.call or found, replace(judged, verdict=verdict)


def _edited(visit: Visit, call: Call, text: str) -> Call:
    if call.type not in EDITABLE:
        return replace(call, args=None, problem="not_editable", detail="calls of this type cannot be changed")
    args, problem, detail = read_arguments(text, Limits(call_bytes=visit.gateway.settings.limits.call_bytes))
    return replace(call, arguments=text, args=args, problem=problem, detail=detail)


def _judged_again(court: Court, call: Call, now_us: int, who: str, how: str) -> Judged:
    """The verdict over what a person approved; that a person must approve it is settled, if it may be this person."""
    judged = judge(court, call, now_us, approved=True)
    verdict = judged.verdict
    if verdict.effect == "ask" and not (_four_eyes(verdict) and _same(who, court.caller.user)):
        verdict = replace(verdict, released=True, code="approved", reason=f"{how}. {verdict.reason}")
    elif verdict.released:
        verdict = replace(verdict, code="approved", reason=f"{how}.")
    else:
        on_deny = "explain" if verdict.on_deny == "steer" else verdict.on_deny
        reason = f"{how}, but it cannot be passed on: {verdict.reason}"
        verdict = replace(verdict, effect="deny", reason=reason, on_deny=on_deny)
    return replace(judged, verdict=verdict)


def _same(who: str, user: str | None) -> bool:
    """Whether the approver is the one who asks, or nobody can tell."""
    return user is None or who.strip().lower() == user.strip().lower()
