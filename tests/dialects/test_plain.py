"""Answers that bring no calls are proven to be what they say they are."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.answer import Usage
from gateway.dialects import anthropic_messages, openai_chat, plain
from gateway.errors import GatewayError
from gateway.request import Request

COUNT = b'{"model":"claude-x","messages":[{"role":"user","content":"Hi"}]}'


def request(operation: Any, model: str = "m") -> Request:
    return Request("d", model, False, (), (), b"", operation=operation)


def test_counted_tokens_are_a_number():
    assert plain.read(b'{"input_tokens": 12}', request("count_tokens")).model == "m"


def test_vectors_bring_their_usage():
    body = {"object": "list", "model": "e-1", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 7, "total_tokens": 7}}
    answer = plain.read(json.dumps(body).encode(), request("embeddings"))
    assert (answer.model, answer.usage) == ("e-1", Usage(input=7, output=0))


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}, {"prompt_tokens": True}])
def test_usage_that_says_nothing_is_unknown_not_zero(usage):
    answer = plain.read(json.dumps({"data": [], "usage": usage}).encode(), request("embeddings"))
    assert (answer.model, answer.usage) == (None, None)


def test_a_list_of_models_is_a_list_of_names():
    assert plain.read(b'{"data":[{"id":"a"},{"id":"b"}]}', request("models")).id is None


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("count_tokens", b"{}"),
        ("count_tokens", b'{"input_tokens": "12"}'),
        ("count_tokens", b'{"input_tokens": true}'),
        ("count_tokens", b'{"input_tokens": 1, "content": [{"type": "tool_use"}]}'),
        ("embeddings", b'{"data": {}}'),
        ("embeddings", b'{"data": [], "choices": []}'),
        ("models", b'{"data": "a"}'),
        ("models", b'{"data": [{"name": "a"}]}'),
        ("models", b'{"data": ["a"]}'),
        ("models", b'{"data": [], "data": []}'),
        ("models", b"[]"),
        ("models", b"<html>"),
        ("chat", b"{}"),
    ],
)
def test_anything_else_is_not_passed_on(operation, body):
    with pytest.raises(GatewayError) as caught:
        plain.read(body, request(operation))
    assert (caught.value.kind, caught.value.code) == ("upstream", "upstream_shape")


@pytest.mark.parametrize("dialect", [openai_chat, anthropic_messages])
def test_a_list_of_models_is_asked_for_without_a_body(dialect):
    (endpoint,) = (e for e in dialect.endpoints("/v1/models") if e.method == "GET")
    asked = dialect.decode_request(b"", {}, frozenset(), endpoint)
    assert (asked.operation, asked.model, asked.messages) == ("models", "", ())
    assert dialect.upstream_body(asked) == b""
    assert dialect.decode_plain(b'{"data":[]}', asked).usage is None


def test_counting_tokens_is_decoded_as_the_message_it_counts():
    (endpoint,) = anthropic_messages.endpoints("/v1/messages/count_tokens")
    asked = anthropic_messages.decode_request(COUNT, {}, frozenset(), endpoint)
    assert (asked.operation, asked.model, asked.messages[0].text, asked.body) == ("count_tokens", "claude-x", "Hi", COUNT)
    odd = anthropic_messages.decode_request(COUNT[:-1] + b',"made_up":1}', {}, frozenset(), endpoint)
    assert odd.unjudged == ("made_up",)


@pytest.mark.parametrize(("given", "text"), [("a", "a"), (["a", "b"], "a\nb"), ([1, 2], ""), ([[1], [2]], "")])
def test_what_is_embedded_is_kept_for_the_record(given, text):
    body = json.dumps({"model": "e", "input": given, "user": "u"}).encode()
    (endpoint,) = openai_chat.endpoints("/v1/embeddings")
    asked = openai_chat.decode_request(body, {}, frozenset(), endpoint)
    assert (asked.operation, asked.messages[0].text, json.loads(asked.messages[0].raw), asked.user_hint) == (
        "embeddings",
        text,
        given,
        "u",
    )
    assert openai_chat.upstream_body(asked) == body


@pytest.mark.parametrize("body", [b"{}", b'{"model":"e"}', b'{"model":"e","input":1}', b'{"input":"a"}', b"nonsense"])
def test_an_embedding_without_model_or_input_is_a_bad_request(body):
    with pytest.raises(GatewayError) as caught:
        openai_chat.decode_request(body, {}, frozenset(), openai_chat.EMBEDDINGS)
    assert caught.value.kind == "bad_request"


def test_a_field_nobody_knows_is_named():
    body = b'{"model":"e","input":"a","dimensions":3,"made_up":1}'
    assert openai_chat.decode_request(body, {}, frozenset(), openai_chat.EMBEDDINGS).unjudged == ("made_up",)
    assert openai_chat.decode_request(body, {}, frozenset({"made_up"}), openai_chat.EMBEDDINGS).unjudged == ()
