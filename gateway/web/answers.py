"""What every answer of the admin plane has in common: JSON, headers that forbid keeping it, errors in one form, bodies of bounded size."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from gateway import strict_json
from gateway.errors import GatewayError, JournalUnavailable
from gateway.trace.record import Record

T = TypeVar("T")

Fetch = Callable[[str, Mapping[str, Any]], Sequence[Mapping[str, Any]]]
"""The gateway's own questions to the ledger (`Store.fetch`)."""


class FetchOf(Protocol):
    """The same, over what these teams may see, where they are named."""

    def __call__(self, sql: str, params: Mapping[str, Any], teams: frozenset[str] | None = None) -> Sequence[Mapping[str, Any]]: ...


Write = Callable[[Record], Awaitable[None]]
"""Makes a record durable. Raises JournalUnavailable."""

NAME_LENGTH = 120
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_STATUS = {"not_found": 404, "bad_request": 400, "refused": 403, "unavailable": 503}
MAX_BODY = 256 * 1024
SECURITY = {"cache-control": "no-store", "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}


def json_answer(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, headers=SECURITY, media_type="application/json")


def error_answer(status: int, code: str, message: str, **more: Any) -> Response:
    known = {name: value for name, value in more.items() if value is not None}
    return json_answer({"error": {"code": code, "message": message, **known}}, status)


def refusal(error: GatewayError | JournalUnavailable) -> Response:
    if isinstance(error, JournalUnavailable):
        return error_answer(503, "audit_unavailable", f"this could not be put on record, so it is not done: {error}")
    return error_answer(_STATUS.get(error.kind, 500), error.code, error.message)


def line(what: str, text: str, most: int) -> str:
    """One line of text that hides nothing. Raises ValueError."""
    text = text.strip()
    if not text or len(text) > most or _UNSEEN.search(text):
        raise ValueError(f"'{what}' must be 1 to {most} characters on one line")
    return text


async def strict(request: Request, kind: type[T]) -> T:
    """The body as `kind`: one meaning, no unknown fields, bounded. Raises GatewayError."""
    body = await limited_body(request)
    if body is None:
        raise GatewayError("bad_request", "too_large", f"a body may have {MAX_BODY} bytes")
    try:
        strict_json.parse(body)
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, strict_json.Ambiguous) as error:
        raise GatewayError("bad_request", "bad_request", f"the body cannot be used: {error}") from error


async def limited_body(request: Request) -> bytes | None:
    """None when it is longer than `MAX_BODY`."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def with_times(row: Struct, *without: str) -> dict[str, Any]:
    """Its fields; those in microseconds (`…_us`) as times in UTC (`…_at`)."""
    fields = {name: getattr(row, name) for name in row.__struct_fields__ if name not in without}
    return {_named(name): _time(value) if name.endswith("_us") else value for name, value in fields.items()}


def _named(field: str) -> str:
    return f"{field[:-3]}_at" if field.endswith("_us") else field


def _time(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    return dt.datetime.fromtimestamp(at_us / 1_000_000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
