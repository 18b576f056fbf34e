"""What a rule may look for in a text: the shape of `detect` and of `validate`, and what editors offer there.

Not here: the detectors and validators themselves, and the options of a validator, which are checked where the file is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Discriminator, Field, Tag, WithJsonSchema

from gateway.documents import Section, nearest
from gateway.policy.notation import Host
from gateway.strict_json import Json
from gateway.validators import VALIDATORS
from gateway.validators.detectors import DETECTORS, NUMBERS
from gateway.validators.installed import named

_ALL_DETECTORS: Final = f"; there are {', '.join(sorted(DETECTORS))} urls and national_id"
_MORE_THAN_A_NAME: Final = {
    "urls": "needs the hosts that may stay: {urls: {allow: [example.com]}}",
    "national_id": "needs the countries whose numbers are meant: {national_id: {countries: [de, fr]}}",
}


def _detector(name: str) -> str:
    if name not in DETECTORS:
        if name in _MORE_THAN_A_NAME:
            raise ValueError(_MORE_THAN_A_NAME[name])
        raise ValueError(f"names no detector: '{name}'{nearest(name, DETECTORS) or _ALL_DETECTORS}")
    return name


class Urls(Section):
    """Addresses of other hosts."""

    allow: list[Host] = Field(description="Hosts whose addresses are no finding; `*.example.com` is any host below.")


class DetectUrls(Section):
    """A detector that needs more than its name."""

    urls: Urls = Field(description="Addresses that lead to other hosts than these.")


def _country(code: str) -> str:
    if code not in NUMBERS:
        raise ValueError(f"names no country whose numbers are known: '{code}'; there are {', '.join(NUMBERS)}")
    return code


Country = Annotated[str, AfterValidator(_country), WithJsonSchema({"type": "string", "enum": sorted(NUMBERS)})]


class NationalId(Section):
    """Numbers that states give to people."""

    countries: list[Country] = Field(min_length=1, description="Whose numbers are looked for: two small letters each (ISO 3166).")


class DetectNationalId(Section):
    """A detector that needs more than its name."""

    national_id: NationalId = Field(description="Numbers that these countries give to people, with right check digits.")


def _kind_of_detector(said: object) -> str:
    if not isinstance(said, dict):
        return "name"
    return "national_id" if "national_id" in said else "urls"


DetectorName = Annotated[str, AfterValidator(_detector), WithJsonSchema({"type": "string", "enum": sorted(DETECTORS)})]
Detect = Annotated[
    Annotated[DetectorName, Tag("name")] | Annotated[DetectUrls, Tag("urls")] | Annotated[DetectNationalId, Tag("national_id")],
    Discriminator(_kind_of_detector),
]


ARGUMENT: Final = "argument"
"""Of a validator at `tool_call`: the argument that it looks at. Said among its options and no option of its own."""


def _validator(name: str) -> str:
    named(name)
    return name


class _Options:
    """The options of each validator, as editors show them. What a file says of them is checked when it is read, with its place."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        options = {name: _inlined(one.options.model_json_schema()) for name, one in sorted(VALIDATORS.items())}
        for one in options.values():
            one.setdefault("properties", {}).setdefault(ARGUMENT, _ARGUMENT_SCHEMA)
        return {"type": "object", "properties": options, "additionalProperties": False, "minProperties": 1, "maxProperties": 1}


_ARGUMENT_SCHEMA: Final = {
    "type": "string",
    "pattern": r"^[^.]+(\.[^.]+)*$",
    "description": "With `at: tool_call`: the argument to look at, like query or body.text.",
}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Without `$defs`, whose names would clash."""
    known = schema.pop("$defs", {})

    def part(value: Any) -> Any:
        if isinstance(value, list):
            return [part(one) for one in value]
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return part(known[value["$ref"].rsplit("/", 1)[-1]])
        return {key: part(one) for key, one in value.items()}

    inlined: dict[str, Any] = part(schema)
    return inlined


ValidatorName = Annotated[str, AfterValidator(_validator), WithJsonSchema({"type": "string", "enum": sorted(VALIDATORS)})]
ValidatorWith = Annotated[dict[ValidatorName, dict[str, Json] | None], Field(min_length=1, max_length=1), _Options()]
Validate = Annotated[
    Annotated[ValidatorName, Tag("name")] | Annotated[ValidatorWith, Tag("options")],
    Discriminator(lambda said: "options" if isinstance(said, dict) else "name"),
]
