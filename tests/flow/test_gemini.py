"""Gemini through the whole data plane: the path's version and model are kept, three kinds of clients share one list of models."""

from __future__ import annotations

import json

import pytest

POLICY = {"policy.yaml": 'policy: 1\nid: test\nagents: ["*"]\non_deny: explain\nallow: [get_weather]\n'}
TOOLS = [{"functionDeclarations": [{"name": name} for name in ("get_weather", "delete_file")]}]
USAGE = {"promptTokenCount": 100, "candidatesTokenCount": 10, "totalTokenCount": 110}


def chunk(*parts, finish=None) -> dict:
    candidate = {"content": {"parts": list(parts), "role": "model"}, "index": 0} | ({"finishReason": finish} if finish else {})
    return {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": "gemini-2.5-flash", "responseId": "r1"}


def call(name: str, **args) -> dict:
    return {"functionCall": {"name": name, "args": args}}


@pytest.fixture
def house(start, provider):
    base = provider.base_url.removesuffix("/v1")
    key = {"env": "CANARY_KEY"}
    upstreams = {
        "google": {"dialect": "google.gemini", "base_url": base, "key": key},
        "openai": {"dialect": "openai.chat", "base_url": provider.base_url, "key": key},
        "anthropic": {"dialect": "anthropic.messages", "base_url": provider.base_url, "key": key},
    }
    return lambda policy=POLICY, **more: start(policy, upstreams=upstreams, **more)


def ask(gateway, path: str, **more):
    body = {"contents": [{"role": "user", "parts": [{"text": "go"}]}], "tools": TOOLS} | more
    with gateway.client() as client:
        return client.post(path, json=body)


@pytest.mark.parametrize("version", ["/v1", "/v1beta", "/v1alpha", ""])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_denied_call_never_arrives_and_its_sibling_does(house, provider, version, stream):
    gateway = house()
    parts = [{"text": "Look."}, call("delete_file", path="/srv/secret-name"), call("get_weather", city="Paris")]
    if stream:
        frames = [b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in (chunk(*parts), chunk(finish="STOP"))]
        provider.answer = provider.sse(*frames)
    else:
        provider.answer = provider.json(chunk(*parts, finish="STOP"))
    verb = "streamGenerateContent?alt=sse&key=th" if stream else "generateContent"
    answer = ask(gateway, f"{version}/models/gemini-2.5-flash:{verb}")
    assert answer.status_code == 200
    assert "secret-name" not in answer.text
    assert "get_weather" in answer.text
    assert "delete_file" in answer.text
    head, _ = provider.received[0]
    sent = f"{version or '/v1beta'}/models/gemini-2.5-flash:{verb.partition('?')[0]}" + ("?alt=sse" if stream else "")
    assert head.startswith(f"POST {sent} HTTP/1.1\r\n".encode())
    assert b"x-goog-api-key: sk-canary-provider-key-1234" in head.lower()
    row = gateway.ended()[0].exchange
    assert (row.dialect, row.provider, row.state, row.request_model) == ("google.gemini", "gcp.gemini", "denied", "gemini-2.5-flash")
    assert (row.input_tokens, row.output_tokens) == (100, 10)
    assert float(row.cost) > 0


def test_models_are_listed_in_the_form_of_who_asks(house, provider):
    gateway = house()
    seen = []
    for headers, query in [({}, ""), ({"anthropic-version": "2023-06-01"}, ""), ({"x-goog-api-key": "x"}, ""), ({}, "?key=x")]:
        provider.answer = provider.json({"data": []} if not (query or "x-goog-api-key" in headers) else {"models": []})
        with gateway.client() as client:
            assert client.get(f"/v1/models{query}", headers=headers).status_code == 200
        seen.append(gateway.ended(len(seen) + 1)[-1].exchange.dialect)
    assert seen == ["openai.chat", "anthropic.messages", "google.gemini", "google.gemini"]


def test_a_stream_in_another_form_is_refused_before_the_provider_is_asked(house, provider):
    gateway = house()
    answer = ask(gateway, "/v1beta/models/gemini-2.5-flash:streamGenerateContent")
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert provider.received == []


def test_a_refusal_is_said_as_google_says_it(house, provider):
    gateway = house()
    answer = ask(gateway, "/v1/models/gemini-2.5-flash:generateContent", tools=[{"googleSearch": {}}])
    error = answer.json()["error"]
    assert (answer.status_code, error["status"], error["details"][0]["reason"]) == (400, "FAILED_PRECONDITION", "server_tool_denied")
    assert "google.search" in error["message"]


def test_a_granted_tool_of_google_s_passes(house, provider):
    gateway = house({"policy.yaml": 'policy: 1\nid: t\nagents: ["*"]\nallow: [google.search]\n'})
    provider.answer = provider.json(chunk({"text": "Found."}, finish="STOP"))
    assert ask(gateway, "/v1/models/gemini-2.5-flash:generateContent", tools=[{"googleSearch": {}}]).status_code == 200
