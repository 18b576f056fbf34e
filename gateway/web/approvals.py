"""Approvals on the admin plane: what people are asked, and what they say.

Whoever has the right may decide, of what their teams are asked; who they are is written down. Whoever holds the admin token says it of
themselves (`by`). A rule with `four_eyes` compares it with the user of the agent's key.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, Protocol, get_args

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import strict_json
from gateway.approval_settings import Approvals as Settings
from gateway.dialects.events import Limits
from gateway.dialects.proposals import read_arguments
from gateway.errors import GatewayError
from gateway.people.roles import Person
from gateway.state.approvals import Approval, ApprovalState, Ruling, Scope
from gateway.state.approving import unknown
from gateway.web.answers import MAX_BODY, error_answer, json_answer, limited_body, line, with_times
from gateway.web.doors import person, said_by

MOST_LISTED = 1000
ALL = 1_000_000
NAME_LENGTH, REASON_LENGTH = 120, 1000
_STATUS = {"not_found": 404, "bad_request": 409, "unavailable": 503}


class Said(Struct, forbid_unknown_fields=True):
    """Body of POST /approvals/{id}/approve and /deny."""

    by: str = ""
    """Who decides, where the credential does not say it."""
    reason: str = ""
    scope: Scope = "once"
    arguments: msgspec.Raw = msgspec.Raw()
    """With approve: arguments to deliver in the place of the proposed ones, a JSON object. They are judged like any others."""


class Queue(Protocol):
    """What people see and do of approvals (`state.approvals.Approvals`)."""

    def find(self, name: str) -> Approval | None: ...
    def every(self, state: ApprovalState | None = None, limit: int = 1000) -> list[Approval]: ...
    def rule(self, name: str, ruling: Ruling) -> Approval: ...


class OwnApprovals:
    """What a person's teams are asked. The others are not there, and take no place from these."""

    def __init__(self, approvals: Queue, who: Person) -> None:
        self._approvals, self._who = approvals, who

    def find(self, name: str) -> Approval | None:
        found = self._approvals.find(name)
        return found if found is not None and self._who.sees(found.org, found.team) else None

    def every(self, state: ApprovalState | None = None, limit: int = 1000) -> list[Approval]:
        most = limit if self._who.teams is None else ALL
        return [each for each in self._approvals.every(state, most) if self._who.sees(each.org, each.team)][:limit]

    def rule(self, name: str, ruling: Ruling) -> Approval:
        """Raises GatewayError."""
        if self._who.teams is not None and self.find(name) is None:
            raise unknown(name)
        return self._approvals.rule(name, ruling)


class ApprovalsDesk:
    """The routes below `/approvals`; whoever mounts them checks the token."""

    def __init__(self, approvals: Queue, settings: Settings, now_us: Callable[[], int]) -> None:
        self._approvals, self._settings, self._now_us = approvals, settings, now_us

    async def listed(self, request: Request) -> Response:
        """`?state=pending&limit=100`; newest first."""
        limit = request.query_params.get("limit", "100")
        if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= MOST_LISTED:
            return error_answer(400, "bad_request", f"'limit' must be from 1 to {MOST_LISTED}")
        state = request.query_params.get("state")
        if state is not None and state not in get_args(ApprovalState):
            return error_answer(400, "bad_request", f"'state' must be one of {', '.join(get_args(ApprovalState))}")
        wanted: ApprovalState | None = state  # type: ignore[assignment]
        try:
            found = await asyncio.to_thread(self._own(request).every, wanted, int(limit))
        except GatewayError as error:
            return _refusal(error)
        return json_answer({"approvals": [shown(each) for each in found]})

    async def one(self, request: Request) -> Response:
        name = request.path_params["id"]
        try:
            found = await asyncio.to_thread(self._own(request).find, name)
        except GatewayError as error:
            return _refusal(error)
        if found is None:
            return _refusal(unknown(name))
        return json_answer(shown(found))

    async def ruled(self, request: Request) -> Response:
        what = request.path_params["ruling"]
        if what not in ("approve", "deny"):
            return error_answer(404, "not_found", "POST to /approvals/{id}/approve or /approvals/{id}/deny")
        body = await limited_body(request)
        if body is None:
            return error_answer(413, "too_large", f"a decision may have {MAX_BODY} bytes")
        try:
            ruling = self._ruling(request, body, approve=what == "approve")
            return json_answer(shown(await asyncio.to_thread(self._own(request).rule, request.path_params["id"], ruling)))
        except (msgspec.DecodeError, strict_json.Ambiguous, ValueError) as error:
            return error_answer(400, "bad_request", f'send {{"by": "who you are", "reason": "why"}}: {error}')
        except GatewayError as error:
            return _refusal(error)

    def _own(self, request: Request) -> OwnApprovals:
        return OwnApprovals(self._approvals, person(request))

    def _ruling(self, request: Request, body: bytes, *, approve: bool) -> Ruling:
        """Raises DecodeError, Ambiguous or ValueError."""
        strict_json.parse(body)
        said = msgspec.json.decode(body, type=Said)
        said.by = said_by(request, said.by)
        return ruling(said, self._settings, self._now_us(), approve=approve)


def ruling(said: Said, settings: Settings, now_us: int, *, approve: bool) -> Ruling:
    """What a person said, as the state store takes it. Raises ValueError."""
    edited = bytes(said.arguments).decode()
    if not approve and (edited or said.scope != "once"):
        raise ValueError("'arguments' and 'scope' are for approving")
    if edited:
        _, problem, detail = read_arguments(edited, Limits())
        if problem is not None:
            raise ValueError(f"'arguments' must be a JSON object that can be read in one way: {detail}")
    seconds = settings.expires if said.scope == "once" else settings.remember
    by, reason = line("by", said.by, NAME_LENGTH), _text(said.reason)
    return Ruling(approve, by, now_us, now_us + int(seconds * 1e6), reason, said.scope, edited or None)


def shown(approval: Approval) -> dict[str, Any]:
    """As people and programs get it: times in UTC, no digests."""
    return with_times(approval, "bindings")


def _text(reason: str) -> str:
    return line("reason", reason, REASON_LENGTH) if reason.strip() else ""


def _refusal(error: GatewayError) -> Response:
    return error_answer(_STATUS.get(error.kind, 500), error.code, error.message)
