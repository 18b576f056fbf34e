"""Files, batches and the like: refused, unless the settings let a route of an upstream pass; then unread, and marked so."""

from __future__ import annotations

import pytest

from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.upstream.routing import Routes

POLICY = {"policy.yaml": 'policy: 1\nid: test\nagents: ["*"]\nallow: [get_weather]\n'}
OPEN = [{"upstream": "openai", "routes": ["POST /files", "GET /files/*/content", "POST /batches"]}]
CLOSED = [
    "/v1/batches", "/v1/files", "/v1/files/file_1/content", "/v1/assistants", "/v1/threads", "/v1/realtime", "/v1/live",
    "/v1/messages/batches", "/v1/agents", "/v1/fine_tuning/jobs", "/v1/vector_stores", "/v1/images/generations", "/v1/audio/speech",
    "/v1/containers", "/v1/evals", "/v1/uploads", "/v1/moderations", "/v1/completions", "/v1/videos", "/v1/skills",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_what_no_table_names_is_refused_and_on_record(start, provider, method):
    gateway = start(POLICY)
    with gateway.client() as client:
        statuses = {client.request(method, path, content=b"{}" if method != "GET" else None).status_code for path in CLOSED}
    assert statuses == {404}
    assert provider.received == []
    assert {row.exchange.error_code for row in gateway.ended(len(CLOSED))} == {"unknown_path"}


def test_a_route_that_the_settings_open_passes_as_it_is_and_is_marked_unevaluated(start, provider):
    gateway = start(POLICY, pass_through=OPEN)
    provider.answer = provider.raw(b"\x00\x01raw", "201 Created", media="application/x-thing")
    with gateway.client() as client:
        upload = {"file": ("a.jsonl", b'{"a": 1}\n', "application/jsonl")}
        answer = client.post("/v1/files?purpose=batch", files=upload, headers={"openai-organization": "o"})
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (201, b"\x00\x01raw", "application/x-thing")
    head, body = provider.received[0]
    assert head.startswith(b"POST /v1/files?purpose=batch HTTP/1.1\r\n")
    assert b"content-type: multipart/form-data; boundary=" in head.lower()
    assert b"sk-canary-provider-key-1234" in head
    assert b'{"a": 1}' in body
    row = gateway.ended()[0].exchange
    assert (row.operation, row.state, row.upstream, row.status) == ("pass_through", "complete", "openai", 201)
    assert "route:pass_through" in row.unevaluated
    assert row.request_messages == ()


def test_only_the_opened_routes_pass(start, provider):
    gateway = start(POLICY, pass_through=OPEN)
    provider.answer = provider.raw(b"text", media="text/plain")
    with gateway.client() as client:
        assert client.get("/v1/files/file_1/content").text == "text"
        assert client.get("/files/file_1/content").status_code == 200
        for method, path in [
            ("GET", "/v1/files"), ("DELETE", "/v1/files/file_1"), ("GET", "/v1/files/a/b/content"), ("GET", "/v1/files/../content"),
            ("GET", "/v1/files/%2e%2e/content"), ("GET", "/v1//files/x/content"), ("POST", "/v1/batches/"), ("POST", "/v1/v1/batches"),
        ]:  # fmt: skip
            assert client.request(method, path).status_code == 404, path


def test_a_provider_key_in_what_passes_is_taken_out(start, provider):
    gateway = start(POLICY, pass_through=OPEN)
    provider.answer = provider.raw(b"key: sk-canary-provider-key-1234", "500 Oops", media="text/plain")
    with gateway.client() as client:
        answer = client.post("/v1/batches", json={})
    assert (answer.status_code, answer.text) == (500, "key: [REDACTED:provider_key]")
    assert gateway.ended()[0].exchange.state == "upstream_error"


def test_what_a_dialect_serves_cannot_be_opened_past_it(start, provider):
    gateway = start(POLICY, pass_through=[{"upstream": "openai", "routes": ["POST /chat/completions", "POST /responses"]}])
    provider.answer = provider.json({"choices": [{"message": {"tool_calls": [{}]}}]})
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", json={"model": "m"}).status_code == 400
    assert provider.received == []


@pytest.mark.parametrize(
    "route", ["/files", "POST files", "POST /files/..", "PATCH /a/../b", "OPTIONS /x", "GET /a?b", "GET /a b", "GET /"]
)
def test_a_route_that_is_not_one_is_an_error_of_the_settings(route):
    upstreams = {"openai": {"dialect": "openai.chat", "base_url": "https://x"}}
    with pytest.raises(ValueError, match="method and a path"):
        Settings.model_validate({"upstreams": upstreams, "pass_through": [{"upstream": "openai", "routes": [route]}]})


def test_an_upstream_that_is_not_there_is_an_error():
    with pytest.raises(ValueError, match="pass_through names the upstream 'b'"):
        Settings.model_validate({"pass_through": [{"upstream": "b", "routes": ["GET /files"]}]})
    with pytest.raises(GatewayError, match="not configured any more"):
        Routes(Settings(), {}).named("gone")
