from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects import openai_chat, openai_chat_request
from gateway.errors import GatewayError
from gateway.recent import Recent
from gateway.request import Request

USER = {"role": "user", "content": "Hi"}
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
RUN_SQL = {"type": "custom", "custom": {"name": "run_sql"}}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "gpt-4o", "messages": [USER], **fields}).encode()


def decode(allow: frozenset[str] = frozenset(), **fields: Any) -> Request:
    return openai_chat.decode_request(body(**fields), {}, allow)


def refused(**fields: Any) -> GatewayError:
    with pytest.raises(GatewayError) as refusal:
        decode(**fields)
    assert refusal.value.kind == "bad_request"
    return refusal.value


def test_a_plain_request_is_read() -> None:
    request = decode(temperature=0, max_tokens=5, user="u1")
    assert (request.dialect, request.model, request.stream) == ("openai.chat", "gpt-4o", False)
    assert (request.temperature, request.max_tokens, request.user_hint) == (0.0, 5, "u1")
    assert (request.unjudged, request.powerful, request.wants_usage) == ((), (), True)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b'\xef\xbb\xbf{"model":"m","messages":[{"role":"user"}]}', "byte order mark"),
        ('{"model":"m"}'.encode("utf-16"), "UTF-8"),
        (b'{"model":"a","model":"b","messages":[{"role":"user"}]}', "same key twice"),
        (b'{"model":"a","messages":[{"role":"user","role":"system"}]}', "same key twice"),
        (b'{"model":"a"}{"model":"b"}', "follows"),
        (b"[" * 1025 + b"]" * 1025, "deep"),
        (b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}', "surrogate"),
        (b'{"model":"m","messages":[{"role":"user"}],"temperature":NaN}', "NaN"),
    ],
)
def test_a_body_without_one_meaning_is_a_bad_request_that_says_why(data: bytes, says: str) -> None:
    with pytest.raises(GatewayError, match=says) as refusal:
        openai_chat.decode_request(data, {}, frozenset())
    assert (refusal.value.kind, refusal.value.code) == ("bad_request", "invalid_json")


@pytest.mark.parametrize("model", [None, "", " gpt-4o", "gpt-4o ", "gpt\t", ["gpt-4o"], 4, True, "x" * 257, {}])
def test_a_model_is_one_exact_name(model: Any) -> None:
    if model == "gpt\t":
        model = "gpt-4o\n"
    assert refused(model=model).param == "model"


@pytest.mark.parametrize("stream", [1, 0, "true", "false", 1.0, [], {}])
def test_stream_is_a_real_boolean(stream: Any) -> None:
    assert refused(stream=stream).param == "stream"


@pytest.mark.parametrize("n", ["2", 2.0, True, False, 0, -1, 129, 1e0, [1]])
def test_n_is_a_real_small_integer(n: Any) -> None:
    assert refused(n=n).param == "n"


@pytest.mark.parametrize("n", [1, 2, 128, None])
def test_several_choices_may_be_asked_for(n: Any) -> None:
    assert decode(n=n).unjudged == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("messages", None),
        ("messages", []),
        ("messages", {}),
        ("messages", "Hi"),
        ("tools", {}),
        ("functions", "x"),
        ("max_tokens", "5"),
        ("max_tokens", 5.0),
        ("max_tokens", True),
        ("max_completion_tokens", "5"),
        ("temperature", "1"),
        ("temperature", True),
        ("parallel_tool_calls", 1),
        ("stream_options", []),
        ("user", 7),
        ("safety_identifier", {}),
    ],
)
def test_a_judged_field_of_the_wrong_type_is_a_bad_request_that_names_it(field: str, value: Any) -> None:
    assert refused(stream=True, **{field: value}).param == field


def test_include_usage_is_a_real_boolean() -> None:
    assert refused(stream=True, stream_options={"include_usage": "yes"}).param == "include_usage"


def test_the_newer_limit_of_tokens_wins() -> None:
    assert decode(max_tokens=5, max_completion_tokens=7).max_tokens == 7


def test_a_session_may_be_named_in_the_metadata() -> None:
    assert decode(metadata={"session_id": "s1"}).session_hint == "s1"
    assert decode(metadata={"session_id": 1}).session_hint is None
    assert decode(metadata=None, safety_identifier="u2", user="u1").user_hint == "u2"


# Fields nobody judges, and fields with power


@pytest.mark.parametrize("field", ["api_base", "Messages", "fallbacks", "Tools", "messages ", "tool_Calls"])
def test_an_unknown_field_is_named_and_can_be_allowed(field: str) -> None:
    assert decode(**{field: "x"}).unjudged == (field,)
    assert decode(allow=frozenset({field}), **{field: "x"}).unjudged == ()


@pytest.mark.parametrize(("field", "value"), [("store", True), ("web_search_options", {})])
def test_a_powerful_field_is_named_while_it_is_on(field: str, value: Any) -> None:
    assert decode(**{field: value}).powerful == (field,)
    assert decode(**{field: None}).powerful == decode(**{field: False}).powerful == ()
    assert decode(allow=frozenset({field}), **{field: value}).powerful == ()


# Tools


def test_tools_keep_their_bytes_and_their_schema_as_sent() -> None:
    sent = (
        b'{"model":"m","messages":[{"role":"user","content":"Hi"}],"tools":[ {"parameters":1,"type":"function",'
        b'"function":{"name":"a.b/c:d-e_F","parameters":{ "x": 1.50 }}}, {"type":"custom","custom":{"name":"q"}}]}'
    )
    function, custom = openai_chat.decode_request(sent, {}, frozenset()).tools
    assert (function.name, function.type, function.schema) == ("a.b/c:d-e_F", "function", b'{ "x": 1.50 }')
    assert function.raw in sent
    assert json.loads(function.raw)["type"] == "function"
    assert (custom.name, custom.type, custom.schema) == ("q", "custom", None)


def test_legacy_functions_are_tools_too() -> None:
    request = decode(functions=[{"name": "f", "parameters": {"a": 1}}, {"name": "g"}], function_call={"name": "f"})
    assert [(t.name, t.type, t.schema) for t in request.tools] == [("f", "function", b'{"a": 1}'), ("g", "function", None)]


def test_functions_and_tools_together_are_refused() -> None:
    assert refused(functions=[{"name": "f"}], tools=[WEATHER]).code == "tools_and_functions"
    assert decode(functions=[], tools=[WEATHER]).tools


@pytest.mark.parametrize("kind", ["web_search", "mcp", "code_interpreter", "image_generation", "file_search", "web_search_preview"])
def test_a_tool_the_provider_runs_is_powerful(kind: str) -> None:
    request = decode(tools=[WEATHER, RUN_SQL, {"type": kind}])
    assert request.powerful == (f"tools[2].type={kind}",)
    assert [(tool.name, tool.path) for tool in request.server_tools] == [(f"openai.{kind}", request.powerful[0])]
    assert decode(tools=[{"type": kind}], allow=frozenset({f"tools[0].type={kind}"})).powerful == ()


@pytest.mark.parametrize("kind", ["Function", "function ", "bash_20991231", "web_search_20991231", ""])
def test_a_tool_of_an_unknown_type_is_unjudged(kind: str) -> None:
    assert decode(tools=[{"type": kind}, {"type": kind}]).unjudged == (f"tools[0].type={kind}", f"tools[1].type={kind}")


@pytest.mark.parametrize(
    "tool",
    [
        None,
        "x",
        {},
        {"type": 1},
        {"type": "function"},
        {"type": "function", "function": []},
        {"type": "function", "function": {}},
        {"type": "custom", "function": {"name": "a"}},
        *({"type": "function", "function": {"name": n}} for n in ("", " a", "a b", "dеlete_file", "ｘ", "x" * 129, 1, None, "a\n")),
    ],
)
def test_a_tool_without_a_plain_name_is_a_bad_request(tool: Any) -> None:
    error = refused(tools=[WEATHER, tool])
    assert (error.code, str(error.param).startswith("tools[1]")) == ("invalid_tool", True)


@pytest.mark.parametrize("other", [WEATHER, {"type": "custom", "custom": {"name": "get_weather"}}])
def test_two_tools_of_one_name_are_refused(other: Any) -> None:
    assert refused(tools=[WEATHER, other]).code == "duplicate_tool"


@pytest.mark.parametrize(
    "choice",
    [
        "none",
        "auto",
        "required",
        None,
        {"type": "function", "function": {"name": "get_weather"}},
        {"type": "custom", "custom": {"name": "run_sql"}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [WEATHER, RUN_SQL]}},
        {"type": "allowed_tools", "allowed_tools": {"mode": "auto"}},
    ],
)
def test_a_choice_among_declared_tools_passes(choice: Any) -> None:
    assert decode(tools=[WEATHER, RUN_SQL], tool_choice=choice).unjudged == ()


@pytest.mark.parametrize(
    "field_and_choice",
    [
        ("tool_choice", {"type": "function", "function": {"name": "delete_file"}}),
        ("tool_choice", {"type": "function", "function": None}),
        ("tool_choice", {"type": "custom", "custom": {"name": "Get_Weather"}}),
        ("tool_choice", {"type": "allowed_tools", "allowed_tools": {"tools": [{"type": "function", "function": {"name": "x"}}]}}),
        ("function_call", {"name": "delete_file"}),
        ("function_call", {}),
    ],
)
def test_a_choice_of_an_undeclared_tool_is_refused(field_and_choice: tuple[str, Any]) -> None:
    field, choice = field_and_choice
    error = refused(tools=[WEATHER], **{field: choice})
    assert (error.code, error.param) == ("undeclared_tool", field)


@pytest.mark.parametrize("choice", ["any", "AUTO", 1, [], {"type": "web_search"}, {"type": "allowed_tools"}, {}])
def test_a_choice_of_an_unknown_form_is_unjudged(choice: Any) -> None:
    assert decode(tools=[WEATHER], tool_choice=choice).unjudged == ("tool_choice",)


# Messages


def test_messages_keep_their_bytes() -> None:
    sent = b'{"model":"m","messages":[{"role":"system" , "content":"\\u0041"},\n {"role":"user","content":"B","x":1.0}]}'
    request = openai_chat.decode_request(sent, {}, frozenset())
    assert [m.raw for m in request.messages] == [b'{"role":"system" , "content":"\\u0041"}', b'{"role":"user","content":"B","x":1.0}']
    assert [(m.role, m.text) for m in request.messages] == [("system", "A"), ("user", "B")]


def test_all_text_of_a_message_is_its_text() -> None:
    parts = [
        {"type": "text", "text": "A"},
        {"type": "image_url", "image_url": {"url": "https://x"}},
        {"type": "input_audio", "input_audio": {"data": "UklG"}},
        {"type": "file", "file": {}},
        {"type": "refusal", "refusal": "B"},
    ]
    request = decode(messages=[{"role": "assistant", "content": parts, "refusal": "C"}])
    assert (request.messages[0].text, request.unjudged) == ("A\nB\nC", ())


def test_earlier_calls_and_results_are_read() -> None:
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "c2", "type": "custom", "custom": {"name": "q", "input": "x"}},
        {"id": "c3", "function": {"name": "g"}},
    ]
    request = decode(
        messages=[
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c1", "content": "R"},
            {"role": "assistant", "function_call": {"name": "h", "arguments": "1"}},
            {"role": "function", "name": "h", "content": "S"},
        ]
    )
    assert [(c.id, c.name, c.arguments) for m in request.messages for c in m.calls] == [
        ("c1", "f", "{}"),
        ("c2", "q", "x"),
        ("c3", "g", ""),
        ("", "h", "1"),
    ]
    assert [r for m in request.messages for r in m.results] == [("c1", "R"), ("h", "S")]
    assert [m.role for m in request.messages] == ["assistant", "tool", "assistant", "tool"]


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ({"role": "System", "content": "x"}, "messages[1].role=System"),
        ({"role": "user", "content": [{"type": "video_url"}]}, "messages[1].content[0].type=video_url"),
        ({"role": "user", "content": [{"type": "Text", "text": "x"}]}, "messages[1].content[0].type=Text"),
        ({"role": "assistant", "tool_calls": [{"type": "mcp"}]}, "messages[1].tool_calls[0].type=mcp"),
        ({"role": "assistant", "tool_calls": ["x"]}, "messages[1].tool_calls[0].type=NoneType"),
    ],
)
def test_an_unknown_role_or_part_is_unjudged_by_its_place(message: Any, named: str) -> None:
    assert decode(messages=[USER, message]).unjudged == (named,)
    assert decode(messages=[USER, message], allow=frozenset({named})).unjudged == ()


@pytest.mark.parametrize(
    "message",
    [
        None,
        "Hi",
        [],
        {},
        {"role": 1},
        {"role": "user", "content": 1},
        {"role": "user", "content": {"type": "text"}},
        {"role": "user", "content": ["x"]},
        {"role": "user", "content": [{"text": "x"}]},
        {"role": "user", "content": [{"type": "text"}]},
        {"role": "user", "content": [{"type": "text", "text": 1}]},
        {"role": "tool", "content": "x"},
        {"role": "function", "content": "x"},
        {"role": "assistant", "refusal": 1},
        {"role": "assistant", "tool_calls": {}},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "f"}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}}]},
        {"role": "assistant", "function_call": "f"},
    ],
)
def test_a_message_of_another_shape_is_a_bad_request_that_names_its_place(message: Any) -> None:
    error = refused(messages=[USER, message])
    assert error.code in ("invalid_message", "invalid_type")
    assert error.code == "invalid_type" or str(error.param).startswith("messages[1]")


# The bytes for the provider


@pytest.mark.parametrize("fields", [{}, {"stream": False}, {"stream": True, "stream_options": {"include_usage": True}}])
def test_a_request_that_will_bring_usage_goes_on_byte_for_byte(fields: dict[str, Any]) -> None:
    request = decode(**fields)
    assert request.wants_usage
    assert openai_chat.upstream_body(request) == request.body


spaces = st.sampled_from(["", " ", "\n", " \r\n\t"])


@given(spaces, spaces, st.dictionaries(st.text("xyé{},", max_size=3), st.integers(), max_size=3))
def test_usage_is_asked_for_without_touching_another_byte(after: str, before: str, more: dict[str, int]) -> None:
    sent = json.dumps({**more, "model": "m", "stream": True, "messages": [USER]})[:-1] + before + "}" + after
    request = openai_chat.decode_request(sent.encode(), {}, frozenset())
    asked = openai_chat.upstream_body(request)
    assert not request.wants_usage
    assert asked.startswith(sent.rstrip()[:-1].encode())
    assert json.loads(asked) == {**json.loads(sent), "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("options", ["null", "{}", '{"include_usage":false,"include_obfuscation":true}', '{"include_usage":null}'])
@pytest.mark.parametrize("key", ["stream_options", "stream\\u005foptions"])
def test_present_options_are_completed_and_not_doubled(options: str, key: str) -> None:
    sent = f'{{"model":"m","stream":true,"messages":[{{"role":"user","content":"\\u0041"}}],"{key}":{options},"seed":1.50}}'
    request = openai_chat.decode_request(sent.encode(), {}, frozenset())
    asked = openai_chat.upstream_body(request)
    pairs = json.loads(asked, object_pairs_hook=list)
    assert [k for k, _ in pairs].count("stream_options") == 1
    assert json.loads(asked)["stream_options"] == {**(json.loads(options) or {}), "include_usage": True}
    assert b'"seed":1.50' in asked
    assert b'"\\u0041"' in asked


# Headers, paths


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/v1", "/openai", "/openai/v1"])
def test_every_way_clients_join_a_base_url_is_served(prefix: str) -> None:
    (endpoint,) = openai_chat.endpoints(prefix + "/chat/completions")
    assert (endpoint.method, endpoint.operation, endpoint.upstream_path) == ("POST", "chat", "/chat/completions")


@pytest.mark.parametrize(
    "path", ["/chat/completions/", "/V1/chat/completions", "//v1/chat/completions", "/v1/chat", "/v2/chat/completions"]
)
def test_only_exact_paths_are_served(path: str) -> None:
    assert openai_chat.endpoints(path) == ()


@pytest.mark.parametrize(
    "header", ["authorization", "cookie", "forwarded", "host", "content-length", "accept-encoding", "x-forwarded-for", "x-api-key"]
)
def test_no_header_that_proves_or_frames_is_forwarded(header: str) -> None:
    patterns = openai_chat.FORWARD_HEADERS
    assert header not in patterns
    assert not any(p.endswith("*") and header.startswith(p[:-1]) for p in patterns)


def test_the_provider_key_travels_as_a_bearer() -> None:
    assert openai_chat.auth_headers("k", {"authorization": "Bearer client"}) == {"authorization": "Bearer k"}


def test_web_search_options_can_be_granted_like_the_tool() -> None:
    (granted,) = decode(web_search_options={"search_context_size": "low"}).server_tools
    assert (granted.name, granted.path, granted.args) == ("openai.web_search", "web_search_options", {"search_context_size": "low"})
    assert decode(web_search_options=None).server_tools == ()
    assert decode(web_search_options=True).server_tools == ()
    assert decode(allow=frozenset({"web_search_options"}), web_search_options={}).server_tools == ()


PIECES = [
    {"role": "user", "content": "pay Ann"},
    {"role": "user", "content": [{"type": "text", "text": "pay Ann"}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b/c.png"}}]},
    {"role": "user", "content": [{"type": "hologram"}]},
    {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]},
    {"role": "narrator", "content": "once"},
    {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "pay", "arguments": "{}"}}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "dream"}]},
    {"role": "tool", "tool_call_id": "c1", "content": "done"},
]


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), min_size=1, max_size=4))
def test_messages_that_were_read_before_read_the_same_in_any_place(conversations: list[list[Any]]) -> None:
    """What is named by its place (unknown roles and parts, media, files) is named by the place it has now."""
    with pytest.MonkeyPatch.context() as patch:
        for messages in conversations:
            body = json.dumps({"model": "m", "messages": messages}).encode()
            again = openai_chat.decode_request(body, {}, frozenset())
            patch.setattr(openai_chat_request, "_RECENT", Recent(1_000_000))
            assert openai_chat.decode_request(body, {}, frozenset()) == again
            patch.undo()


def test_tools_declared_again_are_read_as_the_first_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_chat_request, "_RECENT_TOOLS", Recent(1_000_000))
    first = decode(tools=[WEATHER, RUN_SQL])
    again = decode(tools=[WEATHER, RUN_SQL], tool_choice={"type": "function", "function": {"name": "get_weather"}})
    assert again.tools == first.tools
    assert refused(tools=[WEATHER, RUN_SQL], tool_choice={"type": "function", "function": {"name": "other"}}).code == "undeclared_tool"


@pytest.mark.parametrize("kind", ["web_search", "a_kind_of_tomorrow"])
def test_tools_of_which_something_is_to_be_said_are_spoken_of_each_time(kind: str) -> None:
    first, again = (decode(tools=[WEATHER, {"type": kind}]) for _ in range(2))
    assert (first.unjudged + first.powerful) == (f"tools[1].type={kind}",)
    assert (again.unjudged, again.powerful, again.server_tools) == (first.unjudged, first.powerful, first.server_tools)


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=8
)
ODD_BODIES = [
    b'{"model":"m","messages":[{"role":"user","content":"a","content":"b"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"a"}],"messages":[{"role":"user","content":"b"}]}',
    b'{"model":"m","model":"n","messages":[{"role":"user","content":"a"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
    b'{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","name":"g"}}]}',
    b'{"model":"m","messages":[{"role":"user","content":"a"}],"metadata":{"a":1,"a":2}}',
    b'{"model":"m","messages":[{"role":"user","content":"a","x":' + b"[" * 62 + b"]" * 62 + b"}]}",
    b'{"model":"m","messages":[{"role":"user","content":"a"}],"metadata":' + b"[" * 64 + b"]" * 64 + b"}",
    b'{"model":"m","messages":[{"role":"user","content":"a"}]}{}',
    b'{"model":"m","mess\\u0061ges":[{"role":"user","content":"a"}]}',
]


def said_of(data: bytes) -> Any:
    try:
        return openai_chat.decode_request(data, {}, frozenset())
    except GatewayError as refusal:
        return refusal.kind, refusal.code, refusal.message, refusal.param


@pytest.mark.parametrize("data", ODD_BODIES)
def test_what_has_no_one_meaning_is_refused_in_the_same_words_whether_read_by_pieces_or_whole(data: bytes, monkeypatch: Any) -> None:
    by_pieces = said_of(data)
    monkeypatch.setattr(openai_chat_request, "_by_pieces", lambda _: None)
    assert by_pieces == said_of(data)


@given(st.lists(st.sampled_from([*PIECES, {"role": 5}, 7, {"role": "tool"}]), max_size=4), NESTED, st.booleans())
def test_a_body_reads_the_same_by_pieces_and_whole(messages: list[Any], odd: Any, declares: bool) -> None:
    tools = {"tools": [WEATHER, RUN_SQL]} if declares else {}
    data = json.dumps({"model": "m", "messages": messages, **tools, "metadata": odd}, separators=(",", ":")).encode()
    first, again = said_of(data), said_of(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_chat_request, "_by_pieces", lambda _: None)
        patch.setattr(openai_chat_request, "_RECENT", Recent(0))
        patch.setattr(openai_chat_request, "_RECENT_TOOLS", Recent(0))
        assert first == again == said_of(data)


def test_a_message_may_be_as_deep_as_in_a_body_that_is_read_whole() -> None:
    for depth, fits in ((61, True), (62, False)):
        data = b'{"model":"m","messages":[{"role":"user","content":"a","x":' + b"[" * depth + b"]" * depth + b"}]}"
        assert (openai_chat_request._by_pieces(data) is not None) is fits
