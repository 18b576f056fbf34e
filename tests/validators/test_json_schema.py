"""Arguments beside a declared schema that a stranger wrote."""

import http.server
import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.validators import json_schema
from gateway.validators.json_schema import MAX_DEPTH, MAX_FINDINGS, MAX_SCHEMA_BYTES, check

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def found(schema, args):
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    findings = check(text, args)
    assert all((f.validator, f.severity) == ("json_schema", "error") for f in findings)
    return [(f.code, f.path) for f in findings]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({"city": "Paris"}, []),
        ({"city": "Paris", "days": 2}, []),
        ({}, [("schema", "arguments")]),
        ({"city": 5}, [("schema", "arguments.city")]),
        ({"city": None}, [("schema", "arguments.city")]),
        ({"city": "Paris", "days": "2"}, [("schema", "arguments.days")]),
        ({"city": "Paris", "days": 1.5}, [("schema", "arguments.days")]),
        (
            {"city": "Paris", "__proto__": {"x": 1}, "constructor": 1},
            [("additional_properties", "arguments.__proto__"), ("additional_properties", "arguments.constructor")],
        ),
        ({"сity": "Paris"}, [("additional_properties", "arguments.(unusual name)"), ("schema", "arguments")]),
        ({"city": "Paris", "city ": "Rome"}, [("additional_properties", "arguments.(unusual name)")]),
        ([], [("schema", "arguments")]),
        ("x", [("schema", "arguments")]),
        (None, [("schema", "arguments")]),
    ],
)
def test_arguments_are_as_declared_or_there_are_findings(args, expected):
    assert found(WEATHER, args) == expected


@pytest.mark.parametrize(
    "schema",
    [
        {**WEATHER, "additionalProperties": True},
        {**WEATHER, "additionalProperties": {"type": "integer"}},
        {**WEATHER, "unevaluatedProperties": True},
        {"type": "object"},
        {},
        True,
        {**WEATHER, "patternProperties": {"^ex": {}}},
        {**WEATHER, "allOf": [{"properties": {"extra": {}}}]},
        {**WEATHER, "anyOf": [{"$ref": "#/$defs/more"}], "$defs": {"more": {"properties": {"extra": {}}}}},
        {**WEATHER, "if": {"required": ["city"]}, "then": {"properties": {"extra": {}}}},
        {**WEATHER, "dependentSchemas": {"city": {"properties": {"extra": {}}}}},
    ],
)
def test_an_argument_that_the_schema_allows_in_any_way_is_no_finding(schema):
    assert found(schema, {"city": "Paris", "extra": 1}) == []


@pytest.mark.parametrize(
    "schema",
    [
        WEATHER,
        {**WEATHER, "additionalProperties": False},
        {**WEATHER, "patternProperties": {"^other": {}}},
        {**WEATHER, "allOf": [True, {"properties": {"another": {}}}]},
        {"properties": {"city": {}}, "additionalProperties": False},
    ],
)
def test_an_argument_that_the_schema_does_not_know_is_a_finding(schema):
    assert [code for code, _ in found(schema, {"city": "Paris", "extra": 1})] == ["additional_properties"]


def test_findings_never_hold_a_value():
    secret = "sk-secret-1"
    schema = {"properties": {"a": {"type": "integer"}, "b": {"enum": ["x"]}, "c": {"pattern": "^z"}, "d": {"const": 1}}}
    findings = check(json.dumps(schema).encode(), {"a": secret, "b": secret, "c": secret, "d": secret, secret + " ": 1})
    assert len(findings) == MAX_FINDINGS
    assert secret not in repr(findings)


def test_findings_name_the_place_inside_arguments():
    schema = {"properties": {"l": {"items": {"properties": {"k": {"type": "string"}}}}}}
    assert found(schema, {"l": [{"k": "a"}, {"k": 1}]}) == [("schema", "arguments.l[1].k")]


# -- schemas that cannot be used --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "schema",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b"5",
        b"[" * 100_000,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b" " * (MAX_SCHEMA_BYTES + 1),
        {"type": "objekt"},
        {"properties": {"a": {"pattern": "("}}},
        {"$schema": "http://example.com/own"},
        {"$ref": "#/$defs/none"},
        {"properties": {"a": {}}, "$ref": "#other"},
        {"properties": {"a": {}}, "$ref": 5},
        {"$defs": {"x": {"$anchor": "o"}}, "properties": {"a": {"$ref": "#o"}}},
        {"$defs": {"x": {"$id": "urn:x", "$ref": "#"}}},
        {"$dynamicRef": "#"},
        {"properties": {"a": {"items": [{"$recursiveRef": "#"}]}}},
        {"$schema": "http://json-schema.org/draft-04/schema#", "definitions": {"x": {"id": "#o"}}},
    ],
)
def test_a_schema_that_cannot_be_used_is_itself_the_finding(schema):
    assert found(schema, {"a": 1}) == [("bad_schema", "arguments")]


@pytest.fixture
def listener():
    """A server that counts who comes."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("where", ["$ref", "$schema", "$dynamicRef", "inside", "id"])
def test_nothing_outside_the_schema_is_fetched(listener, where, tmp_path):
    url, seen = listener
    local = tmp_path / "schema.json"
    local.write_text("{}")
    for target in (f"{url}/s.json", local.as_uri()):
        schema = {
            "inside": {"properties": {"a": {"allOf": [{"$ref": target}]}}},
            "id": {"$id": target, "properties": {"a": {"$ref": "other.json"}}},
        }.get(where, {where: target, "properties": {"a": {}}})
        assert [code for code, _ in found(schema, {"a": 1})] in (["bad_schema"], ["schema_cost"])
    assert seen == []


# -- cost -------------------------------------------------------------------------------------------------


def doubling(levels):
    defs = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(levels)}
    return {"$ref": "#/$defs/a0", "$defs": {**defs, f"a{levels}": {"type": "string"}}}


def recursive(branches):
    return {"$ref": "#/$defs/t", "$defs": {"t": {"anyOf": [{"properties": {"a": {"$ref": "#/$defs/t"}}}] * branches}}}


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("schema", "args"),
    [
        (doubling(30), {"x": 1}),
        (recursive(3), nested(50)),
        ({"$ref": "#"}, {}),
        ({"anyOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": {"not": {"$ref": "#/$defs/x"}}}}, {}),
        ({"properties": {"l": {"items": {"pattern": "^(?=a)(a+)+\\1b$"}}}}, {"l": ["a" * 30] * 2000}),
        ({"properties": {"a": {"anyOf": [{"pattern": "(a+)+$"}] * 1000}}}, {"a": "a" * 50_000 + "!"}),
        ({"properties": {str(i): {} for i in range(5000)}}, {str(i): 1 for i in range(5000)}),
        ({"allOf": [{"$ref": "#/$defs/a0"}],
          "$defs": {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(400)} | {"a400": {}}}, {}),
    ],
)  # fmt: skip
def test_a_check_that_could_take_too_long_is_a_finding(schema, args):
    assert found(schema, args) == [("schema_cost", "arguments")]


def test_ordinary_recursion_is_checked():
    tree = {"properties": {"v": {"type": "integer"}, "l": {"$ref": "#"}, "r": {"$ref": "#"}}}
    assert found(tree, {"v": 1, "l": {"v": 2, "r": {"v": 3}}}) == []
    assert found(tree, {"v": 1, "l": {"v": 2, "r": {"v": "3"}}}) == [("schema", "arguments.l.r.v")]


def test_a_costly_mismatch_is_found_without_being_explained():
    schema = {"properties": {"l": {"items": {"anyOf": [{"type": "string"}] * 20}}}}
    assert found(schema, {"l": ["x"] * 5000 + [1]}) == [("schema", "arguments")]
    assert found(schema, {"l": ["x"] * 10 + [1]}) == [("schema", "arguments.l[10]")]


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(?=a)(a+)+\\1b$", "^(a|a)*$"])
def test_a_pattern_that_runs_away_is_stopped(pattern):
    assert found({"properties": {"a": {"pattern": pattern}}}, {"a": "a" * 20_000 + "!"}) == [("schema", "arguments.a")]


def test_pointers_of_references_follow_the_standard():
    schema = {
        "properties": {"a": {"$ref": "#/$defs/x~1y~0z%25"}, "b": {"$ref": "#/anyOf/0"}},
        "$defs": {"x/y~z%": {"type": "integer"}},
        "anyOf": [{"type": "object"}],
    }
    assert found(schema, {"a": 1, "b": {}}) == []
    assert found(schema, {"a": "x", "b": {}}) == [("schema", "arguments.a")]
    assert found({"properties": {"a": {"$ref": "#/properties/b/prefixItems/1"}, "b": {"prefixItems": [{}]}}}, {}) == [
        ("bad_schema", "arguments")
    ]


# -- the rest ---------------------------------------------------------------------------------------------


def test_a_property_may_be_called_id():
    schema = {"$id": "urn:tool", "properties": {"id": {"type": "string"}, "$id": {"type": "string"}}}
    assert found(schema, {"id": "x", "$id": "y"}) == []


def test_tuples_of_schemas_are_checked():
    schema = {
        "properties": {"l": {"prefixItems": [{"type": "integer"}, {"$ref": "#/$defs/s"}]}},
        "$defs": {"s": {"type": "string"}},
    }
    assert found(schema, {"l": [1, "x"]}) == []
    assert found(schema, {"l": [1, 2]}) == [("schema", "arguments.l[1]")]


def test_text_that_is_no_text_cannot_pass():
    assert found({"properties": {"a": {"enum": ["x"]}}}, {"a": "\ud800"}) == [("schema", "arguments")]


def test_schemas_are_compiled_once_and_the_store_is_bounded():
    json_schema._compiled.cache_clear()
    text = json.dumps(WEATHER).encode()
    for _ in range(3):
        check(text, {"city": "x"})
    assert json_schema._compiled.cache_info()[:2] == (2, 1)
    for i in range(json_schema._CACHED + 20):
        check(b'{"title": "%d"}' % i, {})
    assert json_schema._compiled.cache_info().currsize == json_schema._CACHED


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
values = st.recursive(leaves, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=3), x, max_size=3))


@given(st.binary(max_size=60) | values.map(lambda v: json.dumps(v).encode()), values)
def test_any_schema_and_any_arguments_give_findings_and_no_accident(schema, args):
    assert all(f.severity == "error" for f in check(schema, args))


@given(values.map(lambda v: {"properties": {"a": {"enum": [v]}}}), values)
def test_what_equals_the_declared_value_passes_and_nothing_else_is_silent(schema, value):
    declared = schema["properties"]["a"]["enum"][0]
    assert found(schema, {"a": declared}) == []
    if json.dumps(declared, sort_keys=True) != json.dumps(value, sort_keys=True) and declared != value:
        assert found(schema, {"a": value}) == [("schema", "arguments.a")]


def test_a_pointer_to_nothing_is_an_error_even_where_the_library_does_not_look():
    with pytest.raises(json_schema.SchemaError, match="points to nothing"):
        json_schema._target({"$defs": {}}, "#/$defs/none")
