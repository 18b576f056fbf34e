"""What travels on the wire, read without any SDK: a bare socket, so nothing can be skipped or repaired on the way."""

import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from tests.patience import PATIENCE_S

CHAT = ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Please do it."}]})
MESSAGES = ("/v1/messages", CHAT[1] | {"max_tokens": 500})
NAMES = ["look_up", "delete_all", "send_money"]
DENIED = ["denied", "denied-by-rule", "one-of-two", "one-of-two-mixed"]


def tools(path: str) -> list[dict]:
    open_schema = {"type": "object"}
    if path == MESSAGES[0]:
        return [{"name": name, "input_schema": open_schema} for name in NAMES]
    return [{"type": "function", "function": {"name": name, "parameters": open_schema}} for name in NAMES]


def everything_received(url: str, key: str, path: str, body: dict) -> bytes:
    """Every byte of the answer, head included, until the server closes."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\nanthropic-version: 2026-10-21\r\n"
        f"content-type: application/json\r\ncontent-length: {len(data)}\r\nconnection: close\r\n\r\n"
    )
    target = urlsplit(url)
    with socket.create_connection((target.hostname, target.port), timeout=30) as client:
        client.sendall(head.encode() + data)
        got = b""
        while piece := client.recv(65536):
            got += piece
        return got


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("model", DENIED)
@pytest.mark.parametrize(("path", "body"), [CHAT, MESSAGES], ids=["chat", "messages"])
def test_no_byte_of_a_denied_call_is_received(gateway, key, path, body, model, stream):
    request = body | {"model": model, "stream": stream, "tools": tools(path)}
    got = everything_received(gateway.url, key, path, request)
    assert got.startswith(b"HTTP/1.1 200")
    assert b"NOT executed" in got
    assert b"MARK" not in got


@pytest.mark.parametrize(("path", "body"), [CHAT, MESSAGES], ids=["chat", "messages"])
def test_the_provider_did_propose_what_was_held_back(provider, path, body):
    """Without this the test above could pass because nothing was ever proposed."""
    request = body | {"model": "denied", "stream": True, "tools": tools(path)}
    headers = {"authorization": "Bearer any", "anthropic-version": "2026-10-21"}
    answer = httpx.post(provider.url + path, json=request, headers=headers, timeout=PATIENCE_S)
    assert b"MARK-id-1" in answer.content


@pytest.mark.parametrize(("path", "body"), [CHAT, MESSAGES], ids=["chat", "messages"])
def test_a_request_without_the_right_key_reaches_no_provider(gateway, provider, key, path, body):
    provider.reset()
    request = body | {"model": "allowed", "tools": tools(path)}
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert everything_received(gateway.url, wrong, path, request).startswith(b"HTTP/1.1 401")
    assert provider.requests() == []


def test_every_answer_names_its_exchange_in_the_book(gateway, key):
    answer = httpx.post(
        f"{gateway.base_url}/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json=CHAT[1] | {"model": "denied", "tools": tools(CHAT[0])},
        timeout=PATIENCE_S,
    )
    exchange = answer.headers["x-gateway-trace-id"]
    [row] = gateway.awaited(f"SELECT agent, state, denied FROM exchanges WHERE id = '{exchange}'", 1)
    assert row == {"agent": "live-agent", "state": "denied", "denied": 1}
