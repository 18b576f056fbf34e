"""What the provider is told of the trace: with spans of our own, without, not at all; translated or not."""

from __future__ import annotations

import httpx
import pytest

from gateway.rehearsal import RunningRehearsal
from gateway.trace import propagation

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CLIENTS = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
RECORDING = {"endpoint": "http://127.0.0.1:9", "traces": True}


@pytest.fixture(scope="module")
def rehearsal():
    with RunningRehearsal("rehearsal: 1\nscenes: [{turns: [{text: hello}]}]\n") as running:
        yield running


@pytest.fixture
def told(start, rehearsal):
    """(id of the exchange, trace headers that the provider got)"""

    def asked(dialect: str, headers: dict[str, str], **telemetry) -> tuple[str, dict[str, str]]:
        rehearsal.reset()
        upstream = {"dialect": dialect, "base_url": rehearsal.base_url, "key": {"env": "CANARY_KEY"}}
        models = {"openai.chat": "gpt-4o-mini", "anthropic.messages": "claude-sonnet-4-5"}
        gateway = start(None, upstreams={"up": upstream}, routes=[{"models": ["*"], "upstream": "up"}], telemetry=telemetry)
        body = {"model": models[dialect], "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=120, trust_env=False)
        assert answer.status_code == 200, answer.text
        (request,) = rehearsal.requests()
        found = {name: value for name, value in request.headers.items() if name in ("traceparent", "tracestate")}
        return answer.headers["x-gateway-trace-id"], found

    return asked


@pytest.mark.parametrize("dialect", ["openai.chat", "anthropic.messages"])
def test_with_spans_of_our_own_the_provider_is_below_ours(told, dialect):
    exchange, found = told(dialect, CLIENTS, **RECORDING)
    assert found == {"traceparent": f"00-{TRACE}-{propagation.span_id(exchange):016x}-01", "tracestate": "vendor=1"}
    exchange, found = told(dialect, {}, **RECORDING)
    assert found == {"traceparent": f"00-{exchange.replace('-', '')}-{propagation.span_id(exchange):016x}-01"}


def test_without_spans_of_our_own_the_clients_goes_through(told):
    assert told("openai.chat", CLIENTS)[1] == CLIENTS
    assert told("openai.chat", {})[1] == {}
    assert told("openai.chat", {"traceparent": f"00-{TRACE}-{PARENT}"})[1] == {}


def test_what_is_kept_from_providers_is_kept(told):
    assert told("openai.chat", CLIENTS, **{**RECORDING, "propagate": False})[1] == {}
