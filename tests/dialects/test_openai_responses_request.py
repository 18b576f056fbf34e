"""A Responses request, read strictly."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.dialects import openai_responses
from gateway.errors import GatewayError
from gateway.request import Media, ProposedBefore, Request, Stored

TOOL = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}


def decode(path: str = "/v1/responses", allow: frozenset[str] = frozenset(), **body: Any) -> Request:
    (endpoint,) = openai_responses.endpoints(path)
    given = {"model": "gpt-5", "input": "Hi"} | body if path != "/v1/conversations" else body
    return openai_responses.decode_request(json.dumps(given).encode(), {}, allow, endpoint)


def refused(code: str, **body: Any) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        decode(**body)
    assert (caught.value.kind, caught.value.code) == ("bad_request", code)
    return caught.value


# Routes


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/openai", "/openai/v1"])
@pytest.mark.parametrize(
    ("path", "served"),
    [
        ("/responses", [("POST", "chat", "")]),
        ("/responses/compact", [("POST", "compact", "")]),
        ("/responses/input_tokens", [("POST", "count_tokens", "")]),
        ("/responses/resp_1", [("GET", "retrieve", "resp_1"), ("DELETE", "delete", "resp_1")]),
        ("/responses/resp_1/cancel", [("POST", "retrieve", "resp_1")]),
        ("/conversations", [("POST", "create", "")]),
        ("/conversations/conv_1", [("GET", "create", "conv_1"), ("DELETE", "delete", "conv_1")]),
    ],
)
def test_each_route_is_served_under_every_prefix(prefix: str, path: str, served: list[Any]) -> None:
    found = openai_responses.endpoints(prefix + path)
    assert [(each.method, each.operation, each.subject) for each in found] == served
    assert {each.upstream_path for each in found} == {path}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses/",
        "/v1/Responses",
        "/v1/responses/resp_1/",
        "/v1/responses/resp_1/input_items",
        "/v1/responses/a.b",
        "/v1/responses/%61",
        "/v1/responses/../files",
        "/v1/conversations/c/items",
        "/v1/conversations/c/cancel",
        "/v2/responses",
        "/v1/responses/" + "a" * 257,
        "/v1//responses",
        "/v1/responses;x",
        "/v1/responsesx",
    ],
)
def test_nothing_else_is_served(path: str) -> None:
    assert openai_responses.endpoints(path) == ()


def at(method: str, path: str, query: str = "", body: bytes = b"") -> Request:
    endpoint = next(each for each in openai_responses.endpoints(path) if each.method == method)
    return openai_responses.decode_request(body, {}, frozenset(), msgspec.structs.replace(endpoint, query=query))


def test_what_is_fetched_or_deleted_is_named() -> None:
    assert at("GET", "/v1/responses/resp_1").continues == (Stored("response", "resp_1", ""),)
    assert at("DELETE", "/v1/conversations/conv_1").continues == (Stored("conversation", "conv_1", ""),)
    assert at("POST", "/v1/responses/resp_1/cancel", body=b" {} ").operation == "retrieve"
    with pytest.raises(GatewayError, match="takes no body"):
        at("POST", "/v1/responses/resp_1/cancel", body=b'{"a":1}')


@pytest.mark.parametrize(
    ("query", "stream"),
    [("", False), ("stream=true", True), ("stream=false", False), ("include=a&stream=true", True)],
)
def test_a_fetched_answer_may_be_streamed(query: str, stream: bool) -> None:
    assert at("GET", "/v1/responses/resp_1", query).stream is stream
    assert not at("DELETE", "/v1/responses/resp_1", query).stream


@pytest.mark.parametrize("query", ["stream=1", "stream=", "stream=True", "stream=true&stream=false"])
def test_a_stream_is_asked_for_in_one_way(query: str) -> None:
    with pytest.raises(GatewayError, match="`stream` must be true or false"):
        at("GET", "/v1/responses/resp_1", query)


# Fields


def test_an_unknown_field_is_named_and_a_stored_prompt_is_powerful() -> None:
    request = decode(api_base="http://evil", Tools=[], prompt={"id": "pmpt_1"})
    assert request.unjudged == ("api_base", "Tools")
    assert request.powerful == ("prompt",)
    assert decode(access_programs={"cyber": "daybreak_red"}).powerful == ("access_programs",)
    assert decode(allow=frozenset({"api_base", "prompt"}), api_base="x", prompt={"id": "x"}).unjudged == ()


def test_a_response_that_a_cache_is_compared_with_may_be_anybody_s_so_that_it_needs_a_grant() -> None:
    name = "prompt_cache_options.comparison_response_id"
    assert decode(prompt_cache_options={"comparison_response_id": "resp_1", "ttl": "12h"}).powerful == (name,)
    assert decode(prompt_cache_options={"comparison_response_id": None, "mode": "implicit"}).powerful == ()
    assert decode(prompt_cache_options={"comparison_response_id": "resp_1"}, allow=frozenset({name})).powerful == ()


def test_settings_of_a_conversation_may_be_updated_and_a_result_may_come_without_its_call() -> None:
    update = {"type": "configuration_update", "reasoning": {"effort": "low"}}
    request = decode(input=[update, {"type": "function_call_output", "name": "f", "output": "Later."}], background_options={}, image={})
    assert (request.unjudged, request.powerful) == ((), ())
    assert [(each.role, each.text, each.results) for each in request.messages] == [("assistant", "", ()), ("tool", "Later.", ())]


@pytest.mark.parametrize(
    "body",
    [
        {"stream": 1},
        {"prompt_cache_options": "1h"},
        {"stream": "true"},
        {"background": "yes"},
        {"store": 0},
        {"parallel_tool_calls": 1},
        {"max_tool_calls": 1.0},
        {"max_output_tokens": "9"},
        {"previous_response_id": 7},
        {"conversation": 7},
        {"conversation": {}},
        {"conversation": {"id": 7}},
        {"tools": {}},
        {"input": 7},
        {"instructions": [1]},
        {"temperature": "hot"},
        {"user": 7},
        {"safety_identifier": []},
    ],
)
def test_types_count_exactly(body: dict[str, Any]) -> None:
    refused("invalid_type", **body)


def test_a_body_of_another_shape_is_refused() -> None:
    for body in (b"[]", b'{"a":1,"a":2}', b"", b"\xff"):
        with pytest.raises(GatewayError) as caught:
            openai_responses.decode_request(body, {}, frozenset())
        assert caught.value.code == "invalid_json"
    refused("invalid_model", model=" gpt-5")
    refused("invalid_type", tools="x")


def test_what_it_says_about_itself() -> None:
    request = decode(
        stream=True, temperature=0.5, max_output_tokens=9, safety_identifier="ann", user="bob", metadata={"session_id": "s"}
    )
    assert (request.stream, request.temperature, request.max_tokens) == (True, 0.5, 9)
    assert (request.user_hint, request.session_hint) == ("ann", "s")
    assert (request.stores, request.background, request.operation) == ("response", False, "chat")


@pytest.mark.parametrize(
    ("body", "stores"),
    [
        ({}, "response"),
        ({"store": None}, "response"),
        ({"store": False}, None),
        ({"store": False, "background": True}, "response"),
    ],
)
def test_the_provider_keeps_an_answer_unless_told_not_to(body: dict[str, Any], stores: str | None) -> None:
    assert decode(**body).stores == stores


def test_other_operations_read_the_same_input() -> None:
    for path, operation in (("/v1/responses/compact", "compact"), ("/v1/responses/input_tokens", "count_tokens")):
        request = decode(path, previous_response_id="resp_1")
        assert (request.operation, request.stores, request.messages[0].text) == (operation, None, "Hi")
        assert request.continues == (Stored("response", "resp_1", "previous_response_id"),)
    made = decode("/v1/conversations", items=[{"role": "user", "content": "Hi"}], metadata={"a": "b"})
    assert (made.operation, made.stores, made.model, made.messages[0].text) == ("create", "conversation", "", "Hi")
    assert decode("/v1/conversations").messages == ()
    assert decode("/v1/responses/compact", tools=[TOOL]).unjudged == ("tools",)


def test_what_it_builds_on_is_named() -> None:
    reference = {"type": "item_reference", "id": "msg_1"}
    request = decode(previous_response_id="resp_1", conversation={"id": "conv_1"}, input=[reference])
    assert request.continues == (
        Stored("response", "resp_1", "previous_response_id"),
        Stored("conversation", "conv_1", "conversation"),
        Stored("item", "msg_1", "input[0].id"),
    )
    assert decode(conversation="conv_2").continues[0].id == "conv_2"


# Input


def test_messages_are_read_in_every_form() -> None:
    request = decode(
        instructions="Be kind.",
        input=[
            {"role": "user", "content": "one"},
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "two"}]},
            {
                "role": "assistant",
                "type": "message",
                "content": [{"type": "output_text", "text": "three"}, {"type": "refusal", "refusal": "no"}],
            },
            {"type": "reasoning", "summary": []},
            {"type": "compaction", "encrypted_content": "x"},
            {"type": "web_search_call", "id": "ws", "status": "completed"},
        ],
    )
    assert [(m.role, m.text) for m in request.messages] == [
        ("system", "Be kind."),
        ("user", "one"),
        ("developer", "two"),
        ("assistant", "three\nno"),
        ("assistant", ""),
        ("assistant", ""),
        ("assistant", ""),
    ]
    assert json.loads(request.messages[1].raw) == {"role": "user", "content": "one"}
    assert decode().messages[0].raw == b'"Hi"'


def test_earlier_calls_and_their_results_are_read() -> None:
    request = decode(
        input=[
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "function_call", "call_id": "c2", "name": "f", "namespace": "n", "arguments": None},
            {"type": "custom_tool_call", "call_id": "c3", "name": "q", "input": "x"},
            {"type": "shell_call", "call_id": "c4", "action": {"commands": ["ls"]}},
            {"type": "mcp_approval_request", "id": "m1", "name": "roll", "server_label": "dice", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {
                "type": "function_call_output",
                "call_id": "c2",
                "output": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
            },
            {
                "type": "shell_call_output",
                "call_id": "c4",
                "output": [{"stdout": "x", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
            },
            {
                "type": "computer_call_output",
                "call_id": "c5",
                "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AA=="},
            },
            {"type": "mcp_approval_response", "approval_request_id": "m1", "approve": True},
            {"type": "program_output", "call_id": "p1", "id": "x", "result": "4", "status": "completed"},
            {"type": "local_shell_call_output", "id": "l1", "output": "ok"},
            {"type": "custom_tool_call_output", "output": "nobody's"},
        ]
    )
    calls = [call for m in request.messages for call in m.calls]
    assert calls[:3] == [ProposedBefore("c1", "f", "{}"), ProposedBefore("c2", "n.f", ""), ProposedBefore("c3", "q", "x")]
    assert calls[3] == ProposedBefore("c4", "openai.shell", '{"action":{"commands":["ls"]}}')
    assert (calls[4].id, calls[4].name) == ("m1", "openai.mcp_approval")
    results = [result for m in request.messages for result in m.results]
    assert results[:2] == [("c1", "sunny"), ("c2", "a\nb")]
    assert json.loads(results[2][1])[0]["stdout"] == "x"
    assert results[3:] == [("c5", ""), ("p1", "4"), ("l1", "ok")]
    assert [m.media for m in request.messages if m.media] == [
        (Media("image", "input[8].output[0].image_url", data="data:image/png;base64,AA=="),)
    ]
    assert request.unjudged == ()


def test_media_are_found() -> None:
    parts = [
        {"type": "input_image", "image_url": "https://a.example/x.png", "detail": "low"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_data": "JVBERg==", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://a.example/y.pdf"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "encrypted_content", "encrypted_content": "x"},
    ]
    request = decode(input=[{"role": "user", "content": parts}])
    where = "input[0].content"
    assert request.messages[0].media == (
        Media("image", f"{where}[0].image_url", url="https://a.example/x.png"),
        Media("file", f"{where}[2].file_data", data="JVBERg=="),
        Media("file", f"{where}[3].file_url", url="https://a.example/y.pdf"),
        Media("audio", f"{where}[4].input_audio", data="UklG"),
    )
    assert request.powerful == (f"{where}[1].file_id",)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"type": "tool_use_v2"}, "input[0].type=tool_use_v2"),
        ({"role": "king", "content": "x"}, "input[0].role=king"),
        ({"role": "user", "content": [{"type": "hologram"}]}, "input[0].content[0].type=hologram"),
        ({"type": "invented_output", "call_id": "c", "output": ""}, "input[0].type=invented_output"),
    ],
)
def test_what_nobody_can_judge_is_named(item: dict[str, Any], name: str) -> None:
    assert decode(input=[item]).unjudged == (name,)


@pytest.mark.parametrize(
    "item",
    [
        7,
        {},
        {"type": 7},
        {"type": "message", "content": "x"},
        {"role": "user", "content": 7},
        {"role": "user", "content": ["x"]},
        {"role": "user", "content": [{"text": "x"}]},
        {"role": "user", "content": [{"type": "input_text"}]},
        {"type": "item_reference"},
        {"type": "function_call", "name": "f"},
        {"type": "function_call", "call_id": "c", "arguments": "{}"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": {}},
        {"type": "function_call_output", "call_id": "c", "output": 7},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": "x"}]},
    ],
)
def test_items_of_a_wrong_shape_are_refused(item: Any) -> None:
    assert refused("invalid_item", input=[item]).param


# Tools


def test_tools_of_the_client_keep_their_names_and_schemas() -> None:
    request = decode(
        tools=[
            TOOL,
            {"type": "custom", "name": "note"},
            {
                "type": "namespace",
                "name": "dice",
                "description": "d",
                "tools": [{"type": "function", "name": "roll", "parameters": None}],
            },
            {"type": "local_shell"},
            {"type": "apply_patch"},
            {"type": "computer"},
            {"type": "shell", "environment": {"type": "local"}},
            {"type": "tool_search", "execution": "client"},
        ]
    )
    assert [(tool.name, tool.type, tool.schema) for tool in request.tools] == [
        ("get_weather", "function", b'{"type": "object"}'),
        ("note", "custom", None),
        ("dice.roll", "function", None),
        ("openai.local_shell", "local_shell", None),
        ("openai.apply_patch", "apply_patch", None),
        ("openai.computer", "computer", None),
        ("openai.shell", "shell", None),
        ("openai.tool_search", "tool_search:client", None),
    ]
    assert request.server_tools == request.powerful == request.unjudged == ()


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ({"type": "web_search"}, "openai.web_search"),
        ({"type": "web_search_2025_08_26"}, "openai.web_search"),
        ({"type": "web_search_preview_2025_03_11"}, "openai.web_search"),
        ({"type": "file_search", "vector_store_ids": ["v"]}, "openai.file_search"),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, "openai.code_interpreter"),
        ({"type": "image_generation"}, "openai.image_generation"),
        ({"type": "mcp", "server_label": "d", "server_url": "https://x", "require_approval": "never"}, "openai.mcp"),
        ({"type": "programmatic_tool_calling"}, "openai.programmatic_tool_calling"),
        ({"type": "tool_search"}, "openai.tool_search"),
        ({"type": "shell", "environment": {"type": "container_auto"}}, "openai.shell"),
        ({"type": "shell", "environment": "?"}, "openai.shell"),
    ],
)
def test_tools_of_the_provider_need_a_grant_of_their_own(tool: dict[str, Any], name: str) -> None:
    request = decode(tools=[tool])
    (server,) = request.server_tools
    assert (server.name, server.path, server.args) == (name, f"tools[0].type={tool['type']}", tool)
    assert request.powerful == (server.path,)
    assert decode(allow=frozenset({server.path}), tools=[tool]).server_tools == ()


@pytest.mark.parametrize("kind", ["web_search_20991231", "computer_20991231", "namespace_v2"])
def test_a_tool_of_an_unknown_kind_is_named(kind: str) -> None:
    assert decode(tools=[{"type": kind}]).unjudged == (f"tools[0].type={kind}",)


def test_tools_may_be_declared_within_the_conversation() -> None:
    request = decode(
        input=[
            {"type": "additional_tools", "role": "developer", "tools": [TOOL]},
            {
                "type": "tool_search_output",
                "call_id": "t",
                "execution": "client",
                "status": "completed",
                "tools": [{"type": "tool_v9"}],
            },
        ]
    )
    assert request.tools[0].name == "get_weather"
    assert request.unjudged == ("input[1].tools[0].type=tool_v9",)


@pytest.mark.parametrize(
    "tools",
    [
        [7],
        [{}],
        [{"type": "function"}],
        [{"type": "function", "name": "bad name"}],
        [{"type": "custom", "name": ""}],
        [{"type": "namespace", "name": "n"}],
        [{"type": "namespace", "name": "bad name", "tools": []}],
        [{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "x y"}]}],
    ],
)
def test_declarations_of_a_wrong_shape_are_refused(tools: Any) -> None:
    refused("invalid_tool", tools=tools)


def test_two_tools_of_one_name_are_refused_and_the_same_one_twice_is_not() -> None:
    refused("duplicate_tool", tools=[TOOL, TOOL | {"description": "other"}])
    inner = {"type": "namespace", "name": "a", "tools": [{"type": "function", "name": "b"}]}
    refused("duplicate_tool", tools=[inner, {"type": "function", "name": "a.b"}])
    assert len(decode(tools=[TOOL, TOOL]).tools) == 1
    two = [{"type": "mcp", "server_label": label, "server_url": f"https://{label}"} for label in ("a", "b")]
    assert len(decode(tools=two).tools) == 2


@pytest.mark.parametrize(
    "choice",
    [
        "auto",
        "none",
        "required",
        None,
        {"type": "function", "name": "get_weather"},
        {"type": "web_search"},
        {"type": "shell"},
        {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "get_weather"}, {"type": "mcp", "server_label": "x"}],
        },
        {"type": "programmatic_tool_calling"},
        {"type": "custom", "name": "roll", "namespace": "dice"},
    ],
)
def test_a_choice_among_declared_tools_passes(choice: Any) -> None:
    dice = {"type": "namespace", "name": "dice", "tools": [{"type": "custom", "name": "roll"}]}
    services = [{"type": kind} for kind in ("web_search", "shell", "programmatic_tool_calling")]
    mcp = {"type": "mcp", "server_label": "x", "server_url": "https://x.example"}
    assert decode(tools=[TOOL, dice, mcp, *services], tool_choice=choice).unjudged == ()


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "function", "name": "delete_file"},
        {"type": "allowed_tools", "tools": [{"type": "custom", "name": "delete_file"}]},
        {"type": "web_search"},
        {"type": "apply_patch"},
        {"type": "allowed_tools", "tools": [{"type": "function", "name": "get_weather"}, {"type": "code_interpreter"}]},
    ],
)
def test_a_choice_of_an_undeclared_tool_is_refused(choice: Any) -> None:
    refused("undeclared_tool", tools=[TOOL], tool_choice=choice)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("force", "tool_choice"),
        (7, "tool_choice"),
        ({"type": "tool_v9"}, "tool_choice.type=tool_v9"),
        ({}, "tool_choice.type=NoneType"),
        ({"type": "allowed_tools", "tools": [{"type": "x"}]}, "tool_choice.tools.type=x"),
        ({"type": "allowed_tools"}, "tool_choice.type=allowed_tools"),
    ],
)
def test_a_choice_of_an_unknown_form_is_named(choice: Any, name: str) -> None:
    assert decode(tool_choice=choice).unjudged == (name,)


def test_a_choice_without_a_name_is_refused() -> None:
    refused("invalid_type", tool_choice={"type": "function"})


def test_a_stream_is_not_taken_up_in_its_middle() -> None:
    with pytest.raises(GatewayError, match="Fetch the response without"):
        at("GET", "/v1/responses/resp_1", "stream=true&starting_after=3")
