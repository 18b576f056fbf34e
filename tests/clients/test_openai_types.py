"""The openai SDK of today against the tables of its two dialects: a new field, item or event fails here until it has a place in one."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from gateway.dialects import fields, openai_chat, openai_chat_shape, openai_responses
from gateway.dialects import openai_responses_shape as shape

TABLES = {
    "chat": (fields.OPENAI_CHAT, set()),
    "create": (fields.OPENAI_RESPONSES, {"client_metadata"}),
    "compact": (fields.OPENAI_COMPACT, set()),
    "count": (fields.OPENAI_INPUT_TOKENS, set()),
    "conversation": (fields.OPENAI_CONVERSATIONS, set()),
}
"""With fields that no SDK declares and clients send."""


@pytest.fixture(scope="module")
def sdk(sdk_python, bare):
    script = Path(__file__).with_name("openai_types.py")
    done = subprocess.run([str(sdk_python), str(script)], capture_output=True, text=True, env=bare, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def decode(**body):
    (endpoint,) = openai_responses.endpoints("/v1/responses")
    given = {"model": "gpt-5", "input": "Hi"} | body
    return openai_responses.decode_request(json.dumps(given).encode(), {}, frozenset(), endpoint)


def chat(**body):
    (endpoint,) = openai_chat.endpoints("/v1/chat/completions")
    given = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]} | body
    return openai_chat.decode_request(json.dumps(given).encode(), {}, frozenset(), endpoint)


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_hold_every_field_of_the_sdk_and_invent_none(sdk, name):
    table, more = TABLES[name]
    assert table.judged | table.inert | table.powerful == set(sdk["fields"][name]) | more


def test_every_key_of_a_chat_completion_is_in_a_table(sdk):
    assert set(sdk["answer"]) <= openai_chat_shape.TOP_KEYS
    assert set(sdk["choice"]) <= openai_chat_shape.CHOICE_KEYS
    assert set(sdk["message"]) <= openai_chat_shape.MESSAGE_KEYS


def test_every_kind_of_part_and_of_tool_of_a_chat_request_is_known(sdk):
    held = {"text": "x", "image_url": {"url": "https://x"}, "input_audio": {"data": "", "format": "wav"}}
    for kind in sdk["parts"]:
        part = {"type": kind, kind: held.get(kind, {})}
        assert chat(messages=[{"role": "user", "content": [part]}]).unjudged == (), kind
    for kind in sdk["functions"]:
        assert chat(tools=[{"type": kind, kind: {"name": "x"}}]).unjudged == (), kind


def test_every_item_of_an_answer_is_in_a_table_with_all_its_keys(sdk):
    assert len(sdk["items"]) > 25
    missing = {kind: set(names) - (shape.item_keys(kind) or set()) for kind, names in sdk["items"].items()}
    assert not any(missing.values()), missing


def test_every_event_is_in_a_table_with_all_its_keys(sdk):
    tables = {**shape.FRAME_KEYS, **shape.LOOSE_EVENTS, **{kind: keys for kind, (_, keys) in shape.ITEM_EVENTS.items()}}
    events = {kind: set(names) for kind, names in sdk["events"].items() if kind != "error"}
    assert len(events) > 50
    missing = {kind: names - tables.get(kind, set()) for kind, names in events.items()}
    assert not any(missing.values()), missing


def test_every_event_of_an_item_may_be_about_an_item_that_is_known(sdk):
    """The items that the table names for an event are items, and those that its name begins with are among them."""
    named = {kind: items for kind, (items, _) in shape.ITEM_EVENTS.items() if kind in sdk["events"]}
    assert {item for items in named.values() for item in items} <= {item for item in sdk["items"] if shape.item_keys(item)}
    for kind, items in named.items():
        begun = re.match(r"response\.(\w+_call|mcp_list_tools|compaction)(?=[._])", kind)
        assert begun is None or any(item.startswith(begun[1]) for item in items), kind


def test_every_key_of_a_response_is_in_the_table(sdk):
    assert set(sdk["response"]) <= shape.RESPONSE_KEYS


def test_every_kind_of_tool_is_known(sdk):
    assert len(sdk["tools"]) > 14
    for kind in sdk["tools"]:
        made = {"type": kind, "name": "x", "tools": [], "environment": {"type": "local"}}
        assert decode(tools=[made]).unjudged == (), kind


def test_every_kind_of_input_item_is_known(sdk):
    assert len(sdk["input"]) > 25
    for kind in sdk["input"]:
        made = {"type": kind, "role": "user", "id": "i", "call_id": "c", "name": "n", "output": "", "content": ""}
        assert decode(input=[made]).unjudged == (), kind
