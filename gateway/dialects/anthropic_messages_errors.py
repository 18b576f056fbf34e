"""The gateway's errors in the form of the Messages API.

Statuses follow what real clients do with them: 451 makes one request and shows our text where 403 reads
"failed to authenticate" and 400 is tried again with features stripped off; a refused thread must be a 400
with `error.details.error_code`, on which the SDKs send the whole conversation again.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway import strict_json
from gateway.dialects.events import WireError
from gateway.errors import GatewayError, Kind

DEFAULT_RETRY_AFTER = 5

_BY_KIND: Mapping[Kind, tuple[int, str]] = {
    "bad_request": (400, "invalid_request_error"),
    "authentication": (401, "authentication_error"),
    "refused": (451, "permission_error"),
    "not_found": (404, "not_found_error"),
    "method": (405, "invalid_request_error"),
    "upgrade": (426, "invalid_request_error"),
    "timeout": (408, "timeout_error"),
    "too_large": (413, "request_too_large"),
    "over_budget": (402, "billing_error"),
    "too_many": (429, "rate_limit_error"),
    "upstream": (502, "api_error"),
    "upstream_timeout": (504, "timeout_error"),
    "unavailable": (503, "overloaded_error"),
}
_BY_CODE: Mapping[str, tuple[int, str]] = {
    "thread_unsupported_request": (400, "invalid_request_error"),
}


def error_answer(error: GatewayError) -> WireError:
    status, _ = _form(error)
    headers = {"content-type": "application/json"}
    if error.kind in ("refused", "over_budget") or error.code == "truncated":
        headers["x-should-retry"] = "false"
    if error.kind == "unavailable" or error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after or DEFAULT_RETRY_AFTER)
    return WireError(status, headers, error_body(error))


def error_body(error: GatewayError) -> bytes:
    """One line of JSON; the same object is the data of an `error` event."""
    _, kind = _form(error)
    inside: dict[str, object] = {
        "type": kind,
        "message": error.message,
        "code": error.code,
        "details": {"error_code": error.code},
    }
    if error.param is not None:
        inside["param"] = error.param
    return strict_json.encode({"type": "error", "error": inside})


def _form(error: GatewayError) -> tuple[int, str]:
    return _BY_CODE.get(error.code) or _BY_KIND[error.kind]
