"""Rows D, E and C16: calls that are not where calls usually are, and requests that make the provider act, in any type or field.

An answer row is (id, what it is, `build(wire, kit, stream)`); a request row is (id, what it is, dialect or "", what is added to a good
request, the error codes of which one is given). A refused request reaches no provider.

`LATER` lists the parts of rows that this version cannot judge by. It refuses policies that ask for them, so that nobody believes they hold.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import FileProblems
from gateway.policy import load

# D: proposals in other forms


def legacy(name: str, args: str, required: Any, **message: Any) -> Any:
    def build(w: Any, k: Any, stream: bool) -> Any:
        call = {"function_call": {"name": name, "arguments": args}}
        if not stream:
            return w.whole(message=call | message, finish="function_call"), required(k)
        pieces = [
            w.chunk({"function_call": {"name": name, "arguments": ""}}),
            w.chunk({"function_call": {"arguments": args}}),
        ]
        return [
            *w.opening(),
            *pieces,
            *(w.chunk({key: value}) for key, value in message.items()),
            *w.closing("function_call"),
        ], required(k)

    return build


GOOD_ENTRY = {
    "index": 0,
    "id": "a",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
}


def item(entry: dict[str, Any], required: Any) -> Any:
    """One item of `tool_calls`."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        if stream:
            return [*w.opening(), w.chunk({"tool_calls": [entry]}), *w.closing()], required(k)
        return w.whole(message={"tool_calls": [entry]}), required(k)

    return build


def custom(name: str, text: str) -> dict[str, Any]:
    return {"index": 0, "id": "a", "type": "custom", "custom": {"name": name, "input": text}}


def executed(*blocks: dict[str, Any]) -> Any:
    """Blocks of a service that nobody asked for: what it did is on record, its result with it is withheld."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        if not stream:
            return w.whole(blocks=blocks, finish="end_turn"), k.block("executed_upstream")
        frames = [frame for at, block in enumerate(blocks, 1) for frame in w.block(block, index=at)]
        return [*w.opening(), *frames, *w.closing("end_turn")], k.block("executed_upstream")

    return build


def beside_words(**words: Any) -> Any:
    """Words of every known kind beside a granted call: nothing breaks, and the call arrives."""

    def build(w: Any, k: Any, stream: bool) -> Any:
        if stream:
            return [
                *w.opening(),
                *(w.chunk({key: value}) for key, value in words.items()),
                *w.middle(k.call(k.good[0])),
                *w.closing(),
            ], k.passes(k.good)
        return w.whole(k.call(k.good[0]), message=words), k.passes(k.good)

    return build


def beside_blocks(*blocks: dict[str, Any]) -> Any:
    def build(w: Any, k: Any, stream: bool) -> Any:
        call = k.call(k.good[0])
        if not stream:
            return w.whole(call, blocks=blocks), k.passes(k.good)
        frames = [frame for at, block in enumerate(blocks, 2) for frame in w.block(block, index=at)]
        return [*w.opening(), *w.middle(call), *frames, *w.closing()], k.passes(k.good)

    return build


def both_forms(w: Any, k: Any, stream: bool) -> Any:
    return legacy("delete_file", "{}", lambda k: k.block("mixed_forms"), tool_calls=[GOOD_ENTRY])(w, k, stream)


SEARCH = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "secret"}}
RESULT = {"type": "web_search_tool_result", "tool_use_id": "s1", "content": []}
MCP = {"type": "mcp_tool_use", "id": "m1", "name": "delete_file", "server_name": "evil", "input": {"path": "/srv/a"}}
CODE = {
    "type": "code_execution_tool_result",
    "tool_use_id": "c1",
    "content": {"type": "code_execution_result", "stdout": "x"},
}

CHAT_ROWS: list[tuple[str, str, Any]] = [
    ("D1", "the older form", legacy("delete_file", '{"path": "/srv/a"}', lambda k: k.block("rule"))),
    (
        "D1",
        "the older form with a granted call",
        legacy("get_weather", '{"city": "Paris"}', lambda k: k.passes(k.good)),
    ),
    (
        "D1",
        "the older form with an ambiguous call",
        legacy("get_weather", '{"city": "Paris", "city": "1"}', lambda k: k.block("dup_key")),
    ),
    ("D2", "both forms", both_forms),
    ("D3", "a custom call", item(custom("run_shell", "rm -rf /"), lambda k: k.block("rule"))),
    ("D3", "a granted custom call, by its text", item(custom("note", "please rm -rf /"), lambda k: k.block("rule"))),
    ("D3", "a granted custom call", item(custom("note", "hello"), lambda k: k.passes(("note", "hello")))),
    (
        "D3",
        "a custom call dressed as a function",
        item(GOOD_ENTRY | {"custom": {"name": "run_shell", "input": "x"}}, lambda k: k.block("unknown_type")),
    ),
    (
        "D3",
        "a function dressed as a custom call",
        item(GOOD_ENTRY | {"type": "custom"}, lambda k: k.block("unknown_type")),
    ),
    ("D6", "a refusal beside a call", beside_words(refusal="I will not.")),
    ("D6", "thinking beside a call", beside_words(reasoning="hm", reasoning_content="hm")),
    ("D6", "speech beside a call", beside_words(audio={"id": "a", "transcript": "hm", "data": "", "expires_at": 1})),
    (
        "D6",
        "links beside a call",
        beside_words(annotations=[{"type": "url_citation", "url_citation": {"url": "https://x.example"}}]),
    ),
]
MESSAGES_ROWS: list[tuple[str, str, Any]] = [
    ("D5", "a search that nobody asked for", executed(SEARCH, RESULT)),
    (
        "D5",
        "another server's tool that nobody asked for",
        executed(MCP, {"type": "mcp_tool_result", "tool_use_id": "m1", "is_error": False, "content": []}),
    ),
    ("D5", "the result of code that nobody asked for", executed(CODE)),
    (
        "D6",
        "thinking beside a call",
        beside_blocks(
            {"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "redacted_thinking", "data": "x"}
        ),
    ),
    (
        "D6",
        "links beside a call",
        beside_blocks({"type": "text", "text": "x", "citations": [{"type": "char_location", "cited_text": "x"}]}),
    ),
]
ROWS = [("chat", *row) for row in CHAT_ROWS] + [("messages", *row) for row in MESSAGES_ROWS]


@pytest.mark.parametrize(("wire", "row"), list(dict.fromkeys((wire, row) for wire, row, *_ in ROWS)), indirect=["wire"])
def test_a_call_in_another_form_is_judged_like_any_other(play: Any, wire: Any, row: str) -> None:
    play([(found, what, build) for name, found, what, build in ROWS if name == wire.name], row, wire)


UNASKED = {
    "messages": [SEARCH, RESULT],
    "responses": [{"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "secret"}}],
    "gemini": [{"executableCode": {"language": "PYTHON", "code": "print(1)"}}],
}
WIRES = ("chat", "messages", "responses", "gemini")
FINISHED = {"messages": "end_turn", "responses": "completed", "gemini": "STOP"}


def test_what_the_provider_did_unasked_is_a_grave_finding(house: Any, wire: Any, kit: Any) -> None:
    if wire.name == "chat":
        upstream = wire.whole(message={"tool_calls": [{"id": "s", "type": "web_search_call"}]})
    else:
        upstream = wire.whole(blocks=UNASKED[wire.name], finish=FINISHED[wire.name])
    code = "unknown_type" if wire.name == "chat" else "executed_upstream"
    house.provider.answer = house.provider.json(upstream)
    ended = house.judge(wire, False, house.ask(wire, False), kit.block(code))
    assert [(f.code, f.severity, f.action) for f in ended.findings] == [(code, "error", "denied")]


# C16: an answer of another kind than was asked for


def media(provider: Any, upstream: Any, kind: str) -> Any:
    return provider.raw(b"".join(upstream) if isinstance(upstream, list) else upstream, media=kind)


@pytest.mark.parametrize(
    "kind", ["application/x-ndjson", "text/plain", "text/html", "", "application/octet-stream", "application/jsonl"]
)
def test_an_answer_of_a_kind_that_nobody_asked_for_is_an_error(house: Any, kit: Any, wire: Any, kind: str) -> None:
    for stream in (False, True):
        calls = kit.call("delete_file", '{"path": "/srv/a"}')
        for upstream in (wire.whole(calls), wire.frames(calls)):
            house.provider.answer = media(house.provider, upstream, kind)
            house.judge(wire, stream, house.ask(wire, stream), kit.closes("upstream_media_type"))
        house.stays_well(wire)


@pytest.mark.parametrize("charset", ["utf-16", "utf-7", "shift_jis"])
def test_an_answer_in_another_character_set_is_an_error(house: Any, kit: Any, wire: Any, charset: str) -> None:
    for stream, kind in ((False, "application/json"), (True, "text/event-stream")):
        house.provider.answer = media(
            house.provider, wire.whole(kit.call("delete_file", "{}")), f"{kind}; charset={charset}"
        )
        house.judge(wire, stream, house.ask(wire, stream), kit.closes("upstream_charset"))
    house.stays_well(wire)


def test_one_piece_instead_of_a_stream_is_judged_as_what_it_is(house: Any, kit: Any, wire: Any) -> None:
    calls = kit.call(kit.good[0], id="a"), kit.call("delete_file", '{"path": "/srv/a"}', id="b")
    house.provider.answer = house.provider.json(wire.whole(*calls))
    house.judge(wire, False, house.ask(wire, True), kit.block("rule", released=(kit.good,)))
    house.stays_well(wire)


def test_a_stream_instead_of_one_piece_is_an_error(house: Any, kit: Any, wire: Any) -> None:
    house.provider.answer = house.provider.sse(*wire.frames(kit.call("delete_file", '{"path": "/srv/a"}')))
    house.judge(wire, False, house.ask(wire, False), kit.closes("upstream_media_type"))
    house.stays_well(wire)


def test_a_stream_under_the_name_of_json_is_an_error(house: Any, kit: Any, wire: Any) -> None:
    for stream in (False, True):
        house.provider.answer = media(house.provider, wire.frames(kit.call("delete_file", "{}")), "application/json")
        house.judge(wire, False, house.ask(wire, stream), kit.closes("protocol"))
        house.stays_well(wire)


def test_json_under_the_name_of_a_stream_delivers_nothing(house: Any, kit: Any, wire: Any) -> None:
    house.provider.answer = media(house.provider, wire.whole(kit.call("delete_file", "{}")), "text/event-stream")
    house.judge(wire, True, house.ask(wire, True), kit.closes("upstream_reset"))
    house.stays_well(wire)


@pytest.mark.parametrize("status", ["400 Bad", "429 Slow", "500 Oops"])
def test_an_error_that_holds_an_answer_delivers_no_call(house: Any, kit: Any, wire: Any, status: str) -> None:
    """C17 over HTTP: what stands beside the error is an answer that nobody judged."""
    for stream in (False, True):
        answer = json.loads(wire.whole(kit.call("delete_file", '{"path": "/srv/a"}')))
        house.provider.answer = house.provider.json(answer | {"error": {"type": "x", "message": "no"}}, status)
        got = house.ask(wire, stream)
        assert got.status_code == int(status[:3])
        assert got.json()["error"]["message"] == "no"
        house.closing(got)
        assert all(not seen for seen in house.readers.found(wire.name, False, got.content).values())
        house.stays_well(wire)


# E: requests

NAMED = {"name": "web_search"}
CHAT_TOOLS = (
    "web_search_20260318",
    "code_execution_20260521",
    "code_interpreter",
    "image_generation",
    "mcp",
    "file_search",
)
UNJUDGED = ("unjudged_field", "server_tool_denied")
BAD = (
    "invalid_value",
    "invalid_type",
    "invalid_model",
    "invalid_tool",
    "undeclared_tool",
    "tools_and_functions",
    "unjudged_field",
)
PROMISES = (
    "api_base",
    "base_url",
    "api_key",
    "fallbacks",
    "custom_llm_provider",
    "extra_headers",
    "extra_body",
    "mock_response",
    "Tools",
    "tools ",
    "functionCall",
)

STORED = ("previous_response_not_found", "conversation_not_found", "item_not_found")
MEDIA = ("remote_media",)
ODD_MODELS = (" gpt-x", "gpt-x\n", "GPT-X", "openai/gpt-x", ["gpt-x"], "", None, 7, "g" * 10_240, "xgpt-x")

REQUESTS: list[tuple[str, str, str, dict[str, Any], tuple[str, ...]]] = [
    *[("E1", f"a tool of type {kind}", "chat", {"tools": [{"type": kind}]}, UNJUDGED) for kind in CHAT_TOOLS],
    ("E1", "a search by option", "chat", {"web_search_options": {}}, UNJUDGED),
    *[
        (
            "E1",
            f"a tool of type {kind}",
            "messages",
            {"tools": [{"type": kind, "name": kind.rpartition("_")[0]}]},
            UNJUDGED,
        )
        for kind in (
            "web_search_20260318",
            "web_fetch_20260318",
            "code_execution_20260521",
            "tool_search_tool_bm25",
            "advisor_20260301",
        )
    ],
    *[
        ("E2", f"a tool of type {kind}", wire, {"tools": [{"type": kind, "name": "bash"}]}, UNJUDGED)
        for kind in ("code_execution_20991231", "bash_20991231", "function_20991231", "CUSTOM")
        for wire in ("chat", "messages")
    ],
    (
        "E3",
        "servers the provider calls",
        "messages",
        {"mcp_servers": [{"type": "url", "url": "https://x.example", "name": "x"}]},
        UNJUDGED,
    ),
    (
        "E3",
        "a set of a server's tools",
        "messages",
        {"tools": [{"type": "mcp_toolset", "mcp_server_name": "x"}]},
        UNJUDGED,
    ),
    ("E3", "servers under a field of the other dialect", "chat", {"mcp_servers": []}, UNJUDGED),
    ("E4", "a stored prompt", "chat", {"prompt": {"id": "pmpt_1"}}, UNJUDGED),
    (
        "E4",
        "a container with skills",
        "messages",
        {"container": {"skills": [{"type": "anthropic", "skill_id": "x"}]}},
        UNJUDGED,
    ),
    (
        "E4",
        "a thread at the provider",
        "messages",
        {"thread": {"type": "continue", "id": "t"}},
        ("thread_unsupported_request",),
    ),
    *[("E9", f"the field {name!r}", "", {name: "https://x.example"}, UNJUDGED) for name in PROMISES],
    *[("E10", f"n = {n!r}", "chat", {"n": n}, BAD) for n in ("2", 2.0, True, 0, -1, 2**40, [2])],
    ("E10", "n under Messages", "messages", {"n": 2}, UNJUDGED),
    *[("E10", f"stream = {value!r}", "", {"stream": value}, BAD) for value in ("true", 1, 1.0, [])],
    ("E10", "parallel calls as a number", "chat", {"parallel_tool_calls": 1}, BAD),
    (
        "E11",
        "a forced tool that is not declared",
        "chat",
        {"tool_choice": {"type": "function", "function": {"name": "exec_sql"}}},
        BAD,
    ),
    (
        "E11",
        "a forced tool that is not declared",
        "messages",
        {"tool_choice": {"type": "tool", "name": "exec_sql"}},
        BAD,
    ),
    ("E11", "a choice of unknown type", "chat", {"tool_choice": {"type": "web_search"}}, BAD),
    ("E11", "a choice of unknown type", "messages", {"tool_choice": {"type": "server", "name": "x"}}, BAD),
    ("E11", "both lists of functions", "chat", {"functions": [{"name": "f"}]}, BAD),
    *[
        ("E1", f"a tool of type {kind}", "responses", {"tools": [{"type": kind}]}, UNJUDGED)
        for kind in (
            "web_search",
            "web_search_preview_2025_03_11",
            "file_search",
            "code_interpreter",
            "image_generation",
            "tool_search",
            "programmatic_tool_calling",
        )
    ],
    *[
        ("E1", f"the tool {kind}", "gemini", {"tools": [{kind: {}}]}, UNJUDGED)
        for kind in (
            "googleSearch",
            "google_search",
            "googleSearchRetrieval",
            "urlContext",
            "codeExecution",
            "code_execution",
            "googleMaps",
            "fileSearch",
            "enterpriseWebSearch",
            "retrieval",
        )
    ],
    ("E1", "a service beside functions in one tool", "gemini", {"tools": [{"functionDeclarations": [], "codeExecution": {}}]}, UNJUDGED),
    *[
        ("E2", f"a tool of type {kind}", "responses", {"tools": [{"type": kind, "name": "bash"}]}, UNJUDGED)
        for kind in ("web_search_20991231", "bash_20991231", "function_20991231", "FUNCTION", "code_interpreter_v2")
    ],
    *[("E2", f"the tool {kind}", "gemini", {"tools": [{kind: {}}]}, UNJUDGED) for kind in ("codeExecutionV2", "CodeExecution", "bash")],
    *[
        ("E3", f"a server by {where}", "responses", {"tools": [{"type": "mcp", "server_label": "x", "require_approval": "never", where: "x"}]}, UNJUDGED)
        for where in ("server_url", "connector_id", "tunnel_id")
    ],
    ("E3", "servers", "gemini", {"tools": [{"mcpServers": [{"url": "https://x.example"}]}]}, UNJUDGED),
    ("E3", "servers under a field of another dialect", "responses", {"mcp_servers": []}, UNJUDGED),
    ("E4", "a stored prompt", "responses", {"prompt": {"id": "pmpt_1"}}, (*UNJUDGED, "stored_prompt")),
    ("E4", "a stored context", "gemini", {"cachedContent": "cachedContents/x"}, (*UNJUDGED, "cached_content")),
    ("E4", "a stored context, spelled otherwise", "gemini", {"cached_content": "cachedContents/x"}, (*UNJUDGED, "cached_content")),
    ("E5", "a response that nobody here got", "responses", {"previous_response_id": "resp_other"}, STORED),
    ("E5", "a conversation that nobody here began", "responses", {"conversation": "conv_other"}, STORED),
    ("E5", "a conversation as an object", "responses", {"conversation": {"id": "conv_other"}}, STORED),
    ("E5", "an item that nobody here got", "responses", {"input": [{"type": "item_reference", "id": "fc_other"}]}, STORED),
    *[("E10", f"candidateCount = {n!r}", "gemini", {"generationConfig": {"candidateCount": n}}, BAD) for n in ("2", 2.0, True, 0, -1, 2**40)],
    ("E10", "candidateCount in two spellings", "gemini", {"generationConfig": {"candidateCount": 1, "candidate_count": 2}}, (*BAD, "ambiguous_field")),
    ("E10", "n under Responses", "responses", {"n": 2}, UNJUDGED),
    ("E10", "background as a number", "responses", {"background": 1}, BAD),
    ("E11", "a forced tool that is not declared", "responses", {"tool_choice": {"type": "function", "name": "exec_sql"}}, BAD),
    ("E11", "a choice of unknown type", "responses", {"tool_choice": {"type": "web_search_v9"}}, (*BAD, *UNJUDGED)),
    ("E11", "a choice of a service", "responses", {"tool_choice": {"type": "web_search"}}, (*BAD, *UNJUDGED)),
    ("E11", "allowed tools that are not declared", "responses", {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "exec_sql"}]}}, (*BAD, *UNJUDGED)),
    ("E11", "a forced tool that is not declared", "gemini", {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["exec_sql"]}}}, BAD),
    ("E11", "a mode that nobody knows", "gemini", {"toolConfig": {"functionCallingConfig": {"mode": "SERVER"}}}, BAD),
    *[
        ("E16", f"media by {field}", "responses", {"input": [{"role": "user", "content": [{"type": kind, field: "https://x.example/a"}]}]}, MEDIA)
        for kind, field in (("input_image", "image_url"), ("input_file", "file_url"))
    ],
    ("E16", "media by fileUri", "gemini", {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": "https://x.example/a"}}]}]}, MEDIA),
    ("E16", "media by url", "chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a"}}]}]}, MEDIA),
    ("E16", "media by url", "messages", {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://x.example/a"}}]}]}, MEDIA),
    *[
        ("E15", f"the model {model!r:.40}", wire, {"model": model}, (*BAD, "model_not_found"))
        for model in ODD_MODELS
        for wire in ("chat", "messages", "responses")
    ],
    ("E15", "a model in the body", "gemini", {"model": "gemini-pro"}, (*BAD, *UNJUDGED)),
]


ASKED = list(dict.fromkeys((row[0], name) for row in REQUESTS for name in WIRES if row[2] in ("", name)))


@pytest.mark.parametrize(("row", "wire"), ASKED, indirect=["wire"])
def test_a_request_that_makes_the_provider_act_or_is_read_in_two_ways_is_refused(
    start: Any, provider: Any, readers: Any, caplog: Any, kit: Any, wire: Any, row: str
) -> None:
    listed = [r for r in REQUESTS if r[0] == row and r[2] in ("", wire.name)]
    routes = [{"models": ["gpt-*"], "upstream": "openai"}, {"models": ["claude-*"], "upstream": "anthropic"}, {"models": ["gemini-*"], "upstream": "google"}]
    house = kit.house(start, provider, readers, caplog, routes=routes)
    for _, what, _, added, codes in listed:
        for stream in (False, True):
            try:
                answer = house.ask(wire, stream, **added)
                house.judge(wire, False, answer, kit.needs("REJECT", codes))
                house.stays_well(wire)
            except AssertionError as error:
                error.add_note(f"{row} {wire.name}: {what}")
                raise


@pytest.mark.parametrize(
    "model", ["tunedModels/x", "GEMINI-2.5", "xgemini", "gemini-2%2E5", "gemini-2.5%2Fx", "..%2Fgemini-x", "gemini-x:batch", "gemini-" + "x" * 3000]
)
def test_a_model_in_the_path_that_is_read_in_two_ways_is_refused(
    start: Any, provider: Any, readers: Any, caplog: Any, kit: Any, model: str
) -> None:
    wire = kit.gemini()
    house = kit.house(start, provider, readers, caplog, routes=[{"models": ["gemini-*"], "upstream": "google"}])
    wire.model = model
    for stream in (False, True):
        answer = house.ask(wire, stream)
        assert 400 <= answer.status_code < 500
        assert not provider.received
        assert house.closing(answer)[0].exchange.state == "rejected"


def test_the_same_request_without_the_addition_is_served(
    start: Any, provider: Any, readers: Any, caplog: Any, kit: Any, wire: Any
) -> None:
    routes = [{"models": ["gpt-*"], "upstream": "openai"}, {"models": ["claude-*"], "upstream": "anthropic"}, {"models": ["gemini-*"], "upstream": "google"}]
    kit.house(start, provider, readers, caplog, routes=routes).stays_well(wire)


def test_a_forced_tool_that_policy_forbids_is_withheld_when_it_comes(house: Any, kit: Any, wire: Any) -> None:
    choice = {
        "chat": {"tool_choice": {"type": "function", "function": {"name": "delete_file"}}},
        "messages": {"tool_choice": {"type": "tool", "name": "delete_file"}},
        "responses": {"tool_choice": {"type": "function", "name": "delete_file"}},
        "gemini": {"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["delete_file"]}}},
    }
    for stream in (False, True):
        upstream = kit.proposed(wire, stream, kit.call("delete_file", '{"path": "/srv/a"}'))
        house.provider.answer = house.provider.sse(*upstream) if stream else house.provider.json(upstream)
        house.judge(wire, stream, house.ask(wire, stream, **choice[wire.name]), kit.block("rule"))
        house.stays_well(wire)


def test_every_one_of_several_choices_is_judged(house: Any, kit: Any) -> None:
    """Several alternatives are allowed, and none of them is less judged than the first."""
    wire = kit.chat
    bad = {
        "index": 0,
        "id": "b",
        "type": "function",
        "function": {"name": "delete_file", "arguments": '{"path": "/srv/a"}'},
    }
    choices = [
        {
            "index": at,
            "message": {"role": "assistant", "content": None, "tool_calls": [entry]},
            "finish_reason": "tool_calls",
        }
        for at, entry in enumerate((GOOD_ENTRY, bad))
    ]
    house.provider.answer = house.provider.json(wire.whole(choices=choices))
    answer = house.ask(wire, False, n=2)
    house.judge(wire, False, answer, kit.block("rule", released=(kit.good,)))
    assert [c["finish_reason"] for c in answer.json()["choices"]] == ["tool_calls", "stop"]
    pieces = [wire.chunk({"tool_calls": [entry]}, choice=at) for at, entry in enumerate((GOOD_ENTRY, bad))]
    ends = [wire.chunk({}, "tool_calls", choice=at) for at in (1, 0)]
    house.provider.answer = house.provider.sse(*wire.opening(), *pieces, *ends, wire.DONE)
    answer = house.ask(wire, True, n=2)
    assert wire.finish_in(answer.content) == {"tool_calls", "stop"}
    _, calls = house.closing(answer)
    assert sorted((c.name, c.released) for c in calls) == [("delete_file", False), ("get_weather", True)]
    assert b"/srv/a" not in answer.content


HEAD = "policy: 1\nid: p\nagents: ['*']\non_deny: explain\nallow: [get_weather]\n"
LATER: list[tuple[str, str, str]] = [
    (
        "A10",
        "of arguments only what a detector finds is taken out: a path is allowed or not, never normalised",
        "rules:\n- {id: r, tools: ['*'], replace: /srv}\n",
    ),
    ("C4", "a denied call does not take its siblings with it", "on_deny: whole\n"),
    ("E10", "how many choices and calls an answer may have is no matter of policy", "limits: {max_choices: 1}\n"),
    (
        "E11",
        "a request that forces a forbidden tool is not refused; its call is withheld",
        "rules:\n- {id: r, at: request, tools: ['*']}\n",
    ),
    ("E15", "keys are not bound to models", "models: [gpt-4o-mini]\n"),
]


@pytest.mark.parametrize(("row", "limit", "wish"), LATER)
def test_a_policy_that_asks_for_what_this_version_cannot_do_is_refused(row: str, limit: str, wish: str) -> None:
    load({"p.yaml": HEAD.encode()})
    with pytest.raises(FileProblems):
        load({"p.yaml": (HEAD + wish).encode()})
