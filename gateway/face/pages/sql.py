"""SQL: a question in one's own words or a saved one, answered by the same reader as `tollhouse sql` and put on record like any other.

1. The question, its parameters and the chart stand in the address. Nothing is asked before all parameters that it names are given.
2. Questions of one's own take the right ask-sql. A saved one takes what it says it shows (`web.queries.right_for`).
3. What is wrong is told with its line and place. An address holds some thousand characters: what is longer goes into a file of the
   folder that `queries` names, or to `tollhouse sql --query-file`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.face.page import Asked, House, Page, whole
from gateway.face.plots import KINDS, suits
from gateway.question.wire import Question
from gateway.stores import Answer, Refused
from gateway.web.queries import Query, read_all, right_for

LIMIT, MOST_ROWS = 1000, 10_000
MOST_SQL = 5000
"""Characters that an address can hold beside everything else, when most of them are plain."""
GIVEN = "p."
"""What the name of a parameter begins with in an address."""
_ASIDE = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)
_PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")
_MARKED = re.compile(r"\s*\nLINE (?P<line>[0-9]{1,6}): (?P<shown>.*)\n(?P<before> *)\^\s*$")
_HISTORY = """
SELECT asked_at, sql, outcome, row_count, elapsed_us FROM questions
WHERE who = $who AND length(sql) <= 5000 ORDER BY asked_at DESC, id DESC LIMIT 10
"""


async def data(house: House, asked: Asked) -> dict[str, Any]:
    known = await asyncio.to_thread(read_all, _folder(house))
    saved = _saved(known, asked)
    text = saved.sql if saved else asked.params.get("sql", "").replace("\r\n", "\n")
    params = _params(saved, text, asked)
    free = asked.person.may("ask-sql")
    found, problem = await _answered(house, asked, saved, text, params)
    return {
        "sql": text,
        "saved": _told(saved, asked) if saved else None,
        "params": params,
        "limit": whole(asked, "limit", LIMIT, MOST_ROWS),
        "problem": problem,
        "answer": found._asdict() if found else None,
        "chosen": {name: asked.params.get(name, "") for name in ("chart", "x", "y", "z")},
        "columns": suits(found) if found else {"every": [], "numbers": []},
        "charts": KINDS,
        "known": [_told(each, asked) for each in known.values()],
        "may_write": free,
        "tables": await asyncio.to_thread(house.views) if free else {},
        "history": await house.ask(_HISTORY, {"who": asked.person.id}) if free else [],
    }


def _folder(house: House) -> Path | None:
    return Path(house.settings.queries) if house.settings.queries else None


def _saved(known: Mapping[str, Query], asked: Asked) -> Query | None:
    """Raises GatewayError."""
    name = asked.params.get("saved", "")
    if name and name not in known:
        raise GatewayError("not_found", "no_such_query", "There is no saved question of that name; the page lists those there are.")
    return known[name] if name else None


def _told(query: Query, asked: Asked) -> dict[str, Any]:
    told = {name: getattr(query, name) for name in ("name", "title", "params", "own")}
    return {**told, "open": asked.person.may(right_for(query))}


def _params(saved: Query | None, text: str, asked: Asked) -> dict[str, str]:
    if saved:
        return {name: asked.params.get(GIVEN + name, default) for name, default in saved.params.items()}
    names = dict.fromkeys(_PARAMETER.findall(_ASIDE.sub("", text)))
    return {name: asked.params.get(GIVEN + name, "") for name in names}


async def _answered(
    house: House, asked: Asked, saved: Query | None, text: str, params: Mapping[str, str]
) -> tuple[Answer | None, dict[str, Any] | None]:
    """The answer, or what is wrong; neither where nothing is asked. Raises GatewayError, JournalUnavailable."""
    if not text.strip():
        return None, None
    right = right_for(saved) if saved else "ask-sql"
    if not asked.person.may(right):
        raise GatewayError("refused", "no_right", f"This question takes the right {right}. Choose another, or ask somebody who has it.")
    missing = [name for name in params if GIVEN + name not in asked.params] if saved is None else []
    if missing:
        return None, _problem(f"say what ${missing[0]} is, and ask again", text, text.find(f"${missing[0]}"))
    try:
        reply = await house.answer(asked.person, Question(text, whole(asked, "limit", LIMIT, MOST_ROWS), params))
    except Refused as refused:
        return None, _problem(refused.message, text, refused.position)
    return Answer(**msgspec.json.decode(reply.body)), None


def _problem(message: str, sql: str, position: int | None = None) -> dict[str, Any]:
    """With the line it is in, and where in it, from 1: as the position says, else as the message has it marked."""
    marked = _MARKED.search(message)
    if position is None and marked is not None:
        position = _marked(marked, sql)
    told = message[: marked.start()] if marked else message
    if position is None or not 0 <= position <= len(sql):
        return {"message": told, "line": None, "column": None, "source": "", "caret": ""}
    before = sql[:position]
    line, column = before.count("\n"), position - (before.rfind("\n") + 1)
    source = sql.split("\n")[line]
    caret = re.sub(r"[^\t]", " ", source[:column]) + "^"
    return {"message": told, "line": line + 1, "column": column + 1, "source": source, "caret": caret}


def _marked(marked: re.Match[str], sql: str) -> int | None:
    """What DuckDB's caret points at, in characters of the question. Of a long line it shows a part between dots."""
    lines, number = sql.split("\n"), int(marked["line"])
    if not 1 <= number <= len(lines):
        return None
    source, shown = lines[number - 1], marked["shown"]
    column = len(marked["before"]) - len(f"LINE {number}: ")
    if shown.startswith("...") and not source.startswith("..."):
        column += max(0, source.replace("\t", " ").find(shown.removeprefix("...").removesuffix("..."))) - 3
    return sum(len(each) + 1 for each in lines[: number - 1]) + max(0, min(column, len(source)))


PAGE = Page("SQL", "/sql", "see-metadata", data, "sql.html", rows="answer", narrows=True)
