"""The face's routes: every page with its twins, every form, the way in, the files, the reports of browsers.

A page's data function runs once for each request, whatever form is wanted: `/ui/traces`, `/ui/traces.json` and `/ui/traces.csv` say the
same. A request without a session is shown the way in; one without the right is told which it lacks. Nothing here knows what a page shows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway.errors import GatewayError, JournalUnavailable
from gateway.face import rendering
from gateway.face.door import HOME, SECURITY, Cookies, form, form_token, once
from gateway.face.own import house_of, refusal
from gateway.face.page import Asked, Deed, Done, House, Live, Page, Renewed, Rows, ToldOnce
from gateway.people.roles import Person, Right, holders
from gateway.stores import Answer
from gateway.stores.spreadsheet import csv_of
from gateway.visible import visible
from gateway.web.answers import limited_body

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]
Named = tuple[Person, str]
_STATUS = {
    "bad_request": 400, "authentication": 401, "refused": 403, "not_found": 404, "too_large": 413, "too_many": 429, "unavailable": 503,
}  # fmt: skip
MOST_LIVE = 32
MOST_REPORTS_LOGGED = 20
_ALIVE_S = 15.0


class Rooms:
    """`pages` and `deeds` are the shelf's; `url` is where people reach the face from, where a proxy stands before it."""

    def __init__(self, house: House, pages: Sequence[Page], deeds: Sequence[Deed], url: str | None = None) -> None:
        self.house, self.url, self.cookies = house, url, Cookies(url)
        self._pages, self._deeds = pages, deeds
        self._templates: Environment = rendering.environment()
        self._live = 0
        self.reports = 0
        """What browsers refused to load or run on our pages since the start."""

    def routes(self) -> list[Route]:
        home = self._pages[0].path
        routes = [
            *(Route(address, _moved(HOME + home)) for address in ("/", HOME, f"{HOME}/")),
            *(Route(f"{HOME}/static/{name}", _file(name, kind)) for name, kind in rendering.FILES.items()),
            Route(f"{HOME}/csp-report", self._report, methods=["POST"]),
        ]
        for page in self._pages:
            if page.live is not None:
                routes.append(Route(f"{HOME}{page.path}/live", self._living(page, page.live)))
            methods = ["GET", "POST"] if page.takes_form else ["GET"]
            routes += [Route(f"{HOME}{page.path}{form}", self._paged(page, form), methods=methods) for form in _forms(page)]
        return routes + [Route(HOME + deed.path, self._done(deed), methods=["POST"]) for deed in self._deeds]

    async def person(self, request: Request) -> Named | None:
        token = self.cookies.session(request)
        return await asyncio.to_thread(self.house.accounts.whose, token, self.house.now_us()) if token else None

    def html(self, template: str, request: Request, person: Person | None, status: int = 200, cookie: str = "", **more: Any) -> Response:
        """`cookie` is what forms of this page are bound to; the session's where there is one."""
        context = {
            "nav": [page for page in self._pages if page.linked and person is not None and _opens(page, person)],
            "person": person,
            "csrf": form_token(cookie or self.cookies.session(request)),
            "now": self.house.now().isoformat() + "Z",
            "address": request.url.path,
            "home": HOME,
            "page": None,
            **more,
        }
        text = self._templates.get_template(template).render(context)
        return Response(text.encode("utf-8", "backslashreplace"), status, headers=SECURITY, media_type="text/html")

    def refusal(self, request: Request, error: GatewayError, person: Person | None) -> Response:
        status = _STATUS.get(error.kind, 500)
        if request.url.path.endswith((".json", ".csv", "/live")):
            return _json({"error": {"code": error.code, "message": error.message}}, status)
        answer = self.html("error.html", request, person, status, error=error)
        if error.retry_after is not None:
            answer.headers["retry-after"] = str(error.retry_after)
        return answer

    def _paged(self, page: Page, form: str) -> Endpoint:
        async def shown(request: Request) -> Response:
            named = await self._named(request)
            if isinstance(named, Response):
                return named
            try:
                asked = await self._filled_in(request, _asked(request, named, page))
                data = await page.data(house_of(self.house, asked.person), asked)
            except (GatewayError, JournalUnavailable) as error:
                return self.refusal(request, _spoken(error), named[0])
            return self._written(page, form, request, asked, data)

        return shown

    async def _filled_in(self, request: Request, asked: Asked) -> Asked:
        """Raises GatewayError."""
        if request.method != "POST":
            return asked
        return msgspec.structs.replace(asked, sent=await form(request, self.cookies.session(request), self.url))

    def _written(self, page: Page, form: str, request: Request, asked: Asked, data: Mapping[str, Any]) -> Response:
        if form == ".json":
            return _json(data)
        if form == ".csv":
            if (rows := data[page.rows]) is None:
                no_rows = GatewayError("bad_request", "no_rows", "There is no table at this address: the page without .csv says why.")
                return self.refusal(request, no_rows, asked.person)
            return _csv(page.name, rows)
        if form == ".yaml":
            return _attached(page.name, "yaml", data[page.text], "application/yaml")
        query = f"?{request.url.query}" if request.url.query else ""
        twins = {form[1:]: f"{request.url.path}{form}{query}" for form in _forms(page) if form}
        return self.html(page.template, request, asked.person, page=page, d=data, params=dict(asked.params), twins=twins)

    def _done(self, deed: Deed) -> Endpoint:
        async def done(request: Request) -> Response:
            named = await self._named(request)
            if isinstance(named, Response):
                return named
            try:
                fields = await form(request, self.cookies.session(request), self.url)
                refuse_unless(named[0], deed.right, narrows=deed.narrows)
                asked = Asked(named[0], {}, request.path_params.get("subject", ""), named[1])
                return self._after(request, named[0], await deed.do(house_of(self.house, asked.person), asked, fields))
            except (GatewayError, JournalUnavailable) as error:
                return self.refusal(request, _spoken(error), named[0])

        return done

    def _after(self, request: Request, person: Person, done: Done) -> Response:
        if isinstance(done, ToldOnce):
            return self.html("told_once.html", request, person, told=done)
        answer = RedirectResponse(done if isinstance(done, str) else done.to, 303, headers=SECURITY)
        if isinstance(done, Renewed):
            self.cookies.give_session(answer, done.token)
        return answer

    def _living(self, page: Page, live: Live) -> Endpoint:
        async def living(request: Request) -> Response:
            named = await self._named(request)
            if isinstance(named, Response):
                return named
            try:
                asked = _asked(request, named, page)
                self._refuse_crowds()
                news = live(house_of(self.house, asked.person), asked)
            except GatewayError as error:
                return self.refusal(request, error, named[0])
            return StreamingResponse(self._events(news, request, asked.person), headers=SECURITY, media_type="text/event-stream")

        return living

    def _refuse_crowds(self) -> None:
        if self._live >= MOST_LIVE:
            message = f"{MOST_LIVE} pages are live already; close one, or load this page again when you want to see more."
            raise GatewayError("too_many", "too_many_live", message)

    async def _events(self, news: AsyncIterator[Any], request: Request, person: Person) -> AsyncIterator[bytes]:
        """Until the page is closed, the session ended, or the person is given other roles or teams: looked at before anything is told."""
        self._live += 1
        following = aiter(news)
        waiting: asyncio.Future[Any] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(following))
                done, _ = await asyncio.wait([waiting], timeout=_ALIVE_S)
                named = await self.person(request)
                if named is None or named[0] != person:
                    return
                if not done:
                    yield b": still here\n\n"
                    continue
                value, waiting = waiting.result(), None
                yield b"data: " + msgspec.json.encode(value) + b"\n\n"
        except (StopAsyncIteration, GatewayError, JournalUnavailable):  # a browser asks again by itself, and is told why then
            return
        finally:
            self._live -= 1
            if waiting is not None:
                waiting.cancel()
                await asyncio.wait([waiting])
            if hasattr(news, "aclose"):
                await news.aclose()

    async def _named(self, request: Request) -> Named | Response:
        """Who asks, or where to send them."""
        try:
            named = await self.person(request)
        except GatewayError as error:
            return self.refusal(request, error, None)
        if named is not None:
            return named
        if request.method != "GET" or request.url.path.endswith((".json", ".csv", "/live")):
            return self.refusal(request, GatewayError("authentication", "signed_out", f"Sign in at {HOME}/login first."), None)
        if request.headers.get("sec-fetch-site") == "cross-site":  # a SameSite=Strict cookie comes with the next request only
            return self.html("onward.html", request, None, onward=_here(request))
        return RedirectResponse(f"{HOME}/login{rendering.query({'next': _here(request)})}", 303, headers=SECURITY)

    async def _report(self, request: Request) -> Response:
        """What a browser was kept from loading or running: somebody's text tried something, or a page is wrong."""
        body = await limited_body(request)
        self.reports += 1
        if self.reports <= MOST_REPORTS_LOGGED:
            log.warning("a browser refused something on a page of the face: %s", visible((body or b"")[:600].decode("utf-8", "replace")))
        return Response(status_code=204, headers=SECURITY)


def _asked(request: Request, named: Named, page: Page) -> Asked:
    """Raises GatewayError."""
    refuse_unless(named[0], page.right, narrows=page.narrows)
    return Asked(named[0], once(request.query_params.multi_items()), request.path_params.get("subject", ""), named[1])


def refuse_unless(person: Person, right: Right, *, narrows: bool = False) -> None:
    """Raises GatewayError for who lacks the right; also for who is bound to teams, where what is shown is not narrowed to them."""
    if person.teams is not None and not narrows:
        raise refusal()
    if person.may(right):
        return
    roles = f"{', '.join(sorted(person.roles))}; the right {right} belongs to {', '.join(holders(right))}"
    message = f"You are signed in as '{person.name}' ({roles}). Ask an administrator for another role."
    raise GatewayError("refused", "no_right", message)


def _opens(page: Page, person: Person) -> bool:
    return person.may(page.right) and (page.narrows or person.teams is None)


def _spoken(error: GatewayError | JournalUnavailable) -> GatewayError:
    if isinstance(error, GatewayError):
        return error
    message = f"This must be put on record first, and it cannot be: {error}. Nothing was done or shown; look at the data folder's disk."
    return GatewayError("unavailable", "audit_unavailable", message)


def _here(request: Request) -> str:
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, headers=SECURITY, media_type="application/json")


def _forms(page: Page) -> list[str]:
    """Ends of the addresses under which a page is there; its own comes last, for a subject may hold a dot."""
    return [".json", *([".csv"] if page.rows else []), *([".yaml"] if page.text else []), ""]


def _csv(name: str, rows: Rows | Mapping[str, Any]) -> Response:
    if isinstance(rows, Mapping):
        return _attached(name, "csv", csv_of(Answer(**rows)), "text/csv")
    columns = list(rows[0]) if rows else []
    answer = Answer(columns, [], [list(row.values()) for row in rows], truncated=False, elapsed_ms=0)
    return _attached(name, "csv", csv_of(answer), "text/csv")


def _attached(name: str, kind: str, text: str, media_type: str) -> Response:
    headers = {**SECURITY, "content-disposition": f'attachment; filename="{name.lower().replace(" ", "-")}.{kind}"'}
    return Response(text.encode("utf-8", "backslashreplace"), headers=headers, media_type=media_type)


def _moved(to: str) -> Endpoint:
    async def moved(request: Request) -> Response:
        return RedirectResponse(to, 303, headers=SECURITY)

    return moved


def _file(name: str, kind: str) -> Endpoint:
    body = rendering.static(name)

    async def sent(request: Request) -> Response:
        return Response(body, headers={**SECURITY, "cache-control": "public, max-age=31536000, immutable"}, media_type=kind)

    return sent
