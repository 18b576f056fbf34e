"""Whatever a client sends, a decoder understands it in one way or refuses it in its own words: it never fails."""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dialects import DIALECTS
from gateway.errors import GatewayError

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "m",
        "stream": True,
        "n": 1,
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "https://a"}}],
            },
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "y"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    },
    "/v1/messages": {
        "model": "m",
        "max_tokens": 9,
        "system": [{"type": "text", "text": "x"}],
        "messages": [
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a"}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "y"}]}],
            },
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "f"},
        "metadata": {"user_id": "u"},
    },
    "/v1/responses": {
        "model": "m",
        "instructions": "x",
        "previous_response_id": "r",
        "conversation": {"id": "c"},
        "store": True,
        "input": [
            {"role": "user", "content": [{"type": "input_image", "image_url": "https://a"}, {"type": "input_text", "text": "x"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "namespace": "n", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "y"}]},
            {"type": "item_reference", "id": "i"},
            {"type": "shell_call_output", "call_id": "s", "output": [{"stdout": "", "stderr": ""}]},
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "custom", "name": "q"}]},
        ],
        "tools": [
            {"type": "function", "name": "f", "parameters": SCHEMA},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}]},
            {"type": "mcp", "server_label": "d"},
            {"type": "shell", "environment": {"type": "local"}},
        ],
        "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]},
    },
    "/v1beta/models/m:generateContent": {
        "systemInstruction": {"parts": [{"text": "x"}]},
        "contents": [
            {
                "role": "user",
                "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"fileData": {"fileUri": "https://a"}}],
            },
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"name": "f", "response": {"result": "y"}, "parts": [{"inlineData": {"data": "AA=="}}]}}
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}}}
                ],
                "googleSearch": {},
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {"candidateCount": 1},
    },
}
ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        2**70,
        "",
        "x",
        "f",
        [],
        {},
        [None],
        [[]],
        [{}],
        {"type": []},
        {"type": "text"},
        {"name": {}},
        "\ud83d",
    ]
)


def places(tree: Any) -> list[tuple[Any, Any]]:
    found, waiting = [], [tree]
    while waiting:
        current = waiting.pop()
        inner = (
            list(current.items()) if isinstance(current, dict) else list(enumerate(current)) if isinstance(current, list) else []
        )
        found += [(current, key) for key, _ in inner]
        waiting += [value for _, value in inner]
    return found


@pytest.mark.unmeasured
@pytest.mark.parametrize("path", list(BODIES))
@settings(max_examples=int(os.environ.get("TOLLHOUSE_EXAMPLES", "300")), deadline=None)
@given(data=st.data())
def test_a_damaged_request_is_read_in_one_way_or_refused(path: str, data: st.DataObject) -> None:
    tree = json.loads(json.dumps(BODIES[path]))
    for _ in range(data.draw(st.integers(1, 4))):
        holder, key = data.draw(st.sampled_from(places(tree)))
        if data.draw(st.booleans()):
            holder[key] = copy.deepcopy(data.draw(ODD))
        elif isinstance(holder, dict):
            holder[
                data.draw(st.sampled_from(["type", "role", "content", "id", "name", "text", "parts", "input_audio", "source"]))
            ] = holder.pop(key)
        if not places(tree):
            break
    dialect, endpoint = next((d, e) for d in DIALECTS.values() for e in d.endpoints(path))
    body = json.dumps(tree, ensure_ascii=True).encode()
    refusal, request = None, None
    try:
        request = dialect.decode_request(body, {}, frozenset(), msgspec.structs.replace(endpoint, query=""))
    except GatewayError as error:
        refusal = error
    if refusal is None:
        assert request is not None
        assert request.body == body
    else:
        assert refusal.kind in ("bad_request", "refused")
        assert refusal.message
