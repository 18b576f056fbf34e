"""How a request names a kept prompt: `prompt: {name, version | label, variables}` in its body, or two headers.

OpenAI's Responses API has a `prompt` of its own, `{id, …}`: only one with a `name` is ours. A request that could be read as both, or as
neither wholly, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from gateway.errors import GatewayError
from gateway.prompt.kept import VERSION
from gateway.prompt.library import Named
from gateway.strict_json import Json

FIELD = "prompt"
HEADER, VARIABLES = "x-tollhouse-prompt", "x-tollhouse-variables"
_KEYS = frozenset({"name", "version", "label", "variables"})


class Reference(Struct, frozen=True):
    named: Named
    variables: Mapping[str, Json]


class _Top(Struct):
    prompt: Raw | UnsetType = UNSET


_top = msgspec.json.Decoder(_Top).decode
"""Four times as fast as looking for the bytes of the name, and it finds the name however it is spelled."""


def mentioned(body: bytes) -> bytes | None:
    """The field of a body that asks for a kept prompt. What is no JSON, or none with one meaning, is for the dialect to refuse."""
    try:
        raw = _top(body).prompt
        said = msgspec.json.decode(raw) if isinstance(raw, Raw) else None
    except (msgspec.DecodeError, RecursionError):
        return None
    return bytes(raw) if isinstance(raw, Raw) and isinstance(said, dict) and "name" in said else None


def in_body(said: Mapping[str, Json]) -> Reference:
    """Raises GatewayError for what has not exactly one meaning."""
    unknown = sorted(said.keys() - _KEYS)
    if "id" in said:
        raise _bad("`prompt` has an `id`, which is the provider's, and a `name`, which is this gateway's. Send one of them.")
    if unknown:
        raise _bad(f"`prompt.{unknown[0][:64]}` is unknown. It has `name`, `version` or `label`, and `variables`.")
    name, version, label = (_text(said, key) for key in ("name", "version", "label"))
    if version and label:
        raise _bad("`prompt` names a `version` and a `label`. Send one of them.")
    variables = {} if said.get("variables") is None else said["variables"]
    if not isinstance(variables, dict):
        raise _bad("`prompt.variables` must be an object: names and their values.")
    return Reference(Named(name, version, label), variables)


def _text(said: Mapping[str, Json], key: str) -> str:
    value = said.get(key)
    if value is None and key != "name":
        return ""
    if not isinstance(value, str) or not value:
        raise _bad(f"`prompt.{key}` must be a text that is not empty.")
    return value


def in_header(headers: Sequence[tuple[str, str]]) -> str | None:
    """What the header says, once. `name`, `name@label` or `name@version`."""
    found = [value for name, value in headers if name == HEADER]
    if len(found) > 1 or len([name for name, _ in headers if name == VARIABLES]) > 1:
        raise _bad(f"{HEADER} or {VARIABLES} comes more than once. Send each once.")
    if not found and any(name == VARIABLES for name, _ in headers):
        raise _bad(f"{VARIABLES} comes without {HEADER}. Say which prompt the variables are for.")
    return found[0] if found else None


def of_header(text: str, variables: Json) -> Reference:
    name, at, which = text.strip().partition("@")
    if not name or bool(at) != bool(which):
        raise _bad(f"{HEADER} must be name, name@label or name@version.")
    if not isinstance(variables, dict):
        raise _bad(f"{VARIABLES} must be a JSON object: names and their values.")
    version = which if VERSION.fullmatch(which) else ""
    return Reference(Named(name, version, "" if version else which), variables)


def _bad(message: str) -> GatewayError:
    return GatewayError("bad_request", "invalid_prompt", message, param=FIELD)
