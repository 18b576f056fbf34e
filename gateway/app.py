"""The data plane as an ASGI application: agents in, answers out.

The relay paths are a closed table over the *raw* path and go straight to the pipeline; everything else that exists here (liveness,
readiness) is a small Starlette application; what is in neither is refused in the dialect the client seems to speak, and recorded like any
other request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway import __version__, opinions
from gateway.deadlines import within
from gateway.dialects import DIALECTS, Dialect
from gateway.errors import ClientGone, GatewayError, Problem
from gateway.judging import Judging
from gateway.pipeline import relay
from gateway.request import Endpoint
from gateway.routes.health import Moment
from gateway.turn import GONE
from gateway.turned_away import TurnedAway
from gateway.visit import Gateway, Head, Incoming

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Sender = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OPEN_PATHS = frozenset({"/", "/livez", "/readyz"})


class DataPlane:
    """Serves one worker. `gateway` is replaced as a whole on reload; a request keeps the one it began with."""

    def __init__(self, gateway: Gateway, *, slot: int = 0) -> None:
        self.gateway = gateway
        self.policy_problems: tuple[Problem, ...] = ()
        self.prompt_problems: tuple[Problem, ...] = ()
        self.slot = slot
        self.turned_away = TurnedAway(lambda: self.gateway)
        self.judging = Judging(lambda: self.gateway)
        self._active: dict[asyncio.Task[Any], Incoming] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        routes = [Route("/", self._hello), Route("/livez", self._livez), Route("/readyz", self._readyz)]
        self._plain = Starlette(routes=routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Sender) -> None:
        if scope["type"] != "http":
            return
        path = scope["raw_path"].decode("latin-1")
        if path == opinions.PATH and scope["method"] == "POST":
            await (await opinions.feedback(self.gateway, HttpRequest(scope, receive)))(scope, receive, send)
        elif path in OPEN_PATHS and scope["method"] in ("GET", "HEAD"):
            await self._plain(scope, receive, send)
        else:
            await self._relay(scope, path, receive, send)

    @property
    def active(self) -> int:
        """Exchanges under way."""
        return len(self._active)

    async def idle(self, seconds: float) -> bool:
        """Waits until nothing is under way, at most so long; whether it came to that."""
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def drain(self) -> None:
        """No new exchanges from here on; those under way go on, but none waits for a person any longer."""
        self.gateway.waiting.close()
        self.gateway = replace(self.gateway, draining=True)
        self.judging.drain()

    def interrupt(self) -> None:
        """Ends what is still under way: each client gets an error in its dialect, each exchange its record."""
        for task, incoming in list(self._active.items()):
            incoming.gone = "interrupted"
            task.cancel()

    async def _relay(self, scope: Scope, path: str, receive: Receive, send: Sender) -> None:
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        named = dict(headers)
        found = self._passing(scope["method"], path) or _served(scope["method"], path, named, scope["query_string"])
        visitor = _Visitor(receive, send, self.gateway, scope["extensions"][GONE])
        incoming = Incoming(
            method=scope["method"],
            path=path,
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            named=named,
            dialect=found.dialect,
            endpoint=found.endpoint,
            body=visitor.body,
            refusal=("upgrade" in named and _upgrade(headers)) or found.refusal,
        )
        visitor.expect(named)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an ASGI application runs in a task")
        self._active[task] = incoming
        self._idle.clear()
        try:
            await visitor.serve(incoming, task)
        finally:
            del self._active[task]
            if not self._active:
                self._idle.set()

    def _passing(self, method: str, path: str) -> _Found | None:
        """What the settings let pass, where no dialect serves it."""
        if _here(path):
            return None
        found = self.gateway.routes.passing(method, path)
        return None if found is None else _Found(DIALECTS[found[0]], found[1])

    async def _hello(self, request: HttpRequest) -> Response:
        return JSONResponse({"service": "tollhouse", "version": __version__, "dialects": sorted(DIALECTS)})

    async def _livez(self, request: HttpRequest) -> Response:
        return JSONResponse({"live": True})

    async def _readyz(self, request: HttpRequest) -> Response:
        gateway = self.gateway
        problem = await gateway.ask(gateway.state_problem)
        ready = gateway.journal.healthy and problem is None and not gateway.draining
        policies = gateway.policies
        body = {
            "ready": ready,
            "draining": gateway.draining,
            "slot": self.slot,
            "version": __version__,
            "active": self.active,
            "observing": policies.observing,
            "policy": {
                "hash": policies.hash,
                "git": policies.git,
                "stale": bool(self.policy_problems),
                "problems": [f"{p.file}:{p.line}:{p.column}: {p.message}" for p in self.policy_problems],
            },
            "policy_stale": bool(self.policy_problems),
            "prompts": {
                "hash": gateway.prompts.hash,
                "git": gateway.prompts.git,
                "count": len(gateway.prompts.heads),
                "stale": bool(self.prompt_problems),
                "problems": [f"{p.file}:{p.line}:{p.column}: {p.message}" for p in self.prompt_problems],
            },
            "journal": {
                "healthy": gateway.journal.healthy,
                "problem": gateway.journal.problem,
                "durability": gateway.journal.durability,
            },
            "state": {"healthy": problem is None, "problem": problem},
            "routes": gateway.routes.report(Moment(gateway.clock.mono_us(), gateway.clock.now_us())),
            "keys_required": gateway.keys_required,
        }
        return JSONResponse(body, status_code=200 if ready else 503)


class _Visitor:
    """One client's side of an exchange: its body within limits, its answer, and its leaving."""

    def __init__(self, receive: Receive, send: Sender, gateway: Gateway, when_gone: Callable[[Callable[[], object]], None]) -> None:
        self._receive, self._when_gone = receive, when_gone
        self._send = send
        self._gateway = gateway
        self._limits, self._timeouts = gateway.settings.limits, gateway.settings.timeouts
        self._left = False
        self._announced = 0
        self._started = False
        self._left_to_send = -1
        """Of a body whose length the head says; below 0 where it does not."""
        self._task: asyncio.Task[Any] | None = None

    def expect(self, headers: Mapping[str, str]) -> None:
        length = headers.get("content-length", "")
        self._announced = int(length) if length.isascii() and length.isdigit() else 0

    async def serve(self, incoming: Incoming, task: asyncio.Task[Any]) -> None:
        self._task = task
        try:
            async with aclosing(relay(self._gateway, incoming)) as parts:
                async for part in parts:
                    await self._pass_on(part)
            if self._started and self._left_to_send != 0:
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            if incoming.gone == "client_gone" and self._left:
                task.uncancel()
                return
            raise
        except TimeoutError:
            return

    async def body(self) -> bytes:
        """The request body. Raises GatewayError for one that is too long, too slow or never comes."""
        limit = self._limits.body_bytes
        if self._announced > limit:
            raise _too_large(limit)
        body = bytearray()
        try:
            await within(self._timeouts.body, self._pieces(body, limit))
        except TimeoutError as e:
            raise GatewayError("timeout", "body_timeout", "The request body did not arrive in time.") from e
        self._when_gone(self._leave)
        return bytes(body)

    async def _pieces(self, body: bytearray, limit: int) -> None:
        more = True
        while more:
            more = await self._piece(body)
            if len(body) > limit:
                raise _too_large(limit)

    async def _piece(self, body: bytearray) -> bool:
        message = await within(self._timeouts.body_idle, self._receive())
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        return bool(message.get("more_body"))

    def _leave(self) -> None:
        """Cancels the exchange when the client leaves: also when nothing is being sent, so that the provider stops at once."""
        self._left = True
        if self._task is not None:
            self._task.cancel()

    async def _pass_on(self, part: Head | bytes) -> None:
        if isinstance(part, Head):
            self._started = True
            headers = [(name.encode("latin-1"), _safe(value)) for name, value in part.headers.items()]
            self._left_to_send = int(part.headers.get("content-length", -1)) or -1
            message = {"type": "http.response.start", "status": part.status, "headers": headers}
        else:
            self._left_to_send -= len(part)
            message = {"type": "http.response.body", "body": part, "more_body": self._left_to_send != 0}
        await within(self._timeouts.write, self._send(message))


def _too_large(limit: int) -> GatewayError:
    return GatewayError(
        "too_large", "body_too_large", f"The request body is longer than the {limit} bytes this gateway accepts."
    )


_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def _safe(value: str) -> bytes:
    """A header value that cannot start another header, nor stop the answer by what no header may hold."""
    return _CONTROL.sub(b" ", value.encode("latin-1", "replace"))


class _Found(NamedTuple):
    """What is served at a path, or why nothing is."""

    dialect: Dialect
    endpoint: Endpoint | None = None
    refusal: GatewayError | None = None


@lru_cache(256)
def _here(path: str) -> tuple[tuple[Dialect, Endpoint], ...]:
    """What all dialects serve at a path; few paths come again and again, and strangers may send others."""
    return tuple((dialect, endpoint) for dialect in DIALECTS.values() for endpoint in dialect.endpoints(path))


def _served(method: str, path: str, headers: Mapping[str, str], query: bytes) -> _Found:
    """Looks a path up in the tables of all dialects. Where several serve it (`/v1/models`), the client's headers tell whose it is."""
    here = _here(path)
    guessed = _guess(headers, query)
    fitting = [(dialect, endpoint) for dialect, endpoint in here if endpoint.method == method]
    if fitting:
        return _Found(*next((found for found in fitting if found[0] is guessed), fitting[0]))
    if here:
        methods = ", ".join(sorted({endpoint.method for _, endpoint in here}))
        dialect = next((d for d, _ in here if d is guessed), here[0][0])
        return _Found(dialect, refusal=GatewayError("method", "method_not_allowed", f"Use {methods} on {path}."))
    served = ", ".join(dict.fromkeys(form for dialect in DIALECTS.values() for form in dialect.SERVES))
    message = (
        f"This gateway does not serve this path. It serves {served}. Check the base URL of your SDK; what need not be judged can be opened "
        "by name, under `pass_through` in the gateway's settings."
    )
    return _Found(guessed, refusal=GatewayError("not_found", "unknown_path", message))


def _guess(headers: Mapping[str, str], query: bytes) -> Dialect:
    """The dialect of a client by what its SDK always sends."""
    if "x-goog-api-key" in headers or "x-goog-api-client" in headers or b"key=" in query:
        return DIALECTS["google.gemini"]
    return DIALECTS["anthropic.messages" if "anthropic-version" in headers else "openai.chat"]


def _upgrade(headers: list[tuple[str, str]]) -> GatewayError | None:
    if any(name == "connection" and "upgrade" in value.lower() for name, value in headers):
        message = "This gateway speaks plain HTTP and server-sent events here, no WebSocket."
        return GatewayError("upgrade", "upgrade_required", message)
    return None
