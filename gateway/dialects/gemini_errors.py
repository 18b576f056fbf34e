"""Gateway errors as Google's APIs say them: a number, a word for it, a text, and our reason code among the details.

A refusal by policy is 400 FAILED_PRECONDITION: every client of this dialect asks once and shows the text.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway import strict_json
from gateway.dialects.events import WireError
from gateway.errors import GatewayError, Kind
from gateway.strict_json import Json

_STATUS: Mapping[Kind, tuple[int, str]] = {
    "bad_request": (400, "INVALID_ARGUMENT"),
    "authentication": (401, "UNAUTHENTICATED"),
    "refused": (400, "FAILED_PRECONDITION"),
    "not_found": (404, "NOT_FOUND"),
    "method": (405, "UNIMPLEMENTED"),
    "upgrade": (426, "FAILED_PRECONDITION"),
    "timeout": (408, "DEADLINE_EXCEEDED"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "over_budget": (402, "FAILED_PRECONDITION"),
    "too_many": (429, "RESOURCE_EXHAUSTED"),
    "upstream": (502, "INTERNAL"),
    "upstream_timeout": (504, "DEADLINE_EXCEEDED"),
    "unavailable": (503, "UNAVAILABLE"),
}
_RETRY_AFTER = 5  # seconds


def error_body(error: GatewayError) -> bytes:
    status, word = _STATUS[error.kind]
    metadata = {} if error.param is None else {"param": error.param}
    detail = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": error.code, "domain": "tollhouse", "metadata": metadata,
    }  # fmt: skip
    return strict_json.encode({"error": {"code": status, "message": error.message, "status": word, "details": [detail]}})


def wire_error(error: GatewayError) -> WireError:
    status, _ = _STATUS[error.kind]
    headers = {"content-type": "application/json"}
    if error.kind == "unavailable":
        headers["retry-after"] = str(_RETRY_AFTER if error.retry_after is None else error.retry_after)
    elif error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return WireError(status, headers, error_body(error))


def error_json(error: Json) -> bytes:
    """The provider's error alone: whatever else its object held could be read as an answer."""
    return strict_json.encode({"error": error})
