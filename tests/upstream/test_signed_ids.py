"""What other providers get of a conversation that Gemini began: calls under plain ids, everything else as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.upstream.signed_ids import without_signatures

SIGNED = "call_1__thought__Q0FG+Rs/=="


def chat(call_id: str) -> dict[str, Any]:
    call = {"id": call_id, "type": "function", "function": {"name": "f", "arguments": json.dumps({"id": SIGNED})}}
    turns = [{"role": "user", "content": [{"type": "text", "text": SIGNED}, {"type": "text", "text": "b"}]}]
    turns += [{"role": "assistant", "content": SIGNED, "tool_calls": [call]}, {"role": "tool", "tool_call_id": call_id, "content": "1.0"}]
    return {"model": "m", "seed": 1.50, "messages": turns}


def messages(call_id: str) -> dict[str, Any]:
    used = {"type": "tool_use", "id": call_id, "name": "f", "input": {"id": SIGNED, "at": 12345678901234567890}}
    told = {"type": "tool_result", "tool_use_id": call_id, "content": [{"type": "text", "text": SIGNED}]}
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": [used]}, {"role": "user", "content": [told]}]
    return {"model": "m", "max_tokens": 9, "messages": turns}


def sent(tree: Any, model: str = "gpt-5") -> Any:
    return json.loads(without_signatures(json.dumps(tree).encode(), model))


@pytest.mark.parametrize("dialect", [chat, messages])
def test_calls_and_results_have_the_plain_id_and_nothing_else_changes(dialect: Any) -> None:
    assert sent(dialect(SIGNED)) == dialect("call_1")


@pytest.mark.parametrize("dialect", [chat, messages])
def test_a_model_of_gemini_s_keeps_its_signatures_whoever_serves_it(dialect: Any) -> None:
    assert sent(dialect(SIGNED), "google/Gemini-3-pro") == dialect(SIGNED)


def test_a_request_without_signatures_is_the_same_bytes() -> None:
    body = b'{ "messages" : [ {"role":"user", "content":"go"} ] }'
    assert without_signatures(body, "gpt-5") is body


def test_ids_that_are_no_texts_are_left_alone() -> None:
    odd = {"messages": [{"role": "user", "id": None, "content": [{"type": "text", "id": 7, "text": SIGNED}, SIGNED]}]}
    assert sent(odd) == odd


def test_what_has_no_messages_is_left_alone() -> None:
    body = b'{"input": "a__thought__b"}'
    assert without_signatures(body, "gpt-5") is body
