"""How requests of OpenAI's APIs are read: names count exactly, types count exactly, and nothing is mended.

`"n": 2.0` or `"stream": 1` mean different things to different servers; what has no single meaning is refused with the field's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from gateway import strict_json
from gateway.errors import GatewayError
from gateway.strict_json import Json

LONGEST_MODEL = 256  # characters


def bad(code: str, message: str, param: str | None = None) -> NoReturn:
    raise GatewayError("bad_request", code, message, param=param)


def json_object(body: bytes) -> dict[str, Json]:
    try:
        tree = strict_json.parse(body, exact_numbers=False)
    except strict_json.Ambiguous as ambiguous:
        bad("invalid_json", f"The body is not JSON with one meaning: {ambiguous.detail}. Send one UTF-8 JSON object, each key once.")
    if not isinstance(tree, dict):
        bad("invalid_json", "The body is not a JSON object. Send {\"model\": …}.")
    return tree


def typed(tree: Mapping[str, Json], name: str, kind: type, default: Any) -> Any:
    """The field's value if it is of exactly this type; null counts as absent."""
    value = tree.get(name)
    if value is None:
        return default
    if type(value) is not kind:
        bad("invalid_type", f"`{name}` must be of type {kind.__name__}, not {type(value).__name__}.", name)
    return value


def model_name(value: Json) -> str:
    if not isinstance(value, str) or not value or value != value.strip() or len(value) > LONGEST_MODEL:
        bad("invalid_model", f"`model` must be a name of 1 to {LONGEST_MODEL} characters without spaces around it.", "model")
    return value


def number(value: Json) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float):
        bad("invalid_type", "`temperature` must be a number.", "temperature")
    return float(value)


def session_of(metadata: Json) -> str | None:
    session = metadata.get("session_id") if isinstance(metadata, dict) else None
    return session if isinstance(session, str) else None
