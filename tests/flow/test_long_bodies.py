"""Long requests and long answers beside others: nothing waits for them, and they wait for whom they are meant for."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time

import pytest

ENFORCE = {"p.yaml": "policy: 1\nid: p\nagents: ['*']\nallow: [get_weather]\n"}
SAID = [{"role": "user", "content": "hi"}]
PATHS = {
    "/v1/chat/completions": {"model": "m", "messages": SAID},
    "/v1/messages": {"model": "m", "max_tokens": 10, "messages": SAID},
}
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n'
END = b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
END += b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize("path", PATHS)
def test_a_request_of_too_many_values_is_refused_in_its_dialect_on_record_and_never_sent(start, provider, path):
    gateway = start(ENFORCE)
    body = json.dumps(PATHS[path] | {"metadata": {"a": [[]] * 200_000}})
    with gateway.client() as client:
        answer = client.post(path, content=body)
    assert answer.status_code == 413
    assert "more than 100000 arrays, objects and members" in answer.json()["error"]["message"]
    assert (gateway.ended()[0].exchange.state, gateway.ended()[0].exchange.error_code) == ("rejected", "too_many_values")
    assert provider.received == []


@pytest.mark.parametrize("path", PATHS)
def test_a_long_request_arrives_as_it_was_sent(start, provider, path):
    gateway = start()
    body = json.dumps(PATHS[path] | {"messages": [{"role": "user", "content": "[{,:" * 500_000}]}).encode()
    with gateway.client() as client:
        client.post(path, content=body)
    assert provider.received[0][1] == body
    assert gateway.ended()[0].exchange.request_bytes == len(body)


def longest_silence(loop: asyncio.AbstractEventLoop, over: threading.Event) -> list[float]:
    """Times between two turns of a loop, gathered until it is `over`."""
    gaps, last = [], time.perf_counter()

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
        if not over.is_set():
            loop.call_later(0.001, beat)

    loop.call_soon_threadsafe(beat)
    return gaps


def test_a_body_that_would_take_a_minute_to_read_holds_nobody_up(start, provider):
    """32 MB of arrays in arrays; the bound tells a limit from none, on a machine however busy."""
    gateway, over = start(ENFORCE), threading.Event()
    hostile = b'{"model":"m","messages":[' + b",".join([b"[" * 60 + b"]" * 60] * 260_000) + b"]}"
    gaps = longest_silence(gateway.loop, over)
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", content=hostile).status_code == 413
    over.set()
    assert max(gaps) < 2


class Flood:
    """A provider that streams so many events as fast as they are taken, and counts those it could hand over."""

    def __init__(self, events: int, piece: bytes) -> None:
        self.events, self.piece, self.sent = events, EVENT % piece, 0

    async def __call__(self, reader, writer, body):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(self.events):
            writer.write(b"%x\r\n%b\r\n" % (len(self.piece), self.piece))
            await writer.drain()
            self.sent += 1
        writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(END), END))
        await writer.drain()


def asked(gateway) -> socket.socket:
    """A connection on which a streamed answer is awaited, with little room for it."""
    body = json.dumps(PATHS["/v1/chat/completions"] | {"stream": True}).encode()
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    line.connect(("127.0.0.1", int(gateway.url.rpartition(":")[2])))
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    line.sendall(head % len(body) + body)
    return line


def standing(read) -> int:
    """A number once it no longer changes."""
    before = -1
    while (now := read()) != before:
        before = now
        time.sleep(0.5)
    return now


def test_a_client_that_does_not_read_stops_the_provider_and_gets_everything_when_it_does(start, provider):
    provider.answer = flood = Flood(4000, b"x" * 10_000)
    gateway = start()
    with asked(gateway) as line:
        line.recv(1)
        stopped = standing(lambda: flood.sent)
        assert stopped < flood.events / 2  # 40 MB: what lies in the kernel's buffers of three connections is less
        got = bytearray()
        while data := line.recv(1 << 20):
            got += data
    assert got.count(b"x" * 10_000) == flood.sent == flood.events
    assert gateway.ended()[0].exchange.state == "complete"


def test_no_task_is_made_for_a_piece_of_a_stream(start, provider):
    """One exchange makes the same tasks whether its answer comes in ten pieces or in two thousand."""
    gateway = start()
    made = []

    def counting(loop, coroutine, **more):
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **more)

    gateway.loop.call_soon_threadsafe(gateway.loop.set_task_factory, counting)
    counts = {}
    for events in (10, 2000, 10, 2000):
        provider.answer = Flood(events, b"word ")
        made.clear()
        with asked(gateway) as line:
            got = b"".join(iter(lambda line=line: line.recv(1 << 20), b""))
        assert got.count(b"word ") == events
        counts.setdefault(events, []).append(len(made))
        time.sleep(0.1)
    assert max(counts[2000]) <= max(counts[10]) + 2, counts
