"""Conversations of every dialect in one form."""

from __future__ import annotations

import json

import pytest

from gateway.trace.openai_form import Illegible, messages, tools

CALL = {"id": "c1", "type": "function", "function": {"name": "pay", "arguments": '{"to":"Ada"}'}}
SAID = [
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "pay Ada"},
    {"role": "assistant", "content": "I pay.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "paid"},
    {"role": "assistant", "content": "Done."},
]
CHAT = SAID[:4]
MESSAGES = [
    {"role": "system", "content": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": "pay Ada"},
    {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "I pay."},
        {"type": "tool_use", "id": "c1", "name": "pay", "input": {"to": "Ada"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "paid"}]}]},
]  # fmt: skip
RESPONSES = [
    {"role": "developer", "content": "be kind"},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "pay Ada"}]},
    {"type": "reasoning", "summary": []},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I pay."}]},
    {"type": "function_call", "call_id": "c1", "name": "pay", "arguments": '{"to":"Ada"}'},
    {"type": "function_call_output", "call_id": "c1", "output": "paid"},
]
GEMINI = [
    {"parts": [{"text": "be kind"}]},
    {"role": "user", "parts": [{"text": "pay Ada"}]},
    {"role": "model", "parts": [
        {"text": "hm", "thought": True}, {"text": "I pay."}, {"functionCall": {"id": "c1", "name": "pay", "args": {"to": "Ada"}}}]},
    {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "pay", "response": {"result": "paid"}}}]},
]  # fmt: skip
ANSWER = json.dumps({"role": "assistant", "content": "Done.", "calls": []})


@pytest.mark.parametrize("held", [CHAT, MESSAGES, RESPONSES, GEMINI], ids=["chat", "messages", "responses", "gemini"])
def test_a_conversation_reads_the_same_whatever_dialect_it_was_held_in(held):
    found = messages(map(json.dumps, held), ANSWER)
    if held is GEMINI:
        assert found[3].pop("content") == '{"result":"paid"}'
        found[3]["content"] = "paid"
    assert found == SAID


def test_calls_of_one_turn_are_one_message():
    items = [{"type": "custom_tool_call", "call_id": f"c{n}", "name": "sh", "input": "ls"} for n in (1, 2)]
    (found,) = messages(map(json.dumps, items), None)
    assert [call["function"]["arguments"] for call in found["tool_calls"]] == ["ls", "ls"]


def test_proposed_calls_are_in_the_answer_also_those_nobody_received():
    answer = {"role": "assistant", "content": "", "calls": [{"id": "c1", "name": "pay", "arguments": '{"to":"Ada"}', "released": False}]}
    assert messages([], json.dumps(answer)) == [{"role": "assistant", "content": None, "tool_calls": [CALL]}]


def test_plain_texts_are_the_system_prompt_and_unknown_parts_stand_as_they_are():
    found = messages(['"be kind"', '[{"type":"text","text":"be"},{"type":"text","text":"brief"}]'], None)
    assert found == [{"role": "system", "content": "be kind"}, {"role": "system", "content": "be\nbrief"}]
    odd = [{"type": "image", "source": {"data": "[image/png, 7 bytes]"}}, {"type": "document", "content": "text"}]
    assert messages([json.dumps({"role": "user", "content": odd})], None)[0]["content"].endswith('[image/png, 7 bytes]"}}\ntext')


def test_messages_of_nothing_are_left_out_and_an_empty_one_is_kept():
    assert messages(['{"role":"user","parts":[{"inlineData":{}}]}', "7"], None) == []
    assert messages(['{"role":"tool","tool_call_id":"c","content":null}'], None) == [{"role": "tool", "tool_call_id": "c", "content": ""}]
    assert messages(['{"role":"assistant","content":null}'], None) == [{"role": "assistant", "content": None}]
    thinking = {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}
    assert messages([json.dumps(thinking)], None) == []


@pytest.mark.parametrize("body", ["[text, 213 bytes, hmac:0011]", "[erased]", "enc:1:dk:xx", '{"role":', '["\ud800"]'])
def test_what_was_not_kept_is_illegible(body):
    with pytest.raises(Illegible):
        messages([body], None)


def test_tools_are_declared_in_one_form():
    parameters = {"type": "object", "properties": {}}
    chat = {"type": "function", "function": {"name": "pay", "description": "", "parameters": parameters}}
    declared = [
        chat, {"name": "pay", "input_schema": parameters}, {"type": "function", "name": "pay", "parameters": parameters},
        {"name": "pay", "parametersJsonSchema": parameters}, {"type": "web_search_20260318", "name": "web_search"}, 7,
    ]  # fmt: skip
    assert tools(json.dumps(declared)) == [chat] * 4
    assert tools("") == []
    assert tools('[{"name":"pay"}]')[0]["function"]["parameters"] == {"type": "object"}
    with pytest.raises(Illegible):
        tools("enc:1:dk:xx")
