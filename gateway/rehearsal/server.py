"""The rehearsal as an HTTP server: a provider that plays its script and remembers what it was asked.

`/v1/chat/completions`, `/v1/responses`, `/v1/messages`, `/v1beta/models/…`, `/v1/models` speak the providers' formats; `/_rehearsal/*` is
for tests. It really listens, really streams and really resets connections, because a mock inside the test process cannot show what a socket
does. It is no model: it never looks at what a message means, and it must not be reachable from a network (there is no authentication on
`/_rehearsal/*`).
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Iterator, MutableMapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.errors import FileProblems
from gateway.rehearsal import anthropic_wire, gemini_wire, openai_wire, responses_wire
from gateway.rehearsal.script import Asked, Script, Turn, load
from gateway.rehearsal.wire import Refused, Wire

REMEMBERED = 10_000
"""Requests kept; older ones are forgotten so that a long run does not grow without end."""
_FLUSH_SECONDS = 0.02
"""A reset throws away what the kernel has not delivered yet: the bytes before the cut get this long to leave."""


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it arrived. Header names are lower-case; `body` is parsed JSON, or the text where it is none."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any


class Rehearsal:
    """The running state: the script, what was received, and the open connections (for cutting them)."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.received: deque[Received] = deque(maxlen=REMEMBERED)
        self.number = 0
        self.shelf = responses_wire.Shelf()
        self.transports: MutableMapping[tuple[str, int], asyncio.Transport] = {}
        self.silent: set[tuple[str, int]] = set()
        """Clients whose answer has stalled: nobody waits for them at the end."""

    def note(self, request: Request, raw: bytes) -> Received:
        self.number += 1
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw.decode("utf-8", "replace")
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.method, request.url.path, request.url.query, headers, body)
        self.received.append(received)
        return received

    def reset(self) -> None:
        self.received.clear()
        self.shelf = responses_wire.Shelf()

    def protocol(self) -> type[HttpToolsProtocol]:
        """uvicorn's protocol, which also tells which transport belongs to a client: ASGI has no way to reset a connection."""
        transports, silent = self.transports, self.silent

        class Cuttable(HttpToolsProtocol):
            def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
                super().connection_made(transport)
                if self.client is not None:
                    transports[self.client] = transport

            def connection_lost(self, exc: Exception | None) -> None:
                if self.client is not None:
                    transports.pop(self.client, None)
                super().connection_lost(exc)

            def shutdown(self) -> None:
                super().shutdown()
                if self.client in silent:
                    self.transport.abort()

        return Cuttable


def application(rehearsal: Rehearsal) -> Starlette:
    async def chat(request: Request) -> Response:
        return await _play(rehearsal, openai_wire, request)

    async def messages(request: Request) -> Response:
        return await _play(rehearsal, anthropic_wire, request)

    async def count(request: Request) -> Response:
        received = rehearsal.note(request, await request.body())
        try:
            return Response(anthropic_wire.counted(received.body, received.headers), media_type="application/json")
        except Refused as no:
            return _refusal(anthropic_wire, no)

    async def models(request: Request) -> Response:
        rehearsal.note(request, b"")
        wire: Wire = anthropic_wire if "anthropic-version" in request.headers else openai_wire
        if "x-goog-api-key" in request.headers:
            wire = gemini_wire.For("", "", {})
        return Response(wire.models(rehearsal.script.models), media_type="application/json")

    async def requests(_: Request) -> Response:
        return JSONResponse([asdict(received) for received in list(rehearsal.received)])

    async def reset(_: Request) -> Response:
        rehearsal.reset()
        return PlainTextResponse("ok\n")

    async def script(request: Request) -> Response:
        try:
            rehearsal.script = load(await request.body(), "script")
        except FileProblems as problems:
            return PlainTextResponse(f"{problems}\n", 400)
        return PlainTextResponse("ok\n")

    async def unknown(request: Request, _: Exception) -> Response:
        rehearsal.note(request, b"")
        return Response(openai_wire.error(404, "invalid_request_error", f"no such path: {request.url.path}"), 404)

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/v1/messages", messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", count, methods=["POST"]),
            *_newer_routes(rehearsal),
            *(Route(f"/{version}/models", models) for version in ("v1", "v1beta", "v1alpha")),
            Route("/_rehearsal/requests", requests),
            Route("/_rehearsal/reset", reset, methods=["POST"]),
            Route("/_rehearsal/script", script, methods=["POST"]),
        ],
        exception_handlers={404: unknown, ClientDisconnect: _left},
    )


def _left(request: Request, error: Exception) -> Response:
    """For nobody: the client has left before it had asked."""
    return Response(status_code=400)


def _newer_routes(rehearsal: Rehearsal) -> list[Route]:
    """Responses, with what the provider keeps, and Gemini, where the path names model and verb."""

    async def responses(request: Request) -> Response:
        return await _play(rehearsal, responses_wire.Desk(rehearsal.shelf), request)

    async def stored(request: Request) -> Response:
        return _stored(rehearsal, request, await request.body())

    async def conversations(request: Request) -> Response:
        received = rehearsal.note(request, await request.body())
        name = f"conv_{rehearsal.number}"
        given = received.body.get("items") if isinstance(received.body, dict) else None
        rehearsal.shelf.conversations[name] = list(given or ())
        return JSONResponse({"id": name, "object": "conversation", "created_at": openai_wire.CREATED, "metadata": {}})

    async def gemini(request: Request) -> Response:
        model, _, verb = request.path_params["call"].partition(":")
        if verb == "countTokens":
            return Response(gemini_wire.counted(rehearsal.note(request, await request.body()).body), media_type="application/json")
        return await _play(rehearsal, gemini_wire.For(model, verb, request.query_params), request)

    return [
        Route("/v1/responses", responses, methods=["POST"]),
        Route("/v1/responses/{id}", stored, methods=["GET", "DELETE"]),
        Route("/v1/conversations", conversations, methods=["POST"]),
        *(Route(f"/{version}/models/{{call}}", gemini, methods=["POST"]) for version in ("v1", "v1beta", "v1alpha")),
    ]


def _stored(rehearsal: Rehearsal, request: Request, raw: bytes) -> Response:
    """Fetches or forgets a response that is kept."""
    rehearsal.note(request, raw)
    name, kept = request.path_params["id"], rehearsal.shelf.responses
    if name not in kept:
        return Response(openai_wire.error(404, "invalid_request_error", f"Response with id '{name}' not found."), 404)
    if request.method == "DELETE":
        del kept[name]
        return JSONResponse({"id": name, "object": "response", "deleted": True})
    return JSONResponse(kept[name][0])


async def _play(rehearsal: Rehearsal, wire: Wire, request: Request) -> Response:
    raw = await request.body()
    received = rehearsal.note(request, raw)
    try:
        asked = wire.read(received.body, received.headers, rehearsal.number, len(raw))
        turn = _turn(rehearsal.script, asked)
    except Refused as no:
        return _refusal(wire, no)
    return _Performance(rehearsal, turn, _body(rehearsal.script, wire, turn, asked), asked.stream and not turn.is_error)


def _refusal(wire: Wire, no: Refused) -> Response:
    return Response(wire.error(no.status, no.kind, no.message), no.status, media_type="application/json")


def _turn(script: Script, asked: Asked) -> Turn:
    turn = script.turn_for(asked)
    if turn is None:
        raise Refused(404, "invalid_request_error", f"no scene of the script is for model {asked.model!r}")
    return turn


def _body(script: Script, wire: Wire, turn: Turn, asked: Asked) -> list[bytes]:
    """The answer's body in the pieces it is sent in."""
    if turn.is_raw:
        data = turn.raw.encode() if turn.raw is not None else script.files[str(turn.raw_file)]
        return [data[i : i + turn.chunk] for i in range(0, len(data), turn.chunk)] if turn.gap_ms else [data]
    if turn.is_error:
        message = turn.error or f"scripted status {turn.status}"
        return [wire.error(turn.status or 500, "rate_limit_error" if turn.status == 429 else "api_error", message)]
    return list(wire.frames(turn, asked)) if asked.stream else [wire.whole(turn, asked)]


class _Performance(Response):
    """Sends the pieces with the turn's pauses, and breaks off where the turn says so."""

    def __init__(self, rehearsal: Rehearsal, turn: Turn, pieces: list[bytes], stream: bool) -> None:
        kind = "text/event-stream; charset=utf-8" if stream else "application/json"
        names = {name.lower() for name in turn.headers}
        headers = {} if "content-type" in names else {"content-type": kind}
        self._length = None if stream else sum(map(len, pieces))
        if self._length is not None:
            headers["content-length"] = str(self._length)
        super().__init__(status_code=turn.status or 200)
        self.raw_headers = [(k.lower().encode(), v.encode()) for k, v in (headers | turn.headers).items()]
        self._rehearsal, self._turn, self._pieces = rehearsal, turn, pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turn = self._turn
        await asyncio.sleep(turn.delay_ms / 1000)
        if turn.cut_after == 0:
            await self._cut(scope, receive)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sent = 0
        for number, piece in enumerate(self._until_break()):
            await asyncio.sleep(turn.gap_ms / 1000 if number else 0)  # of none, too: else nobody sees that the client has left
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            sent += len(piece)
        breaks = turn.cut_after is not None or turn.stall_after is not None
        ended = not breaks or sent == self._length  # a client that has the length has all, and may ask again on its connection
        if ended:
            await send({"type": "http.response.body", "body": b""})
        if turn.cut_after is not None:
            await self._cut(scope, receive)
        elif not ended:
            await self._until_gone(scope, receive)

    def _until_break(self) -> Iterator[bytes]:
        stops = [n for n in (self._turn.cut_after, self._turn.stall_after) if n is not None]
        left = min(stops, default=None)
        for piece in self._pieces:
            if left is None:
                yield piece
                continue
            if left:
                yield piece[:left]
            left = max(0, left - len(piece))

    async def _cut(self, scope: Scope, receive: Receive) -> None:
        """A real TCP reset: no FIN, no last chunk."""
        await asyncio.sleep(_FLUSH_SECONDS)
        transport = self._rehearsal.transports.get(tuple(scope["client"]))
        if transport is not None:  # else the client has left first
            opened = transport.get_extra_info("socket")
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        await self._until_gone(scope, receive)

    async def _until_gone(self, scope: Scope, receive: Receive) -> None:
        client = tuple(scope["client"])
        self._rehearsal.silent.add(client)
        try:
            while (await receive())["type"] != "http.disconnect":
                continue
        finally:
            self._rehearsal.silent.discard(client)
