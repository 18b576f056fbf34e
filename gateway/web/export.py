"""What leaves the book in bulk: rows of a view or of a saved query as an Arrow stream, and conversations as a dataset.

Only our own SQL runs here, so there is no limit on rows; a question in somebody's own words goes to `POST /sql`. Every export is on record
before its first byte. A dataset holds what was said, opened where it is sealed; what is not legible any more, or never was, is left out and
counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Struct
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.errors import GatewayError, JournalUnavailable
from gateway.people.roles import Person
from gateway.stores import Refused, sight
from gateway.trace import openai_form
from gateway.trace.people_rows import ReadRow
from gateway.trace.record import ContentRead
from gateway.web import queries
from gateway.web.answers import NAME_LENGTH, SECURITY, Write, error_answer, line, refusal, strict
from gateway.web.content import WHY_LENGTH, Reader
from gateway.web.doors import person, said_by

ARROW = "application/vnd.apache.arrow.stream"
MOST_AT_ONCE = 500
"""Conversations in one request for a dataset."""
VIEWS = {
    "exchanges": "started_at",
    "calls": "decided_at",
    "rule_hits": "decided_at",
    "findings": "started_at",
    "validations": "started_at",
    "attempts": "started_at",
    "approvals": "created_at",
    "feedback": "given_at",
    "messages": "first_seen",
    "prompts_rendered": "rendered_at",
    "prompt_changes": "changed_at",
    "content_reads": "read_at",
    "erasures": "erased_at",
    "gen_ai_exchanges": "start_time",
    "gen_ai_tool_calls": "start_time",
}
"""What can be exported whole, and by which time `since` counts."""
_ABOUT = frozenset({"exchange_id"})
OF_TEAMS = {
    "exchanges": sight.OWN,
    "feedback": sight.OWN | _ABOUT,
    **dict.fromkeys(("approvals", "calls", "rule_hits", "findings", "validations", "prompts_rendered", "gen_ai_tool_calls"), _ABOUT),
}
"""Those of them whose rows are somebody's: by which columns."""
Arrow = Callable[[str, Mapping[str, Any]], Iterator[bytes]]


class Wanted(Struct, forbid_unknown_fields=True):
    """Body of POST /dataset."""

    ids: list[str]
    by: str = ""
    why: str = ""
    asked: str = ""
    """The question that chose these exchanges."""


class ExportDesk:
    """`GET /export/{view or saved query}?by=…&why=…&since=…` and `POST /dataset`; whoever mounts it checks the token."""

    def __init__(
        self, arrow: Arrow, reader: Reader, write: Write, now_us: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._arrow, self._reader, self._write, self._now_us, self._new_id = arrow, reader, write, now_us, new_id

    async def rows(self, request: Request) -> Response:
        what, given = request.path_params["what"], dict(request.query_params)
        by, why = given.pop("by", ""), given.pop("why", "")
        try:
            sql, params = _question(what, given, person(request).teams)
            row = self._row(said_by(request, by), why, " ".join([what, *(f"{name}={value}" for name, value in given.items())]), 0)
            pieces = self._arrow(sql, params)
            first = await asyncio.to_thread(next, pieces, b"")
            await self._write(ContentRead(row))
        except ValueError as error:
            return error_answer(400, "bad_request", str(error))
        except Refused as refused:
            return error_answer(400 if refused.code == "sql_error" else 503, refused.code, refused.message)
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        return StreamingResponse(iterate_in_threadpool(_all(first, pieces)), media_type=ARROW, headers=SECURITY)

    async def dataset(self, request: Request) -> Response:
        """One JSON line per exchange: `id`, and `example` or why there is none (`left_out`)."""
        try:
            wanted = await strict(request, Wanted)
            _refuse_crowds(wanted)
            await self._write(ContentRead(self._row(said_by(request, wanted.by), wanted.why, wanted.asked or "by id", len(wanted.ids))))
        except ValueError as error:
            return error_answer(400, "bad_request", str(error))
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        lines = iterate_in_threadpool(self._lines(wanted, person(request)))
        return StreamingResponse(lines, media_type="application/jsonl", headers=SECURITY)

    def _row(self, by: str, why: str, subject: str, count: int) -> ReadRow:
        """Raises ValueError."""
        who = line("by", by, NAME_LENGTH)
        return ReadRow(self._new_id(), self._now_us(), who, "export", subject[:1000], line("why", why, WHY_LENGTH) if why else "", count)

    def _lines(self, wanted: Wanted, who: Person) -> Iterator[bytes]:
        for name in wanted.ids:
            found = self._reader.exchange(name)
            found = found if found and who.sees(found["exchange"]["org"], found["exchange"]["team"]) else None
            try:
                told = {"id": name, "example": example(found)} if found else {"id": name, "left_out": "unknown"}
            except openai_form.Illegible:
                told = {"id": name, "left_out": "illegible"}
            yield msgspec.json.encode(told) + b"\n"


def _refuse_crowds(wanted: Wanted) -> None:
    if len(wanted.ids) > MOST_AT_ONCE:
        raise ValueError(f"ask for at most {MOST_AT_ONCE} exchanges at once")


def example(found: Mapping[str, Any]) -> dict[str, Any]:
    """A conversation with its verdicts and feedback, in OpenAI's form. Raises Illegible."""
    row, prompt, answer = found["exchange"], found["prompt"], found["answer"]
    said = openai_form.messages([each["body"] for each in found["messages"]], answer["body"] if answer else None)
    if len(found["messages"]) < len(row["request_messages"] or ()):
        raise openai_form.Illegible("a message is no longer kept")
    return {
        "messages": said,
        "tools": openai_form.tools(prompt["tools"]) if prompt else [],
        "metadata": {name: row[name] for name in _FACTS},
        "verdicts": [{name: each[name] for name in _VERDICT} for each in found["calls"]],
        "feedback": [{name: each[name] for name in ("name", "score", "label", "comment", "source")} for each in found["feedback"]],
    }


_FACTS = ("id", "started_at", "agent", "session", "request_model", "response_model", "state", "prompt_hash", "policy_hash", "storing")
_VERDICT = ("id", "call_id", "name", "effect", "released", "code", "policy", "rule", "reason")


def _question(what: str, given: Mapping[str, str], teams: frozenset[str] | None) -> tuple[str, dict[str, Any]]:
    """Raises ValueError; GatewayError for what holds more than these teams."""
    if teams is not None and what not in OF_TEAMS:
        message = f"this holds what is everybody's, and you see what belongs to your teams; you can export {', '.join(OF_TEAMS)}"
        raise GatewayError("refused", "bound_to_teams", message)
    if what in VIEWS:
        _refuse_unknown(given, {"since"})
        mine = None if teams is None else sight.condition(OF_TEAMS[what], lambda table: table)
        bounds = [*([f"{VIEWS[what]} >= $since::TIMESTAMP"] if "since" in given else []), *([mine] if mine else [])]
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        params = {**given, **({sight.TEAMS: sight.value(teams or ())} if mine else {})}
        return f"SELECT * FROM {what}{where} ORDER BY {VIEWS[what]}", params  # noqa: S608 - all names are ours
    query = queries.read_all().get(what)
    if query is None:
        raise ValueError(f"there is no view or saved query '{what}'; there are {', '.join(VIEWS)} and those of GET /queries")
    _refuse_unknown(given, set(query.params))
    return query.sql, {name: given.get(name, default) for name, default in query.params.items()}


def _refuse_unknown(given: Mapping[str, str], known: set[str]) -> None:
    if odd := sorted(set(given) - known):
        raise ValueError(f"unknown parameter '{odd[0]}'; there are {', '.join(sorted(known | {'by', 'why'}))}")


def _all(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest
