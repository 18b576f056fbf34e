"""Overview: how things stand. Everything is of the last hours (`?hours=24`), but for what waits just now."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

from gateway.face.page import Asked, House, Page, Rows, whole

BAD_ENDS = "('upstream_error', 'upstream_reset', 'upstream_timeout', 'incomplete', 'interrupted')"
MOST_HOURS = 31 * 24
_TOTALS = f"""
SELECT count(*) AS exchanges, count(DISTINCT session) FILTER (session <> '') AS sessions, count(DISTINCT agent) AS agents,
       count(*) FILTER (state IN {BAD_ENDS}) AS errors, count(*) FILTER (state = 'open') AS open,
       sum(cost) AS cost, count(*) FILTER (cost IS NULL AND state NOT IN ('open', 'rejected')) AS unpriced,
       approx_quantile(duration_us, 0.95) FILTER (state <> 'open') AS p95_us,
       approx_quantile(overhead_us, 0.95) FILTER (state <> 'open') AS overhead_p95_us,
       count(*) FILTER (NOT enforcing) AS observed
FROM exchanges WHERE started_at >= $since::TIMESTAMP
"""  # noqa: S608 - constant
_CALLS = """
SELECT count(*) AS calls, count(*) FILTER (NOT released) AS denied,
       count(*) FILTER (released AND would IN ('deny', 'ask')) AS would_deny
FROM calls WHERE decided_at >= $since::TIMESTAMP
"""
_HOURS = f"""
SELECT date_trunc('hour', started_at) AS hour, count(*) AS exchanges, coalesce(sum(denied), 0)::BIGINT AS denied, sum(cost) AS cost,
       count(*) FILTER (state IN {BAD_ENDS}) AS errors
FROM exchanges WHERE started_at >= $since::TIMESTAMP GROUP BY 1 ORDER BY 1
"""  # noqa: S608 - constant
_DENIALS = """
SELECT decided_at, agent, name AS tool, effect, policy, rule, code, id, exchange_id
FROM calls WHERE NOT released AND decided_at >= $since::TIMESTAMP ORDER BY decided_at DESC, id DESC LIMIT 10
"""
_ANY = "SELECT 1 AS one FROM exchanges LIMIT 1"


async def data(house: House, asked: Asked) -> dict[str, Any]:
    hours = whole(asked, "hours", 24, MOST_HOURS)
    since = (house.now() - dt.timedelta(hours=hours - 1)).replace(minute=0, second=0, microsecond=0)
    params = {"since": since.isoformat()}
    questions = [house.ask(sql, params) for sql in (_TOTALS, _CALLS, _HOURS, _DENIALS)]
    totals, calls, by_hour, denials, some = await asyncio.gather(*questions, house.ask(_ANY))
    status = await asyncio.to_thread(house.status)
    waiting = await asyncio.to_thread(house.approvals.every, "pending")
    return {
        "hours": hours,
        "since": params["since"] + "Z",
        "totals": {**totals[0], **calls[0], "deny_rate": _share(calls[0]["denied"], calls[0]["calls"])},
        "waiting": sum(each.expires_us > house.now_us() for each in waiting),
        "by_hour": _every_hour(by_hour, since, hours),
        "denials": denials,
        "ready": status.ready,
        "problems": [text for text in (status.problem, *status.quarantined.values(), *status.warnings) if text],
        "lag_bytes": status.lag_bytes if house.teams is None else None,
        "began": bool(some),
        "listen": house.settings.listen_address.url,
    }


def _share(part: int, whole_: int) -> float | None:
    return part / whole_ if whole_ else None


def _every_hour(rows: Rows, since: dt.datetime, hours: int) -> Rows:
    """Hours without an exchange stand there too."""
    found = {row["hour"][:13]: row for row in rows}
    names = [(since + dt.timedelta(hours=n)).isoformat(timespec="hours") for n in range(hours)]
    nothing = {"hour": "", "exchanges": 0, "denied": 0, "cost": "0", "errors": 0}
    return [{**nothing, **found.get(name, {}), "hour": f"{name}:00:00Z"} for name in names]


PAGE = Page("Overview", "/overview", "see-metadata", data, "overview.html", rows="by_hour", narrows=True)
