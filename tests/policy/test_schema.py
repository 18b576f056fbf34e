"""The JSON Schema that editors use says what the loader says, as far as a schema can."""

import json
from pathlib import Path

import jsonschema_rs
import pytest
from pydantic import Field

from gateway.documents import Section, parse
from gateway.errors import FileProblems
from gateway.policy import load
from gateway.policy.model import PolicyFile, Rule
from gateway.policy.schema import FILE_NAME, policy_schema
from gateway.shipped import folder
from gateway.validators import VALIDATORS
from gateway.validators.validator import Validator

SCHEMA = policy_schema()
ERRORS = Path(__file__).parent / "errors"


def valid(text):
    return jsonschema_rs.is_valid(SCHEMA, parse(text, "p.yaml").value, validate_formats=True)


def test_the_shipped_copy_is_that_of_the_model():
    shipped = (folder("policies") / FILE_NAME).read_text()
    assert json.loads(shipped) == SCHEMA, "run: tollhouse policy schema > policies/policy.schema.json"


@pytest.mark.parametrize("path", sorted(folder("policies").glob("*/policy.yaml")), ids=lambda p: p.parent.name)
def test_a_shipped_policy_is_valid_and_points_to_the_schema(path):
    first = path.read_text().splitlines()[0]
    target = first.removeprefix("# yaml-language-server: $schema=")
    assert target != first
    assert (path.parent / target).resolve() == (folder("policies") / FILE_NAME).resolve()
    assert valid(path.read_bytes())


def shape_problems():
    """The golden mistakes that are about the shape alone, each with what the loader says."""
    for path in sorted(ERRORS.glob("*.yaml")):
        try:
            load({path.name: path.read_bytes()})
        except FileProblems as error:
            if {one.code for one in error.problems} == {"TH102"}:
                yield path


BEYOND_A_SCHEMA = {
    *("rule_both_conditions", "no_policy_key", "four_eyes_without_ask", "until_without_shadow"),
    *("at_output_ask", "at_output_empty", "at_output_whole_text", "at_request_tools", "at_result_steer"),
    *("validate_argument", "validate_no_options", "validate_redact", "validate_redact_call", "validate_repair", "validate_request"),
    *("validate_rounds_of_nothing", "validate_sample", "validate_stream"),
    *("judge_beside_others", "judge_buffers", "judge_criterion_twice", "judge_denies", "judge_of_calls", "judge_redacts", "judge_repairs"),
    *("redact_nothing", "stream_at_call", "test_of_nothing", "test_of_two_things", "test_call_text", "test_text_args"),
}


@pytest.mark.parametrize("path", [p for p in shape_problems() if p.stem not in BEYOND_A_SCHEMA], ids=lambda p: p.stem)
def test_a_mistake_of_shape_is_seen_by_the_schema_too(path):
    assert not valid(path.read_bytes())


def test_options_of_validators_are_shown_where_they_are_used(monkeypatch):
    class Inner(Section):
        size: int = Field(3, description="How large.")

    class Outer(Section):
        parts: list[Inner] = Field([], description="Parts.")

    monkeypatch.setitem(VALIDATORS, "nested", Validator("nested", "1", Outer, lambda options: lambda subject: []))
    made = policy_schema()["$defs"]["Rule"]["properties"]["validate"]
    (options,) = [one for one in made["items"]["oneOf"] if one["type"] == "object"]
    nested = options["properties"]["nested"]["properties"]
    assert nested["parts"]["items"]["properties"]["size"]["description"] == "How large."
    assert nested["argument"]["type"] == "string"
    assert "$ref" not in json.dumps(options)


def test_every_key_has_a_description_or_speaks_for_itself():
    told = {name for model in (PolicyFile, Rule) for name, field in model.model_fields.items() if field.description}
    names = {*PolicyFile.model_fields, *Rule.model_fields}
    assert names - told == {"rules", "tests"}
    assert set(SCHEMA["properties"]) == set(PolicyFile.model_fields)
    assert not any("title" in one for one in SCHEMA["properties"].values())
