"""What people and agents say about exchanges, decisions and sessions: on record when answered, in the same chain as what it is about.

An agent speaks with its own key, through the data plane, and only about what is its own: the worker proves the key, the book knows whose an
exchange is. A person speaks through the admin plane, about anything. A comment is content: it is written as the exchange was, and sealed
with the same key.
"""

from __future__ import annotations

import asyncio
import math
import re
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import identify
from gateway.errors import GatewayError, JournalUnavailable
from gateway.exchange import Caller, Storing
from gateway.people.roles import Person
from gateway.stores import Refused
from gateway.trace.hand import about_feedback
from gateway.trace.people_rows import FeedbackRow
from gateway.trace.record import FeedbackGiven
from gateway.trace.scribe import Scribe
from gateway.web.answers import NAME_LENGTH, FetchOf, Write, error_answer, json_answer, line, refusal, strict
from gateway.web.content import Reader
from gateway.web.doors import person, said_by

COMMENT_LENGTH = 4000
MOST_LISTED = 1000
FRESH_S = 10
"""The book follows the journal a moment later; what is younger may be on its way."""
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_COLUMNS = 'id, agent, org, team, "user", key_id, session, storing'
_BY_EXCHANGE = f"SELECT {_COLUMNS} FROM exchanges WHERE id = $subject"  # noqa: S608 - constant
_BY_DECISION = f"SELECT {_COLUMNS} FROM exchanges WHERE id IN (SELECT exchange_id FROM calls WHERE id = $subject)"  # noqa: S608 - constant
_BY_SESSION = (
    f"SELECT {_COLUMNS} FROM exchanges WHERE session IN (SELECT unnest($names::VARCHAR[])) "  # noqa: S608 - constant
    "AND ($owned IS NULL OR (agent = $agent AND team IS NOT DISTINCT FROM $team AND \"user\" IS NOT DISTINCT FROM $user "
    "AND org IS NOT DISTINCT FROM $org)) ORDER BY started_at DESC LIMIT 1"
)
_LIST = "SELECT * FROM feedback WHERE ($exchange IS NULL OR exchange_id = $exchange) ORDER BY given_at DESC, id DESC LIMIT $most"


class Feedback(Struct, forbid_unknown_fields=True):
    """Body of POST /v1/feedback: what it is about (exactly one of three), and at least one of score, label and comment."""

    exchange: str | None = None
    """The `x-gateway-trace-id` of an answer."""
    decision: str | None = None
    """`dec_…`, as the agent was told it."""
    session: str | None = None
    """As the client named it."""
    name: str = "feedback"
    """What is scored."""
    score: float | None = None
    label: str | None = None
    comment: str | None = None


class Said(Struct, forbid_unknown_fields=True):
    """Body of POST /feedback: a person's."""

    feedback: Feedback
    by: str = ""


class Owned(Struct, forbid_unknown_fields=True):
    """Body of POST /feedback/own: a worker's, for a caller whose key it has proven."""

    feedback: Feedback
    agent: str
    team: str | None = None
    user: str | None = None
    key_id: str | None = None
    org: str | None = None


class FeedbackDesk:
    """The routes below `/feedback`; whoever mounts them checks the token."""

    def __init__(
        self, fetch: FetchOf, write: Write, scribe: Scribe, reader: Reader, now_us: Callable[[], int], new_id: Callable[[], str]
    ) -> None:
        self._fetch, self._write, self._scribe, self._reader = fetch, write, scribe, reader
        self._now_us, self._new_id = now_us, new_id

    async def said(self, request: Request) -> Response:
        try:
            said = await strict(request, Said)
            return await self._taken(said.feedback, None, line("by", said_by(request, said.by), NAME_LENGTH), person(request))
        except (ValueError, GatewayError, JournalUnavailable, Refused) as error:
            return _refused(error)

    async def own(self, request: Request) -> Response:
        try:
            owned = await strict(request, Owned)
            caller = Caller(owned.agent, owned.key_id, owned.team, owned.user, org=owned.org)
            return await self._taken(owned.feedback, caller, owned.agent)
        except (ValueError, GatewayError, JournalUnavailable, Refused) as error:
            return _refused(error)

    async def listed(self, request: Request) -> Response:
        """`?exchange=…&limit=100`; newest first, comments opened."""
        limit = request.query_params.get("limit", "100")
        if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= MOST_LISTED:
            return error_answer(400, "bad_request", f"'limit' must be from 1 to {MOST_LISTED}")
        asked = {"exchange": request.query_params.get("exchange"), "most": int(limit)}
        try:
            rows = await asyncio.to_thread(self._fetch, _LIST, asked, person(request).teams)
            return json_answer({"feedback": [self._reader.opened(row, about_feedback(row["id"]), "comment") for row in rows]})
        except (Refused, GatewayError) as error:
            return _refused(error)

    async def _taken(self, given: Feedback, caller: Caller | None, who: str, by: Person | None = None) -> Response:
        _check(given)
        subject = await asyncio.to_thread(self._subject, given, caller, by)
        row = self._row(given, caller, who, subject)
        await self._write(FeedbackGiven(row))
        return json_answer({"id": row.id, "exchange": row.exchange_id, "session": row.session}, 201)

    def _subject(self, given: Feedback, caller: Caller | None, by: Person | None) -> Mapping[str, Any]:
        """The exchange it is about: of a session, the latest. What is another's looks like what is not there."""
        fetch = partial(self._fetch, teams=by.teams if by else None)
        if given.session is not None:
            whose = caller or Caller("")
            owner = {"agent": whose.agent, "org": whose.org, "team": whose.team, "user": whose.user, "owned": "own" if caller else None}
            found = fetch(_BY_SESSION, {"names": self._written(given.session), **owner})
        elif given.decision is not None:
            found = fetch(_BY_DECISION, {"subject": given.decision})
        else:
            found = fetch(_BY_EXCHANGE, {"subject": given.exchange})
        mine = [row for row in found if caller is None or _owner(row) == identify.owner(caller)]
        if not mine:
            raise _unknown(given, self._now_us())
        return mine[0]

    def _written(self, session: str) -> list[str]:
        """The session's name as each mode writes it."""
        modes: tuple[Storing, ...] = ("full", "redacted", "metadata")
        return sorted({session, *(self._scribe.hands.pens[mode].label(identify.label(session)) for mode in modes)})

    def _row(self, given: Feedback, caller: Caller | None, who: str, about: Mapping[str, Any]) -> FeedbackRow:
        name = "fb_" + self._new_id().replace("-", "")
        whose = Caller(about["agent"], team=about["team"], user=about["user"], org=about["org"])
        hand = self._scribe.hands.of(about["storing"] or "redacted", whose)
        return FeedbackRow(
            id=name,
            at_us=self._now_us(),
            who=who,
            source="caller" if caller else "person",
            name=given.name,
            agent=about["agent"],
            team=about["team"],
            user=about["user"],
            key_id=caller.key_id if caller else None,
            exchange_id=None if given.session is not None else about["id"],
            decision_id=given.decision,
            session=about["session"],
            score=given.score,
            label=hand.pen.name(given.label) if given.label else given.label,
            comment=hand.body(given.comment, about_feedback(name)) if given.comment else given.comment,
            org=about["org"],
        )


def _check(given: Feedback) -> None:
    """Raises ValueError."""
    if [given.exchange, given.decision, given.session].count(None) != 2:
        raise ValueError("say what it is about: exactly one of 'exchange', 'decision' and 'session'")
    if not (given.exchange or given.decision or given.session):
        raise ValueError("what it is about must not be empty")
    if not _NAME.fullmatch(given.name):
        raise ValueError("'name' is 1 to 64 letters, digits and - _ .")
    if given.score is not None and not math.isfinite(given.score):
        raise ValueError("'score' must be a number")
    if given.score is None and not given.label and not given.comment:
        raise ValueError("say something: at least one of 'score', 'label' and 'comment'")
    if given.label:
        line("label", given.label, 64)
    if given.comment and len(given.comment) > COMMENT_LENGTH:
        raise ValueError(f"'comment' may have {COMMENT_LENGTH} characters")


def _owner(row: Mapping[str, Any]) -> str:
    return identify.owner(Caller(row["agent"], team=row["team"], user=row["user"], org=row["org"]))


def _unknown(given: Feedback, now_us: int) -> GatewayError:
    if _made_s_ago(given.exchange or (given.decision or "").removeprefix("dec_"), now_us) < FRESH_S:
        message = "The book does not have this exchange yet. Send the feedback again in a moment."
        return GatewayError("unavailable", "not_yet", message, retry_after=1)
    what = "exchange" if given.exchange else "decision" if given.decision else "session"
    message = f"There is no such {what} of yours. The header x-gateway-trace-id of an answer names its exchange."
    return GatewayError("not_found", f"unknown_{what}", message)


def _made_s_ago(name: str, now_us: int) -> float:
    """By the time in an id (UUIDv7)."""
    try:
        made = uuid.UUID(name)
    except ValueError:
        return math.inf
    return now_us / 1e6 - (made.int >> 80) / 1e3 if made.version == 7 else math.inf


def _refused(error: Exception) -> Response:
    match error:
        case Refused():
            return error_answer(503, error.code, error.message)
        case GatewayError() | JournalUnavailable():
            return refusal(error)
    return error_answer(400, "bad_request", str(error))
