"""A kept prompt in the system place of each dialect: the request says all else as it did."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.errors import GatewayError
from gateway.request import Instruction

SAID = Instruction("Be <kind> & {{ brief }}.", "kept-model", {"temperature": 0.5, "top_p": 0.25, "max_tokens": 99})
STOPPING = Instruction("Be kind.", None, {"stop": ["END"]})
USER = {"role": "user", "content": "hi"}
BODIES: dict[str, dict[str, Any]] = {
    "openai.chat": {"messages": [USER]},
    "openai.responses": {"input": "hi"},
    "anthropic.messages": {"messages": [USER]},
    "google.gemini": {"contents": [{"parts": [{"text": "hi"}]}]},
}
PATHS = {
    "openai.chat": "/v1/chat/completions", "openai.responses": "/v1/responses", "anthropic.messages": "/v1/messages",
    "google.gemini": "/v1beta/models/m:generateContent",
}  # fmt: skip
FILLED: dict[str, dict[str, Any]] = {
    "openai.chat": {
        "messages": [{"role": "system", "content": SAID.text}, USER], "model": "kept-model", "temperature": 0.5, "top_p": 0.25,
        "max_completion_tokens": 99,
    },
    "openai.responses": {
        "input": "hi", "instructions": SAID.text, "model": "kept-model", "temperature": 0.5, "top_p": 0.25, "max_output_tokens": 99,
    },
    "anthropic.messages": {
        "messages": [USER], "system": SAID.text, "model": "kept-model", "temperature": 0.5, "top_p": 0.25, "max_tokens": 99,
    },
    "google.gemini": {
        "contents": [{"parts": [{"text": "hi"}]}], "systemInstruction": {"parts": [{"text": SAID.text}]},
        "generationConfig": {"temperature": 0.5, "topP": 0.25, "maxOutputTokens": 99},
    },
}  # fmt: skip


def filled(dialect: str, said: Instruction = SAID, **more: Any) -> dict[str, Any]:
    body = {"prompt": {"name": "support"}, **BODIES[dialect], **more}
    return json.loads(DIALECTS[dialect].prompted(json.dumps(body).encode(), said))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_text_model_and_parameters_stand_where_the_dialect_has_them(dialect):
    assert filled(dialect) == FILLED[dialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_counts_more_than_the_request_stands_alone_however_the_request_spells_it(dialect):
    said = Instruction(SAID.text, SAID.model, SAID.parameters, frozenset({"temperature", "top_p", "max_tokens", "model"}))
    longest = {"openai.chat": ("max_tokens", "max_completion_tokens"), "openai.responses": ("max_output_tokens",)}
    if dialect == "google.gemini":
        more = {"generationConfig": {"temperature": 1.5, "max_output_tokens": 5, "top_p": 1}}
    else:
        more = {"model": "mine", "temperature": 1.5, "top_p": 1, **dict.fromkeys(longest.get(dialect, ("max_tokens",)), 5)}
    assert filled(dialect, said, **more) == FILLED[dialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_decoder_reads_the_text_as_the_system_prompt(dialect):
    wire = DIALECTS[dialect]
    [endpoint] = [each for each in wire.endpoints(PATHS[dialect]) if each.method == "POST"]
    request = wire.decode_request(json.dumps(filled(dialect)).encode(), {}, frozenset(), endpoint)
    assert [(m.role, m.text) for m in request.messages] == [("system", SAID.text), ("user", "hi")]
    assert (request.unjudged, request.powerful, request.max_tokens, request.temperature) == ((), (), 99, 0.5)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(more=st.dictionaries(st.text(max_size=9), st.none() | st.integers(0, 9) | st.text() | st.lists(st.booleans()), max_size=4))
def test_everything_else_survives_as_it_came(dialect, more):
    more = {name: value for name, value in more.items() if name not in FILLED[dialect]}
    assert filled(dialect, **more) == FILLED[dialect] | {name: value for name, value in more.items() if name != "prompt"}


@pytest.mark.parametrize(
    ("dialect", "own"),
    [
        ("openai.chat", {"model": "own", "temperature": 0, "top_p": 1, "max_tokens": 5}),
        ("openai.chat", {"model": "own", "temperature": 0, "top_p": 1, "max_completion_tokens": 5}),
        ("openai.responses", {"model": "own", "temperature": 0, "top_p": 1, "max_output_tokens": 5}),
        ("anthropic.messages", {"model": "own", "temperature": 0, "top_p": 1, "max_tokens": 5}),
        ("google.gemini", {"generationConfig": {"temperature": 0, "topP": 1, "maxOutputTokens": 5}}),
        ("google.gemini", {"generation_config": {"temperature": 0, "top_p": 1, "max_output_tokens": 5}}),
    ],
)
def test_what_the_request_says_itself_counts_more(dialect, own):
    found = filled(dialect, **own)
    assert {name: found.get(name) for name in own} == own
    assert ("max_tokens" in found) + ("max_completion_tokens" in found) == (dialect in ("openai.chat", "anthropic.messages"))


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_empty_model_is_none(nothing):
    assert filled("openai.chat", model=nothing)["model"] == "kept-model"


@pytest.mark.parametrize(
    ("dialect", "own", "place"),
    [
        ("openai.chat", {"messages": [{"role": "system", "content": "I am"}, USER]}, "messages[0]"),
        ("openai.chat", {"messages": [{"role": "developer", "content": "I am"}]}, "messages[0]"),
        ("openai.responses", {"instructions": "I am"}, "instructions"),
        ("anthropic.messages", {"system": "I am"}, "system"),
        ("anthropic.messages", {"system": [{"type": "text", "text": "I am"}]}, "system"),
        ("google.gemini", {"systemInstruction": {"parts": [{"text": "I am"}]}}, "systemInstruction"),
        ("google.gemini", {"system_instruction": "I am"}, "system_instruction"),
    ],
)
def test_a_second_system_prompt_is_refused(dialect, own, place):
    with pytest.raises(GatewayError, match="Send one of them") as caught:
        filled(dialect, **own)
    assert (caught.value.code, caught.value.param) == ("prompt_and_system", place)


@pytest.mark.parametrize(
    ("dialect", "place"),
    [("openai.chat", ("stop",)), ("anthropic.messages", ("stop_sequences",)), ("google.gemini", ("generationConfig", "stopSequences"))],
)
def test_texts_that_end_the_answer(dialect, place):
    found = filled(dialect, STOPPING)
    for key in place:
        found = found[key]
    assert found == ["END"]


def test_a_parameter_that_a_dialect_has_no_word_for_is_refused():
    with pytest.raises(GatewayError, match="take it out of the prompt"):
        filled("openai.responses", STOPPING)


@pytest.mark.parametrize("messages", [None, "hi", [], 7, ["hi"], [{"role": 7}]])
def test_messages_of_another_form_are_left_to_the_decoder(messages):
    assert filled("openai.chat", messages=messages)["messages"] == messages


def test_a_prompt_that_sets_nothing_adds_no_configuration():
    assert "generationConfig" not in filled("google.gemini", Instruction("Be kind."))
    assert filled("google.gemini", generationConfig="hi")["generationConfig"] == "hi"
