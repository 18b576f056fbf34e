"""Sessions: what belongs together, summed, newest first; and one session step by step: its exchanges, the calls proposed in them, what
became of each, what it cost so far. Nothing here is what was said: the exchanges that are linked to show that, to who may read it.

A session is a label that its client may choose: it is one caller's (agent, organisation, team, user), and two callers may have one of the
same name. Then both are shown, and `?agent=`, `?org=`, `?team=` or `?user=` tells them apart.
"""

# ruff: noqa: S608 - conditions are of `filter_sql` and of `_WHOSE`, which write no value into them

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

from gateway.errors import GatewayError
from gateway.face.door import HOME
from gateway.face.filters import FilterProblem
from gateway.face.page import Asked, Deed, House, Page, Rows, named
from gateway.face.rendering import addressed
from gateway.face.wanted import DAYS, PAGE_ROWS, Place, Wanted, began, note, paged, place, read, told
from gateway.state.sessions import EVERY_SESSION, Session
from gateway.web.answers import line
from gateway.web.content import WHY_LENGTH

MOST_STOPPED = 1000
POINTS = 200
"""Of a cost curve: a session may have more exchanges than there are places to draw them."""
_BAD = "count(*) FILTER (e.state IN ('upstream_error', 'upstream_reset', 'upstream_timeout', 'incomplete', 'interrupted'))"
_SUMS = f"""
min(e.started_at) AS began_at, max(e.started_at) AS started_at, count(*) AS exchanges,
count(*) + coalesce(sum(e.calls), 0)::BIGINT AS steps, coalesce(sum(e.calls), 0)::BIGINT AS calls,
coalesce(sum(e.denied), 0)::BIGINT AS denied, {_BAD} AS failed, CASE WHEN count(*) FILTER (e.cost IS NULL) = 0 THEN sum(e.cost) END AS cost,
sum(e.cost) AS known_cost, sum(e.duration_us)::BIGINT AS duration_us
"""
_OWNED_BY: Mapping[str, str] = {"agent": "e.agent", "org": "e.org", "team": "e.team", "user": 'e."user"'}
"""Whose a session is, and in which column it lies."""
_OWNER = f"e.session, {', '.join(_OWNED_BY.values())}"
_ID = "e.session" + "".join(f" || ' ' || coalesce({column}, '')" for column in _OWNED_BY.values())
_WHOSE = "e.session = $session" + "".join(f" AND (${name} = '' OR {column} = ${name})" for name, column in _OWNED_BY.items())
_OWNERS = f"""
SELECT {_OWNER}, {_SUMS} FROM exchanges AS e WHERE {_WHOSE} GROUP BY {_OWNER} ORDER BY max(e.started_at) DESC, {_ID} DESC LIMIT {PAGE_ROWS}
"""
_CURVE = f"""
WITH steps AS (
  SELECT e.started_at, e.id, sum(e.cost) OVER told AS cost, ntile({POINTS}) OVER told AS part
  FROM exchanges AS e WHERE {_WHOSE} WINDOW told AS (ORDER BY e.started_at, e.id)
)
SELECT max(started_at) AS started_at, max(cost) AS cost, count(*) AS exchanges FROM steps GROUP BY part ORDER BY part
"""
_EXCHANGES = """
SELECT e.id, e.started_at, e.agent, e."user", coalesce(e.response_model, e.request_model) AS model, e.state, e.enforcing,
       e.error_code, e.calls, e.denied, e.cost, e.duration_us
FROM exchanges AS e WHERE {} {} ORDER BY e.started_at, e.id LIMIT {}
"""
_CALLS = """
SELECT c.exchange_id, c.decided_at, c.name, c.effect, c.released, c.policy, c.rule, c.code, c.would, c.judged_us FROM calls AS c
WHERE c.decided_at >= $earliest::TIMESTAMP AND c.exchange_id IN (SELECT unnest(string_split($ids, ' '))) ORDER BY c.exchange_id, c."index"
"""


async def listed(house: House, asked: Asked) -> dict[str, Any]:
    said: dict[str, Any] = {"q": asked.params.get("q", ""), "days": DAYS, "problem": None}
    try:
        wanted = read(house, asked)
    except FilterProblem as problem:
        return {**said, "problem": told(problem), "rows": [], "next": None, "bounded": False, "began": True}
    rows, following = await _summed(house, wanted, place(asked))
    if wanted.looks:
        await note(house, asked, "sessions", wanted, len(rows))
    stopped = {(each.session, *(getattr(each, name) for name in _OWNED_BY)) for each in await _stopped(house)}
    return {
        **said,
        "rows": [{**row, "stopped": (row["session"], *(row[name] for name in _OWNED_BY)) in stopped} for row in rows],
        "next": following,
        "bounded": wanted.since is not None,
        "began": bool(rows) or await began(house),
        "listen": house.settings.listen_address.url,
    }


async def shown(house: House, asked: Asked) -> dict[str, Any]:
    whose = {"session": named(asked)} | {name: asked.params.get(name, "") for name in _OWNED_BY}
    after = place(asked, "after")
    owners = await house.ask(_OWNERS, whose) if whose["session"] else []
    if not owners:
        message = "There is no session of that name, or the book does not have it yet (wait a second), or retention took it away."
        raise GatewayError("not_found", "unknown_session", message)
    on = "" if after is None else "AND e.started_at >= $at::TIMESTAMP AND (e.started_at > $at::TIMESTAMP OR e.id > $last)"
    steps = house.ask(_EXCHANGES.format(_WHOSE, on, PAGE_ROWS + 1), whose | (after._asdict() if after else {}))
    found, curve = await asyncio.gather(steps, house.ask(_CURVE, whose))
    exchanges, following = paged(found)
    return {
        **whose,
        "owners": owners,
        "stopped": [_plain(each) for each in await _stopped(house) if _is(each, whose)],
        "may_resume": asked.person.may("manage-sessions"),
        "curve": curve,
        "rows": _steps(exchanges, await _calls(house, exchanges)),
        "spans": _spans(exchanges),
        "next": following,
        "first": after is None,
    }


async def resume(house: House, asked: Asked, fields: Mapping[str, str]) -> str:
    """Raises GatewayError."""
    session, why = fields.get("session", ""), said_why(fields)
    done = bool(session) and await asyncio.to_thread(
        house.sessions.resume, fields.get("owner", ""), session, by=asked.person.name, at_us=house.now_us(), why=why
    )
    if not done:
        raise GatewayError("not_found", "not_stopped", "This session is not stopped any more; load its page again.")
    return f"{HOME}/sessions/{addressed(session)}"


def said_why(fields: Mapping[str, str]) -> str:
    """The reason that a form gives. Raises GatewayError where there is none."""
    try:
        return line("why", fields.get("why", "").strip(), WHY_LENGTH)
    except ValueError as error:
        raise GatewayError("bad_request", "bad_request", f"Say why, in one line, for the book: {error}. Go back and mend it.") from error


async def _summed(house: House, wanted: Wanted, after: Place | None) -> tuple[Rows, str | None]:
    """Sums over what the filter finds of each session."""
    on = ""
    if after is not None:
        on = f"HAVING max(e.started_at) < $at::TIMESTAMP OR (max(e.started_at) = $at::TIMESTAMP AND {_ID} < $last)"
    sql = f"""
        SELECT {_ID} AS id, {_OWNER}, {_SUMS} FROM exchanges AS e WHERE {wanted.found.sql} AND e.session <> '' GROUP BY {_OWNER} {on}
        ORDER BY max(e.started_at) DESC, {_ID} DESC LIMIT {PAGE_ROWS + 1}
    """
    return paged(await house.ask(sql, wanted.found.named_in(sql) | (after._asdict() if after else {})))


async def _calls(house: House, exchanges: Rows) -> Rows:
    if not exchanges:
        return []
    earliest, ids = exchanges[0]["started_at"].removesuffix("Z"), " ".join(each["id"] for each in exchanges)
    return await house.ask(_CALLS, {"earliest": earliest, "ids": ids})


def _steps(exchanges: Rows, calls: Rows) -> Rows:
    """Exchanges, each with its calls after it, as one table."""
    steps: Rows = []
    for one in exchanges:
        told = {"at": one["started_at"], "what": "exchange", "name": one["model"], "outcome": one["state"], "released": None}
        steps.append({**told, "rule": one["error_code"], "cost": one["cost"], "duration_us": one["duration_us"], "exchange_id": one["id"]})
        steps += [_step(each) for each in calls if each["exchange_id"] == one["id"]]
    return steps


def _step(call: Mapping[str, Any]) -> dict[str, Any]:
    rule = " ".join(part for part in (call["policy"], call["rule"] or call["code"]) if part)
    told = {"at": call["decided_at"], "what": "call", "name": call["name"], "outcome": call["effect"], "released": call["released"]}
    return {**told, "rule": rule, "cost": None, "duration_us": call["judged_us"], "exchange_id": call["exchange_id"]}


def _spans(exchanges: Rows) -> Rows:
    """Microseconds from the first of this page."""
    if not exchanges:
        return []
    began = _moment_us(exchanges[0]["started_at"])
    kinds = {"denied": "bad", "rejected": "bad", "complete": ""}
    return [
        {
            "name": each["model"] or each["state"], "start": _moment_us(each["started_at"]) - began, "length": each["duration_us"] or 0,
            "kind": kinds.get(each["state"], "bar2"),
        }
        for each in exchanges
    ]  # fmt: skip


def _moment_us(text: str) -> float:
    return dt.datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=dt.UTC).timestamp() * 1e6


async def _stopped(house: House) -> list[Session]:
    """As the state store has it: what the next request is measured by."""
    found = await asyncio.to_thread(house.sessions.every, MOST_STOPPED)
    return [each for each in found if each.session != EVERY_SESSION]


def _is(stopped: Session, whose: Mapping[str, str]) -> bool:
    return stopped.session == whose["session"] and all(whose[name] in ("", getattr(stopped, name)) for name in _OWNED_BY)


def _plain(of: Session) -> dict[str, Any]:
    return {name: getattr(of, name) for name in ("owner", "session", *_OWNED_BY, "denials", "policy", "rule", "exchange")}


SESSIONS = Page("Sessions", "/sessions", "see-metadata", listed, "session_list.html", rows="rows", narrows=True)
SESSION = Page("Session", "/sessions/{subject:path}", "see-metadata", shown, "session.html", rows="rows", linked=False, narrows=True)
DEEDS = (Deed("/sessions/resume", "manage-sessions", resume, narrows=True),)
