"""The doors of the admin plane: who stands there, and whether they have the one right that the room behind it needs.

1. A room is registered with its right; there is no room without one, and a method and path are registered once.
2. `Authorization` decides alone where it is sent, and is sent once. Only without it are sessions asked (a browser's cookie).
3. Nobody known: 401. Known, but without the right: 403. Bound to teams, and the room does not narrow to teams: 403.

Not here: which role holds which right (`gateway.people.roles`).
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import GatewayError
from gateway.people.roles import Person, Right, holders
from gateway.state.people import PersonRecord
from gateway.web.answers import error_answer

ADMIN = Person("admin.token", "whoever holds admin.token", frozenset({"admin"}), shared=True)
"""The token in the data folder: for whoever runs this installation, and for its own processes."""
_PERSON = "tollhouse.person"

Endpoint = Callable[[Request], Awaitable[Response]]
Bearer = Callable[[str], Person | None]
"""Whom a bearer token proves; None where it is none of its kind. May wait for a store. Raises GatewayError."""
Session = Callable[[Request], Awaitable[Person | None]]
"""Whom a browser's session proves. It sees to it that a page of another origin cannot use it. Raises GatewayError."""


class Room(NamedTuple):
    """One route, and the right it needs."""

    method: str
    path: str
    endpoint: Endpoint
    right: Right
    narrows: bool = False
    """Whether the answer holds only what the teams of `person(request)` may see. Where not, people bound to teams are refused."""
    key: str = ""
    """A bearer token that opens this room too, and no other. Nobody in particular comes in with it."""


class Doors:
    """Who is known here: `bearers` are asked one after the other, then nobody."""

    def __init__(self, bearers: Sequence[Bearer], sessions: Sequence[Session] = ()) -> None:
        self._bearers, self._sessions = tuple(bearers), tuple(sessions)

    def routes(self, rooms: Iterable[Room]) -> list[Route]:
        """Raises ValueError for a room without a right, or one that is there already."""
        found, taken = list[Route](), set[tuple[str, str]]()
        for room in rooms:
            if room.right not in get_args(Right):
                raise ValueError(f"{room.method} {room.path} names no right that there is: {room.right!r}")
            if (room.method, room.path) in taken:
                raise ValueError(f"{room.method} {room.path} is registered twice")
            taken.add((room.method, room.path))
            found.append(Route(room.path, self.guarded(room), methods=[room.method]))
        return found

    def guarded(self, room: Room) -> Endpoint:
        if room.right == "public":
            return room.endpoint

        async def checked(request: Request) -> Response:
            if room.key and hmac.compare_digest((_bearer(request) or "").encode(), room.key.encode()):
                return await room.endpoint(request)
            try:
                who = await self._who(request)
            except GatewayError as error:
                return error_answer(_STATUS.get(error.kind, 503), error.code, error.message)
            if who is None:
                return error_answer(401, "unauthorized", _UNKNOWN)
            if (no := _refused(who, room)) is not None:
                return no
            request.scope[_PERSON] = who
            return await room.endpoint(request)

        return checked

    async def _who(self, request: Request) -> Person | None:
        if "authorization" not in request.headers:
            return await self._of_session(request)
        token = _bearer(request)
        return await asyncio.to_thread(self._of_token, token) if self._bearers and token else None

    def _of_token(self, token: str) -> Person | None:
        return next((who for bearer in self._bearers if (who := bearer(token)) is not None), None)

    async def _of_session(self, request: Request) -> Person | None:
        for session in self._sessions:
            if (who := await session(request)) is not None:
                return who
        return None


def _bearer(request: Request) -> str | None:
    given = request.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip(" ") or None if scheme.lower() == "bearer" else None


def person(request: Request) -> Person:
    """Who asks. Only behind a door."""
    who = request.scope[_PERSON]
    if not isinstance(who, Person):
        raise TypeError("a room was entered without its door")
    return who


def said_by(request: Request, said: str) -> str:
    """Who is to be written down: the person; with a shared credential, what they say of themselves. Raises ValueError."""
    who = person(request)
    if who.shared and not said.strip():
        raise ValueError("'by' must be who you are: more than one may have this token")
    if who.shared:
        return said
    if said.strip() not in ("", who.id, who.name):
        raise ValueError(f"'by' must be you, '{who.id}'; leave it out")
    return who.id


def admin_token(token: str) -> Bearer:
    """The bearer of the data folder's token."""
    wanted = token.encode()
    return lambda given: ADMIN if hmac.compare_digest(given.encode(), wanted) else None


def of_people(find: Callable[[str, int], PersonRecord | None], now_us: Callable[[], int]) -> Bearer:
    """The bearer of the tokens that people were given."""

    def proven(token: str) -> Person | None:
        found = find(token, now_us())
        return None if found is None else found.person()

    return proven


_STATUS = {"authentication": 401, "refused": 403, "bad_request": 400, "unavailable": 503}
_UNKNOWN = (
    "send 'Authorization: Bearer', once, with a token made by 'tollhouse people add', or with the one in the data folder's admin.token"
)


def forbidden(right: Right) -> Response:
    """For a person whose roles do not hold it."""
    message = f"this needs the right {right}, and your roles do not hold it; it belongs to {', '.join(holders(right))}"
    return error_answer(403, "forbidden", message)


def _refused(who: Person, room: Room) -> Response | None:
    if not who.may(room.right):
        return forbidden(room.right)
    if who.teams is not None and not room.narrows:
        message = "this is about everybody, and you see what belongs to your teams; ask somebody who is not bound to teams"
        return error_answer(403, "bound_to_teams", message)
    return None
