"""Accounts: one's own (password, token, sessions) for everybody, all of them for administrators."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from gateway.errors import GatewayError
from gateway.face.accounts import Session
from gateway.face.door import HOME
from gateway.face.page import Asked, Deed, Done, House, Page, Renewed, ToldOnce
from gateway.people.roles import HOLDS, ROLES, Role
from gateway.web.answers import with_times


async def own(house: House, asked: Asked) -> dict[str, Any]:
    who, now = asked.person, house.now_us()
    sessions = await asyncio.to_thread(house.accounts.sessions, now, who.name)
    record = await asyncio.to_thread(house.accounts.own, who.name)
    here = record is not None and record.active(now)
    return {
        "roles": sorted(who.roles),
        "teams": None if who.teams is None else sorted(who.teams),
        "rights": sorted({right for role in who.roles for right in HOLDS[role]}),
        "password": here and record is not None and bool(record.seal),
        "token": record.last4 if here and record is not None else "",
        "sessions": _marked(sessions, asked.session),
    }


async def everybody(house: House, asked: Asked) -> dict[str, Any]:
    accounts = await asyncio.to_thread(house.accounts.every, house.now_us())
    sessions = await asyncio.to_thread(house.accounts.sessions, house.now_us())
    return {
        "accounts": [with_times(each) for each in accounts],
        "sessions": _marked(sessions, asked.session),
        "roles": {role: sorted(HOLDS[role]) for role in ROLES},
    }


async def change_password(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    name, now = asked.person.name, house.now_us()
    if await asyncio.to_thread(house.accounts.check, name, fields.get("password", ""), now) is None:
        raise GatewayError("refused", "wrong_password", "The present password is another one. Go back and type it again.")
    if fields.get("new", "") != fields.get("again", ""):
        raise GatewayError("bad_request", "bad_request", "The two new passwords are not the same. Go back and type them again.")
    token = await asyncio.to_thread(house.accounts.change_password, name, fields.get("new", ""), asked.session, now)
    return Renewed(f"{HOME}/account", token)


async def make_token(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    name = asked.person.name
    token = await asyncio.to_thread(house.accounts.renew_token, name, name, house.now_us())
    hint = (
        "Your token for the admin plane and the command line (TOLLHOUSE_TOKEN). It proves who you are with all your roles, and is not "
        "shown again. One that you had before is good no longer."
    )
    return ToldOnce("Your token", token, hint, f"{HOME}/account")


async def end_token(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    await asyncio.to_thread(house.accounts.end_token, asked.person.name, asked.person.name, house.now_us())
    return f"{HOME}/account"


async def end_own(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    await asyncio.to_thread(house.accounts.end, fields.get("session", ""), asked.person.name)
    return f"{HOME}/account"


async def end_any(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    await asyncio.to_thread(house.accounts.end, fields.get("session", ""))
    return f"{HOME}/people"


async def give_roles(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    roles = _roles(fields)
    await asyncio.to_thread(house.accounts.give_roles, fields.get("name", ""), roles, asked.person.name, house.now_us())
    return f"{HOME}/people"


async def remove(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    await asyncio.to_thread(house.accounts.remove, fields.get("name", ""), asked.person.name, house.now_us())
    return f"{HOME}/people"


async def invite(house: House, asked: Asked, fields: Mapping[str, str]) -> Done:
    wanted = (_roles(fields), fields.get("name", ""), asked.person.name, house.now_us())
    token = await asyncio.to_thread(house.accounts.invite, *wanted)
    hint = "Send this address to whoever shall have the account. It is good once, for three days, and is not shown again."
    return ToldOnce("An invitation", f"{house.address}{HOME}/begin?token={token}", hint, f"{HOME}/people")


def _roles(fields: Mapping[str, str]) -> tuple[Role, ...]:
    """Those whose box is ticked: a field said twice would have no single meaning."""
    return tuple(role for role in ROLES if fields.get(f"role-{role}"))


def _marked(sessions: Sequence[Session], mine: str) -> list[dict[str, Any]]:
    return [{**with_times(each), "this_one": each.id == mine} for each in sessions]


ACCOUNT = Page("Account", "/account", "see-metadata", own, "account.html", rows="sessions", linked=False, narrows=True)
PEOPLE = Page("People", "/people", "manage-people", everybody, "people.html", rows="accounts")
DEEDS = (
    Deed("/account/password", "see-metadata", change_password, narrows=True),
    Deed("/account/token", "see-metadata", make_token, narrows=True),
    Deed("/account/token/end", "see-metadata", end_token, narrows=True),
    Deed("/account/end", "see-metadata", end_own, narrows=True),
    Deed("/people/end", "manage-people", end_any),
    Deed("/people/roles", "manage-people", give_roles),
    Deed("/people/remove", "manage-people", remove),
    Deed("/people/invite", "manage-people", invite),
)
