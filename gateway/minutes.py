"""Brings what people decided, and which sessions were stopped and resumed, from the state store into the journal: the minutes.

People decide in another process than the one that writes a journal, and perhaps while no worker runs. So the store remembers which changes
are not on record yet, one worker looks for them now and then, and marks them once they are durable. A worker that dies in between writes
them again; the ledger takes each change once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.state import Approval, Approvals, Session, Sessions
from gateway.trace.record import ApprovalChanged, ApprovalRow, SessionChanged, SessionRow

AT_ONCE = 200


async def write(approvals: Approvals, append: Callable[..., Awaitable[None]]) -> int:
    """Puts on record what is not yet; how many changes. Raises JournalUnavailable or GatewayError: then later."""
    changed = await asyncio.to_thread(approvals.unrecorded, AT_ONCE)
    if changed:
        await append(*(ApprovalChanged(row(each)) for each in changed))
        await asyncio.to_thread(approvals.recorded, changed)
    return len(changed)


async def write_sessions(sessions: Sessions, append: Callable[..., Awaitable[None]]) -> int:
    """The same for sessions that were stopped or resumed."""
    changed = await asyncio.to_thread(sessions.unrecorded, AT_ONCE)
    if changed:
        await append(*(SessionChanged(session_row(each)) for each in changed))
        await asyncio.to_thread(sessions.recorded, changed)
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
    )


def row(of: Approval) -> ApprovalRow:
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
        tool=of.tool,
        arguments=of.arguments,
        policy=of.policy,
        rule=of.rule,
        policy_hash=of.policy_hash,
        message=of.message,
        four_eyes=of.four_eyes,
        decided_by=of.decided_by,
        decided_us=of.decided_us,
        reason=of.reason,
        scope=of.scope,
        edited=of.edited,
        used_us=of.used_us,
    )
