"""Approvals on the admin plane: what people are asked, and what they say.

Whoever holds the admin token may decide; `by` is what they say of themselves and is written down. A rule with `four_eyes` compares it with
the user of the agent's key.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Callable
from typing import Any, get_args

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import strict_json
from gateway.config import Approvals as Settings
from gateway.dialects.events import Limits
from gateway.dialects.proposals import read_arguments
from gateway.errors import GatewayError
from gateway.state import Approval, Approvals, ApprovalState, Ruling, Scope
from gateway.web.answers import MAX_BODY, error_answer, json_answer, limited_body, line

MOST_LISTED = 1000
NAME_LENGTH, REASON_LENGTH = 120, 1000
_STATUS = {"not_found": 404, "bad_request": 409, "unavailable": 503}


class Said(Struct, forbid_unknown_fields=True):
    """Body of POST /approvals/{id}/approve and /deny."""

    by: str
    reason: str = ""
    scope: Scope = "once"
    arguments: msgspec.Raw = msgspec.Raw()
    """With approve: arguments to deliver in the place of the proposed ones, a JSON object. They are judged like any others."""


class ApprovalsDesk:
    """The routes below `/approvals`; whoever mounts them checks the token."""

    def __init__(self, approvals: Approvals, settings: Settings, now_us: Callable[[], int]) -> None:
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
            found = await asyncio.to_thread(self._approvals.every, wanted, int(limit))
        except GatewayError as error:
            return _refusal(error)
        return json_answer({"approvals": [shown(each) for each in found]})

    async def one(self, request: Request) -> Response:
        name = request.path_params["id"]
        try:
            found = await asyncio.to_thread(self._approvals.find, name)
        except GatewayError as error:
            return _refusal(error)
        if found is None:
            return error_answer(404, "unknown_approval", "there is no approval of that id; GET /approvals lists them")
        return json_answer(shown(found))

    async def ruled(self, request: Request) -> Response:
        what = request.path_params["ruling"]
        if what not in ("approve", "deny"):
            return error_answer(404, "not_found", "POST to /approvals/{id}/approve or /approvals/{id}/deny")
        body = await limited_body(request)
        if body is None:
            return error_answer(413, "too_large", f"a decision may have {MAX_BODY} bytes")
        try:
            ruling = self._ruling(body, approve=what == "approve")
            return json_answer(shown(await asyncio.to_thread(self._approvals.rule, request.path_params["id"], ruling)))
        except (msgspec.DecodeError, strict_json.Ambiguous, ValueError) as error:
            return error_answer(400, "bad_request", f'send {{"by": "who you are", "reason": "why"}}: {error}')
        except GatewayError as error:
            return _refusal(error)

    def _ruling(self, body: bytes, *, approve: bool) -> Ruling:
        """Raises DecodeError, Ambiguous or ValueError."""
        strict_json.parse(body)
        said = msgspec.json.decode(body, type=Said)
        edited = bytes(said.arguments).decode()
        if not approve and (edited or said.scope != "once"):
            raise ValueError("'arguments' and 'scope' are for approving")
        if edited:
            _, problem, detail = read_arguments(edited, Limits())
            if problem is not None:
                raise ValueError(f"'arguments' must be a JSON object that can be read in one way: {detail}")
        now = self._now_us()
        seconds = self._settings.expires if said.scope == "once" else self._settings.remember
        return Ruling(
            approve, line("by", said.by, NAME_LENGTH), now, now + int(seconds * 1e6), _text(said.reason), said.scope, edited or None
        )


def shown(approval: Approval) -> dict[str, Any]:
    """As people and programs get it: times in UTC, no digests."""
    fields = {name: getattr(approval, name) for name in approval.__struct_fields__ if name != "bindings"}
    return {_named(name): _time(value) if name.endswith("_us") else value for name, value in fields.items()}


def _named(field: str) -> str:
    return f"{field[:-3]}_at" if field.endswith("_us") else field


def _time(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    return dt.datetime.fromtimestamp(at_us / 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _text(reason: str) -> str:
    return line("reason", reason, REASON_LENGTH) if reason.strip() else ""


def _refusal(error: GatewayError) -> Response:
    return error_answer(_STATUS.get(error.kind, 500), error.code, error.message)
