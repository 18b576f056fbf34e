"""Erasing content: the keys of a tenant, or of one user of it, are dropped, and that is put on record.

What goes is what was sealed, wherever it lies, and what people are asked about calls of theirs. What stays are facts: that an exchange was,
what was decided and what it cost. Without encryption there is nothing that could be dropped: then content ends with retention.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError, JournalUnavailable
from gateway.state.approvals import Approvals
from gateway.state.data_keys import DataKeys
from gateway.trace.people_rows import ErasureRow
from gateway.trace.record import Erased
from gateway.web.answers import NAME_LENGTH, Write, error_answer, json_answer, line, refusal, strict
from gateway.web.content import WHY_LENGTH
from gateway.web.doors import said_by


class Erase(Struct, forbid_unknown_fields=True):
    """Body of POST /erase."""

    tenant: str
    """`team:<name>`, or `agent:<name>` where the agent's keys name no team; `team:<organisation>/<name>` where they name one."""
    by: str = ""
    user: str | None = None
    """None: all users. Empty: what belongs to no user in particular."""
    why: str = ""


class ErasureDesk:
    """`POST /erase`; whoever mounts it checks the token. `keys` is None where nothing is encrypted."""

    def __init__(
        self, keys: DataKeys | None, approvals: Approvals, write: Write, now_us: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._keys, self._approvals, self._write, self._now_us, self._new_id = keys, approvals, write, now_us, new_id

    async def erase(self, request: Request) -> Response:
        try:
            wanted = await strict(request, Erase)
            row = await self._erased(wanted, said_by(request, wanted.by))
        except ValueError as error:
            return error_answer(400, "bad_request", str(error))
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        return json_answer({"tenant": row.tenant, "user": row.user, "keys": row.keys, "id": row.id})

    async def _erased(self, wanted: Erase, who: str) -> ErasureRow:
        by, why = line("by", who, NAME_LENGTH), line("why", wanted.why, WHY_LENGTH) if wanted.why else ""
        if self._keys is None:
            message = (
                "Content is not encrypted here, so there is no key to drop. Set 'encryption:' for what comes; what is there ends with "
                "'retention:'."
            )
            raise GatewayError("bad_request", "not_encrypted", message)
        if not wanted.tenant.startswith(("team:", "agent:")):
            raise ValueError("'tenant' is team:<name>, or agent:<name> where keys name no team; <organisation>/<name> where they name one")
        now = self._now_us()
        await asyncio.to_thread(self._approvals.erase, wanted.tenant, wanted.user)
        gone = await asyncio.to_thread(self._keys.erase, wanted.tenant, wanted.user, now)
        row = ErasureRow(self._new_id(), now, by, wanted.tenant, wanted.user, why, tuple(gone))
        await self._write(Erased(row))
        await asyncio.to_thread(self._keys.noted, gone)
        return row
