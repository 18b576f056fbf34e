"""The JSON Schema of a policy file, for editors: completion, descriptions, and most mistakes while typing.

Made from the model that the loader uses, so it cannot promise other keys than the loader takes. It is no substitute for
loading: conditions, ids and includes are beyond a schema.
"""

from __future__ import annotations

from typing import Any

from gateway.policy.model import PolicyFile

FILE_NAME = "policy.schema.json"
"""Beside the policies, where the first line of a policy points (`# yaml-language-server: $schema=…`)."""


def policy_schema() -> dict[str, Any]:
    made: dict[str, Any] = _closed(_without_titles(PolicyFile.model_json_schema()))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Tollhouse policy", **made}


def _closed(part: Any) -> Any:
    """Where keys have a form, others are mistakes: a schema alone takes them for keys that it does not know."""
    if isinstance(part, list):
        return [_closed(one) for one in part]
    if not isinstance(part, dict):
        return part
    closed = {key: _closed(value) for key, value in part.items()}
    return {**closed, "additionalProperties": False} if "patternProperties" in closed else closed


def _without_titles(part: Any) -> Any:
    """Names in other words: editors show them in the place of descriptions. A property may be called `title` all the same."""
    if isinstance(part, list):
        return [_without_titles(one) for one in part]
    if not isinstance(part, dict):
        return part
    return {key: _without_titles(value) for key, value in part.items() if key != "title" or not isinstance(value, str)}
