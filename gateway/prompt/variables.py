"""What fills a kept prompt: which values are declared, of which type, and whether those given are such.

Nothing is bent: `"3"` is no integer and `1` is no text, so that a value means the same to the caller, the template and the record. What was
given beside what is declared is an error too: it is a typing mistake, or somebody thinks that it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

import msgspec
from pydantic import Field, model_validator

from gateway.documents import Section, nearest
from gateway.errors import GatewayError
from gateway.strict_json import Json

MOST_GIVEN: Final = 256 * 1024
"""Bytes of all values of a request together, as JSON."""
MOST_ITEMS: Final = 1000
NAME: Final = r"[a-z][a-z0-9_]{0,63}"

Kind = Literal["string", "integer", "number", "boolean", "list"]
_TYPES: Mapping[Kind, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "text"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "true or false"),
    "list": ((list,), f"a list of up to {MOST_ITEMS} texts, numbers or booleans"),
}
_ITEMS: Final = (str, int, float, bool)


class Variable(Section):
    """One declared variable. Without `default` it must be given."""

    type: Annotated[Kind, Field(description="string | integer | number | boolean | list (of those)")]
    description: Annotated[str, Field(description="what it is, for people")] = ""
    default: Annotated[Any, Field(description="used where none is given; without one it must be given")] = None
    values: Annotated[list[Any] | None, Field(min_length=1, description="the only values there are")] = None
    max_length: Annotated[int, Field(ge=1, le=MOST_GIVEN, description="characters of a string, or of each text in a list")] = 20_000

    @model_validator(mode="after")
    def values_fit(self) -> Self:
        for value in [*(self.values or ()), *([] if self.required else [self.default])]:
            if said := self.wrong(value):
                shown = msgspec.json.encode(value).decode()
                raise ValueError(f"'default' and 'values' must be values of the variable: {shown} must be {said}")
        return self

    @property
    def required(self) -> bool:
        return "default" not in self.model_fields_set

    def wrong(self, value: Json) -> str:
        """What the value must be, where it is not."""
        types, said = _TYPES[self.type]
        if type(value) not in types:
            return said
        if self.values is not None and not any(type(each) is type(value) and each == value for each in self.values):
            return "one of " + ", ".join(msgspec.json.encode(each).decode() for each in self.values)
        texts = value if isinstance(value, list) else [value]
        if len(texts) > MOST_ITEMS or any(type(each) not in _ITEMS for each in texts):
            return said
        if any(isinstance(each, str) and len(each) > self.max_length for each in texts):
            return f"no longer than {self.max_length} characters"
        return ""


def filled(prompt: str, declared: Mapping[str, Variable], given: Mapping[str, Json]) -> dict[str, Json]:
    """Every declared variable with its value. Raises GatewayError for what is missing, unknown or of another type."""
    if len(msgspec.json.encode(given)) > MOST_GIVEN:
        raise _bad("variables_too_long", f"The variables have more than {MOST_GIVEN // 1024} KiB. Send long texts as messages.")
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "none"
            said = f"The prompt '{prompt}' has no variable `{name[:64]}`{nearest(name, declared) or '.'} It has: {known}."
            raise _bad("unknown_prompt_variable", said)
    values: dict[str, Json] = {}
    for name, variable in declared.items():
        if name not in given and variable.required:
            said = f"The prompt '{prompt}' needs the variable `{name}` ({variable.type}). Send it in `variables`."
            raise _bad("missing_prompt_variable", said)
        values[name] = given.get(name, variable.default)
        if said := variable.wrong(values[name]):
            raise _bad("wrong_prompt_variable", f"The variable `{name}` of the prompt '{prompt}' must be {said}.")
    return values


def _bad(code: str, message: str) -> GatewayError:
    return GatewayError("bad_request", code, message, param="prompt")
