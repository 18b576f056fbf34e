"""What was said, for people who may read it: one exchange whole, opened where it is sealed. A reading is a record before it is an answer.

SQL sees what the ledger holds, which is ciphertext where content is encrypted; this is the way that opens it. Whoever holds the admin token
may read; `by` is what they say of themselves and is written down with the reason.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import GatewayError, JournalUnavailable
from gateway.sealing import CannotOpen
from gateway.stores import Refused
from gateway.stores.answers import plain_row
from gateway.trace.hand import (
    about_approval,
    about_call,
    about_exchange,
    about_feedback,
    about_message,
    about_prompt,
    about_rendered,
)
from gateway.trace.people_rows import ReadRow
from gateway.trace.record import ContentRead
from gateway.web.answers import NAME_LENGTH, Fetch, FetchOf, Write, error_answer, json_answer, line, refusal
from gateway.web.doors import person, said_by

Open = Callable[[str, str], str | None]
"""(text, what it is about) -> what was sealed; None where its key was dropped. Raises CannotOpen or GatewayError."""
WHY_LENGTH = 500
ERASED, DAMAGED = "[erased]", "[sealed under a key that is not configured, or changed]"

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}")
DAYS, HOURS = dt.timedelta(days=2), dt.timedelta(hours=2)
_EXCHANGE = "SELECT * FROM exchanges WHERE id = $id"
_BEGAN = "started_at >= $since::TIMESTAMP AND started_at < $until::TIMESTAMP"
_NEAR = f"{_EXCHANGE} AND {_BEGAN}"
_PROMPT = "SELECT hash, system, tools FROM content.main.prompt_bodies WHERE hash = $prompt AND agent = $agent ORDER BY first_seen DESC"
_WITHIN = "decided_at >= $since::TIMESTAMP AND decided_at < $until::TIMESTAMP"
_BODIES = """
SELECT hash, any_value(role) AS role, any_value(body) AS body, min(first_seen) AS first_seen
FROM message_copies WHERE hash IN (SELECT unnest(string_split($hashes, ' '))) {bound} GROUP BY hash
"""
_CLOSE = "AND first_seen >= $since::TIMESTAMP AND first_seen < $until::TIMESTAMP"
_CALLS = f'SELECT * FROM calls WHERE exchange_id = $id AND {_WITHIN} ORDER BY decided_at, "index"'  # noqa: S608 - constant
_RULES = f"SELECT * FROM rule_hits WHERE exchange_id = $id AND {_WITHIN} ORDER BY decided_at, policy, rule"  # noqa: S608 - constant
_FINDINGS = f"SELECT * FROM findings WHERE exchange_id = $id AND {_BEGAN}"  # noqa: S608 - constant
_APPROVALS = "SELECT * FROM approvals WHERE id IN (SELECT unnest(string_split($approvals, ' ')))"
_RENDERED = "SELECT * FROM prompts_rendered WHERE exchange_id = $id"
_SOURCE = "SELECT source, git FROM kept_prompts WHERE name = $prompt AND version = $version"
_SINCE = 'SELECT * FROM calls WHERE decided_at >= $since::TIMESTAMP ORDER BY decided_at DESC, "index" DESC LIMIT $most::BIGINT'
_ASKED = """
SELECT id, started_at, agent, org, team, "user", key_id, client, session, session_source, dialect, request_model, request_messages
FROM exchanges
WHERE started_at >= $since::TIMESTAMP AND id IN (SELECT unnest(string_split($ids, ' ')))
"""
_FEEDBACK = "SELECT * FROM feedback WHERE exchange_id = $id ORDER BY given_at"


class Reader:
    """Puts an exchange together from the ledger."""

    def __init__(self, fetch: FetchOf, open_: Open, teams: frozenset[str] | None = None) -> None:
        """`teams`: whose exchanges can be read, where it is not everybody's."""
        self._everything, self._open, self._teams = fetch, open_, teams
        self._fetch: Fetch = partial(fetch, teams=teams)

    def of(self, teams: frozenset[str] | None) -> Reader:
        """The same for people who are bound to these. Texts by content address belong to no team: they read those that their own exchanges
        name, without when a text was first said, which may be when somebody else said it."""
        return Reader(self._everything, self._open, teams)

    def exchange(self, name: str) -> dict[str, Any] | None:
        """Everything that is on record of it, opened; None when there is no such exchange. Raises Refused, GatewayError."""
        row = self._row(name)
        if row is None:
            return None
        about, times = about_exchange(name), _around(row["started_at"])
        bodies = self._bodies([*(row["request_messages"] or ()), row["response_message"]], _around(row["started_at"], HOURS), times)
        said = [(n, bodies[each]) for n, each in enumerate(row["request_messages"] or (), 1) if each in bodies]
        calls = self._rows(_CALLS, name, times)
        asked = " ".join(each["approval"] for each in calls if each["approval"])
        approvals = self._fetch(_APPROVALS, {"approvals": asked}) if asked else ()
        return {
            "exchange": self.opened(row, about, "input_preview", "output_preview", "error_message"),
            "prompt": self._prompt(row),
            "rendered": self._rendered(name),
            "messages": [self.opened({"position": n, **each}, about_message(each["hash"]), "body") for n, each in said],
            "answer": self._answer(bodies.get(row["response_message"])),
            "calls": [self.opened(each, about_call(each["id"]), "arguments") for each in calls],
            "rules": [plain_row(each) for each in self._rows(_RULES, name, times)],
            "findings": [plain_row(each) for each in self._rows(_FINDINGS, name, times)],
            "approvals": [self.opened(each, about_approval(each["id"]), "arguments", "edited") for each in approvals],
            "feedback": [self.opened(each, about_feedback(each["id"]), "comment") for each in self._rows(_FEEDBACK, name)],
        }

    def proposals(self, since: dt.datetime, most: int) -> list[dict[str, Any]]:
        """Calls that were decided since then (UTC), the newest first, opened: each a `call`, with the `exchange` and its `messages`. Those
        whose exchange is not on record yet, or began days before, are left out. Raises Refused, GatewayError."""
        calls = self._fetch(_SINCE, {"since": since.isoformat(), "most": most})
        times = {"since": (since - DAYS).isoformat(), "until": (since + 400 * DAYS).isoformat()}
        ids = " ".join({each["exchange_id"] for each in calls})
        asked = {each["id"]: each for each in self._fetch(_ASKED, {"since": times["since"], "ids": ids})}
        bodies = self._bodies([each for row in asked.values() for each in row["request_messages"] or ()], times)
        opened = {name: self.opened(each, about_message(name), "body") for name, each in bodies.items()}
        return [
            {
                "call": self.opened(each, about_call(each["id"]), "arguments"),
                "exchange": plain_row(row),
                "messages": [opened[name] for name in row["request_messages"] or () if name in opened],
            }
            for each in calls
            if (row := asked.get(each["exchange_id"])) is not None
        ]

    def _row(self, name: str) -> Mapping[str, Any] | None:
        """Looked for about the time that its id says, and else everywhere."""
        began = _time_of(name)
        found = self._fetch(_NEAR, {"id": name, **_around(began)}) if began is not None else ()
        return next(iter(found or self._rows(_EXCHANGE, name)), None)

    def _bodies(self, hashes: Sequence[str | None], *times: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
        """By address: those that were written in the first of these times, the others in the next, the rest from wherever they are. What is
        said in a session was first said an hour ago; few are older, and a few are found fast among many."""
        wanted, found = {each for each in hashes if each}, dict[str, Mapping[str, Any]]()
        for bounds in (*times, {}):
            if missing := " ".join(sorted(wanted - set(found))):
                rows = self._everything(_BODIES.format(bound=_CLOSE if bounds else ""), {"hashes": missing, **bounds})
                found |= {row["hash"]: row for row in rows}
        return found if self._teams is None else {name: _without_times(row) for name, row in found.items()}

    def _rendered(self, name: str) -> dict[str, Any] | None:
        """The kept prompt that was used, with its source."""
        row = next(iter(self._rows(_RENDERED, name)), None)
        if row is None:
            return None
        kept = next(iter(self._everything(_SOURCE, {"prompt": row["name"], "version": row["version"]})), {"source": None, "git": None})
        return self.opened({**row, **kept}, about_rendered(name), "variables")

    def _answer(self, body: Mapping[str, Any] | None) -> dict[str, Any] | None:
        if body is None:
            return None
        return self.opened({name: body[name] for name in ("hash", "role", "body")}, about_message(body["hash"]), "body")

    def text(self, text: str | None, about: str) -> str | None:
        """Opened, or a mark that says why it cannot be."""
        if not text:
            return text
        try:
            opened = self._open(text, about)
        except CannotOpen:
            return DAMAGED
        return ERASED if opened is None else opened

    def _rows(self, sql: str, name: str, times: Mapping[str, Any] | None = None) -> Sequence[Mapping[str, Any]]:
        return self._fetch(sql, {"id": name, **(times or {})})

    def opened(self, row: Mapping[str, Any], about: str, *sealed: str) -> dict[str, Any]:
        return plain_row({**row, **{name: self.text(row[name], about) for name in sealed}})

    def _prompt(self, row: Mapping[str, Any]) -> dict[str, Any] | None:
        return self.prompt(row["prompt_hash"], row["agent"]) if row["storing"] != "metadata" else None

    def prompt(self, name: str, agent: str) -> dict[str, Any] | None:
        """A found version as this agent sent it: its text may have been kept several times, under keys of which some are gone."""
        texts = self._everything(_PROMPT, {"prompt": name, "agent": agent})
        opened = [self.opened(each, about_prompt(each["hash"]), "system", "tools") for each in texts]
        legible = [each for each in opened if not {each["system"], each["tools"]} & {ERASED, DAMAGED}]
        return next(iter([*legible, *opened]), None)


def _time_of(name: str) -> dt.datetime | None:
    """When an id was made, where it is a UUID of version 7."""
    if not _UUID7.fullmatch(name):
        return None
    return dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=int(name.replace("-", "")[:12], 16))  # noqa: DTZ001 - the book's times are UTC


def _around(began: dt.datetime, span: dt.timedelta = DAYS) -> dict[str, str]:
    """What belongs to an exchange was written within days of its beginning; a body is written again each day that it is used."""
    return {"since": (began - span).isoformat(), "until": (began + span).isoformat()}


class ContentDesk:
    """`GET /exchanges/{id}?by=…&why=…`; whoever mounts it checks the token."""

    def __init__(self, reader: Reader, write: Write, now_us: Callable[[], int], new_id: Callable[[], str]) -> None:
        self._reader, self._write, self._now_us, self._new_id = reader, write, now_us, new_id

    async def exchange(self, request: Request) -> Response:
        name = request.path_params["id"]
        why = request.query_params.get("why", "")
        try:
            by = line("by", said_by(request, request.query_params.get("by", "")), NAME_LENGTH)
            why = line("why", why, WHY_LENGTH) if why else ""
            found = await asyncio.to_thread(self._reader.of(person(request).teams).exchange, name)
            if found is None:
                return error_answer(404, "unknown_exchange", "there is no exchange of that id, or the book does not have it yet")
            await self._write(ContentRead(ReadRow(self._new_id(), self._now_us(), by, "exchange", name, why)))
        except ValueError as error:
            return error_answer(400, "bad_request", f"say who reads (?by=…&why=…): {error}")
        except Refused as refused:
            return error_answer(503, refused.code, refused.message)
        except (GatewayError, JournalUnavailable) as error:
            return refusal(error)
        return json_answer(found)


def _without_times(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "first_seen"}
