"""Gateway errors as OpenAI's API says them, so that SDKs raise their own exceptions and show our text.

Statuses follow what clients do with them: 400 for a refusal by policy is asked once by every client, while 403, 422 or 451 make some ask
six times; 503 carries Retry-After, because clients then wait instead of hammering. `x-should-retry: false` is obeyed by the SDKs.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway import strict_json
from gateway.dialects.events import WireError
from gateway.errors import GatewayError, Kind

_STATUS: Mapping[Kind, tuple[int, str]] = {
    "bad_request": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "refused": (400, "policy_violation"),
    "not_found": (404, "invalid_request_error"),
    "method": (405, "invalid_request_error"),
    "upgrade": (426, "invalid_request_error"),
    "timeout": (408, "timeout_error"),
    "too_large": (413, "invalid_request_error"),
    "over_budget": (402, "insufficient_quota"),
    "too_many": (429, "rate_limit_error"),
    "upstream": (502, "upstream_error"),
    "upstream_timeout": (504, "upstream_error"),
    "unavailable": (503, "server_error"),
}
_RETRY_AFTER = 5  # seconds


def error_object(error: GatewayError) -> dict[str, str | None]:
    _, kind = _STATUS[error.kind]
    return {"message": error.message, "type": kind, "param": error.param, "code": error.code}


def error_body(error: GatewayError) -> bytes:
    return strict_json.encode({"error": error_object(error)})


def wire_error(error: GatewayError) -> WireError:
    status, _ = _STATUS[error.kind]
    headers = {"content-type": "application/json"}
    if error.kind == "unavailable":
        headers["retry-after"] = str(_RETRY_AFTER if error.retry_after is None else error.retry_after)
    elif error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.kind in ("refused", "over_budget") or error.code == "truncated":
        headers["x-should-retry"] = "false"
    return WireError(status, headers, error_body(error))
