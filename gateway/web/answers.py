"""What every answer of the admin plane has in common: JSON, headers that forbid keeping it, errors in one form, bodies of bounded size."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

MAX_BODY = 256 * 1024
SECURITY = {"cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def json_answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, headers=SECURITY, media_type="application/json")


def error_answer(status: int, code: str, message: str, **more: Any) -> Response:
    known = {name: value for name, value in more.items() if value is not None}
    return json_answer({"error": {"code": code, "message": message, **known}}, status)


async def limited_body(request: Request) -> bytes | None:
    """None when it is longer than `MAX_BODY`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)
