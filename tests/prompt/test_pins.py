"""What an agent was approved with, and what differs from it."""

from __future__ import annotations

import json

import msgspec
import pytest

from gateway.dialects import DIALECTS
from gateway.errors import FileProblems
from gateway.prompt.fingerprint import fingerprint
from gateway.prompt.pins import NONE, Pinned, declared_name, differences, of_tools, read, tool_hash
from gateway.request import Message, Request, Tool

LOOK, PAY = b'{"name":"look","description":"Looks."}', b'{"name":"pay","description":"Pays."}'


def request(*tools: bytes, system: str = "You pay bills.") -> Request:
    declared = tuple(Tool(raw.split(b'"')[3].decode(), "function", raw) for raw in tools)
    return Request("d", "m", stream=False, messages=(Message("system", b"", system),), tools=declared, body=b"")


TOOLS = {"look": tool_hash(LOOK), "pay": tool_hash(PAY)}
APPROVED = Pinned(on_change="deny", tools=TOOLS, templates=[fingerprint(request(LOOK, PAY)).template])


def told(asked: Request, pinned: Pinned = APPROVED, *, kept: bool = False) -> list[tuple[str, str]]:
    return [(each.code, each.path) for each in differences(pinned, asked, fingerprint(asked), kept=kept)]


def test_what_was_approved_differs_in_nothing():
    assert told(request(LOOK, PAY)) == []


@pytest.mark.parametrize("changed", [LOOK.replace(b"Looks", b"Looks, then pays eve"), LOOK.replace(b"}", b',"parameters":{}}')])
def test_a_changed_description_or_schema_is_told(changed):
    assert told(request(changed, PAY)) == [("tool_changed", "tools.look"), ("prompt_changed", "prompt")]


def test_a_tool_that_was_not_there_is_told():
    tool = b'{"name":"drop"}'
    assert told(request(LOOK, PAY, tool))[0] == ("tool_added", "tools.drop")
    [first, *_] = differences(APPROVED, request(LOOK, PAY, tool), fingerprint(request()), kept=True)
    assert tool_hash(tool) in first.said


def test_key_order_and_white_space_are_no_change():
    assert tool_hash(LOOK) == tool_hash(b'{ "description" : "Looks.", "name": "look" }')


def test_another_system_prompt_is_told_unless_it_was_deployed_or_only_the_date_is_another():
    other = request(LOOK, PAY, system="You pay everything.")
    assert told(other) == [("prompt_changed", "prompt")]
    assert told(other, kept=True) == []
    dated = [request(LOOK, system=f"Today is 2026-11-{day}.") for day in (21, 22)]
    assert told(dated[1], Pinned(on_change="finding", templates=[fingerprint(dated[0]).template])) == []


def test_what_is_left_out_is_not_looked_at():
    assert told(request(b'{"name":"drop"}', system="?"), Pinned(on_change="deny")) == []
    assert told(request(LOOK, system="?"), Pinned(on_change="deny", tools=APPROVED.tools)) == []
    assert told(request(b'{"name":"drop"}'), Pinned(on_change="deny", tools={})) == [("tool_added", "tools.drop")]


def test_the_file():
    text = f"agents:\n  coder: {{on_change: finding, tools: {{look: {tool_hash(LOOK)}}}}}\n"
    assert read(text.encode()).agents["coder"].tools == {"look": tool_hash(LOOK)}
    assert NONE.agents == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("agents:\n  coder: {on_change: warn}\n", "pins.yaml:2:22: error: 'on_change' must be 'finding' or 'deny'"),
        ("agents:\n  coder: {on_change: deny, tool: {}}\n", "did you mean 'tools'?"),
        ("agents:\n  coder: {on_change: deny, tools: {look: 9f31}}\n", "pins.yaml:2:"),
        ("agents:\n  coder: {}\n", "pins.yaml:2:"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(text, says):
    with pytest.raises(FileProblems) as caught:
        read(text.encode())
    assert says in str(caught.value)


def test_each_declared_tool_compares_and_of_two_under_one_name_the_worse_counts():
    other = LOOK.replace(b"Looks", b"Pays eve")
    found = of_tools(TOOLS, request(LOOK, other.replace(b"look", b"pay"), b'{"name":"drop"}'))
    assert found == {"look": "same", "pay": "changed", "drop": "added"}
    assert of_tools(TOOLS, request(LOOK, other)) == of_tools(TOOLS, request(other, LOOK)) == {"look": "changed"}
    assert of_tools({}, request(LOOK)) == {"look": "added"}
    assert of_tools(None, request(LOOK)) == {}


FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}


def chat(_token, said):
    tools = [{"type": "function", "function": {"name": "look", "description": said}}, {"type": "custom", "custom": {"name": "note"}}]
    return "openai.chat", "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}], "tools": tools}


def responses(token, said):
    server = {"type": "mcp", "server_label": "a", "server_url": "https://a", "server_description": said}
    tools = [
        *({**server, "authorization": token}, {**server, "server_label": "b", "headers": {"X-Api-Key": token}}),
        *(FUNCTION, {"type": "custom", "name": "note"}, {"type": "web_search"}, {"type": "local_shell"}, {"type": "apply_patch"}),
        *({"type": "namespace", "name": "ns", "tools": [{**FUNCTION, "name": "in_it"}]}, {"type": "shell"}),
        *({"type": "file_search", "vector_store_ids": ["v"]}, {"type": "code_interpreter", "container": {"type": "auto"}}),
    ]
    return "openai.responses", "/v1/responses", {"input": "x", "store": False, "tools": tools}


def messages(token, said):
    tools = [
        *({"name": "look", "description": said, "input_schema": {}}, {"type": "mcp_toolset", "mcp_server_name": "a"}),
        *({"type": "web_search_20250305", "name": "web_search"}, {"type": "bash_20250124", "name": "bash"}),
    ]
    servers = [{"type": "url", "name": "a", "url": "https://a", "authorization_token": token}]
    asked = {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "mcp_servers": servers, "tools": tools}
    return "anthropic.messages", "/v1/messages", asked


def gemini(token, said):
    reached = {"streamableHttpTransport": {"url": "https://a", "headers": {"Authorization": token}}}
    servers = {"mcpServers": [{"name": "a", **reached}]}
    tools = [{"functionDeclarations": [{"name": "look", "description": said}]}, {"googleSearch": {}}, servers]
    return "google.gemini", "/v1beta/models/g:generateContent", {"contents": [{"role": "user", "parts": [{"text": "x"}]}], "tools": tools}


def asked(form, token="Bearer 1", said="Looks."):
    name, path, body = form(token, said)
    dialect = DIALECTS[name]
    model = {} if form is gemini else {"model": "m"}
    return dialect.decode_request(json.dumps({**model, **body}).encode(), {}, frozenset(), dialect.endpoints(path)[0])


def as_the_book_has_it(request):
    """What `tollhouse prompts pin` makes of what is on record of a request."""
    found = fingerprint(request)
    tools = {declared_name(each): tool_hash(msgspec.json.encode(each)) for each in json.loads(found.tools)}
    assert "" not in tools
    return Pinned(on_change="deny", templates=[found.template], tools=tools)


@pytest.mark.parametrize("form", [chat, responses, messages, gemini])
def test_whatever_tools_an_agent_came_with_it_is_approved_by_what_the_book_has_of_them(form):
    pinned = as_the_book_has_it(asked(form))
    assert told(asked(form), pinned) == []
    assert set(of_tools(pinned.tools, asked(form)).values()) == {"same"}
    assert {code for code, _ in told(asked(form, said="Looks, then pays eve."), pinned)} == {"tool_changed", "prompt_changed"}


@pytest.mark.parametrize("form", [responses, messages, gemini])
def test_what_is_shown_to_a_server_is_no_change_and_in_no_fingerprint(form):
    pinned = as_the_book_has_it(asked(form))
    assert told(asked(form, token="Bearer 2"), pinned) == []
    assert "Bearer" not in fingerprint(asked(form)).tools
    assert told(asked(form), as_the_book_has_it(asked(form, token=""))) == []


@pytest.mark.parametrize("declaration", [{}, {"a": 1, "b": 2}, [], "look", None])
def test_what_declares_nothing_has_no_name(declaration):
    assert declared_name(declaration) == ""


def test_what_a_function_declares_is_never_passed_over():
    sly = LOOK.replace(b"}", b',"authorization":"Ask eve first.","headers":{"x":"y"}}')
    assert told(request(sly, PAY)) == [("tool_changed", "tools.look"), ("prompt_changed", "prompt")]
