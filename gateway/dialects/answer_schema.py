"""The JSON Schema that a request asks its answer to have, in each dialect: what validators of answers compare with. Read from the request's
own bytes, and only where somebody asks. None: the request asks for nothing. Sources: the providers' API references (structured output).

A form that is not known here, or not what it should be, is no schema: the provider refuses such a request.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.request import Request
from gateway.strict_json import Json

_OBJECT: Final[dict[str, Json]] = {"type": "object"}
_decode = msgspec.json.Decoder().decode


def of_chat(request: Request) -> Json:
    match _fields(request).get("response_format"):
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema}}:
            return schema
        case {"type": "json_schema"}:
            return {}
        case {"type": "json_object"}:
            return _OBJECT
    return None


def of_responses(request: Request) -> Json:
    """Its own, or the last that its input says for the conversation; one that the provider keeps nobody sees."""
    fields = _fields(request)
    given = fields.get("input")
    updated = [item["text"] for item in given if _updates(item)] if isinstance(given, list) else []
    own = fields.get("text")
    match own if not updated or (isinstance(own, dict) and own.get("format") is not None) else updated[-1]:
        case {"format": {"type": "json_schema", "schema": dict() as schema}}:
            return schema
        case {"format": {"type": "json_object"}}:
            return _OBJECT
    return None


def _updates(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "configuration_update" and item.get("text") is not None


def of_messages(request: Request) -> Json:
    fields = _fields(request)
    for found in (fields.get("output_config"), {"format": fields.get("output_format")}):
        match found:
            case {"format": {"type": "json_schema", "schema": dict() as schema}}:
                return schema
    return None


def of_gemini(request: Request) -> Json:
    """`responseSchema` is written in OpenAPI's terms (types in capitals, `nullable`)."""
    config = _either(_fields(request), "generationConfig", "generation_config")
    if not isinstance(config, dict):
        return None
    match _either(config, "responseFormat", "response_format"):
        case {"text": {"schema": dict() as schema}}:
            return schema
    plain, spelled = _either(config, "responseJsonSchema", "response_json_schema"), _either(config, "responseSchema", "response_schema")
    if isinstance(plain, dict):
        return plain
    if isinstance(spelled, dict):
        return _from_openapi(spelled)
    return {} if _either(config, "responseMimeType", "response_mime_type") == "application/json" else None


_COUNTS: Final = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_BELOW: Final = frozenset({"items", "additionalProperties"})
_AS_IT_IS: Final = frozenset({"required", "minimum", "maximum", "pattern", "description", "title"})


def _from_openapi(schema: dict[str, Any]) -> Json:
    """The same as a JSON Schema; what only hints (`format`, `example`, `propertyOrdering`) is left out."""
    found: dict[str, Any] = {}
    for written, value in schema.items():
        key = _camel(written)
        if key in _BELOW:
            found[key] = _from_openapi(value) if isinstance(value, dict) else value
        elif key == "properties" and isinstance(value, dict):
            found[key] = {name: _from_openapi(inner) if isinstance(inner, dict) else inner for name, inner in value.items()}
        elif key == "anyOf" and isinstance(value, list):
            found[key] = [_from_openapi(inner) if isinstance(inner, dict) else inner for inner in value]
        elif key in _COUNTS:
            found[key] = int(value) if isinstance(value, str) and value.isdecimal() else value
        elif key in _AS_IT_IS:
            found[key] = value
    return found | _types(schema)


def _types(schema: dict[str, Any]) -> dict[str, Any]:
    kind, nullable = schema.get("type"), schema.get("nullable") is True
    named = kind.lower() if isinstance(kind, str) and kind != "TYPE_UNSPECIFIED" else None
    found: dict[str, Any] = {} if named is None else {"type": [named, "null"] if nullable else named}
    values = schema.get("enum")
    return found if not isinstance(values, list) else found | {"enum": [*values, None] if nullable else values}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _fields(request: Request) -> dict[str, Any]:
    tree = _decode(request.body)
    return tree if isinstance(tree, dict) else {}


def _either(holder: dict[str, Any], name: str, snake: str) -> Any:
    return holder.get(name, holder.get(snake))
