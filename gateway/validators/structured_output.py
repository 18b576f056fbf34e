"""Whether an answer is JSON, and fits the schema that the request asked for, or one that the rule gives.

Providers promise this and keep it mostly; a client that parses the answer breaks on the rest. The answer is read as strictly as a call's
arguments (`strict_json`) and checked under the same bounds on cost (`json_schema`), here as the standard says: names that a schema does not
mention are allowed unless it forbids them. What it sees says where and what was wanted, so that a model can repair it, and no value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from pydantic import ConfigDict, Field, model_validator

from gateway import strict_json
from gateway.documents import Maybe, Section
from gateway.strict_json import Json
from gateway.validators import json_schema
from gateway.validators.bounds import at_most
from gateway.validators.validator import NOTHING_SEEN, Check, Seen, Subject, Unjudged, Validator

MAX_TEXT: Final = 4_000_000
MAX_DEPTH: Final = 64
_SHOWN: Final = 160
_FENCED: Final = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n(.*\S)\s*```\s*", re.DOTALL)
_TOO_MANY: Final = ("additionalProperties", "unevaluatedProperties", "additionalItems", "unevaluatedItems")
_ALTERNATIVES: Final = ("anyOf", "oneOf", "not")


class StructuredOutput(Section):
    """Without options: as the request asked."""

    model_config = ConfigDict(populate_by_name=True)

    wanted: Maybe[dict[str, Json] | bool] = Field(
        None, alias="schema", description="The JSON Schema that the answer has to fit. Default: the one that the request asked for, if any."
    )
    fenced: bool = Field(False, description="The JSON may stand alone in one fenced block (```json).")
    only_asked: bool = Field(False, description="Say nothing of answers to requests that asked for no schema.")

    @model_validator(mode="after")
    def _asks_one_thing(self) -> StructuredOutput:
        if self.wanted is not None and self.only_asked:
            raise ValueError("takes 'schema' or 'only_asked': with a schema of its own it does not matter what the request asked for")
        return self


def _made(options: StructuredOutput) -> Check:
    schema = None if options.wanted is None else msgspec.json.encode(options.wanted)
    if schema is not None:
        try:
            json_schema.usable(schema)
        except json_schema.SchemaError as error:
            raise ValueError(f"cannot use its schema: {error}") from None
    return partial(_check, options, schema)


def _check(options: StructuredOutput, own: bytes | None, subject: Subject) -> Sequence[Seen]:
    asked = None if subject.answer_schema is None else msgspec.json.encode(subject.answer_schema)
    if (options.only_asked and asked is None) or (subject.calls and not subject.text.strip()):
        return NOTHING_SEEN
    text = at_most(subject.text, MAX_TEXT)
    fenced = _FENCED.fullmatch(text) if options.fenced else None
    try:
        value = strict_json.parse(fenced[1] if fenced else text, depth=MAX_DEPTH)
    except strict_json.Ambiguous as ambiguous:
        return [Seen("not_json", f"the answer is not JSON with one meaning: {ambiguous.detail}; give one JSON value and nothing else")]
    schema = own or asked
    return NOTHING_SEEN if schema is None else list(_misfits(schema, value))


def _misfits(schema: bytes, value: Json) -> Iterator[Seen]:
    try:
        found = json_schema.errors(schema, value)
    except (json_schema.SchemaError, json_schema.CostError) as error:
        raise Unjudged(f"the answer cannot be checked: {error}") from None
    for wrong in found:
        path = json_schema.below(wrong.path).removeprefix(".")
        yield Seen("misfit", f"{path or 'the answer'} {_wanted(wrong)}", path)


def _wanted(wrong: json_schema.Wrong) -> str:
    """What a value at its place should have been."""
    says: Any = wrong.says
    match wrong.keyword:
        case "":
            return "does not fit the schema"
        case "falseSchema":
            return "has, or is, something that the schema does not allow there"
        case "type":
            return f"must be of type {' or '.join(sorted(says))}"
        case "required":
            return f"lacks {_shown(says)}, which is required"
        case "enum":
            return f"must be one of {_shown(says)}"
        case "const":
            return f"must be {_shown(says)}"
        case keyword if keyword in _TOO_MANY:
            return "has more than the schema allows" + _names(says)
        case keyword if keyword in _ALTERNATIVES:
            return f"does not fit the alternatives of '{keyword}'"
    return f"does not satisfy '{wrong.keyword}' ({_shown(says)})"


def _names(names: Any) -> str:
    """Names are the answer's: those that are not plain are not repeated."""
    plain = [json_schema.below([one]).removeprefix(".") for one in names[:5]] if isinstance(names, list) else ()
    return f": {', '.join(plain)}" if plain else ""


def _shown(says: Any) -> str:
    """A piece of the schema, on one line."""
    written = json.dumps(says, ensure_ascii=True, default=lambda _: "…")
    return written if len(written) <= _SHOWN else f"{written[:_SHOWN]}…"


STRUCTURED_OUTPUT = Validator("structured_output", "1", StructuredOutput, _made, hooks=frozenset({"output"}), most=MAX_TEXT)
