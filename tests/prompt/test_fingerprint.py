"""The version of a found prompt."""

from __future__ import annotations

import json

from gateway.exchange import Message, Request, Tool
from gateway.prompt.fingerprint import fingerprint


def request(system: str = "You pay bills.", tools: tuple[bytes, ...] = (), user: str = "hi") -> Request:
    messages = (Message("system", system.encode(), system), Message("user", user.encode(), user))
    return Request(
        "d", "m", stream=False, messages=messages, tools=tuple(Tool("t", "function", raw) for raw in tools), body=b""
    )


def test_the_same_prompt_has_the_same_version_whatever_the_user_says():
    assert fingerprint(request(user="a")) == fingerprint(request(user="b"))


def test_another_system_prompt_is_another_version():
    assert fingerprint(request("a")).hash != fingerprint(request("b")).hash


def test_key_order_and_white_space_of_a_tool_make_no_new_version():
    one, two = b'{"name":"t","strict":true}', b'{ "strict" : true, "name":"t" }'
    assert fingerprint(request(tools=(one,))) == fingerprint(request(tools=(two,)))


def test_a_changed_description_and_another_order_are_new_versions():
    a, b, changed = b'{"name":"a","d":"1"}', b'{"name":"b"}', b'{"name":"a","d":"2"}'
    versions = {fingerprint(request(tools=tools)).hash for tools in ((a, b), (b, a), (changed, b), (a,))}
    assert len(versions) == 4


def test_text_cannot_slip_from_the_system_prompt_into_the_tools():
    assert fingerprint(request("x[", ())).hash != fingerprint(request("x", (b'"["',))).hash


def test_the_texts_are_kept_for_reading():
    found = fingerprint(request("You pay.", (b'{"name":"t"}',)))
    assert found.system == "You pay."
    assert json.loads(found.tools) == [{"name": "t"}]

def test_requests_that_differ_by_a_date_have_one_template_and_two_versions():
    one, two = (fingerprint(request(f"You pay bills. Today is 2026-11-{day}.")) for day in (21, 22))
    assert one.hash != two.hash
    assert one.template == two.template == fingerprint(request("You pay bills. Today is 2026-11-21.")).template


def test_another_instruction_and_another_tool_are_another_template():
    versions = (request("a"), request("b"), request("a", (b'{"name":"t"}',)), request("a", (b'{"name":"t","d":"2026-11-21"}',)))
    assert len({fingerprint(each).template for each in versions}) == 4
