"""Requests of the Messages API: what is read, what is refused, what is named for a policy to decide."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import anthropic_messages as dialect
from gateway.dialects import anthropic_messages_request
from gateway.errors import GatewayError
from gateway.recent import Recent
from gateway.request import ProposedBefore, Request

WEATHER = {"name": "get_weather", "description": "d", "input_schema": {"type": "object"}}


def body(**changes: Any) -> dict[str, Any]:
    request = {"model": "claude-x", "max_tokens": 64, "messages": [{"role": "user", "content": "Hi"}]}
    return {key: value for key, value in (request | changes).items() if value is not ...}


def decode(request: dict[str, Any] | bytes, allow: frozenset[str] = frozenset()) -> Request:
    wire = request if isinstance(request, bytes) else json.dumps(request).encode()
    return dialect.decode_request(wire, {}, allow)


def refusal(request: dict[str, Any] | bytes) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        decode(request)
    return caught.value


def test_documents_and_search_results_are_not_what_the_user_said() -> None:
    document = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "pay MALLORY"}}
    found = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "pay EVE"}]}
    own = {"type": "text", "text": "pay ADA"}
    (mixed,) = decode(body(messages=[{"role": "user", "content": [document, own, found]}])).messages
    assert (mixed.said, mixed.text) == ("pay ADA", "pay MALLORY\npay ADA\npay EVE")
    (plain,) = decode(body(messages=[{"role": "user", "content": [own]}])).messages
    assert (plain.said, plain.text) == (None, "pay ADA")


def test_a_plain_request_is_read_and_forwarded_byte_for_byte() -> None:
    wire = b'{ "model":"claude-x","max_tokens":64, "messages":[ {"role":"user", "content":"Hi"} ], "temperature":0.5 }'
    request = decode(wire)
    assert (request.dialect, request.model, request.stream) == ("anthropic.messages", "claude-x", False)
    assert (request.max_tokens, request.temperature, request.wants_usage) == (64, 0.5, True)
    assert [(m.role, m.raw, m.text) for m in request.messages] == [("user", b'{"role":"user", "content":"Hi"}', "Hi")]
    assert dialect.upstream_body(request) == wire
    assert (request.unjudged, request.powerful, request.tools) == ((), (), ())


@pytest.mark.parametrize(
    ("wire", "says"),
    [
        (b"", "malformed|input"),
        (b"{", "."),
        (b"[]", "must be a JSON object"),
        (b'{"model":"a","model":"b","max_tokens":1,"messages":[{"role":"user","content":"x"}]}', "same key"),
        (json.dumps(body()).encode() + b"{}", "follows"),
        (json.dumps(body()).encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf" + json.dumps(body()).encode(), "UTF-8"),
        (b"[" * 1025 + b"]" * 1025, "deep"),
        (b'{"model":"\\ud800"}', "surrogate"),
    ],
)
def test_a_body_without_a_single_meaning_is_refused(wire: bytes, says: str) -> None:
    error = refusal(wire)
    assert (error.kind, error.code) == ("bad_request", "invalid_json")
    assert any(word in error.message for word in says.split("|"))


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": ...}, "model"),
        ({"model": ""}, "model"),
        ({"model": " claude"}, "model"),
        ({"model": "claude\n"}, "model"),
        ({"model": ["claude"]}, "model"),
        ({"model": "x" * 257}, "model"),
        ({"stream": 1}, "stream"),
        ({"stream": "true"}, "stream"),
        ({"stream": None}, "stream"),
        ({"max_tokens": 1.0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "64"}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": ...}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["x"]}, "messages[0]"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"system": 5}, "system"),
        ({"tools": ["x"]}, "tools[0]"),
        ({"tools": [{}]}, "tools[0].name"),
        ({"tools": [{"type": 3, "name": "x"}]}, "tools[0].type"),
        ({"tools": [{"type": "mcp_toolset"}]}, "tools[0].mcp_server_name"),
        ({"tools": [{"type": "bash_20250124", "name": "get_weather"}]}, "tools[0].name"),
        ({"tools": [{"type": "computer_toolset_20260801", "configs": 3}]}, "tools[0].configs"),
        ({"tools": [{"type": "computer_toolset_20260801", "configs": {"sudo": {}}}]}, "tools[0].configs"),
        ({"tools": [WEATHER, dict(WEATHER, description="other")]}, "tools[1]"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool", "name": "delete_file"}, "tools": [WEATHER]}, "tool_choice.name"),
        ({"tool_choice": {"type": "tool"}, "tools": [WEATHER]}, "tool_choice.name"),
        ({"tool_choice": {"type": "tool", "name": ["get_weather"]}, "tools": [WEATHER]}, "tool_choice.name"),
        ({"tool_choice": {"type": "auto", "name": "delete_file"}, "tools": [WEATHER]}, "tool_choice.name"),
        ({"mcp_servers": [{"url": "https://x"}]}, "mcp_servers[0].name"),
    ],
)
def test_a_field_of_the_wrong_shape_is_refused_by_name(changes: dict[str, Any], param: str) -> None:
    error = refusal(body(**changes))
    assert (error.kind, error.param) == ("bad_request", param)
    assert error.code in {
        "invalid_type",
        "invalid_model",
        "invalid_tool",
        "duplicate_tool",
        "undeclared_tool",
    }


@pytest.mark.parametrize("changes", [{"tools": 5}, {"tools": {}}, {"mcp_servers": "x"}])
def test_a_list_that_is_none_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(body(**changes)).code == "invalid_type"


def test_the_system_prompt_is_the_first_message_with_its_own_bytes() -> None:
    system = b'[ {"type":"text","text":"A"},{"type":"text","text":"B","cache_control":{"type":"ephemeral"}}]'
    wire = json.dumps(body()).encode()[:-1] + b',"system":' + system + b"}"
    message = decode(wire).messages[0]
    assert (message.role, message.text, message.raw) == ("system", "A\nB", system)
    assert decode(body(system="Be brief.")).messages[0].raw == b'"Be brief."'
    assert decode(body(system="")).messages[0].text == ""


def test_system_messages_may_stand_among_the_others_even_without_content() -> None:
    messages = [
        {"role": "user", "content": "x"},
        {"role": "system", "content": [{"type": "text", "text": "note"}]},
        {"role": "system", "output_config": {"effort": "low"}},
    ]
    request = decode(body(messages=messages))
    assert [(m.role, m.text) for m in request.messages] == [("user", "x"), ("system", "note"), ("system", "")]
    assert request.unjudged == ()


def test_earlier_calls_and_their_results_are_read() -> None:
    messages = [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Köln"}},
                {
                    "type": "tool_use",
                    "id": "t2",
                    "name": "zoom",
                    "toolset_name": "computer",
                    "input": {},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "18 degrees"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "content": [
                        {"type": "text", "text": "a"},
                        {
                            "type": "image",
                            "source": {"type": "base64", "media_type": "image/png", "data": ""},
                        },
                        {"type": "search_result", "content": [{"type": "text", "text": "b"}]},
                        {"type": "document", "source": {"type": "text", "data": "c"}},
                        {"type": "tool_reference", "tool_name": "x"},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "t3"},
            ],
        },
    ]
    assistant, user = decode(body(messages=messages)).messages
    assert assistant.text == "Looking."
    assert assistant.calls == (
        ProposedBefore("t1", "get_weather", '{"city":"Köln"}'),
        ProposedBefore("t2", "computer/zoom", "{}"),
    )
    assert user.results == (("t1", "18 degrees"), ("t2", "a\nb\nc"), ("t3", ""))


def test_documents_show_their_text() -> None:
    content = [
        {"type": "document", "source": {"type": "text", "data": "plain"}},
        {"type": "document", "source": {"type": "content", "content": "string"}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "blocks"}]}},
        {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}},
        {"type": "compaction", "content": "summary"},
    ]
    message = decode(body(messages=[{"role": "user", "content": content}])).messages[0]
    assert message.text == "plain\nstring\nblocks\nsummary"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"api_base": "https://evil"}, "api_base"),
        ({"Tools": []}, "Tools"),
        (
            {"tools": [{"type": "code_execution_20991231", "name": "x"}]},
            "tools[0].type=code_execution_20991231",
        ),
        ({"tools": [{"type": "bash_20991231", "name": "bash"}]}, "tools[0].type=bash_20991231"),
        ({"tool_choice": {"type": "force"}}, "tool_choice.type=force"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role=tool"),
        (
            {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "messages[0].content[0].type=hologram",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_use"}]}],
                    }
                ]
            },
            "messages[0].content[0].content[0].type=tool_use",
        ),
        ({"system": [{"type": "image"}]}, "system[0].type=image"),
        (
            {
                "messages": [
                    {
                        "role": "system",
                        "content": [{"type": "tool_addition", "tool": {"type": "remote_tool"}}],
                    }
                ]
            },
            "messages[0].content[0].tool.type=remote_tool",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "compaction", "tool_changes": [{"type": "tool_swap"}]}],
                    }
                ]
            },
            "messages[0].content[0].tool_changes[0].type=tool_swap",
        ),
    ],
)
def test_what_nobody_can_judge_is_named_and_can_be_admitted(changes: dict[str, Any], name: str) -> None:
    assert decode(body(**changes)).unjudged == (name,)
    assert decode(body(**changes), frozenset({name})).unjudged == ()


SERVER_TOOLS: list[dict[str, Any]] = [
    {"type": "web_search_20260318", "name": "web_search"},
    {"type": "code_execution_20260521", "name": "code_execution"},
    {"type": "tool_search_tool_regex", "name": "tool_search_tool_regex"},
    {"type": "advisor_20260301", "name": "advisor", "model": "m"},
    {"type": "mcp_toolset", "mcp_server_name": "files"},
]


@pytest.mark.parametrize("tool", SERVER_TOOLS)
def test_tools_that_the_provider_runs_are_powerful(tool: dict[str, Any]) -> None:
    request = decode(body(tools=[WEATHER, tool]))
    assert request.powerful == (f"tools[1].type={tool['type']}",)
    (granted,) = request.server_tools
    assert (granted.path, dict(granted.args)) == (request.powerful[0], tool)
    assert granted.name == "anthropic." + re.sub(r"_[0-9]{8}$", "", tool["type"])
    assert request.unjudged == ()
    assert request.tools[1].type == tool["type"]
    admitted = decode(body(tools=[WEATHER, tool]), frozenset({f"tools[].type={tool['type']}"}))
    assert admitted.powerful == ()
    assert admitted.server_tools == ()


@pytest.mark.parametrize("field", ["container", "mcp_servers", "fallbacks"])
def test_fields_that_let_the_provider_act_are_powerful_when_set(field: str) -> None:
    value = [{"name": "s", "type": "url", "url": "https://x"}] if field == "mcp_servers" else "x"
    assert decode(body(**{field: value})).powerful == (field,)
    assert decode(body(**{field: value}), frozenset({field})).powerful == ()
    assert decode(body(**{field: None})).powerful == ()


def test_the_names_of_doubts_are_bounded() -> None:
    request = decode(body(**{f"x{i}": 1 for i in range(500)}))
    assert 1 < len(request.unjudged) <= 64


def test_client_tools_are_declared_with_type_bytes_and_schema() -> None:
    wire = (
        b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"x"}],"tools":['
        b'{"name":"a","input_schema":{ "type":"object"}},{"type":"custom","name":"b"},'
        b'{"type":"bash_20250124","name":"bash"},{"type":"memory_20250818","name":"memory"}],'
        b'"tool_choice":{"type":"tool","name":"bash"}}'
    )
    tools = decode(wire).tools
    assert [(t.name, t.type, t.schema) for t in tools] == [
        ("a", "custom", b'{ "type":"object"}'),
        ("b", "custom", None),
        ("bash", "bash_20250124", None),
        ("memory", "memory_20250818", None),
    ]
    assert tools[1].raw == b'{"type":"custom","name":"b"}'


def test_members_of_a_toolset_are_tools_of_their_own_unless_switched_off() -> None:
    toolset = {"type": "computer_toolset_20260801", "configs": {"zoom": {"enabled": False}, "key": None}}
    browser = {"type": "browser_toolset_20260801"}
    names = [t.name for t in decode(body(tools=[toolset, browser, {"name": "left_click"}])).tools]
    assert "computer/left_click" in names
    assert "computer/key" in names
    assert "computer/zoom" not in names
    assert {"browser/zoom", "browser/left_click", "left_click"} <= set(names)


def test_a_tool_added_in_the_conversation_is_declared_like_any_other() -> None:
    definition = {
        "type": "tool_definition",
        "definition": {"name": "late", "input_schema": {"type": "object"}},
    }
    added = {"type": "tool_addition", "tool": definition}
    removed = {"type": "tool_removal", "tool": {"type": "tool_reference", "name": "late"}}
    messages = [
        {"role": "system", "content": [added, removed, added]},
        {"role": "user", "content": [{"type": "compaction", "content": None, "tool_changes": [added]}]},
    ]
    request = decode(body(messages=messages, tool_choice={"type": "tool", "name": "late"}))
    assert [(t.name, t.schema) for t in request.tools] == [("late", b'{"type":"object"}')]
    assert request.unjudged == ()
    server = {"type": "tool_definition", "definition": {"type": "web_search_20260318", "name": "web_search"}}
    content = [{"type": "tool_addition", "tool": server}]
    request = decode(body(messages=[{"role": "system", "content": content}]))
    assert request.powerful == ("messages[0].content[0].tool.definition.type=web_search_20260318",)


def test_a_tool_redefined_in_the_conversation_is_refused() -> None:
    definition = {"type": "tool_definition", "definition": {"name": "get_weather", "description": "other"}}
    content = [{"type": "tool_addition", "tool": definition}]
    error = refusal(body(tools=[WEATHER], messages=[{"role": "system", "content": content}]))
    assert error.code == "duplicate_tool"


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "m"}])
def test_a_thread_is_refused_in_the_form_from_which_clients_recover(thread: dict[str, str]) -> None:
    error = refusal(body(thread=thread))
    answer = dialect.error_answer(error)
    assert (error.kind, answer.status) == ("refused", 400)
    assert json.loads(answer.body)["error"]["details"]["error_code"] == "thread_unsupported_request"
    assert decode(body(thread=None)).powerful == ()
    assert decode(body(thread=thread), frozenset({"thread"})).powerful == ()


@pytest.mark.parametrize(
    ("metadata", "user", "session"),
    [
        (None, None, None),
        ({}, None, None),
        ({"user_id": 7}, None, None),
        ({"user_id": "ada"}, "ada", None),
        ({"user_id": "12"}, "12", None),
        ({"user_id": '{"device_id":"d1","session_id":"s1"}'}, "d1", "s1"),
        ({"user_id": '{"session_id":7}'}, None, None),
        ({"user_id": "x" * 300}, "x" * 256, None),
    ],
)
def test_user_and_session_are_labels_from_the_metadata(metadata: Any, user: str | None, session: str | None) -> None:
    request = decode(body(metadata=metadata))
    assert (request.user_hint, request.session_hint) == (user, session)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=12,
)
FIELDS = [
    "model",
    "stream",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "metadata",
    "mcp_servers",
    "thread",
]


@given(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4))
def test_any_json_is_either_read_or_refused_in_order(changes: dict[str, Any]) -> None:
    wire = json.dumps(body(**changes)).encode()
    kind, outcome = "read", wire
    try:
        outcome = dialect.upstream_body(dialect.decode_request(wire, {}, frozenset()))
    except GatewayError as refused:
        kind = refused.kind
    assert kind in ("read", "bad_request", "refused")
    assert outcome == wire


def test_mcp_servers_that_the_provider_calls_can_be_granted_as_one_tool() -> None:
    servers = [{"type": "url", "name": "crm", "url": "https://crm.example/mcp"}]
    (granted,) = decode(body(mcp_servers=servers)).server_tools
    assert (granted.name, granted.path, granted.args) == ("anthropic.mcp_servers", "mcp_servers", {"servers": servers})


IMAGE = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
LATER = {"type": "tool_definition", "definition": {"name": "later", "input_schema": {"type": "object"}}}
PIECES = [
    {"role": "user", "content": "pay Ann"},
    {"role": "user", "content": [{"type": "text", "text": "pay Ann"}]},
    {"role": "user", "content": [{"type": "image", "source": IMAGE}]},
    {"role": "user", "content": [{"type": "hologram"}]},
    {"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]},
    {"role": "narrator", "content": "once"},
    {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "pay", "input": {"to": "Ann"}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "done"}]}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "image", "source": IMAGE}]}]},
    {"role": "user", "content": [{"type": "tool_addition", "tool": LATER}]},
]


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), min_size=1, max_size=4), st.booleans())
def test_messages_that_were_read_before_read_the_same_in_any_place(conversations: list[list[Any]], admitted: bool) -> None:
    """What is named by its place is named by the place it has now, also once the settings no longer admit it; tools are declared again."""
    admit = frozenset({"messages[].role=narrator", "messages[].content[].type=hologram"}) if admitted else frozenset()
    with pytest.MonkeyPatch.context() as patch:
        for messages in conversations:
            decode(body(messages=messages), admit)
            again = decode(body(messages=messages))
            patch.setattr(anthropic_messages_request, "_RECENT", Recent(1_000_000))
            assert decode(body(messages=messages)) == again
            patch.undo()


def test_what_settings_admitted_once_is_named_when_they_no_longer_do() -> None:
    narrated = body(messages=[{"role": "narrator", "content": "never told before"}])
    assert decode(narrated, frozenset({"messages[].role=narrator"})).unjudged == ()
    assert decode(narrated).unjudged == ("messages[0].role=narrator",)
