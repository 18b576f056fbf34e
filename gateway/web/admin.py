"""The admin plane: health, questions in SQL, the live tail, approvals. A listener of its own, never the agents'.

Everything but the two health answers wants a person with the right for it (`doors.py`). The Host header must name this listener, or a web
page could reach it through a name that resolves to 127.0.0.1. It knows the book only by what it asks of it (`Desk`).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Struct, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.addresses import host_name, is_same_address
from gateway.errors import JournalUnavailable
from gateway.people.roles import Person
from gateway.question.snapshots import Snapshot
from gateway.question.wire import Question, Reply
from gateway.stores import Answer, Refused
from gateway.stores.media_types import MEDIA_TYPES
from gateway.trace.record import Record
from gateway.web import queries
from gateway.web.answers import MAX_BODY, SECURITY, error_answer, json_answer, limited_body
from gateway.web.approvals import ApprovalsDesk
from gateway.web.asking import answered
from gateway.web.doors import Doors, Room, forbidden, person
from gateway.web.sql_forms import sql_answer, wanted_form
from gateway.web.tail import OwnLines

QUERIES_AT_ONCE = 4
HEARTBEAT_S = 15.0
_STATUS = {"sql_refused": 403, "unavailable": 503}
_Answered = TypeVar("_Answered", Answer, Reply, Snapshot)


class Status(Struct, frozen=True):
    """How the book is doing; `ready` is false until it has caught up, and while it cannot write or a segment is damaged."""

    ready: bool
    lag_bytes: int
    records: int
    ledger: str
    problem: str | None = None
    quarantined: Mapping[str, str] = field(default_factory=dict)
    """Segment name → where and why it is not read any further."""
    warnings: Sequence[str] = ()
    counters: Mapping[str, int] = field(default_factory=dict)
    """What was applied since the book was started; see `stores/counting.py`."""


class Subscription(Protocol):
    """Lines of one tail, in order. None ends it."""

    async def next_line(self) -> bytes | None: ...
    def close(self) -> None: ...


class Desk(Protocol):
    """What the admin plane asks of the book."""

    def status(self) -> Status: ...
    def ask(self, question: Question, teams: frozenset[str] | None = None) -> Reply:
        """SQL that somebody sent; over what these teams may see, where they are named. Raises Refused."""
    def query(self, sql: str, limit: int, params: Mapping[str, Any] | None = None) -> Answer:
        """SQL that is shipped with the gateway. Raises Refused."""
    def snapshot(self, since: str | None = None, *, parquet: bool = False) -> Snapshot:
        """A copy of the book in its data folder. Raises Refused."""
    def views(self) -> Mapping[str, Mapping[str, str]]:
        """What can be asked about: table or view → column → type."""
    def subscribe(self) -> Subscription: ...
    async def write(self, record: Record) -> None:
        """A fact of the admin plane, durable when it returns. Raises JournalUnavailable."""
    def history(self, since: str) -> Sequence[tuple[str, bytes]]:
        """(id, tail line) of what was recorded since a point in time, oldest first."""


class Sent(Struct):
    """Body of POST /sql."""

    sql: str
    limit: int = 1000
    params: dict[str, str | int | float | bool | None] = field(default_factory=dict)


class Wanted(Struct, forbid_unknown_fields=True):
    """Body of POST /snapshots."""

    since: str | None = None
    parquet: bool = False


_Answering = Callable[..., Awaitable[Response]]


class _No(NamedTuple):
    """A refusal as it is sent."""

    response: Response


def create(
    desk: Desk,
    doors: Doors,
    hosts: Sequence[str],
    people: ApprovalsDesk,
    rooms: Sequence[Room] = (),
    own_queries: Path | None = None,
    face: Sequence[Route] = (),
) -> ASGIApp:
    """`hosts` are the names, without port, under which this listener may be addressed; `own_queries` a folder of saved questions; `face`
    has the pages for browsers, which have a door of their own. Raises ValueError for a room that no door can be made for."""
    routes = [*doors.routes([*own_rooms(desk, people, own_queries), *rooms]), *face]
    not_found = _not_found(routes)
    app = Starlette(routes=routes, exception_handlers={404: not_found, 405: _wrong_method(routes)})
    app.router.redirect_slashes = False
    return _OnlyHosts(app, hosts, not_found)


def own_rooms(desk: Desk, people: ApprovalsDesk, own_queries: Path | None) -> list[Room]:
    admin = _Admin(desk, own_queries)
    return [
        Room("GET", "/livez", admin.livez, "public"),
        Room("GET", "/readyz", admin.readyz, "public"),
        Room("POST", "/sql", admin.sql, "ask-sql", narrows=True),
        Room("POST", "/snapshots", admin.snapshot, "copy-book"),
        Room("GET", "/views", admin.views, "see-metadata", narrows=True),
        Room("GET", "/tail", admin.tail, "see-content", narrows=True),
        Room("GET", "/queries", admin.list_queries, "see-metadata", narrows=True),
        Room("GET", "/queries/{name}", admin.one_query, "see-metadata", narrows=True),
        Room("GET", "/approvals", people.listed, "see-approvals", narrows=True),
        Room("GET", "/approvals/{id}", people.one, "see-approvals", narrows=True),
        Room("POST", "/approvals/{id}/{ruling}", people.ruled, "decide-approvals", narrows=True),
    ]


class _Admin:
    def __init__(self, desk: Desk, own_queries: Path | None) -> None:
        self._desk, self._own_queries = desk, own_queries
        self._slots = asyncio.Semaphore(QUERIES_AT_ONCE)

    async def livez(self, request: Request) -> Response:
        return json_answer({"live": True})

    async def readyz(self, request: Request) -> Response:
        status = await asyncio.to_thread(self._desk.status)
        return json_answer(status, 200 if status.ready else 503)

    async def sql(self, request: Request) -> Response:
        body = await limited_body(request)
        if body is None:
            return error_answer(413, "too_large", f"a query may have {MAX_BODY} bytes")
        try:
            question = msgspec.json.decode(body, type=Sent)
        except msgspec.DecodeError as error:
            return error_answer(400, "bad_request", f'send {{"sql": "SELECT …", "limit": 1000}}: {error}')
        form = wanted_form(request.headers.get("accept", ""))
        if form is None:
            return error_answer(406, "not_acceptable", f"an answer can be {', '.join(MEDIA_TYPES.values())}")
        return await self._asked(person(request), Question(question.sql, question.limit, question.params, form))

    async def _asked(self, who: Person, question: Question) -> Response:
        try:
            async with self._slots:
                reply = await answered(self._desk.ask, self._desk.write, who, question)
        except Refused as refused:
            return _refusal(refused).response
        except JournalUnavailable as error:
            return error_answer(503, "audit_unavailable", f"what is asked is written down first, and it cannot be: {error}")
        return sql_answer(reply, question.form)

    async def views(self, request: Request) -> Response:
        try:
            return json_answer({"views": self._desk.views()})
        except Refused as refused:
            return _refusal(refused).response

    async def list_queries(self, request: Request) -> Response:
        """`?show` gives the SQL too."""
        found = queries.read_all(self._own_queries).values()
        return json_answer({"queries": [_described(query, sql="show" in request.query_params) for query in found]})

    async def one_query(self, request: Request) -> Response:
        """The answer to a canned question; its parameters come from the query string. `?show` gives the SQL instead."""
        query = queries.read_all(self._own_queries).get(request.path_params["name"])
        if query is None:
            return error_answer(404, "not_found", "no query of that name; GET /queries lists them")
        if "show" in request.query_params:
            return json_answer(_described(query, sql=True))
        if (no := _closed(person(request), query)) is not None:
            return no
        given = {name: request.query_params.get(name, default) for name, default in query.params.items()}
        wanted = request.query_params.get("limit", "1000")
        limit = int(wanted) if re.fullmatch("[0-9]{1,9}", wanted) else 1000
        if query.own or person(request).teams is not None:  # answered where nothing else is seen
            return await self._asked(person(request), Question(query.sql, limit, given))
        answer = await self._answer(self._desk.query, query.sql, limit, given)
        return answer.response if isinstance(answer, _No) else json_answer(answer._asdict())

    async def snapshot(self, request: Request) -> Response:
        """Makes one and says where it is: a folder of Parquet files or a DuckDB file, in the data folder."""
        body = await limited_body(request)
        try:
            wanted = msgspec.json.decode(body or b"{}", type=Wanted)
        except msgspec.DecodeError as error:
            return error_answer(400, "bad_request", f'send {{"since": "2026-01-31", "parquet": false}}: {error}')
        made = await self._answer(lambda: self._desk.snapshot(wanted.since, parquet=wanted.parquet))
        if isinstance(made, _No):
            return made.response
        return json_answer({"path": str(made.path), "rows": made.rows, "seconds": made.seconds})

    async def tail(self, request: Request) -> Response:
        try:
            lines = await self._tail(request.query_params.get("since"), follow=request.query_params.get("follow") != "0")
            teams = person(request).teams
            lines = lines if teams is None else _own(lines, OwnLines(teams))
            return StreamingResponse(lines, media_type="application/jsonl", headers=SECURITY)
        except Refused as refused:
            return error_answer(400, refused.code, refused.message)

    async def _answer(self, ask: Callable[..., _Answered], *question: Any) -> _Answered | _No:
        async with self._slots:
            try:
                return await asyncio.to_thread(ask, *question)
            except Refused as refused:
                return _refusal(refused)

    async def _tail(self, since: str | None, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """Subscribed before the past is read, so that nothing falls between; what comes twice is left out the second time."""
        live = self._desk.subscribe()
        try:
            past = await asyncio.to_thread(self._desk.history, since) if since else []
        except BaseException:
            live.close()
            raise
        return _lines(past, live, follow=follow)


async def _lines(past: Sequence[tuple[str, bytes]], live: Subscription, *, follow: bool) -> AsyncGenerator[bytes, None]:
    try:
        for _, line in past:
            yield line
        if not follow:
            return
        told = {key for key, _ in past}
        while True:
            try:
                line_or_end = await asyncio.wait_for(live.next_line(), HEARTBEAT_S)
            except TimeoutError:
                yield b"\n"  # an empty line: the connection still stands
                continue
            if line_or_end is None:
                return
            if told and _key(line_or_end) in told:
                continue
            yield line_or_end
    finally:
        live.close()


async def _own(lines: AsyncGenerator[bytes, None], own: OwnLines) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(lines) as all_of_them:
        async for line in all_of_them:
            for each in own.of(line) if line.strip() else [line]:
                yield each


class _Keyed(Struct):
    id: str = ""


_key_of = msgspec.json.Decoder(_Keyed).decode


def _key(line: bytes) -> str:
    return _key_of(line).id


class _OnlyHosts:
    """Refuses requests that were addressed to another name (DNS rebinding). The IP address that was connected to is no name."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str], not_found: _Answering) -> None:
        self._app, self._not_found = app, not_found
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(scope):
            answer = error_answer(421, "wrong_host", f"this listener answers to {', '.join(sorted(self._hosts))} only")
            await answer(scope, receive, send)
        elif scope["type"] == "http" and scope["raw_path"] != scope["path"].encode():  # spelled otherwise than it is listed
            await (await self._not_found())(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        named = [value for name, value in scope["headers"] if name == b"host"]
        if len(named) != 1:
            return False
        host, reached = host_name(named[0].decode("latin-1")), scope.get("server")
        return host in self._hosts or (reached is not None and is_same_address(host, str(reached[0])))


def _refusal(refused: Refused) -> _No:
    status = _STATUS.get(refused.code, 400)
    return _No(error_answer(status, refused.code, refused.message, position=refused.position))


def _closed(who: Person, query: queries.Query) -> Response | None:
    right = queries.right_for(query)
    return None if who.may(right) else forbidden(right)


def _described(query: queries.Query, *, sql: bool) -> dict[str, Any]:
    told = {"name": query.name, "title": query.title, "params": query.params, "own": query.own}
    return {**told, "sql": query.sql} if sql else told


def _not_found(routes: Sequence[Route]) -> _Answering:
    there_are = " ".join(sorted({"/" + route.path.split("/")[1] for route in routes} - {"/"}))

    async def answer(*_: object) -> Response:
        return error_answer(404, "not_found", f"there are {there_are} here (pages for people: /ui/)")

    return answer


def _wrong_method(routes: Sequence[Route]) -> _Answering:
    async def answer(request: Request, *_: object) -> Response:
        taken = {method for route in routes if route.path_regex.match(request.url.path) for method in route.methods or ()}
        return error_answer(405, "method", f"this takes {' and '.join(sorted(taken - {'HEAD'}))}")

    return answer
