"""Approvals: calls that wait for a person, and what people decided.

Whoever decides is the account that is signed in: nobody can say another name. What can be decided, and by whom where two people are
wanted, the state store says (`Approvals.rule`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, get_args

import msgspec

from gateway.errors import GatewayError
from gateway.face.door import HOME
from gateway.face.page import Asked, Deed, House, Page
from gateway.state.approvals import Approval, Scope
from gateway.web.approvals import Said, ruling, shown

MOST = 200
DECIDED = 50
LOOK_EVERY_S = 2.0
SCOPES = {"once": "this call, once", "session": "calls like it, in this session", "agent": "calls like it, by this agent"}


async def data(house: House, asked: Asked) -> dict[str, Any]:
    now = house.now_us()
    waiting = [each for each in await asyncio.to_thread(house.approvals.every, "pending", MOST) if each.expires_us > now]
    others = [each for each in await asyncio.to_thread(house.approvals.every, None, MOST) if each.state != "pending"]
    return {
        "waiting": [shown(each) for each in reversed(waiting)],
        "decided": [shown(each) for each in others[:DECIDED]],
        "may_decide": asked.person.may("decide-approvals"),
        "scopes": SCOPES,
        "state": _state(waiting),
    }


def live(house: House, asked: Asked) -> AsyncIterator[dict[str, Any]]:
    return _changes(house)


async def _changes(house: House) -> AsyncIterator[dict[str, Any]]:
    """How many wait, each time the queue is another than it was."""
    before = None
    while True:
        now = house.now_us()
        waiting = [each for each in await asyncio.to_thread(house.approvals.every, "pending", MOST) if each.expires_us > now]
        if (state := _state(waiting)) != before:
            before = state
            yield {"waiting": len(waiting), "state": state}
        await asyncio.sleep(LOOK_EVERY_S)


async def decide(house: House, asked: Asked, fields: Mapping[str, str]) -> str:
    """Approves or denies. Raises GatewayError."""
    what, scope = fields.get("what", ""), fields.get("scope", "once")
    if what not in ("approve", "deny") or scope not in get_args(Scope):
        raise GatewayError("bad_request", "bad_request", "Approve or deny, and say for how much: load the page again.")
    found = await asyncio.to_thread(house.approvals.find, asked.subject)
    if found is None:
        raise GatewayError("not_found", "unknown_approval", "There is no such approval any more; load the queue again.")
    edited = fields.get("arguments", "").replace("\r\n", "\n").strip() if what == "approve" else ""
    changed = bool(edited) and _differs(edited, found.arguments)
    wanted_for: Scope = scope if what == "approve" else "once"  # type: ignore[assignment] # looked at above
    said = Said(asked.person.name, fields.get("reason", ""), wanted_for, msgspec.Raw(edited.encode() if changed else b""))
    try:
        wanted = ruling(said, house.settings.approvals, house.now_us(), approve=what == "approve")
    except ValueError as error:
        raise GatewayError("bad_request", "bad_request", f"This decision cannot be taken: {error}. Go back and mend it.") from error
    await asyncio.to_thread(house.approvals.rule, asked.subject, wanted)
    return f"{HOME}/approvals"


def _differs(edited: str, proposed: str) -> bool:
    """Whether a person changed it: browsers send line ends of their own, and what reads the same was not changed."""
    if edited == proposed.replace("\r\n", "\n").strip():
        return False
    try:
        return _again(edited) != _again(proposed)
    except msgspec.DecodeError:
        return True


def _again(text: str) -> bytes:
    """Without the spaces between; 1, 1.0 and true stay three things."""
    return msgspec.json.encode(msgspec.json.decode(text))


def _state(waiting: list[Approval]) -> str:
    """Another where the queue is another."""
    return " ".join(sorted(f"{each.id}.{each.change}" for each in waiting))


PAGE = Page("Approvals", "/approvals", "see-approvals", data, "approvals.html", rows="waiting", live=live, narrows=True)
DEEDS = (Deed("/approvals/{subject}", "decide-approvals", decide, narrows=True),)
