"""An exchange that has ended is gone at once: nothing of it waits for the search for garbage, which costs more the more there is."""

from __future__ import annotations

import gc
import json
import socket

import pytest

from gateway.exchange import Exchange
from gateway.visit import Incoming, Visit
from tests.patience import until

PATH = "/v1/chat/completions"
POLICY = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get]\nrules: [{id: said, tools: [get], require: \"user_said(['go'])\"}]\n"}
DENYING = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [other]\n"}
STOPPING = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nrules: [{id: no, at: output, detect: [email], effect: deny}]\n"}
TOOLS = [{"type": "function", "function": {"name": "get", "parameters": {"type": "object"}}}]


def staying() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, Exchange | Incoming | Visit)]


@pytest.fixture
def unsearched():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def nothing_stays() -> bool:
    """The last of an exchange is done behind its answer."""
    return until(lambda: not staying(), what=staying)


def asked(gateway, *, stream=False, text="go") -> int:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "tools": TOOLS, "stream": stream}
    with gateway.client() as client:
        return client.post(PATH, json=body).status_code


@pytest.mark.parametrize("policy", [POLICY, DENYING, STOPPING], ids=["granted", "denied", "withheld"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_exchange_that_has_ended_is_gone(start, wires, answer, unsearched, policy, stream):
    gateway = start(policy)
    answer(wires["chat"], ["write to jo@example.com"], stream=stream, call=True)
    for _ in range(3):
        assert asked(gateway, stream=stream) in (200, 400)
    assert nothing_stays(), staying()


def test_a_refused_request_is_gone(start, unsearched):
    gateway = start(POLICY)
    with gateway.client() as client:
        assert client.post(PATH, content=b"{").status_code == 400
        assert client.get("/v1/nowhere").status_code == 404
    assert nothing_stays(), staying()


def test_a_request_whose_provider_fails_is_gone(start, provider, unsearched):
    gateway = start(POLICY)
    provider.answer = provider.json({"error": {"message": "no"}}, status="500 Internal Server Error")
    assert asked(gateway) == 500
    assert nothing_stays(), staying()


def test_a_request_whose_client_left_is_gone(start, provider, wires, unsearched):
    gateway = start(POLICY)
    provider.answer = provider.sse(*wires["chat"].stream([f"word {n} " for n in range(50)]), gap=0.1)
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "go"}], "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) as client:
        client.sendall(b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % (PATH.encode(), len(body)) + body)
        assert client.recv(10)
    assert nothing_stays(), staying()
