"""What of a request survives a translation: named when it is left out, refused when leaving it out would change what is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.upstream.translatable import PAIRS, SHAPES, spoken, translatable

TEXT = {"type": "text", "text": "hi"}
THOUGHT = {"type": "thinking", "thinking": "x", "signature": "s"}
CHAT_CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def chat(**more) -> dict:
    return {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | more


def messages(*said, **more) -> dict:
    return {"model": "m", "max_tokens": 9, "messages": list(said) or [{"role": "user", "content": "hi"}]} | more


def from_chat(tree: dict, upstream: str = "anthropic.messages"):
    return translatable("openai.chat", upstream, tree)


def from_messages(tree: dict, upstream: str = "openai.chat"):
    return translatable("anthropic.messages", upstream, tree)


def refused(call) -> str:
    with pytest.raises(GatewayError, match="cannot be said in it") as caught:
        call()
    assert (caught.value.kind, caught.value.code) == ("refused", "untranslatable")
    return caught.value.param or ""


def test_what_both_sides_know_survives_untouched():
    tree = chat(
        tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "x": {"y": [1]}}}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        temperature=0.5,
        stop=["x"],
        messages=[
            {"role": "developer", "content": "be"},
            {"role": "user", "content": [TEXT, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
            {"role": "assistant", "content": "ok", "tool_calls": [CHAT_CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": [TEXT]},
        ],
    )
    found = from_chat(tree)
    assert (found.tree, found.dropped) == (tree, ())


def test_messages_survive_untouched():
    tree = messages(
        {"role": "user", "content": [TEXT, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
        {"role": "assistant", "content": [TEXT, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [None]}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [TEXT]}]},
        {"role": "system", "content": "late"},
        system=[TEXT],
        tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        metadata={"user_id": "u"},
        stop_sequences=["x"],
    )
    found = from_messages(tree)
    assert (found.tree, found.dropped) == (tree, ())


def test_hints_are_left_out_and_named_once_each():
    tree = chat(seed=1, logit_bias={"1": 2}, messages=[
        {"role": "user", "name": "a", "content": [{"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}]},
        {"role": "user", "name": "b", "content": "x"},
    ], tools=[{"type": "function", "function": {"name": "f", "strict": True}}])  # fmt: skip
    found = from_chat(tree)
    assert found.dropped == (
        "messages[].name", "messages[].content[].image_url.detail", "seed", "logit_bias", "tools[].function.strict",
    )  # fmt: skip
    assert found.tree["messages"][1] == {"role": "user", "content": "x"}


def test_thinking_cache_marks_and_errors_of_results_are_named():
    tree = messages(
        {"role": "user", "content": [TEXT | {"cache_control": {"type": "ephemeral"}}]},
        {"role": "assistant", "content": [THOUGHT, TEXT, {"type": "redacted_thinking", "data": "x"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x", "is_error": True}]},
        thinking={"type": "enabled", "budget_tokens": 2000},
    )  # fmt: skip
    found = from_messages(tree)
    assert set(found.dropped) == {
        "thinking", "messages[].content[].cache_control", "messages[].content[].thinking", "messages[].content[].redacted_thinking",
        "messages[].content[].is_error",
    }  # fmt: skip
    assert found.tree["messages"][1]["content"] == [TEXT]


def test_null_says_nothing_and_is_not_named():
    found = from_chat(chat(seed=None, tools=None, tool_choice=None, function_call=None))
    assert (found.tree, found.dropped) == (chat(), ())


def test_values_that_say_nothing_are_no_reason_to_refuse():
    found = from_chat(chat(n=1, function_call="none"))
    assert (found.tree, found.dropped) == (chat(), ())


def test_what_a_pair_has_no_word_for_is_named():
    assert from_chat(chat(user="u", parallel_tool_calls=False), "google.gemini").dropped == ("user", "parallel_tool_calls")
    tree = messages(metadata={"user_id": "u"}, tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    found = from_messages(tree, "google.gemini")
    assert set(found.dropped) == {"metadata", "tool_choice.disable_parallel_tool_use"}
    assert found.tree["tool_choice"] == {"type": "auto"}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"n": 2}, "n"),
        ({"functions": []}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools[].type=custom"),
        ({"tools": ["f"]}, "tools[]"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type=allowed_tools"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[].role=function"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {}}]}]}, "messages[].content[].type=file"),
        ({"messages": [{"role": "user", "content": [{"type": ["text"]}]}]}, "messages[].content[]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "data:x"}]}]}, "messages[].content[].image_url"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[].function_call"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[].audio"),
        ({"messages": [{"role": "assistant", "tool_calls": [CHAT_CALL | {"type": "custom"}]}]}, "messages[].tool_calls[].type=custom"),
    ],
)
def test_what_changes_who_may_do_what_or_what_was_said_refuses(more, named):
    assert refused(lambda: from_chat(chat(**more))) == named


@pytest.mark.parametrize("text", ['{"a": 1', '{"a": 1, "a": 2}', "[]", "nonsense"])
def test_earlier_arguments_without_one_meaning_refuse(text):
    call = CHAT_CALL | {"function": {"name": "f", "arguments": text}}
    tree = chat(messages=[{"role": "assistant", "tool_calls": [call]}])
    assert refused(lambda: from_chat(tree)) == "messages[].tool_calls[].function.arguments"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[].type=web_search_20250305"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"container": "c"}, "container"),
    ],
)
def test_what_a_provider_would_run_refuses(more, named):
    assert refused(lambda: from_messages(messages(**more))) == named


@pytest.mark.parametrize(
    ("role", "block", "named"),
    [
        ("user", {"type": "document"}, "type=document"),
        ("user", {"type": "image", "source": {"type": "url", "url": "x"}}, "source.type=url"),
        ("user", {"type": "tool_result", "content": [{"type": "image"}]}, "content[].type=image"),
        ("assistant", {"type": "server_tool_use"}, "type=server_tool_use"),
    ],
)
def test_messages_that_cannot_be_said_refuse(role, block, named):
    tree = messages({"role": role, "content": [block]})
    assert refused(lambda: from_messages(tree)) == f"messages[].content[].{named}"


def test_a_pair_is_found_among_an_upstream_s_dialects():
    assert spoken("openai.chat", ["x", "google.gemini", "anthropic.messages"]) == "google.gemini"
    assert spoken("openai.chat", ["openai.chat"]) is None
    assert {client for client, _ in PAIRS} == SHAPES.keys()


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(more=st.dictionaries(st.sampled_from(["seed", "top_k", "n", "user", "stop", "tools", "tool_choice", "x y"]), _json, max_size=5))
@pytest.mark.parametrize("pair", PAIRS)
def test_every_field_survives_or_is_named_or_refuses(pair, more):
    tree = (chat() if pair[0] == "openai.chat" else messages()) | more
    try:
        found = translatable(*pair, tree)
    except GatewayError:
        return
    silent = {key for key, value in tree.items() if value is not None} - found.tree.keys() - set(found.dropped)
    assert silent <= {"n"}
