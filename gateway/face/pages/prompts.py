"""Prompts: the versions that are kept and those that agents bring, with what came of each; two of them side by side; and what has drifted.

A version that an agent brings is its template: what is left of it without what changes from request to request. Texts are shown to who may
read content, and that they were is on record first; counts are for everybody.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.face import differences
from gateway.face.page import Asked, House, Page, Rows, whole
from gateway.rollout import drifting
from gateway.stores import Refused
from gateway.trace.people_rows import ReadRow
from gateway.trace.record import ContentRead
from gateway.web.queries import read_all

DAYS, MOST_DAYS = 30, 365
MOST = 500
KEPT, FOUND = "kept", "found"
_KEPT = """
SELECT k.name AS prompt, k.version, k.first_loaded AS first_seen, k.last_loaded AS last_seen, k.author, k.last_commit, k.committed,
       k.labels, m.who AS promoted_by
FROM kept_prompts AS k LEFT JOIN (SELECT name, version, arg_max(who, moved_at) AS who FROM prompt_moves GROUP BY ALL) AS m
  ON m.name = k.name AND m.version = k.version
ORDER BY k.last_loaded DESC, k.name, k.version LIMIT 500
"""
_FOUND = """
SELECT agent AS prompt, template_hash AS version, first_seen, last_seen, deployed, kept_prompt, versions, last_prompt_hash, first_exchange
FROM prompt_templates ORDER BY last_seen DESC, agent, template_hash LIMIT 500
"""
_OUTCOMES = """
SELECT prompt, version, kept, count(*) AS answers, sum(cost) AS cost, count(*) FILTER (cost IS NULL) AS unpriced,
       sum(calls)::BIGINT AS calls, sum(withheld)::BIGINT AS withheld, count(*) FILTER (refused) AS refused,
       count(*) FILTER (findings > 0) AS with_findings, median(output_tokens) AS output_tokens, median(duration_us) AS duration_us
FROM prompt_outcomes WHERE started_at >= $since::TIMESTAMP GROUP BY ALL
"""
_SOURCE = "SELECT source FROM kept_prompts WHERE name = $prompt AND version = $version"
_LAST = "SELECT last_prompt_hash FROM prompt_templates WHERE agent = $prompt AND template_hash = $version"
_NOTHING = {
    "answers": 0, "cost": None, "unpriced": 0, "calls": 0, "withheld": 0, "refused": 0, "with_findings": 0, "output_tokens": None,
    "duration_us": None,
}  # fmt: skip


async def data(house: House, asked: Asked) -> dict[str, Any]:
    days = whole(asked, "days", DAYS, MOST_DAYS)
    rows = await _versions(house, days)
    return {"days": days, "rows": rows, "served": house.settings.prompts, "may_read": asked.person.may("see-content")}


async def _versions(house: House, days: int) -> Rows:
    """The latest first."""
    since = (house.now() - dt.timedelta(days=days)).isoformat()
    kept, found, counted = await asyncio.gather(house.ask(_KEPT), house.ask(_FOUND), house.ask(_OUTCOMES, {"since": since}))
    came = {(row["prompt"], row["version"], row["kept"]): {name: row[name] for name in _NOTHING} for row in counted}
    rows = [_version(KEPT, row, came) for row in kept] + [_version(FOUND, row, came) for row in found]
    return sorted(rows, key=lambda row: row["last_seen"] or "", reverse=True)[:MOST]


def _version(kind: str, row: Mapping[str, Any], came: Mapping[tuple[str, str, bool], Mapping[str, Any]]) -> dict[str, Any]:
    about = {name: row[name] for name in ("prompt", "version", "first_seen", "last_seen")}
    return {
        "id": f"{kind}:{row['prompt']}:{row['version']}",
        "kind": kind,
        **about,
        "labels": ", ".join(row.get("labels") or ()),
        "by": _by(row) if kind == KEPT else ("" if row["deployed"] else "nobody deployed it"),
        "served_from": row.get("kept_prompt") or "",
        "texts": row.get("versions"),
        **came.get((row["prompt"], row["version"], kind == KEPT), _NOTHING),
    }


def _by(row: Mapping[str, Any]) -> str:
    """Who stands for a kept version."""
    if row["promoted_by"]:
        return f"promoted by {row['promoted_by']}"
    if row["committed"] is False:
        return "nobody committed it"
    return f"{row['author']} ({row['last_commit'][:12]})" if row["author"] else ""


async def compared(house: House, asked: Asked) -> dict[str, Any]:
    """Two versions. Raises GatewayError, JournalUnavailable."""
    days, least = whole(asked, "days", DAYS, MOST_DAYS), whole(asked, "least", 50, 1000)
    rows = await _versions(house, MOST_DAYS)
    one, other = (_named(rows, asked, which) for which in ("before", "after"))
    both = [each for each in (one, other) if each]
    may, texts = asked.person.may("see-content"), ["", ""]
    if may and one and other:
        subject = f"prompts {one['id']} and {other['id']}"[:1000]
        await house.write(ContentRead(ReadRow(house.new_id(), house.now_us(), asked.person.name, "list", subject, "", len(both))))
        texts = [await _text(house, each) for each in both]
    return {
        "versions": rows,
        "days": days,
        "least": least,
        "before": one,
        "after": other,
        "may_read": may,
        "lines": differences.lines(*texts),
        "legible": all(texts),
        "outcome": msgspec.to_builtins(await _outcome(house, one, other, days, least)) if one and other else None,
    }


def _named(rows: Rows, asked: Asked, which: str) -> dict[str, Any] | None:
    """Raises GatewayError."""
    name = asked.params.get(which, "")
    found = next((row for row in rows if row["id"] == name), None)
    if name and found is None:
        raise GatewayError("not_found", "unknown_version", f"'{which}' is no version that the book knows; the page of prompts lists them.")
    return found


async def _text(house: House, version: Mapping[str, Any]) -> str:
    """As it was written, or as it came last; empty where the book does not hold it."""
    about = {"prompt": version["prompt"], "version": version["version"]}
    if version["kind"] == KEPT:
        return next((row["source"] or "" for row in await house.ask(_SOURCE, about)), "")
    hashes = [row["last_prompt_hash"] for row in await house.ask(_LAST, about)]
    try:
        found = await asyncio.to_thread(house.reader.prompt, hashes[0], version["prompt"]) if hashes else None
    except Refused as refused:
        raise GatewayError("unavailable", refused.code, f"The book cannot answer just now: {refused.message}. Try again.") from refused
    return "" if found is None else f"{found['system'] or ''}\n{differences.spread(found['tools'] or '')}".strip()


async def _outcome(
    house: House, one: Mapping[str, Any], other: Mapping[str, Any], days: int, least: int
) -> drifting.Drift | None:
    """Whether what came of the second is what came of the first, in the same days; None where nothing came of one."""
    found = await _samples(house, days, 0)
    rows = [next((row for row in found if row["late"] and _is(row, each)), None) for each in (one, other)]
    if rows[0] is None or rows[1] is None:
        return None
    return await asyncio.to_thread(drifting.compared, rows[0], rows[1], least)


def _is(row: Mapping[str, Any], version: Mapping[str, Any]) -> bool:
    return (row["prompt"], row["version"], row["kept"]) == (version["prompt"], version["version"], version["kind"] == KEPT)


async def drifted(house: House, asked: Asked) -> dict[str, Any]:
    days, baseline = whole(asked, "days", 7, MOST_DAYS), whole(asked, "baseline", 28, 3650)
    least = whole(asked, "least", 50, 1000)
    rows = await _samples(house, days, baseline)
    found = [msgspec.to_builtins(each) for each in await asyncio.to_thread(drifting.judged, rows, least)]
    return {"days": days, "baseline": baseline, "least": least, "versions": found, "rows": _measures(found)}


def _measures(found: Rows) -> Rows:
    """One row a measure, for the table and its CSV."""
    about = ("prompt", "version", "kept", "baseline", "answers", "verdict")
    return [{**{name: each[name] for name in about}, **measure} for each in found for measure in each["measures"]]


async def _samples(house: House, days: int, baseline: int) -> Rows:
    """What `tollhouse prompts drift` compares."""
    return await house.ask(read_all()["prompt_samples"].sql, {"prompt": "%", "days": str(days), "baseline": str(baseline)})


PAGE = Page("Prompts", "/prompts", "see-metadata", data, "prompts.html", rows="rows")
COMPARE = Page("Two prompts", "/prompts/compare", "see-metadata", compared, "prompts_compared.html", linked=False)
DRIFT = Page("Drift", "/prompts/drift", "see-metadata", drifted, "prompts_drift.html", rows="rows", linked=False)
