"""Signing in and out, and using an invitation: the only pages that are shown to whoever has no session.

The first invitation is made by the gateway itself while there is no account (`first_login`); its address is printed at the start.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import GatewayError
from gateway.face import first_login
from gateway.face.door import HOME, SECURITY, Throttle, form, new_visitor
from gateway.face.rooms import Rooms
from gateway.state.people import PersonRecord

_OURS = re.compile(rf"{HOME}/[^\\\s]*")


def ours(wanted: str) -> str:
    """A page of the face, whatever somebody wants to be led to."""
    return wanted if _OURS.fullmatch(wanted) else HOME


class Entrance:
    """`issuers` are the names of those by which people sign in."""

    def __init__(self, rooms: Rooms, issuers: Sequence[str] = ()) -> None:
        self._rooms, self._accounts = rooms, rooms.house.accounts
        self._throttle, self._issuers = Throttle(), issuers

    def routes(self) -> list[Route]:
        return [
            Route(f"{HOME}/login", self.form("login.html")),
            Route(f"{HOME}/login", self.sign_in, methods=["POST"]),
            Route(f"{HOME}/begin", self.form("begin.html")),
            Route(f"{HOME}/begin", self.join, methods=["POST"]),
            Route(f"{HOME}/logout", self.sign_out, methods=["POST"]),
        ]

    def form(self, template: str):  # type: ignore[no-untyped-def]
        async def asked(request: Request) -> Response:
            return self.shown(request, template)

        return asked

    async def sign_in(self, request: Request) -> Response:
        try:
            fields = await form(request, self._rooms.cookies.visitor(request), self._rooms.url)
            person = await self._checked(request, fields)
            return await self._welcome(request, person, fields.get("next", ""))
        except GatewayError as error:
            return self.shown(request, "login.html", error)

    async def join(self, request: Request) -> Response:
        try:
            fields = await form(request, self._rooms.cookies.visitor(request), self._rooms.url)
            self.wait(request)
            person = await self._joined(request, fields)
            return await self._welcome(request, person, "")
        except GatewayError as error:
            return self.shown(request, "begin.html", error)

    async def sign_out(self, request: Request) -> Response:
        try:
            await form(request, self._rooms.cookies.session(request), self._rooms.url)
            if named := await self._rooms.person(request):
                await asyncio.to_thread(self._accounts.end, named[1])
        except GatewayError as error:
            return self._rooms.refusal(request, error, None)
        answer = RedirectResponse(f"{HOME}/login", 303, headers=SECURITY)
        self._rooms.cookies.take_session(answer)
        return answer

    def shown(self, request: Request, template: str, error: GatewayError | None = None) -> Response:
        """With a cookie that binds the form to this browser."""
        visitor = self._rooms.cookies.visitor(request) or new_visitor()
        status = 200 if error is None else {"too_many": 429, "authentication": 401, "unavailable": 503, "refused": 403}.get(error.kind, 400)
        given = {name: request.query_params.get(name, "") for name in ("token", "next")}
        answer = self._rooms.html(template, request, None, status, cookie=visitor, error=error, given=given, issuers=self._issuers)
        self._rooms.cookies.give_visitor(answer, visitor)
        if error is not None and error.retry_after is not None:
            answer.headers["retry-after"] = str(error.retry_after)
        return answer

    async def _checked(self, request: Request, fields: dict[str, str]) -> PersonRecord:
        """Raises GatewayError."""
        self.wait(request)
        now = self._rooms.house.now_us()
        person = await asyncio.to_thread(self._accounts.check, fields.get("name", ""), fields.get("password", ""), now)
        if person is None:
            self.failed(request)
            raise GatewayError("authentication", "wrong_password", "No account has this name and password. Look at both, and try again.")
        return person

    async def _joined(self, request: Request, fields: dict[str, str]) -> PersonRecord:
        """Raises GatewayError."""
        house = self._rooms.house
        given = (fields.get("token", "").strip(), fields.get("name", ""), fields.get("password", ""), house.now_us())
        if given[2] != fields.get("again", ""):
            raise GatewayError("bad_request", "bad_request", "The two passwords are not the same; type them again.")
        try:
            person = await asyncio.to_thread(self._accounts.join, *given)
        except GatewayError:
            self.failed(request)
            raise
        await asyncio.to_thread(first_login.used, house.settings.data_path)
        return person

    def failed(self, request: Request) -> None:
        self._throttle.failed(address(request), self._rooms.house.now_us())

    def wait(self, request: Request) -> None:
        """Raises GatewayError."""
        if seconds := self._throttle.wait_s(address(request), self._rooms.house.now_us()):
            message = f"Too many attempts from your address did not succeed. Wait {seconds} s, then try again."
            raise GatewayError("too_many", "too_many_attempts", message, retry_after=seconds)

    async def _welcome(self, request: Request, person: PersonRecord, wanted: str) -> Response:
        browser = request.headers.get("user-agent", "")
        token = await asyncio.to_thread(self._accounts.begin, person, self._rooms.house.now_us(), address(request), browser)
        answer = RedirectResponse(ours(wanted), 303, headers=SECURITY)
        self._rooms.cookies.give_session(answer, token)
        return answer


def address(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"
