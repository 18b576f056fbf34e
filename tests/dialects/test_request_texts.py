"""A request with other words in it: every text that decoding reads is asked about, and nothing else changes."""

import json
from pathlib import Path

import pytest

from gateway.dialects import DIALECTS

GOLDEN = Path(__file__).parent.parent / "golden"
CHAT = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "anthropic.messages": "/v1/messages",
    "google.gemini": "/v1beta/models/gemini-x:generateContent",
}
FOLDERS = {
    "openai.chat": "openai_chat", "openai.responses": "openai_responses",
    "anthropic.messages": "anthropic_messages", "google.gemini": "gemini",
}
PDF = {"file_data": "data:application/pdf;base64,aGk=", "filename": "its name"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
MADE = {
    "openai.chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "one"}]},
            {"role": "user", "name": "text", "content": [
                {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}}, IMAGE, {"type": "text", "text": "three"},
                {"type": "file", "file": PDF},
            ]},
            {"role": "assistant", "content": None, "refusal": "four",
             "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"text": "x"}'}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "five"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "six"}]},
            {"role": "function", "name": "f", "content": "seven"},
            {"role": "tool", "tool_call_id": "c3", "content": "eight", "name": "its tool"},
        ],
        "prediction": {"type": "content", "content": [{"type": "text", "text": "nine"}]},
        "metadata": {"text": "not a message"},
    },
    "anthropic.messages": {
        "model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "one", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "two"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "x", "signature": "s"}, {"type": "text", "text": "three"},
                {"type": "tool_use", "id": "c1", "name": "f", "input": {"text": "x"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "five"}, {"type": "search_result",
                 "source": "s", "title": "t", "content": [{"type": "text", "text": "six"}]}]},
                {"type": "tool_result", "tool_use_id": "c2", "content": "seven"},
                {"type": "document", "title": "its title", "context": "where it is from",
                 "source": {"type": "text", "media_type": "text/plain", "data": "more"}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "eight"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "nine"}]}},
                {"type": "document", "source": {"type": "content", "content": "ten"}},
            ]},
        ],
    },
    "openai.responses": {
        "model": "m", "instructions": "one",
        "input": [
            {"role": "user", "content": "two"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "three"},
             {"type": "input_image", "image_url": "data:image/png;base64,aGk="}, {"type": "input_file"} | PDF]},
            {"type": "mcp_approval_response", "approval_request_id": "a1", "approve": True, "reason": "why not"},
            {"type": "message", "role": "assistant", "id": "m1", "status": "completed",
             "content": [{"type": "output_text", "text": "four", "annotations": []}, {"type": "refusal", "refusal": "no"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"text": "x"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "five"},
            {"type": "function_call_output", "call_id": "c2", "output": [
                {"type": "input_text", "text": "six"}, {"type": "input_file"} | PDF,
            ]},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "seven"},
            {"type": "local_shell_call_output", "id": "c4", "output": "eight"},
        ],
    },
    "google.gemini": {
        "system_instruction": {"parts": [{"text": "one"}]},
        "contents": [
            {"role": "user", "parts": [
                {"text": "two"}, {"inlineData": {"mimeType": "image/png", "data": "aGk=", "displayName": "its name"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "what it said"}},
            ]},
            {"role": "model", "parts": [{"text": "x", "thought": True}, {"functionCall": {"name": "f", "args": {"text": "x"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "five"}}}, {"function_response":
             {"id": "c2", "name": "g", "response": {"output": "six"}, "parts": [
                {"inlineData": {"mimeType": "image/png", "data": "aGk=", "displayName": "of a picture"}}]}}]},
        ],
    },
}  # fmt: skip


def read(name, body):
    dialect = DIALECTS[name]
    endpoint = next(one for one in dialect.endpoints(CHAT[name]) if one.method == "POST")
    return dialect.decode_request(body, {}, frozenset(), endpoint)


def bodies():
    for name, folder in FOLDERS.items():
        yield pytest.param(name, json.dumps(MADE[name]).encode(), id=f"{name}-made")
        for path in sorted((GOLDEN / folder).glob("*request.json")):
            yield pytest.param(name, path.read_bytes(), id=f"{name}-{path.stem}")


@pytest.mark.parametrize(("name", "body"), list(bodies()))
def test_a_request_whose_texts_stay_says_the_same(name, body):
    kept = DIALECTS[name].with_texts(body, lambda role, call_id, text: text)
    assert json.loads(kept) == json.loads(body)


@pytest.mark.parametrize(("name", "body"), list(bodies()))
def test_every_text_that_is_read_is_asked_about_under_its_role_and_call(name, body):
    said, answered = [], []

    def ask(role, call_id, text):
        (said if call_id is None else answered).append((role, text) if call_id is None else (call_id, text))
        return text

    DIALECTS[name].with_texts(body, ask)
    request = read(name, body)
    texts = [(m.role, line) for m in request.messages if not (m.role == "tool" and m.results) for line in m.text.split("\n") if line]
    texts += [("user" if m.role == "tool" else m.role, text) for m in request.messages for of, text in m.beside if of is None]
    texts += [("user", text) for text in request.beside]
    assert sorted((role, line) for role, text in said for line in text.split("\n") if line) == sorted(texts)
    results = [(call_id, line) for m in request.messages for call_id, text in m.results for line in text.split("\n") if line]
    results += [(of, text) for m in request.messages for of, text in m.beside if of is not None]
    assert sorted((i, line) for i, text in answered for line in text.split("\n") if line) == sorted(results)


@pytest.mark.parametrize("name", MADE)
def test_a_changed_text_is_what_is_read(name):
    body = json.dumps(MADE[name]).encode()
    changed = read(name, DIALECTS[name].with_texts(body, lambda role, call_id, text: f"[{role}]"))
    before = read(name, body)
    assert [m.role for m in changed.messages] == [m.role for m in before.messages]
    assert [m.calls for m in changed.messages] == [m.calls for m in before.messages]
    assert {line for m in changed.messages for line in m.text.split("\n")} <= {"", *(f"[{m.role}]" for m in changed.messages)}
    assert {text for m in changed.messages for _, text in m.results} <= {"[tool]", "[tool]\n[tool]"}
    assert changed.tools == before.tools


def test_texts_to_embed_and_to_count_are_asked_about():
    for name, body in (
        ("openai.chat", {"model": "m", "input": ["a", "b"]}),
        ("google.gemini", {"requests": [{"content": {"parts": [{"text": "a"}]}}, {"content": {"parts": {"text": "b"}}}]}),
        ("google.gemini", {"generateContentRequest": {"contents": [{"parts": [{"text": "a"}]}, {"parts": [{"text": "b"}]}]}}),
    ):
        asked = []
        out = DIALECTS[name].with_texts(json.dumps(body).encode(), lambda role, _, text, asked=asked: asked.append((role, text)) or "x")
        assert asked == [("user", "a"), ("user", "b")]
        assert json.loads(out) == json.loads(json.dumps(body).replace('"a"', '"x"').replace('"b"', '"x"'))


def test_results_that_are_no_plain_text_are_changed_wherever_text_stands():
    shell = {"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a", "stderr": "a", "outcome": {"exit_code": 0}}]}
    body = json.dumps({"model": "m", "input": [shell, {"type": "computer_call_output", "call_id": "d", "output": {"type": "x"}}]}).encode()
    out = json.loads(DIALECTS["openai.responses"].with_texts(body, lambda role, call_id, text: f"{call_id}!"))
    assert out["input"][0]["output"] == [{"stdout": "c!", "stderr": "c!", "outcome": {"exit_code": 0}}]
    assert out["input"][1]["output"] == {"type": "x"}
    body = b'{"model": "m", "input": [{"type": "computer_call_output", "call_id": "d"}]}'
    assert json.loads(DIALECTS["openai.responses"].with_texts(body, lambda role, call_id, text: "!")) == json.loads(body)
    body = json.dumps({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {"rows": [{"n": 1, "t": "a"}]}}}]}]}).encode()
    out = json.loads(DIALECTS["google.gemini"].with_texts(body, lambda role, call_id, text: f"{role} {call_id}"))
    assert out["contents"][0]["parts"][0]["functionResponse"]["response"] == {"rows": [{"n": 1, "t": "tool f"}]}


def test_what_has_not_the_shape_of_a_request_is_left_to_those_who_read_it():
    for dialect in DIALECTS.values():
        for body in (b"{}", b'{"messages": [1], "system": 5, "input": [2], "contents": [{"parts": [3]}], "instructions": null}',
                     b'{"contents": [{"parts": [{"functionResponse": {"parts": 5}}, {"functionResponse": 4}]}]}'):
            changed = json.loads(dialect.with_texts(body, lambda role, call_id, text: "x"))
            assert changed == json.loads(body)


def test_a_thought_of_somebody_else_than_the_model_is_what_they_say():
    parts = [{"text": "a", "thought": True}]
    for role in ("user", None, "function"):
        content = {"parts": parts} | ({"role": role} if role else {})
        body = json.dumps({"contents": [content], "systemInstruction": {"parts": parts}}).encode()
        out = json.loads(DIALECTS["google.gemini"].with_texts(body, lambda role, call, text: f"{text}!"))
        assert out["contents"][0]["parts"] == out["systemInstruction"]["parts"] == [{"text": "a!", "thought": True}]
