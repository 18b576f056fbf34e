"""The schema that a request asks its answer to have, as its dialect writes it."""

import json

import pytest

from gateway.dialects import DIALECTS
from gateway.request import Request

SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
SPELLED = {
    "type": "OBJECT", "nullable": True, "propertyOrdering": ["name"], "required": ["name"], "minProperties": "1",
    "properties": {
        "name": {"type": "STRING", "format": "enum", "enum": ["a", "b"], "maxLength": "9"},
        "list": {"type": "ARRAY", "items": {"type": "INTEGER", "minimum": 1}, "min_items": 2},
        "free": {"type": "TYPE_UNSPECIFIED"},
        "one": {"anyOf": [{"type": "NUMBER"}, {"type": "NULL"}]},
        "some": {"enum": ["x"], "nullable": True},
    },
}  # fmt: skip
PLAIN = {
    "type": ["object", "null"], "required": ["name"], "minProperties": 1,
    "properties": {
        "name": {"type": "string", "enum": ["a", "b"], "maxLength": 9},
        "list": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2},
        "free": {},
        "one": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "some": {"enum": ["x", None]},
    },
}  # fmt: skip
JSON_ONLY = {"type": "object"}
UPDATE = {"type": "configuration_update", "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}
ASKED = [
    ("openai.chat", {}, None),
    ("openai.chat", {"response_format": {"type": "text"}}, None),
    ("openai.chat", {"response_format": {"type": "json_object"}}, JSON_ONLY),
    ("openai.chat", {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}}, SCHEMA),
    ("openai.chat", {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, {}),
    ("openai.chat", {"response_format": "json"}, None),
    ("openai.responses", {}, None),
    ("openai.responses", {"text": {"format": {"type": "text"}}}, None),
    ("openai.responses", {"text": {"format": {"type": "json_object"}}}, JSON_ONLY),
    ("openai.responses", {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}}, SCHEMA),
    ("openai.responses", {"input": [UPDATE, {"type": "configuration_update", "reasoning": {"effort": "low"}}, "?"]}, SCHEMA),
    ("openai.responses", {"input": [UPDATE], "text": {"verbosity": "low"}}, SCHEMA),
    ("openai.responses", {"input": [UPDATE], "text": {"format": {"type": "json_object"}}}, JSON_ONLY),
    ("openai.responses", {"input": [UPDATE, {"type": "configuration_update", "text": {"format": {"type": "text"}}}]}, None),
    ("anthropic.messages", {}, None),
    ("anthropic.messages", {"output_format": {"type": "json_schema", "schema": SCHEMA}}, SCHEMA),
    ("anthropic.messages", {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}}, SCHEMA),
    ("anthropic.messages", {"output_config": {"effort": "low"}}, None),
    ("google.gemini", {}, None),
    ("google.gemini", {"generationConfig": {"temperature": 0}}, None),
    ("google.gemini", {"generationConfig": {"responseMimeType": "application/json"}}, {}),
    ("google.gemini", {"generation_config": {"response_mime_type": "application/json", "response_json_schema": SCHEMA}}, SCHEMA),
    ("google.gemini", {"generationConfig": {"responseJsonSchema": SCHEMA}}, SCHEMA),
    ("google.gemini", {"generationConfig": {"responseSchema": SPELLED}}, PLAIN),
    ("google.gemini", {"generationConfig": {"responseSchema": {"additionalProperties": False, "items": True, "maxItems": "x"}}},
     {"additionalProperties": False, "items": True, "maxItems": "x"}),
    ("google.gemini", {"generationConfig": {"responseSchema": {"properties": {"a": 1}, "anyOf": [2]}}},
     {"properties": {"a": 1}, "anyOf": [2]}),
    ("google.gemini", {"generationConfig": {"responseFormat": {"text": {"schema": SCHEMA}}}}, SCHEMA),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "body", "schema"), ASKED)
def test_the_schema_is_read_from_where_the_dialect_writes_it(dialect, body, schema):
    request = Request(dialect, "m", False, (), (), json.dumps(body).encode())
    assert DIALECTS[dialect].answer_schema(request) == schema


@pytest.mark.parametrize("dialect", ["openai.chat", "openai.responses", "anthropic.messages", "google.gemini"])
def test_a_body_that_is_no_object_asks_for_nothing(dialect):
    assert DIALECTS[dialect].answer_schema(Request(dialect, "m", False, (), (), b"[]")) is None
