"""Violations: calls that were withheld, asked about or flagged, what rules said of texts, what validators and parsers found; by rule, agent
and tool, and when. Nothing here is what was said: the exchange that each row leads to shows that, to who may read it.

The filter is that of the traces page. A term about calls (`tool:`, `rule:`, `decision:` …) finds calls alone: texts and findings are none.
What is equal in every column is one row with a number.
"""

# ruff: noqa: S608 - conditions are of `filter_sql`, which writes no value into them

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

from gateway.face.filter_sql import Where
from gateway.face.filters import OF_CALLS, FilterProblem
from gateway.face.page import Asked, House, Page, Rows, one_of
from gateway.face.wanted import DAYS, PAGE_ROWS, Place, Wanted, began, note, paged, place, read, told

KINDS = ("all", "calls", "texts", "findings")
MOST_RULES = 30
MOST_DATES = 14
"""Days that a heat map shows by date; of more it shows the days of the week."""
_FACETS = 8
_DECISIONS = frozenset({"allow", "warn", "redact", "ask", "deny", "unevaluated"})
"""What the filter knows as one; outcomes of texts and findings may be others."""
_RULE = ("what", "policy", "rule", "outcome", "times", "agents", "latest")
_WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CALLS = """
SELECT c.decided_at AS happened_at, 'call' AS what, c.id, c.exchange_id, c.agent, c.session, c.name AS tool,
       CASE WHEN c.effect = 'allow' AND c.released THEN 'would ' || c.would ELSE c.effect END AS outcome, c.released,
       coalesce(c.policy, '') AS policy, coalesce(nullif(c.rule, ''), c.code) AS rule, c.code, 1 AS times
FROM calls AS c
WHERE {of_calls} AND (NOT c.released OR c.effect IN ('deny', 'ask', 'warn', 'redact') OR c.would IN ('deny', 'ask')) AND {among}
"""
_TEXTS = """
SELECT h.decided_at AS happened_at, 'text' AS what,
       concat_ws(' ', h.exchange_id, h.policy, h.rule, h.hook, h.detector, h.effect, h.mode) AS id,
       h.exchange_id, e.agent, e.session, NULL AS tool, CASE WHEN h.mode = 'shadow' THEN 'would ' || h.effect ELSE h.effect END AS outcome,
       NULL AS released, h.policy, h.rule, concat_ws(' ', h.hook, h.detector) AS code, count(*) AS times
FROM rule_hits AS h JOIN exchanges AS e ON e.id = h.exchange_id
WHERE h.hook <> 'tool_call' AND h.decided_at >= {since} AND {own} GROUP BY ALL
"""
_FINDINGS = """
SELECT f.started_at AS happened_at, 'finding' AS what,
       concat_ws(' ', f.exchange_id, f.validator, f.code, f.severity, f.policy, f.rule) AS id,
       f.exchange_id, e.agent, e.session, NULL AS tool, f.severity AS outcome, NULL AS released, coalesce(f.policy, '') AS policy,
       coalesce(nullif(f.rule, ''), concat_ws(' ', f.validator, f.code)) AS rule, concat_ws(' ', f.validator, f.code) AS code,
       count(*) AS times
FROM findings AS f JOIN exchanges AS e ON e.id = f.exchange_id
WHERE (f.severity <> 'info' OR f.code = 'steered') AND f.started_at >= {since} AND {own} GROUP BY ALL
"""
_COUNTED = f"""
, rolled AS MATERIALIZED (
  SELECT what, policy, rule, outcome, agent, tool, happened_at::DATE AS day, hour(happened_at) AS hour, sum(times)::BIGINT AS times,
         max(happened_at) AS latest
  FROM found GROUP BY ALL
), rules AS (
  SELECT 'rule' AS counted, what, policy, rule, outcome, sum(times)::BIGINT AS times, count(DISTINCT agent) AS agents, max(latest) AS latest
  FROM rolled GROUP BY what, policy, rule, outcome ORDER BY times DESC, latest DESC, what, policy, rule, outcome
  LIMIT {MOST_RULES}
)
FROM rules UNION ALL BY NAME
SELECT 'hour' AS counted, day, hour, sum(times)::BIGINT AS times FROM rolled GROUP BY day, hour UNION ALL BY NAME
SELECT CASE WHEN grouping(agent) = 0 THEN 'agent' WHEN grouping(tool) = 0 THEN 'tool' ELSE 'decision' END AS counted,
       coalesce(agent, tool, outcome) AS value, sum(times)::BIGINT AS times
FROM rolled GROUP BY GROUPING SETS ((agent), (tool), (outcome))
"""
"""All that is counted, in one question: `found` is looked through once."""


async def data(house: House, asked: Asked) -> dict[str, Any]:
    kind = one_of(asked, "what", KINDS)
    said: dict[str, Any] = {"q": asked.params.get("q", ""), "what": kind, "days": DAYS, "problem": None}
    try:
        wanted = read(house, asked)
    except FilterProblem as problem:
        nothing: dict[str, Any] = {"rows": [], "rules": [], "facets": {}, "heat": None, "next": None}
        return {**said, **nothing, "problem": told(problem), "bounded": False, "began": True}
    found = _found(wanted, kind)
    after = place(asked)
    counting = [] if after else [_ask(house, wanted, f"{found} {_COUNTED}")]
    page, *counts = await asyncio.gather(_page(house, wanted, found, after), *counting)
    counted = counts[0] if counts else []
    rows, following = paged(page, at="happened_at")
    if wanted.looks:
        await note(house, asked, "violations", wanted, len(rows))
    hours = [row for row in counted if row["counted"] == "hour"]
    return {
        **said,
        "rows": rows,
        "rules": [{name: row[name] for name in _RULE} for row in counted if row["counted"] == "rule"],
        "facets": _facets(counted),
        "heat": _heat(hours, wanted, house.now()) if hours else None,
        "next": following,
        "bounded": wanted.since is not None,
        "began": bool(rows) or await began(house),
        "listen": house.settings.listen_address.url,
    }


def _found(wanted: Wanted, kind: str) -> str:
    """The beginning of every question here: `found` is what is asked about."""
    calls_only = any(term.field in OF_CALLS and not term.negated for term in wanted.terms)
    parts = []
    if kind in ("all", "calls"):
        parts.append(_CALLS.format(of_calls=wanted.found.of_calls, among=_among(wanted.found)))
    since = "$begin::TIMESTAMP"
    if kind in ("all", "texts") and not calls_only:
        parts.append(_TEXTS.format(since=since, own=wanted.found.sql))
    if kind in ("all", "findings") and not calls_only:
        parts.append(_FINDINGS.format(since=since, own=wanted.found.sql))
    nothing = _CALLS.format(of_calls="false", among="true")
    return f"WITH found AS ({' UNION ALL BY NAME '.join(parts or [nothing])})"


def _among(found: Where) -> str:
    return "true" if found.alone else f"c.exchange_id IN (SELECT e.id FROM exchanges AS e WHERE {found.sql})"


async def _page(house: House, wanted: Wanted, found: str, after: Place | None) -> Rows:
    on = "" if after is None else "WHERE happened_at < $at::TIMESTAMP OR (happened_at = $at::TIMESTAMP AND id < $last)"
    sql = f"{found} SELECT * FROM found {on} ORDER BY happened_at DESC, id DESC LIMIT {PAGE_ROWS + 1}"
    return await _ask(house, wanted, sql, after._asdict() if after else {})


async def _ask(house: House, wanted: Wanted, sql: str, more: Mapping[str, str] | None = None) -> Rows:
    begin = {"begin": wanted.began} if "$begin" in sql else {}
    return await house.ask(sql, {**wanted.found.named_in(sql), **begin, **(more or {})})


def _facets(counted: Rows) -> dict[str, Rows]:
    facets: dict[str, Rows] = {"decision": [], "agent": [], "tool": []}
    for row in sorted((row for row in counted if row["value"]), key=lambda row: (-row["times"], row["value"])):
        known = row["counted"] != "decision" or row["value"] in _DECISIONS
        if known and len(facets[row["counted"]]) < _FACETS:
            facets[row["counted"]].append({"value": row["value"], "count": row["times"]})
    return {name: rows for name, rows in facets.items() if rows}


def _heat(hours: Rows, wanted: Wanted, now: dt.datetime) -> dict[str, Any]:
    """Rows of 24 numbers: days by date, or days of the week where the time is long."""
    first, last = dt.datetime.fromisoformat(wanted.began).date(), now.date()
    dates = [first + dt.timedelta(days=n) for n in range((last - first).days + 1)] if (last - first).days < MOST_DATES else []
    names = [each.isoformat() for each in dates] or list(_WEEK)
    counts = {name: [0] * 24 for name in names}
    for row in hours:
        day = dt.date.fromisoformat(row["day"][:10])
        name = day.isoformat() if dates else _WEEK[day.weekday()]
        if name in counts:
            counts[name][row["hour"]] += row["times"]
    return {"rows": names, "values": [counts[name] for name in names], "by_week": not dates}


PAGE = Page("Violations", "/violations", "see-metadata", data, "violations.html", rows="rows", narrows=True)
