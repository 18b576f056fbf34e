"""What an agent was approved with, and what differs from it."""

from __future__ import annotations

import pytest

from gateway.errors import FileProblems
from gateway.prompt.fingerprint import fingerprint
from gateway.prompt.pins import NONE, Pinned, differences, of_tools, read, tool_hash
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
