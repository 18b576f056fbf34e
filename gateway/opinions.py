"""Feedback of agents on the data plane: `POST /v1/feedback` with the agent's own key.

The worker proves the key and hands the body on to the book, which knows whose an exchange is and writes the record; the answer comes when
it is durable. Errors have one form for all dialects here: this is no provider's path.
"""

from __future__ import annotations

import asyncio

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.entrance import admitted
from gateway.errors import GatewayError
from gateway.state.keys import KeyRecord
from gateway.visit import Gateway

PATH = "/v1/feedback"
MOST_BYTES = 32 * 1024
_STATUS = {"authentication": 401, "bad_request": 400, "refused": 403, "unavailable": 503, "too_large": 413, "timeout": 408}


async def feedback(gateway: Gateway, request: Request) -> Response:
    """Never raises but for a client that leaves."""
    try:
        _refuse_while_draining(gateway)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]]
        record = await admitted(gateway, headers, request.scope["query_string"].decode("latin-1"), "")
        who = {"agent": "anonymous"} if record is None else _who(record)
        body = await _body(gateway, request)
        return await _handed_on(gateway, b'{"feedback":' + body + b"," + msgspec.json.encode(who)[1:])
    except GatewayError as error:
        return _refusal(error)


def _refuse_while_draining(gateway: Gateway) -> None:
    if gateway.draining:
        raise GatewayError("unavailable", "shutting_down", "This gateway is shutting down. Try again shortly.", retry_after=1)


def _who(key: KeyRecord) -> dict[str, str | None]:
    return {"agent": key.agent, "team": key.team, "user": key.user, "key_id": key.id, "org": key.org}


async def _body(gateway: Gateway, request: Request) -> bytes:
    """One JSON object, nothing before or behind it: it is put into another one."""
    body = bytearray()
    try:
        async with asyncio.timeout(gateway.settings.timeouts.body):
            async for piece in request.stream():
                body += piece
                if len(body) > MOST_BYTES:
                    raise GatewayError("too_large", "too_large", f"Feedback may have {MOST_BYTES} bytes.")
    except TimeoutError as error:
        raise GatewayError("timeout", "body_timeout", "The request body did not arrive in time.") from error
    except ClientDisconnect as error:
        raise GatewayError("bad_request", "client_gone", "The request body ended early.") from error
    try:
        msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError as error:
        example = '{"exchange": "…", "score": 1, "comment": "…"}'
        raise GatewayError("bad_request", "invalid_json", f"Send one JSON object, for example {example}: {error}") from error
    return bytes(body)


async def _handed_on(gateway: Gateway, body: bytes) -> Response:
    settings = gateway.settings
    try:
        token = (settings.data_path / "admin.token").read_text(encoding="ascii").strip()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        async with gateway.upstream.send("POST", f"{settings.admin_address.url}/feedback/own", headers, body) as answer:
            told = await answer.read(MOST_BYTES)
    except (OSError, GatewayError) as error:
        message = "The book does not answer, so the feedback is not on record. Send it again in a moment."
        raise GatewayError("unavailable", "book_unavailable", message, retry_after=2) from error
    retry = {"retry-after": "1"} if answer.status == 503 else {}
    return Response(told, answer.status, headers=retry, media_type="application/json")


def _refusal(error: GatewayError) -> Response:
    told = {"error": {"code": error.code, "message": error.message}}
    retry = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return Response(msgspec.json.encode(told), _STATUS.get(error.kind, 500), headers=retry, media_type="application/json")
