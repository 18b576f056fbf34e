"""Sessions that a denial has stopped (`on_deny: stop`), or one denial too many (`denials: {end_session_after: N}`); agents that a
person has paused.

The denied call itself is explained. From then on every request of that caller in that session is refused, by every worker, until an
operator resumes it (`tollhouse sessions resume`); one that has begun is answered, and no model is asked again for it. A session is a label
that the client may choose: this ends loops and makes people look, it does not hold an agent that begins another session; a revoked key
does, and so does a pause, which is of everything that comes under the agent's name, judged or only observed.
"""

from __future__ import annotations

from gateway import identify
from gateway.errors import GatewayError
from gateway.state.sessions import EVERY_SESSION, Denial, Session
from gateway.verdict import Finding, Verdict
from gateway.visit import Visit


async def refuse_stopped(visit: Visit) -> None:
    """Raises GatewayError('refused') for a request of a session that is stopped, or of an agent that is paused; 'unavailable' where that
    cannot be known, unless the agent is only observed: then it is on record that nobody knew."""
    caller = visit.x.caller
    session = caller.session if visit.x.enforcing else EVERY_SESSION
    try:
        found = await visit.gateway.ask(visit.gateway.sessions.stopped, identify.owner(caller), session, caller.agent)
    except GatewayError:
        if visit.x.enforcing:
            raise
        visit.x.findings.append(Finding("agent", "pause_unknown", "warn", "", "the state store could not be asked whether it is paused"))
        return
    if found is not None and found.session == EVERY_SESSION:
        why = f": {found.why}" if found.why else ""
        message = (
            f"The agent '{caller.agent}' is paused by {found.changed_by}{why}. Nothing of it is passed on until an operator "
            f"lets it go on: on its page, or with tollhouse sessions resume --agent '{caller.agent}'"
        )
        raise GatewayError("refused", "agent_paused", message)
    if found is not None:
        message = (
            f"This session is stopped {_by(found)}, after a call that was denied ({found.decision}). Nothing of it is passed on until an "
            f"operator resumes it: tollhouse sessions resume '{caller.session}'"
        )
        raise GatewayError("refused", "session_stopped", message)


async def denied(visit: Visit, verdict: Verdict, decision: str) -> None:
    """Counts an enforced denial where a policy wants to know, and stops the session when it was one too many. Raises
    GatewayError('unavailable') when that cannot be written: then nothing leaves."""
    x, caller = visit.x, visit.x.caller
    if verdict.effect != "deny" or not x.enforcing or not caller.session:
        return
    most = 1 if verdict.on_deny == "stop" else visit.gateway.policies.ends_session_after(caller.agent)
    if most is None:
        return
    denial = Denial(
        owner=identify.owner(caller),
        session=caller.session,
        agent=caller.agent,
        team=caller.team,
        user=caller.user,
        at_us=visit.gateway.clock.now_us(),
        policy=verdict.policy,
        rule=verdict.rule,
        exchange=x.id,
        decision=decision,
        org=caller.org,
    )
    if (stopped := await visit.gateway.ask(visit.gateway.sessions.denied, denial, most=most)) is not None:
        visit.stopped = True
        detail = f"the session is stopped {_by(stopped)}; denials: {stopped.denials}"
        x.findings.append(Finding("policy", "session_stopped", "warn", f"calls[{len(x.calls) - 1}]", detail))


def _by(stopped: Session) -> str:
    if not stopped.policy:
        return "by the gateway"
    return f"by policy \"{stopped.policy}\"{f' (rule {stopped.rule})' if stopped.rule else ''}"
