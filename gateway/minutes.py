"""Brings what people decided, which sessions were stopped and resumed, and who was let in, from the state store into the journal: the
minutes.

People decide in another process than the one that writes a journal, and perhaps while no worker runs. So the store remembers which changes
are not on record yet, one worker looks for them now and then, and marks them once they are durable. A worker that dies in between writes
them again; the ledger takes each change once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from gateway.exchange import Caller
from gateway.state.access import AccessLog
from gateway.state.approvals import Approval, Approvals
from gateway.state.sessions import Session, Sessions
from gateway.strict_json import Json
from gateway.trace.hand import about_approval
from gateway.trace.people_rows import ApprovalRow, SessionRow
from gateway.trace.record import AccessChanged, ApprovalChanged, SessionChanged
from gateway.trace.scribe import Scribe

AT_ONCE = 200


async def write(approvals: Approvals, append: Callable[..., Awaitable[None]], scribe: Scribe) -> int:
    """Puts on record what is not yet; how many changes. Raises JournalUnavailable or GatewayError: then later."""
    changed = await asyncio.to_thread(approvals.unrecorded, AT_ONCE)
    if changed:
        await append(*(ApprovalChanged(row(each, scribe)) for each in changed))
        await asyncio.to_thread(approvals.recorded, changed)
    return len(changed)


async def write_sessions(sessions: Sessions, append: Callable[..., Awaitable[None]]) -> int:
    """The same for sessions that were stopped or resumed."""
    changed = await asyncio.to_thread(sessions.unrecorded, AT_ONCE)
    if changed:
        await append(*(SessionChanged(session_row(each)) for each in changed))
        await asyncio.to_thread(sessions.recorded, changed)
    return len(changed)


async def write_access(log: AccessLog, append: Callable[..., Awaitable[None]]) -> int:
    """The same for keys and people."""
    changed = await asyncio.to_thread(log.unrecorded, AT_ONCE)
    if changed:
        await append(*map(AccessChanged, changed))
        await asyncio.to_thread(log.recorded, changed)
    return len(changed)


def session_row(of: Session) -> SessionRow:
    return SessionRow(
        session=of.session,
        agent=of.agent,
        change=of.change,
        state=of.state,
        changed_us=of.changed_us,
        team=of.team,
        user=of.user,
        policy=of.policy,
        rule=of.rule,
        exchange_id=of.exchange,
        decision_id=of.decision,
        changed_by=of.changed_by,
        why=of.why,
    )


def row(of: Approval, scribe: Scribe) -> ApprovalRow:
    """Written as its exchange was: what the person saw is not kept where its mode says otherwise."""
    hand = scribe.hands.of(of.storing, Caller(of.agent, team=of.team, user=of.user, org=of.org))
    about = about_approval(of.id)
    quoted = [read(text) for text in (of.arguments, of.edited) if text]
    return ApprovalRow(
        id=of.id,
        change=of.change,
        state=of.state,
        created_us=of.created_us,
        expires_us=of.expires_us,
        agent=of.agent,
        team=of.team,
        user=of.user,
        session=of.session,
        exchange_id=of.exchange,
        decision_id=of.decision,
        tool=hand.pen.name(of.tool),
        arguments=hand.body(of.arguments, about),
        policy=of.policy,
        rule=of.rule,
        policy_hash=of.policy_hash,
        message=hand.told(of.message, quoted),
        four_eyes=of.four_eyes,
        decided_by=of.decided_by,
        decided_us=of.decided_us,
        reason=hand.told(of.reason, quoted),
        scope=of.scope,
        edited=hand.body(of.edited, about) if of.edited else of.edited,
        used_us=of.used_us,
    )


def read(text: str) -> Json:
    """Arguments, so that a reason that quotes them can be told without; what cannot be read stands for itself."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return text
