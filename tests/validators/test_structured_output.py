"""An answer is JSON and fits a schema, or what is wrong is said where it is."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import documents
from gateway.errors import FileProblems
from gateway.validators.structured_output import STRUCTURED_OUTPUT, StructuredOutput
from gateway.validators.validator import Subject, Unjudged

ORDER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 2},
        "state": {"enum": ["open", "done"]},
        "kind": {"const": "order"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "number"}}, "required": ["price"]}},
        "who": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "when": {"type": "object", "properties": {"day": {}}, "additionalProperties": False},
        "never": False,
    },
    "required": ["city"],
}


def seen(text, schema=None, asked=None, calls=0, **options):
    wanted = {} if schema is None else {"schema": schema}
    made = STRUCTURED_OUTPUT.make(StructuredOutput(**wanted, **options))
    return list(made(Subject(text, answer_schema=asked, calls=calls)))


@pytest.mark.parametrize(
    ("answer", "path", "detail"),
    [
        ({"city": "Rome", "other": 1}, None, None),
        ({}, "", 'the answer lacks "city", which is required'),
        ({"city": 5}, "city", "city must be of type string"),
        ({"city": "R"}, "city", "city does not satisfy 'minLength' (2)"),
        ({"city": "Rome", "state": "private"}, "state", 'state must be one of ["open", "done"]'),
        ({"city": "Rome", "kind": "private"}, "kind", 'kind must be "order"'),
        ({"city": "Rome", "items": [{"price": 1}, {"price": "private"}]}, "items[1].price", "items[1].price must be of type number"),
        ({"city": "Rome", "who": 1.5}, "who", "who does not fit the alternatives of 'anyOf'"),
        ({"city": "Rome", "when": {"now": "private"}}, "when", "when has more than the schema allows: now"),
        ({"city": "Rome", "when": {"my private": 1}}, "when", "when has more than the schema allows: (unusual name)"),
        ({"city": "Rome", "never": "private"}, "never", "never has, or is, something that the schema does not allow there"),
        ([], "", "the answer must be of type object"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place_and_without_its_value(answer, path, detail):
    for given_by in ({"schema": ORDER}, {"asked": ORDER}):
        found = seen(json.dumps(answer), **given_by)
        assert [(one.code, one.path, one.detail) for one in found] == ([] if detail is None else [("misfit", path, detail)])
        assert "private" not in str(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "malformed|ended|truncated|not"),
        ('{"a": 1', "not JSON"),
        ('{"a": 1} Done.', "something follows"),
        ('Sure! {"a": 1}', "not JSON"),
        ('{"a": 1, "a": 2}', "same key twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1e999}', "number"),
        ("{'a': 1}", "not JSON"),
        ("[" * 65 + "]" * 65, "too deeply"),
        ("[" * 200_000, "deeply|malformed|not JSON"),
        ('```json\n{"a": 1}\n```', "not JSON"),
        ('"\ud800"', "surrogate"),
    ],
)
def test_what_is_not_json_with_one_meaning_is_seen(text, said):
    [found] = seen(text)
    assert (found.code, found.path) == ("not_json", "")
    assert re.search(said, found.detail)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ('```json\n{"city": "Rome"}\n```', []),
        ('\n```\n{"city": "Rome"}\n```\n', []),
        ('{"city": "Rome"}', []),
        ('```json\n{"city": 1}\n```', ["misfit"]),
        ('```json\n{"city": "Rome"}\n```\nDone.', ["not_json"]),
        ('```json\n{"city": "Rome"}\n```\n```json\n{"city": "Rome"}\n```', ["not_json"]),
        ("```json\n\n```", ["not_json"]),
    ],
)
def test_a_fence_around_all_of_it_is_allowed_where_a_rule_says_so(text, codes):
    assert [one.code for one in seen(text, ORDER, fenced=True)] == codes


def test_the_rules_own_schema_is_the_one_that_counts():
    assert [one.code for one in seen("5", {"type": "integer"}, asked=ORDER)] == []
    assert [one.code for one in seen("5", asked=ORDER)] == ["misfit"]
    assert [one.code for one in seen("5", schema=False)] == ["misfit"]


def test_without_any_schema_it_has_to_be_json_unless_only_those_asked_for_are_looked_at():
    assert seen("{}") == []
    assert [one.code for one in seen("Hello")] == ["not_json"]
    assert seen("Hello", only_asked=True) == []
    assert [one.code for one in seen("Hello", asked=ORDER, only_asked=True)] == ["not_json"]


def test_an_answer_that_is_calls_and_no_text_is_no_answer_yet():
    assert seen("", asked=ORDER, calls=1) == []
    assert [one.code for one in seen("Hello", asked=ORDER, calls=1)] == ["not_json"]


@pytest.mark.parametrize("schema", [{"type": "strange"}, {"$ref": "https://example.com/x"}, {"pattern": "("}])
def test_a_schema_that_cannot_be_used_is_an_error_of_the_rule(schema):
    with pytest.raises(ValueError, match="cannot use its schema"):
        STRUCTURED_OUTPUT.make(StructuredOutput(schema=schema))
    with pytest.raises(Unjudged, match="cannot be checked"):
        seen("{}", asked=schema)


def test_a_schema_that_costs_too_much_is_unjudged():
    node = {"type": "object", "properties": {f"p{i}": {"$ref": "#"} for i in range(50)}, "anyOf": [{"required": ["a"]}] * 50}
    with pytest.raises(Unjudged, match="cannot be checked"):
        seen('{"p0":' * 20 + "{}" + "}" * 20, asked=node)


def test_what_costs_much_is_said_to_misfit_without_a_place():
    [found] = seen(json.dumps([1] * 120_000 + ["x"]), {"items": {"type": "integer"}})
    assert (found.path, found.detail) == ("", "the answer does not fit the schema")


def test_a_long_list_in_a_schema_is_shown_short():
    [found] = seen("5", {"enum": ["x" * 500]})
    assert len(found.detail) < 200


@pytest.mark.parametrize("schema", [{"prefixItems": [{}], "items": False}, {"prefixItems": [{}], "unevaluatedItems": False}])
def test_a_list_with_too_many_items_names_none_of_them(schema):
    found = seen('[1, "private"]', schema)
    assert {one.code for one in found} == {"misfit"}
    assert "private" not in str(found)


def test_in_a_file_the_schema_stands_under_its_name_and_excludes_what_makes_no_sense_beside_it():
    assert documents.load(b"schema: {type: object}", "p", StructuredOutput).wanted == {"type": "object"}
    with pytest.raises(FileProblems, match="takes 'schema' or 'only_asked'"):
        documents.load(b"{schema: {}, only_asked: true}", "p", StructuredOutput)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text("abc", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_every_value_fits_itself_and_no_other_constant(value):
    assert seen(json.dumps(value), {"const": value}) == []
    assert [one.code for one in seen(json.dumps(value), {"const": [value, value, "other"]})] == ["misfit"]


@pytest.mark.parametrize("piece", ['{"a":', "[", '"', "\\", "0", " ", "```json\n", "[1,"])
def test_time_grows_with_the_text(piece, cpu_at_most):
    with cpu_at_most(3):
        assert seen(piece * (300_000 // len(piece)), ORDER, fenced=True)


def test_a_text_beyond_the_limit_is_unjudged():
    with pytest.raises(Unjudged, match="4000001 characters"):
        seen(" " * 4_000_001)
