"""Requests that name a kept prompt, through the whole data plane: the provider gets the rendered request, and nothing of ours."""

from __future__ import annotations

import json
from itertools import product

import anthropic
import openai
import pytest
from google import genai

POLICY = {"policy.yaml": 'policy: 1\nid: test\nagents: ["*"]\nallow: [get_weather]\n'}
SUPPORT = """---
model: kept-model
parameters: {temperature: 0.5, max_tokens: 99}
variables:
  shop: {type: string}
  vip: {type: boolean, default: false}
labels: {production: this}
---
You help in {{ shop }}.{% if vip %} Be quick.{% endif %}
"""
FORGED = "{{ 7*7 }}{{ ''.__class__ }}{% raw %}"
TEXT = f"You help in {FORGED}. Be quick."
PROMPT = {"name": "support", "label": "production", "variables": {"shop": FORGED, "vip": True}}
HEADERS = {"x-tollhouse-prompt": "support@production", "x-tollhouse-variables": json.dumps(PROMPT["variables"])}
CHAT = {"id": "a", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}  # fmt: skip
RESPONSE = {"id": "r", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [
    {"id": "msg", "type": "message", "role": "assistant", "status": "completed",
     "content": [{"type": "output_text", "text": "Hello.", "annotations": []}]}], "parallel_tool_calls": True, "tool_choice": "auto",
    "tools": []}  # fmt: skip
MESSAGE = {"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "Hello."}],
           "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
GEMINI = {"candidates": [{"content": {"parts": [{"text": "Hello."}], "role": "model"}, "index": 0, "finishReason": "STOP"}],
          "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}, "modelVersion": "m"}  # fmt: skip


@pytest.fixture
def house(start, provider, tmp_path):
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "support.md").write_text(SUPPORT)
    base, key = provider.base_url, {"env": "CANARY_KEY"}
    upstreams = {
        "openai": {"dialect": ["openai.chat", "openai.responses"], "base_url": base, "key": key},
        "anthropic": {"dialect": "anthropic.messages", "base_url": base, "key": key},
        "google": {"dialect": "google.gemini", "base_url": base.removesuffix("/v1"), "key": key},
    }
    return start(POLICY, upstreams=upstreams, prompts=str(tmp_path / "prompts"))


def by_openai(url: str, **more):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
    return client.chat.completions.create(model="", messages=[{"role": "user", "content": "hi"}], **more).choices[0].message.content


def by_responses(url: str, **more):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0)
    return client.responses.create(input="hi", **more).output_text


def by_anthropic(url: str, **more):
    client = anthropic.Anthropic(base_url=url, api_key="x", max_retries=0)
    return client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}], **more).content[0].text


def by_google(url: str, extra_body=None, extra_headers=None):
    options = genai.types.HttpOptions(base_url=url, headers=extra_headers, extra_body=extra_body)
    client = genai.Client(api_key="x", http_options=options)
    return client.models.generate_content(model="gemini-2.5-flash", contents="hi").text


SDKS = {
    "openai": (by_openai, CHAT),
    "responses": (by_responses, RESPONSE),
    "anthropic": (by_anthropic, MESSAGE),
    "google": (by_google, GEMINI),
}
SYSTEM = {
    "openai": lambda sent: (sent["messages"][0], sent["model"], sent["max_completion_tokens"]),
    "responses": lambda sent: (sent["instructions"], sent["model"], sent["max_output_tokens"]),
    "anthropic": lambda sent: (sent["system"], sent["model"], sent["max_tokens"]),
    "google": lambda sent: (sent["systemInstruction"]["parts"][0]["text"], sent["generationConfig"]),
}
EXPECTED = {
    "openai": ({"role": "system", "content": TEXT}, "kept-model", 99),
    "responses": (TEXT, "kept-model", 99),
    "anthropic": (TEXT, "m", 5),
    "google": (TEXT, {"temperature": 0.5, "maxOutputTokens": 99}),
}


@pytest.mark.parametrize("named", [{"extra_body": {"prompt": PROMPT}}, {"extra_headers": HEADERS}], ids=["body", "header"])
def test_unmodified_sdks_name_a_prompt_and_the_provider_gets_it_filled(house, provider, named):
    for sdk, (ask, answer) in SDKS.items():
        provider.answer = provider.json(answer)
        assert ask(house.url, **named) == "Hello."
        head, body = provider.received[-1]
        sent = json.loads(body)
        assert SYSTEM[sdk](sent) == EXPECTED[sdk]
        assert "prompt" not in sent
        assert b"x-tollhouse" not in head.lower()


def post(house, body: dict, path: str = "/v1/chat/completions", headers: dict | None = None):
    with house.client() as client:
        return client.post(path, json={"messages": [{"role": "user", "content": "hi"}], **body}, headers=headers or {})


PATHS = {
    "openai": "/v1/chat/completions",
    "responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "google": "/v1beta/models/m:generateContent",
}


def test_what_cannot_be_filled_is_refused_in_the_dialects_own_form_and_says_what_to_do(house, provider):
    cases = [
        ({"name": "suport"}, "did you mean 'support'?"),
        ({"name": "support"}, "needs the variable `shop`"),
        ({"name": "support", "label": "prod", "variables": {"shop": "x"}}, "It has: production."),
        ({"name": "support", "variables": {"shop": 1}}, "must be text"),
    ]
    for path, (prompt, says) in product(PATHS.values(), cases):
        answer = post(house, {"prompt": prompt}, path)
        assert answer.status_code == 400
        assert says in answer.json()["error"]["message"]
    assert provider.received == []


UNCLEAR = [
    ({"prompt": PROMPT}, HEADERS, "Send one of them"),
    ({"prompt": {"id": "pmpt_1"}}, HEADERS, "Send one of them"),
    ({}, HEADERS | {"x-tollhouse-variables": "{"}, "not JSON with one meaning"),
    ({}, HEADERS | {"x-tollhouse-variables": '{"shop":"a","shop":"b"}'}, "not JSON with one meaning"),
    ({}, HEADERS | {"x-tollhouse-variables": "[]"}, "must be a JSON object"),
    ({}, {"x-tollhouse-variables": "{}"}, "Say which prompt"),
    ({"prompt": PROMPT | {"lable": "x"}}, {}, "`prompt.lable` is unknown"),
]


def test_a_reference_without_one_meaning_is_refused(house, provider):
    for body, headers, says in UNCLEAR:
        answer = post(house, body, headers=headers)
        assert (answer.status_code, provider.received) == (400, [])
        assert says in answer.json()["error"]["message"]


RAW = [
    (b'{"messages":[{"role":"user","content":"hi"}],"prompt":{"name":"support"},"prompt":{"name":"other"}}', "one meaning"),
    (b'{"messages":[],"messages":[{"role":"user","content":"hi"}],"prompt":{"name":"support"}}', "not JSON with one meaning"),
    (b'{"messages":[{"role":"user","content":"x"}],"prompt":{"name":"support","variables":{"shop":0.1000000000000000055}}}', "one meaning"),
    (b"[]", "JSON object"),
    (b"{", "one meaning"),
]


@pytest.mark.parametrize("headers", [{}, {"x-tollhouse-prompt": "support"}], ids=["body", "header"])
def test_a_body_without_one_meaning_is_refused_as_ever(house, provider, headers):
    with house.client() as client:
        for body, says in RAW:
            answer = client.post("/v1/chat/completions", content=body, headers=headers | {"content-type": "application/json"})
            assert (answer.status_code, provider.received) == (400, [])
            assert headers or says in answer.json()["error"]["message"]


def test_a_header_in_any_script_fills_the_prompt(house, provider):
    provider.answer = provider.json(CHAT)
    variables = json.dumps({"shop": "Zürich 東京"}, ensure_ascii=False).encode()
    with house.client() as client:
        headers = {b"x-tollhouse-prompt": b"support", b"x-tollhouse-variables": variables}
        answer = client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "hi"}]}, headers=headers)
    assert answer.status_code == 200
    assert json.loads(provider.received[0][1])["messages"][0]["content"] == "You help in Zürich 東京."


def test_a_prompt_belongs_to_a_conversation(house, provider):
    provider.answer = provider.json({"object": "list", "model": "m", "data": [{"embedding": [0.1], "index": 0, "object": "embedding"}]})
    body = {"input": "x", "model": "m", "messages": None}
    assert "not here" in post(house, body | {"prompt": PROMPT}, "/v1/embeddings").json()["error"]["message"]
    with house.client() as client:
        answer = client.post("/v1/embeddings", json={"input": "x", "model": "m"}, headers=HEADERS)
    assert (answer.status_code, json.loads(provider.received[0][1])) == (200, {"input": "x", "model": "m"})


def test_what_the_prompt_says_is_judged_and_recorded_as_the_system_prompt(house, provider):
    provider.answer = provider.json(CHAT)
    assert post(house, {"prompt": PROMPT}).status_code == 200
    [ended] = house.ended()
    assert (ended.prompt.system, ended.exchange.request_model, ended.exchange.temperature) == (TEXT, "kept-model", 0.5)


def test_without_a_folder_of_prompts_there_are_none(start, provider):
    answer = post(start(POLICY), {"prompt": {"name": "support"}})
    assert (answer.status_code, provider.received) == (400, [])
    assert "There are: none." in answer.json()["error"]["message"]
