"""A key is used for what it is for: whatever else is asked with it is refused before anybody is asked, and on record."""

from __future__ import annotations

import json
import time

import pytest

from gateway.scope import KeyScope

CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "go"}]}
MESSAGES = {"model": "claude-5", "max_tokens": 9, "messages": [{"role": "user", "content": "go"}]}
ANSWER = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
}  # fmt: skip
BOUND = KeyScope(dialects=("openai.chat",), models=("gpt-*",), upstreams=("openai",))


def ask(gateway, scope: KeyScope, path: str, body: dict, **more):
    key = gateway.plane.gateway.keys.create(agent="bot", now_us=int(time.time() * 1e6), scope=scope)
    with gateway.client() as client:
        return client.post(path, json=body, headers={"authorization": f"Bearer {key}"}, **more)


@pytest.mark.parametrize("stream", [False, True])
def test_what_a_key_is_for_is_served(start, provider, stream):
    gateway = start()
    chunk = {**ANSWER, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}
    frames = [f"data: {each}\n\n".encode() for each in (json.dumps(chunk), "[DONE]")]
    provider.answer = provider.sse(*frames) if stream else provider.json(ANSWER)
    assert ask(gateway, BOUND, "/v1/chat/completions", CHAT | {"stream": stream}).status_code == 200


@pytest.mark.parametrize(
    ("scope", "path", "body"),
    [
        (BOUND, "/v1/chat/completions", CHAT | {"model": "claude-5"}),
        (BOUND, "/v1/chat/completions", CHAT | {"model": "GPT-5-mini"}),
        (BOUND, "/v1/chat/completions", CHAT | {"model": "openai/gpt-5-mini"}),
        (BOUND, "/v1/embeddings", {"model": "text-embedding-3-small", "input": "x"}),
        (BOUND, "/v1/messages", MESSAGES),
        (BOUND, "/v1/messages/count_tokens", {"model": "claude-5", "messages": MESSAGES["messages"]}),
        (KeyScope(models=("gpt-*",)), "/v1/messages", MESSAGES),
        (KeyScope(upstreams=("anthropic",)), "/v1/chat/completions", CHAT),
        (KeyScope(dialects=()), "/v1/chat/completions", CHAT),
        (KeyScope(models=("*",)), "/v1/files", {"model": "gpt-5-mini"}),
    ],
)
def test_what_a_key_is_not_for_is_refused_and_nobody_is_asked(start, provider, scope, path, body):
    gateway = start(pass_through=[{"upstream": "openai", "routes": ["POST /files"]}])
    answer = ask(gateway, scope, path, body)
    assert answer.status_code in {400, 403, 451}
    assert "This API key is not for the" in answer.text
    assert provider.received == []
    row = gateway.ended()[0].exchange
    assert (row.agent, row.state, row.error_code) == ("bot", "rejected", "outside_key_scope")


@pytest.mark.parametrize("token", ["tha_" + "x" * 43, "thp_00000000_" + "0" * 43])
def test_a_token_of_the_admin_plane_opens_nothing_here(start, provider, token):
    gateway = start()
    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401
    assert provider.received == []


def test_the_organisation_of_a_key_stands_on_its_exchanges(start, provider):
    gateway = start()
    key = gateway.plane.gateway.keys.create(agent="bot", now_us=int(time.time() * 1e6), team="red", org="acme")
    provider.answer = provider.json({"error": {"message": "no"}}, "400 Bad Request")
    with gateway.client() as client:
        body = {"model": "m", "messages": [{"role": "user", "content": "go"}]}
        client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
    row = gateway.ended()[0].exchange
    assert (row.org, row.team) == ("acme", "red")
