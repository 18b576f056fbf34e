"""The tap keeps exactly what a client was sent, whatever the client made of it."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from gateway.rehearsal import RunningRehearsal
from gateway.rehearsal.tap import Tap
from tests.patience import PATIENCE_S

SCRIPT = """
rehearsal: 1
scenes:
- {model: plain, turns: [{text: hello}]}
- {model: cut, turns: [{text: "a text of some length", cut_after: 50}]}
"""


@pytest.fixture(scope="module")
def provider():
    with RunningRehearsal(SCRIPT) as running:
        yield running


def ask(url: str, model: str) -> bytes:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
    return httpx.post(f"{url}/v1/chat/completions", headers={"authorization": "Bearer k"}, json=body, timeout=PATIENCE_S).content


def test_the_answer_passes_unchanged_and_is_kept_with_its_head(provider):
    with Tap(provider.url) as tap:
        got = ask(tap.url, "plain")
        assert tap.received.startswith(b"HTTP/1.1 200")
        assert tap.received.endswith(got)
        assert b"hello" in got


def test_what_came_before_a_break_is_kept(provider):
    with Tap(provider.url) as tap:
        with pytest.raises(httpx.TransportError):
            ask(tap.url, "cut")
        assert len(tap.received.split(b"\r\n\r\n", 1)[1]) == 50


def test_several_connections_are_kept_together(provider):
    with Tap(provider.url) as tap:
        for _ in range(3):
            ask(tap.url, "plain")
        assert tap.received.count(b"HTTP/1.1 200") == 3


def test_a_closed_tap_takes_no_more_connections(provider):
    with Tap(provider.url) as tap:
        target = urlsplit(tap.url)
    with pytest.raises(OSError):
        socket.create_connection((target.hostname, target.port), timeout=PATIENCE_S)
