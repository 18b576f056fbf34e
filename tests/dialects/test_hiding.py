"""A request without some of its tools: what else it says stays as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.dialects import DIALECTS
from gateway.request import Request


def chat(*names: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [], "tools": [{"type": "function", "function": {"name": name}} for name in names]} | more


def messages(*names: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [], "tools": [{"name": name, "input_schema": {}} for name in names]} | more


def responses(*names: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "input": "x", "tools": [{"type": "function", "name": name} for name in names]} | more


def gemini(*names: str, **more: Any) -> dict[str, Any]:
    return {"contents": [], "tools": [{"functionDeclarations": [{"name": name} for name in names]}]} | more


MADE = {"openai.chat": chat, "anthropic.messages": messages, "openai.responses": responses, "google.gemini": gemini}
CHOICE = {
    "openai.chat": {"tool_choice": {"type": "function", "function": {"name": "b"}}},
    "anthropic.messages": {"tool_choice": {"type": "tool", "name": "b"}},
    "openai.responses": {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "b"}]}},
    "google.gemini": {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["b"]}}},
}
FREE = {
    "openai.chat": {"tool_choice": "auto", "parallel_tool_calls": True},
    "anthropic.messages": {"tool_choice": {"type": "auto"}},
    "openai.responses": {"tool_choice": "auto", "parallel_tool_calls": False},
    "google.gemini": {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}},
}


def left(dialect: str, body: dict[str, Any], *names: str) -> Any:
    request = Request(dialect, "m", False, (), (), json.dumps(body).encode())
    found = DIALECTS[dialect].without_tools(request, names)
    return None if found is None else json.loads(found)


@pytest.mark.parametrize("dialect", MADE)
def test_named_tools_are_gone_and_the_rest_is_as_it_was(dialect: str) -> None:
    made = MADE[dialect]
    assert left(dialect, made("a", "b", "c", user="u", **FREE[dialect]), "b", "z") == made("a", "c", user="u", **FREE[dialect])


@pytest.mark.parametrize("dialect", MADE)
def test_where_no_tool_is_left_nothing_speaks_of_tools(dialect: str) -> None:
    made = MADE[dialect]
    expected = {key: value for key, value in made(user="u").items() if key != "tools"}
    assert left(dialect, made("a", "b", user="u", **FREE[dialect]), "a", "b") == expected


@pytest.mark.parametrize("dialect", MADE)
def test_a_request_that_has_none_of_them_or_no_tools_is_left_alone(dialect: str) -> None:
    made = MADE[dialect]
    assert left(dialect, made("a"), "b") is None
    assert left(dialect, made("a") | {"tools": None}, "a") is None
    assert left(dialect, {key: value for key, value in made("a").items() if key != "tools"}, "a") is None


@pytest.mark.parametrize("dialect", MADE)
def test_a_request_that_chooses_one_of_them_is_left_alone(dialect: str) -> None:
    made = MADE[dialect]
    assert left(dialect, made("a", "b", **CHOICE[dialect]), "b") is None
    assert left(dialect, made("a", "b", **CHOICE[dialect]), "a") == made("b", **CHOICE[dialect])


def test_functions_and_custom_tools_of_chat_count_by_their_names() -> None:
    assert left("openai.chat", {"functions": [{"name": "a"}, {"name": "b"}]}, "a") == {"functions": [{"name": "b"}]}
    custom = {"type": "custom", "custom": {"name": "a"}}
    assert left("openai.chat", chat("b") | {"tools": [custom, *chat("b")["tools"]]}, "a") == chat("b")


def test_built_in_tools_and_namespaces_of_responses_stay() -> None:
    built_in = [{"type": "local_shell"}, {"type": "namespace", "name": "b", "tools": []}]
    body = responses("a") | {"tools": [*responses("a")["tools"], *built_in]}
    assert left("openai.responses", body, "a", "b")["tools"] == built_in


def test_a_tool_of_google_s_beside_functions_stays() -> None:
    functions = {"functionDeclarations": [{"name": "a"}]}
    body = {"tools": [{"function_declarations": [{"name": "a"}], "codeExecution": {}}, functions, {"googleSearch": {}}]}
    assert left("google.gemini", body, "a") == {"tools": [{"codeExecution": {}}, {"googleSearch": {}}]}
