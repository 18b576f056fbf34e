"""Errors that a provider says with a good status, before anything else: a body that is an error, or a stream that begins with one
(`opening`).

What a route may still do about it is done before any of it is passed on. This is no judgement: what is not recognised goes the way of every
answer, where an error is found as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.strict_json import Json

_ERROR: Final = re.compile(rb'\s*\[?\s*(\{\s*"(?:error"|type"\s*:\s*"(?:error|response\.failed)").*)', re.DOTALL)
LONGEST: Final = 64 * 1024
"""Bytes; no error is longer."""

_STATUS: Final[Mapping[str, int]] = {
    "overloaded_error": 529, "rate_limit_error": 429, "rate_limit_exceeded": 429, "insufficient_quota": 429, "resource_exhausted": 429,
    "api_error": 500, "server_error": 500, "internal_server_error": 500, "internal": 500, "unavailable": 503, "deadline_exceeded": 504,
    "timeout_error": 504, "authentication_error": 401, "unauthenticated": 401, "permission_error": 403, "permission_denied": 403,
    "billing_error": 402, "not_found_error": 404, "not_found": 404, "invalid_request_error": 400, "invalid_argument": 400,
    "failed_precondition": 400, "invalid_prompt": 400, "request_too_large": 413,
}  # fmt: skip
"""Words of OpenAI, Anthropic and Google, and the statuses that they have where an error has one."""
UNKNOWN: Final = 502
"""An error in other words: nobody knows what became of the request."""


def status_in(said: bytes) -> int | None:
    """The status that fits the error which a body, or an event's data, is; None where it is something else."""
    found = _ERROR.match(said) if len(said) <= LONGEST else None
    if found is None:
        return None
    try:
        tree: Json = msgspec.json.decode(found[1].rstrip().removesuffix(b"]"))
    except (ValueError, RecursionError):
        return None
    return _status(tree) if isinstance(tree, dict) else None


def _status(tree: dict[str, Any]) -> int | None:
    answer = tree.get("response")
    error = answer.get("error") if isinstance(answer, dict) else tree.get("error") or (tree if tree.get("type") == "error" else None)
    if not error:
        return None
    if not isinstance(error, dict):
        return UNKNOWN
    code = error.get("code")
    if type(code) is int and 400 <= code < 600:
        return code
    words = (str(error.get(name)).lower() for name in ("type", "code", "status"))
    return next((_STATUS[word] for word in words if word in _STATUS), UNKNOWN)
