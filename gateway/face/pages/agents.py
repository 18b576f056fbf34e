"""Agents: who came, with which tools, models and prompts, at what cost; and one agent, with the switch that pauses it.

The list is of sums by day (`exchange_sums`, `call_sums`, `cost_daily`), so it costs the same however much was said. An agent is what keys
name; `anonymous` is whoever comes without one. A pause is of the state store: the next request of the agent is refused, by every worker.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

from gateway.errors import GatewayError
from gateway.face.door import HOME
from gateway.face.page import Asked, Deed, House, Page, Rows, named, whole
from gateway.face.pages.sessions import MOST_STOPPED, said_why
from gateway.face.rendering import addressed
from gateway.face.wanted import PAGE_ROWS, began, paged, place
from gateway.state.sessions import EVERY_SESSION, Session
from gateway.state.sessions import whole as whole_agent

DAYS = 7
MOST_DAYS = 366
MOST_ROWS = 100
_LIST = """
WITH spent AS (
  SELECT agent, sum(cost) AS cost, sum(unpriced)::BIGINT AS unpriced FROM cost_daily WHERE day >= $since::DATE GROUP BY agent
), told AS (
  SELECT agent, sum(exchanges)::BIGINT AS exchanges, sum(calls)::BIGINT AS calls, sum(denied)::BIGINT AS denied,
         count(DISTINCT prompt_hash) AS prompts, string_agg(DISTINCT model, ', ' ORDER BY model) AS models,
         min(first_seen) AS first_seen, max(last_seen) AS last_seen
  FROM exchange_sums WHERE day >= $since::DATE GROUP BY agent HAVING sum(exchanges) > 0
), tools AS (
  SELECT agent, count(DISTINCT name) AS tools FROM call_sums WHERE day >= $since::DATE GROUP BY agent
)
SELECT agent AS id, agent, exchanges, coalesce(tools, 0) AS tools, calls, denied, cost, unpriced, models, prompts, first_seen, last_seen
FROM told LEFT JOIN spent USING (agent) LEFT JOIN tools USING (agent)
WHERE $at = '' OR last_seen < TRY_CAST($at AS TIMESTAMP) OR (last_seen = TRY_CAST($at AS TIMESTAMP) AND agent < $last)
ORDER BY last_seen DESC, agent DESC LIMIT $most::INTEGER
"""
_DAYS = """
SELECT day, sum(exchanges)::BIGINT AS exchanges, sum(calls)::BIGINT AS calls, sum(denied)::BIGINT AS denied, sum(cost) AS cost
FROM cost_daily WHERE agent = $agent AND day >= $since::DATE GROUP BY day ORDER BY day
"""
_MODELS = f"""
SELECT provider, model, sum(exchanges)::BIGINT AS exchanges, sum(cost) AS cost, sum(unpriced)::BIGINT AS unpriced,
       sum(input_tokens)::BIGINT AS input_tokens, sum(output_tokens)::BIGINT AS output_tokens
FROM cost_daily WHERE agent = $agent AND day >= $since::DATE GROUP BY ALL
ORDER BY cost DESC NULLS LAST, exchanges DESC, provider, model LIMIT {MOST_ROWS}
"""  # noqa: S608 - constant
_TOOLS = f"""
SELECT name AS tool, count(*) AS calls, count(*) FILTER (released) AS released, count(*) FILTER (NOT released) AS withheld,
       count(*) FILTER (effect = 'deny') AS denied, count(*) FILTER (effect = 'ask') AS asked,
       count(*) FILTER (effect IN ('warn', 'redact')) AS noted, count(*) FILTER (effect = 'unevaluated') AS unevaluated,
       min(decided_at) AS first_called, max(decided_at) AS last_called
FROM calls WHERE agent = $agent AND decided_at >= $since::TIMESTAMP GROUP BY name ORDER BY calls DESC, name LIMIT {MOST_ROWS}
"""  # noqa: S608 - constant
_PROMPTS = f"""
SELECT prompt_hash, sum(exchanges)::BIGINT AS exchanges, sum(denied)::BIGINT AS denied, min(first_seen) AS first_seen,
       max(last_seen) AS last_seen
FROM exchange_sums WHERE agent = $agent AND day >= $since::DATE AND prompt_hash IS NOT NULL GROUP BY prompt_hash
ORDER BY last_seen DESC, prompt_hash LIMIT {MOST_ROWS}
"""  # noqa: S608 - constant
_PAUSES = """
SELECT DISTINCT change, changed_at, state, changed_by, why FROM session_changes
WHERE session = '' AND agent = $agent ORDER BY changed_at DESC, change DESC LIMIT 20
"""
_EVER = "SELECT max(last_seen) AS last_seen FROM exchange_sums WHERE agent = $agent"


async def listed(house: House, asked: Asked) -> dict[str, Any]:
    days, after = whole(asked, "days", DAYS, MOST_DAYS), place(asked)
    params = {"since": _since(house, days), "most": PAGE_ROWS + 1, "at": after.at if after else "", "last": after.last if after else ""}
    found, paused = await asyncio.gather(house.ask(_LIST, params), _paused(house))
    rows, following = paged(found, at="last_seen")
    seen = {row["agent"] for row in rows}
    return {
        "days": days,
        "rows": [{**row, "paused": row["agent"] in paused} for row in rows],
        "paused": [_plain(each) for each in paused.values() if each.agent not in seen],
        "next": following,
        "began": bool(rows) or await began(house),
        "listen": house.settings.listen_address.url,
    }


async def shown(house: House, asked: Asked) -> dict[str, Any]:
    agent, days = named(asked), whole(asked, "days", DAYS, MOST_DAYS)
    params = {"agent": agent, "since": _since(house, days)}
    paused = (await _paused(house)).get(agent)
    ever = (await house.ask(_EVER, {"agent": agent}))[0]["last_seen"]
    if paused is None and ever is None:
        message = "No agent of that name has come, or the book does not have it yet (wait a second). The page Agents lists those that have."
        raise GatewayError("not_found", "unknown_agent", message)
    by_day, models, tools, prompts = await asyncio.gather(*(house.ask(sql, params) for sql in (_DAYS, _MODELS, _TOOLS, _PROMPTS)))
    return {
        "agent": agent,
        "days": days,
        "last_seen": ever,
        "paused": _plain(paused) if paused else None,
        "may_pause": asked.person.may("manage-sessions") and house.teams is None,
        "by_day": _every_day(by_day, params["since"], days),
        "models": models,
        "rows": tools,
        "prompts": prompts,
        "pauses": await house.ask(_PAUSES, {"agent": agent}),
    }


async def switch(house: House, asked: Asked, fields: Mapping[str, str]) -> str:
    """Pauses an agent, or lets it go on. Raises GatewayError."""
    agent, why = fields.get("agent", ""), said_why(fields)
    if not agent or fields.get("what") not in ("pause", "resume"):
        raise GatewayError("bad_request", "bad_request", "Say which agent, and whether it is paused or goes on: load its page again.")
    if fields.get("sure") != "yes":
        raise GatewayError("bad_request", "not_confirmed", "Nothing was done: tick the box that says what will happen, and send it again.")
    who, now = asked.person.name, house.now_us()
    if fields["what"] == "pause":
        done = await asyncio.to_thread(house.sessions.pause, agent, by=who, why=why, at_us=now)
    else:
        done = await asyncio.to_thread(house.sessions.resume, whole_agent(agent), EVERY_SESSION, by=who, at_us=now, why=why)
    if not done:
        raise GatewayError("bad_request", "done_already", "Somebody else was quicker: it is so already. Load the page again.")
    return f"{HOME}/agents/{addressed(agent)}"


def _since(house: House, days: int) -> str:
    """The first of so many days, the last of which is today: UTC."""
    return (house.now().date() - dt.timedelta(days=days - 1)).isoformat()


def _every_day(rows: Rows, since: str, days: int) -> Rows:
    """Days on which nothing happened stand there too."""
    found = {row["day"][:10]: row for row in rows}
    names = [(dt.date.fromisoformat(since) + dt.timedelta(days=n)).isoformat() for n in range(days)]
    nothing = {"exchanges": 0, "calls": 0, "denied": 0, "cost": "0"}
    return [{**nothing, **found.get(name, {}), "day": name} for name in names]


async def _paused(house: House) -> dict[str, Session]:
    found = await asyncio.to_thread(house.sessions.every, MOST_STOPPED)
    return {each.agent: each for each in found if each.session == EVERY_SESSION}


def _plain(of: Session) -> dict[str, Any]:
    at = dt.datetime.fromtimestamp(of.changed_us / 1e6, dt.UTC).replace(tzinfo=None)
    return {"agent": of.agent, "by": of.changed_by, "why": of.why, "at": at.isoformat() + "Z"}


AGENTS = Page("Agents", "/agents", "see-metadata", listed, "agent_list.html", rows="rows", narrows=True)
AGENT = Page("Agent", "/agents/{subject:path}", "see-metadata", shown, "agent.html", rows="rows", linked=False, narrows=True)
DEEDS = (Deed("/agents/switch", "manage-sessions", switch),)
