"""Traces: exchanges, newest first, as a filter finds them (`filters`, `wanted`); counts at the side, columns as one likes, a live tail.

1. What was said is shown only for those who may read content, and that they did is on record first.
2. The live tail tells which exchanges ended, and asks the ledger for those of them that the same filter finds.
3. A team is shown where an exchange has one; other columns where the address asks for them (`?c_user=1`).
"""

# ruff: noqa: S608 - conditions are of `filter_sql`, which writes no value into them

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.face.filters import FilterProblem
from gateway.face.page import Asked, House, Page, Rows
from gateway.face.rendering import TRACE_COLUMNS, trace_cells
from gateway.face.wanted import DAYS, PAGE_ROWS, Place, Wanted, began, note, paged, place, read, told
from gateway.trace.hand import about_exchange

TICK_S = 1.0
MOST_TOLD = 200
_FACETS = 8
_COLUMNS = """
e.id, e.started_at, e.agent, e."user", e.session, coalesce(e.response_model, e.request_model) AS model, e.state, e.calls, e.denied, e.cost,
e.duration_us, e.overhead_us, e.input_tokens, e.output_tokens, e.enforcing, e.error_code, e.org, e.team, e.key_id, e.route, e.provider,
e.prompt_hash
"""
_TEXTS = "e.input_preview, e.output_preview"


async def data(house: House, asked: Asked) -> dict[str, Any]:
    said: dict[str, Any] = {"q": asked.params.get("q", ""), "days": DAYS, "problem": None, "columns": _columns(asked), "words": False}
    try:
        wanted = read(house, asked)
    except FilterProblem as problem:
        return {**said, "problem": told(problem), "rows": [], "next": None, "facets": {}, "bounded": False, "began": True}
    words = _shows_words(asked)
    rows, following = await _exchanges(house, wanted, place(asked), words=words)
    if wanted.looks or words:
        await note(house, asked, "traces", wanted, len(rows))
    return {
        **said,
        "rows": await _opened(house, rows) if words else rows,
        "columns": _columns(asked, rows),
        "next": following,
        "facets": await _facets(house, wanted) if "before" not in asked.params else {},
        "words": words,
        "bounded": wanted.since is not None,
        "began": bool(rows) or await began(house),
        "listen": house.settings.listen_address.url,
    }


def _shows_words(asked: Asked) -> bool:
    return asked.params.get("show") == "text" and asked.person.may("see-content")


def _columns(asked: Asked, rows: Sequence[Mapping[str, Any]] = ()) -> list[str]:
    """Those beside the usual ones."""
    teams = any(row["team"] or row["org"] for row in rows)
    return [name for name in TRACE_COLUMNS if asked.params.get(f"c_{name}") == "1" or (name == "team" and teams)]


def live(house: House, asked: Asked) -> AsyncIterator[dict[str, Any]]:
    """Rows as they end, as cells. Raises GatewayError."""
    try:
        return _told(house, asked, read(house, asked))
    except FilterProblem as problem:
        raise GatewayError("bad_request", "bad_filter", problem.message) from problem


async def _told(house: House, asked: Asked, wanted: Wanted) -> AsyncIterator[dict[str, Any]]:
    """At most 200 rows a second, and how many more there were."""
    if wanted.looks:
        await note(house, asked, "traces", wanted, 0)
    columns, following = _columns(asked), house.subscribe()
    try:
        while (ended := await _ended(following)) is not None:
            rows = await _among(house, wanted, ended) if ended else []
            if rows:
                told_now = [{"id": row["id"], "cells": trace_cells(row, columns)} for row in rows[:MOST_TOLD]]
                yield {"rows": told_now, "more": len(rows[MOST_TOLD:])}
    finally:
        following.close()


async def _exchanges(house: House, wanted: Wanted, after: Place | None, *, words: bool) -> tuple[Rows, str | None]:
    on = "" if after is None else "AND e.started_at <= $at::TIMESTAMP AND (e.started_at < $at::TIMESTAMP OR e.id < $last)"
    columns = f"{_COLUMNS}, {_TEXTS}" if words else _COLUMNS
    order = f"ORDER BY e.started_at DESC, e.id DESC LIMIT {PAGE_ROWS + 1}"
    sql = f"SELECT {columns} FROM exchanges AS e WHERE {wanted.found.sql} {on} {order}"
    return paged(await house.ask(sql, wanted.found.named_in(sql) | (after._asdict() if after else {})))


async def _facets(house: House, wanted: Wanted) -> dict[str, Rows]:
    """How often the most frequent values come, among what the filter finds."""
    found = wanted.found
    own = f"""
        SELECT CASE WHEN grouping(e.agent) = 0 THEN 'agent' WHEN grouping(e.state) = 0 THEN 'state' ELSE 'model' END AS field,
               coalesce(e.agent, e.state, coalesce(e.response_model, e.request_model)) AS value, count(*) AS exchanges
        FROM exchanges AS e WHERE {found.sql}
        GROUP BY GROUPING SETS ((e.agent), (e.state), (coalesce(e.response_model, e.request_model)))
    """
    among = "true" if found.alone else f"c.exchange_id IN (SELECT e.id FROM exchanges AS e WHERE {found.sql})"
    of_calls = f"""
        SELECT CASE WHEN grouping(c.effect) = 0 THEN 'decision' ELSE 'tool' END AS field, coalesce(c.effect, c.name) AS value,
               count(*) AS exchanges
        FROM calls AS c WHERE {found.of_calls} AND {among} GROUP BY GROUPING SETS ((c.effect), (c.name))
    """
    counted = await asyncio.gather(*(house.ask(sql, found.named_in(sql)) for sql in (own, of_calls)))
    facets: dict[str, Rows] = {name: [] for name in ("decision", "state", "agent", "model", "tool")}
    for row in sorted((row for rows in counted for row in rows if row["value"]), key=lambda row: (-row["exchanges"], row["value"])):
        if len(facets[row["field"]]) < _FACETS:
            facets[row["field"]].append({"value": row["value"], "count": row["exchanges"]})
    return {name: rows for name, rows in facets.items() if rows}


async def _opened(house: House, rows: Rows) -> Rows:
    """With what was said, opened where it is sealed."""
    return await asyncio.to_thread(
        lambda: [house.reader.opened(row, about_exchange(row["id"]), "input_preview", "output_preview") for row in rows]
    )


class _Line(msgspec.Struct):
    record: str = ""
    id: str = ""
    at: str = ""


_line = msgspec.json.Decoder(_Line).decode


async def _ended(following: Any) -> list[_Line] | None:
    """Exchanges that ended within about a second; None when nothing more comes."""
    found: list[_Line] = []
    line = await following.next_line()
    until = asyncio.get_running_loop().time() + TICK_S
    while line is not None:
        one = _line(line)
        if one.record == "exchange":
            found.append(one)
        try:
            line = await asyncio.wait_for(following.next_line(), max(0.0, until - asyncio.get_running_loop().time()))
        except TimeoutError:
            return found
    return found or None


async def _among(house: House, wanted: Wanted, ended: list[_Line]) -> Rows:
    """Those of them that the filter finds, oldest first."""
    bound = "AND e.started_at >= $earliest::TIMESTAMP AND e.id IN (SELECT unnest(string_split($ids, ' ')))"
    more = {"earliest": min(one.at for one in ended).removesuffix("Z"), "ids": " ".join(one.id for one in ended)}
    sql = f"SELECT {_COLUMNS} FROM exchanges AS e WHERE {wanted.found.sql} {bound} ORDER BY e.started_at, e.id"
    return await house.ask(sql, wanted.found.named_in(sql) | more)


PAGE = Page("Traces", "/traces", "see-metadata", data, "traces.html", rows="rows", live=live, narrows=True)
