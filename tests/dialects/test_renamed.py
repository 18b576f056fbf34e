"""A request of which another name of its model is sent on: nothing else of it changes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.dialects.gemini_renamed import with_model

plain = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8)
json_values = st.recursive(plain, lambda inner: st.lists(inner, max_size=3))
PATHS = {
    "openai.chat": "/v1/chat/completions", "openai.responses": "/v1/responses", "anthropic.messages": "/v1/messages",
    "google.gemini": "/v1beta/models/old:generateContent",
}  # fmt: skip
BODIES = {
    "openai.chat": {"model": "old", "messages": [{"role": "user", "content": "go"}]},
    "openai.responses": {"model": "old", "input": "go"},
    "anthropic.messages": {"model": "old", "max_tokens": 5, "messages": [{"role": "user", "content": "go"}]},
    "google.gemini": {"contents": [{"role": "user", "parts": [{"text": "go"}]}]},
}


def renamed(name, body, path=None, model="new/one"):
    dialect = DIALECTS[name]
    endpoint = next(each for each in dialect.endpoints(path or PATHS[name]) if each.method == "POST")
    request = dialect.decode_request(json.dumps(body).encode(), {}, frozenset({"extra"}), endpoint)
    found, data = dialect.renamed(request, endpoint, model)
    return found, json.loads(data)


@pytest.mark.parametrize("name", [name for name in PATHS if name != "google.gemini"])
@given(extra=json_values)
def test_only_the_field_model_is_another(name, extra):
    body = BODIES[name] | {"extra": extra}
    endpoint, found = renamed(name, body)
    assert found == body | {"model": "new/one"}
    assert list(found) == list(body)
    assert endpoint.upstream_path == PATHS[name].removeprefix("/v1")


def test_in_gemini_the_path_names_the_model_and_the_body_stays():
    endpoint, found = renamed("google.gemini", BODIES["google.gemini"])
    assert (endpoint.upstream_path, endpoint.subject) == ("/v1beta/models/new%2Fone:generateContent", "new/one")
    assert found == BODIES["google.gemini"]


def test_a_gemini_body_that_names_its_model_names_the_other_one():
    body = BODIES["google.gemini"] | {"model": "models/old"}
    assert renamed("google.gemini", body, model="new")[1] == body | {"model": "models/new"}
    content = {"parts": [{"text": "go"}]}
    many = {"requests": [{"model": "models/old", "content": content}, {"content": content}]}
    _, found = renamed("google.gemini", many, "/v1beta/models/old:batchEmbedContents", "new")
    assert found == {"requests": [{"model": "models/new", "content": content}, {"content": content}]}


def test_a_gemini_count_names_the_other_model_inside_too():
    inner = {"model": "models/old", "contents": []}
    found = json.loads(with_model(json.dumps({"generateContentRequest": inner}).encode(), "models/new"))
    assert found == {"generateContentRequest": inner | {"model": "models/new"}}
