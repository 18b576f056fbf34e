"""Cost: what was spent in the last days, by day and by whom, of which tokens, what the cache saved, what has no price; how budgets stand.

Everything is of the exchanges that the filter finds, so that the parts come to the sum. What is not known is not zero: such exchanges are
counted beside the sum. Prices are per model, not per class of token, on record: tokens are shown by class, their cost is not.

What a budget took is of everybody whom it counts for: who is bound to teams is shown budgets that are counted by team, and told of it.
"""

# ruff: noqa: S608 - conditions are of `filter_sql`, columns are ours

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

from gateway.face.filters import FilterProblem
from gateway.face.page import Asked, House, Page, Rows, one_of, unavailable, whole
from gateway.face.wanted import Wanted, began, note, read, told
from gateway.stores import Refused
from gateway.web.budgets import BudgetsDesk

DAYS = 7
MOST_DAYS = 366
MOST_ROWS = 20
MOST_SERIES = 30
"""Values of the chosen dimension that are told day by day."""
BY: Mapping[str, str] = {
    "model": "coalesce(e.response_model, e.request_model)", "agent": "e.agent", "org": "e.org", "team": "e.team", "key": "e.key_id",
    "route": "e.route", "provider": "e.provider", "user": 'e."user"', "prices": "e.price_version",
}  # fmt: skip
"""What cost is told by, and by which column."""
TOKENS: Mapping[str, str] = {
    "input_tokens": "read", "cache_read_tokens": "read from the provider's cache", "cache_write_tokens": "written to its cache",
    "cache_write_1h_tokens": "written to its longer cache", "output_tokens": "written", "reasoning_tokens": "thought",
    "audio_input_tokens": "heard", "audio_cache_read_tokens": "heard from cache", "image_input_tokens": "seen",
    "audio_output_tokens": "spoken", "image_output_tokens": "drawn",
}  # fmt: skip
WHY_UNPRICED = """
CASE WHEN estimate IS NOT NULL THEN 'nobody heard the answer to its end'
     WHEN list_has_any(not_priced, ['usage', 'total_tokens']) THEN 'the provider''s counts do not fit together'
     WHEN list_contains(not_priced, 'model') THEN 'no price for the model'
     WHEN len(not_priced) > 0 THEN 'no price for ' || array_to_string(list_sort(not_priced), ', ')
     WHEN input_tokens IS NULL OR output_tokens IS NULL THEN 'the provider gave no usage'
     ELSE 'no price for the model' END"""
"""As the saved query `unpriced_models` says it."""
_UNPRICED = "count(*) FILTER (e.cost IS NULL AND e.state NOT IN ('open', 'rejected'))"
_SUMS = f"count(*) AS exchanges, sum(e.cost) AS cost, {_UNPRICED} AS unpriced, sum(e.saved_cost) AS saved"
_CLASSES = ", ".join(f"sum(e.{name})::BIGINT AS {name}" for name in TOKENS)
_TOTAL = f"""
SELECT {_SUMS}, count(*) FILTER (e.cache = 'hit') AS hits, count(*) FILTER (e.cache IS NOT NULL) AS looked,
       count(DISTINCT e.agent) AS agents, {_CLASSES}
FROM exchanges AS e WHERE {{}}
"""
_NO_PRICE = f"""
SELECT e.provider, coalesce(e.response_model, e.request_model) AS model,
       {WHY_UNPRICED} AS why,
       count(*) AS exchanges
FROM exchanges AS e WHERE e.cost IS NULL AND e.state NOT IN ('open', 'rejected') AND {{}}
GROUP BY ALL ORDER BY exchanges DESC, provider, model, why LIMIT {MOST_ROWS}
"""


async def data(house: House, asked: Asked) -> dict[str, Any]:
    by, days = one_of(asked, "by", tuple(BY)), whole(asked, "days", DAYS, MOST_DAYS)
    said: dict[str, Any] = {"q": asked.params.get("q", ""), "by": by, "days": days, "problem": None, "dimensions": [*BY]}
    try:
        wanted = read(house, asked, days)
    except FilterProblem as problem:
        return {**said, "problem": told(problem), "rows": [], "bounded": False, "began": True}
    if wanted.looks:
        await note(house, asked, "cost", wanted, 0)
    questions = (_TOTAL, _dimensions(), _daily(BY[by]), _NO_PRICE)
    total, parts, daily, no_price = await asyncio.gather(*(_ask(house, wanted, sql) for sql in questions))
    return {
        **said,
        "bounded": wanted.since is not None,
        "total": total[0],
        "parts": _parts(parts),
        "rows": daily,
        "chart": _chart(daily, wanted, house.now()),
        "tokens": [{"class": text, "tokens": total[0][name]} for name, text in TOKENS.items() if total[0][name]],
        "no_price": no_price,
        "budgets": await _budgets(house),
        "budgets_of_teams": house.teams is not None,
        "began": bool(total[0]["exchanges"]) or await began(house),
        "listen": house.settings.listen_address.url,
    }


async def _ask(house: House, wanted: Wanted, sql: str) -> Rows:
    asked = sql.format(wanted.found.sql)
    return await house.ask(asked, wanted.found.named_in(asked))


def _dimensions() -> str:
    """One pass over the exchanges for all of them; `which` says of what a row is."""
    columns = ", ".join(f"{expression} AS {name}_" for name, expression in BY.items())
    names = [f"{name}_" for name in BY]
    which = " ".join(f"WHEN grouping({name}) = 0 THEN '{name[:-1]}'" for name in names)
    sets = ", ".join(f"({name})" for name in names)
    return f"""
        WITH e AS (SELECT {columns}, e.cost, e.state, e.saved_cost FROM exchanges AS e WHERE {{}})
        SELECT CASE {which} END AS which, coalesce({", ".join(names)}) AS value, {_SUMS}
        FROM e GROUP BY GROUPING SETS ({sets})
        QUALIFY row_number() OVER (PARTITION BY which ORDER BY sum(e.cost) DESC NULLS LAST, count(*) DESC, value) <= {MOST_ROWS}
        ORDER BY which, cost DESC NULLS LAST, exchanges DESC, value
    """


def _daily(column: str) -> str:
    """By day and the chosen dimension: those values that cost most have rows of their own."""
    return f"""
        WITH e AS (SELECT e.started_at::DATE AS day, coalesce({column}, '') AS value, e.cost, e.state, e.saved_cost
                   FROM exchanges AS e WHERE {{}}),
        most AS (SELECT value FROM e GROUP BY value ORDER BY sum(cost) DESC NULLS LAST, count(*) DESC, value LIMIT {MOST_SERIES})
        SELECT e.day, CASE WHEN most.value IS NULL THEN '(others)' ELSE e.value END AS value, {_SUMS}
        FROM e LEFT JOIN most USING (value) GROUP BY ALL ORDER BY day, cost DESC NULLS LAST, value
    """


def _parts(rows: Rows) -> dict[str, Rows]:
    parts: dict[str, Rows] = {name: [] for name in BY}
    for row in rows:
        parts[row["which"]].append({name: row[name] for name in ("value", "exchanges", "cost", "unpriced", "saved")})
    return {name: found for name, found in parts.items() if any(each["value"] for each in found)}


def _chart(daily: Rows, wanted: Wanted, now: dt.datetime) -> dict[str, Any]:
    """A series for each value, what costs most first; days without an exchange stand there too."""
    first = dt.datetime.fromisoformat(wanted.began).date()
    first = max(first, now.date() - dt.timedelta(days=MOST_DAYS))
    names = [(first + dt.timedelta(days=n)).isoformat() for n in range((now.date() - first).days + 1)]
    found = {(row["day"][:10], row["value"]): None if row["cost"] is None else float(row["cost"]) for row in daily}
    cost: dict[str, float] = {}
    for (_, value), amount in found.items():
        cost[value] = cost.get(value, 0.0) + (amount or 0.0)
    values = sorted(cost, key=lambda value: -cost[value])
    return {"days": names, "series": {value or "none": [found.get((day, value), 0.0) for day in names] for value in values}}


async def _budgets(house: House) -> Rows:
    """How each stands, by the state store. Raises GatewayError."""
    budgets = [each for each in house.settings.budgets if house.teams is None or each.per == "team"]
    if not budgets:
        return []
    desk = BudgetsDesk(budgets, house.limits, house.fetch, house.write, house.now_us, house.new_id)
    try:
        found = await asyncio.to_thread(desk.summaries)
    except Refused as refused:
        raise unavailable(refused) from refused
    return [_standing(each, house.now()) for each in found]


def _standing(budget: Mapping[str, Any], now: dt.datetime) -> dict[str, Any]:
    fullest = budget["fullest"]
    taken, most = (float(fullest.taken) if fullest else 0.0), float(budget["max"])
    named = {name: budget[name] for name in ("id", "per", "of", "window", "action", "max", "subjects")}
    standing = {"subject": "", "taken": "0", "reserved": "0", "left": budget["max"]}
    if fullest:
        standing = {name: getattr(fullest, name) for name in standing}
    return {**named, **standing, "share": taken / most if most else None, "ends": _ends(str(budget["window"]), now)}


def _ends(window: str, now: dt.datetime) -> str:
    """When what was taken of it counts no more."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if window == "day":
        return (midnight + dt.timedelta(days=1)).isoformat() + "Z"
    if window == "month":
        return (midnight.replace(day=1) + dt.timedelta(days=32)).replace(day=1).isoformat() + "Z"
    return ""


PAGE = Page("Cost", "/cost", "see-metadata", data, "cost.html", rows="rows", narrows=True)
