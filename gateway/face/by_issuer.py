"""Signing in by an issuer (`gateway.people.code_flow`): the way there, and the way back.

A browser comes back from another site, so it brings no cookie of ours that is SameSite=Strict: what it was sent away with is in one that is
Lax, good for this alone and for ten minutes. The session begins with a new token of its own, and the page that was wanted is reached by a
page of ours, because a browser tells the new session to nothing that another site has led to.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.errors import GatewayError, StartError
from gateway.face.door import HOME, SECURITY, once
from gateway.face.entrance import Entrance, address, ours
from gateway.face.rooms import Rooms
from gateway.people.issuers import Issuer

if TYPE_CHECKING:  # it brings in what checks signatures, which only an installation with issuers needs
    from gateway.people.code_flow import CodeFlow

US_PER_HOUR = 3600 * 1_000_000


class ByIssuer:
    def __init__(self, rooms: Rooms, entrance: Entrance, flows: Mapping[str, CodeFlow]) -> None:
        self._rooms, self._entrance, self._flows = rooms, entrance, flows

    def routes(self) -> list[Route]:
        return [Route(f"{HOME}/sign-in/{{issuer}}", self.away), Route(f"{HOME}/signed-in/{{issuer}}", self.back)]

    async def away(self, request: Request) -> Response:
        try:
            flow = self._flow(request)
            onward = ours(once(request.query_params.multi_items()).get("next", ""))
            where, cookie = flow.begin(onward, self._back(request), self._rooms.house.now_us())
        except GatewayError as error:
            return self._entrance.shown(request, "login.html", error)
        answer = RedirectResponse(where, 303, headers=SECURITY)
        self._rooms.cookies.give_flow(answer, cookie)
        return answer

    async def back(self, request: Request) -> Response:
        try:
            self._entrance.wait(request)
            answer = await self._welcome(request, self._flow(request))
        except GatewayError as error:
            if error.kind == "authentication":
                self._entrance.failed(request)
            answer = self._entrance.shown(request, "login.html", error)
        self._rooms.cookies.take_flow(answer)
        return answer

    async def _welcome(self, request: Request, flow: CodeFlow) -> Response:
        """Raises GatewayError."""
        house, how = self._rooms.house, flow.issuer.sign_in
        said, now = once(request.query_params.multi_items()), house.now_us()
        known, onward = await asyncio.to_thread(flow.finish, self._rooms.cookies.flow(request), said, self._back(request), now)
        lasts = int((how.hours if how is not None else 0) * US_PER_HOUR)
        browser = (now, lasts, address(request), request.headers.get("user-agent", ""))
        token = await asyncio.to_thread(house.accounts.begin_by_issuer, flow.issuer.name, known, *browser)
        answer = self._rooms.html("onward.html", request, None, onward=ours(onward))
        self._rooms.cookies.give_session(answer, token)
        return answer

    def _flow(self, request: Request) -> CodeFlow:
        found = self._flows.get(request.path_params["issuer"])
        if found is None:
            message = "Nobody signs in by an issuer of this name. Choose one of those on this page."
            raise GatewayError("bad_request", "unknown_issuer", message)
        return found

    def _back(self, request: Request) -> str:
        """The address that the issuer knows. Its host is one that this listener answers to."""
        base = self._rooms.url or f"http://{request.headers.get('host', '')}"
        return f"{base}{HOME}/signed-in/{request.path_params['issuer']}"


def flows(issuers: Sequence[Issuer], key: bytes) -> dict[str, CodeFlow]:
    """Of the issuers by which people sign in. Raises StartError for a secret that is not where the settings say."""
    found = [each for each in issuers if each.sign_in is not None]
    if not found:
        return {}
    from gateway.people.code_flow import CodeFlow

    return {each.name: CodeFlow(each, _secret(each), key) for each in found}


def _secret(issuer: Issuer) -> str | None:
    source = issuer.sign_in.secret if issuer.sign_in is not None else None
    if source is None:
        return None
    found = source.read(os.environ)
    if not found:
        where = f"the variable {source.env}" if source.env else source.file
        raise StartError(f"the secret of the issuer {issuer.name} is to be found in {where}, and nothing is there; set it, or take it out")
    return found
