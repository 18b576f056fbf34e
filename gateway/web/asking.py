"""SQL that somebody wrote: answered by another process, and on record before the answer leaves. The same way for the API and the pages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from gateway.clock import now_us, uuid7
from gateway.people.roles import Person
from gateway.question.wire import Question, Reply
from gateway.stores import Refused
from gateway.trace.people_rows import AskedRow
from gateway.trace.record import Asked
from gateway.web.answers import Write

Ask = Callable[[Question, frozenset[str] | None], Reply]
"""Over what these teams may see, where they are named. Blocks. Raises Refused."""


async def answered(ask: Ask, write: Write, who: Person, question: Question) -> Reply:
    """Raises Refused and JournalUnavailable; what is refused is on record too."""
    row = AskedRow(uuid7().hex, now_us(), who.id, question.sql, question.form, "answered")
    try:
        reply = await asyncio.to_thread(ask, question, who.teams)
    except Refused as refused:
        await write(Asked(msgspec.structs.replace(row, outcome=refused.code, elapsed_us=now_us() - row.asked_us)))
        raise
    told = {"row_count": reply.rows, "truncated": reply.truncated, "elapsed_us": now_us() - row.asked_us}
    await write(Asked(msgspec.structs.replace(row, **told)))
    return reply
