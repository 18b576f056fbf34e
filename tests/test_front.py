"""The server's edge on raw sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn

from gateway.front import front
from gateway.limit_settings import Limits, Timeouts
from tests.patience import PATIENCE_S, until

LIMITS = Limits(header_bytes=2000, headers=20, url_bytes=500, connections=50)
TIMEOUTS = Timeouts(header=0.4, body=0.6, keep_alive=5)


async def echo(scope, receive, send):
    """Answers with the names of the headers it saw before it read the body, or at once when the path says so."""
    names = [name for name, _ in scope["headers"]]
    if scope["path"] != "/early":
        while (await receive()).get("more_body"):
            pass
    late = [name for name, _ in scope["headers"]]
    body = b",".join(names) + b"|" + b",".join(late)
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(limits=LIMITS, timeouts=TIMEOUTS):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        echo, http=front(limits, timeouts), lifespan="off", ws="none", log_config=None, timeout_keep_alive=5
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
    thread.start()
    try:
        until(lambda: server.started)
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.fixture(scope="module")
def port():
    with serving() as port:
        yield port


def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Sends the pieces, then reads until the server closes, or has given an answer after which it does not."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        for piece in pieces:
            try:
                sock.sendall(piece)
            except OSError:
                break
            time.sleep(pause)
        found = b""
        try:
            while chunk := sock.recv(65536):
                found += chunk
                if b"\r\n\r\n" in found and b"connection: close" not in found:
                    break
        except ConnectionResetError:
            return found
        return found


def test_an_ordinary_request_is_served(port):
    assert exchange(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").startswith(b"HTTP/1.1 200")


def test_half_a_header_is_not_waited_for(port):
    started = time.monotonic()
    assert exchange(port, b"GET / HTTP/1.1\r\nhost: x\r\n").startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started < 10


def test_a_header_that_drips_is_not_waited_for(port):
    drips = [b"GET / HTTP/1.1\r\n"] + [b"x-%d: 1\r\n" % n for n in range(10)]
    assert exchange(port, *drips, pause=0.1).startswith(b"HTTP/1.1 408")


def test_a_silent_connection_is_closed_without_a_word(port):
    assert exchange(port) == b""


def test_a_second_half_request_on_a_kept_connection_is_not_waited_for(port):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert b"200" in sock.recv(65536)
        time.sleep(0.6)
        sock.setblocking(False)
        while True:  # whatever else there is of the first answer
            try:
                sock.recv(65536)
            except BlockingIOError:
                break
        sock.settimeout(PATIENCE_S)
        sock.sendall(b"GET / HT")
        assert b"408" in sock.recv(65536)
        assert sock.recv(65536) == b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 3000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: x\r\n" + b"".join(b"x%d: 1\r\n" % n for n in range(30)) + b"\r\n", 431),
        (b"GET /" + b"a" * 600 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 414),
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ],
)
def test_what_is_out_of_bounds_is_answered_and_the_connection_closed(port, request_, status):
    answer = exchange(port, request_)
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert answer.count(b"HTTP/1.1") == 1


def test_trailers_do_not_become_headers(port):
    sent = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nauthorization: Bearer evil\r\n\r\n"
    answer = exchange(port, sent)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"authorization" not in answer


def test_a_refused_body_is_read_to_its_end_so_that_the_refusal_is_read(port):
    body = b"x" * 5_000_000
    answer = exchange(port, b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body), body)
    assert answer.startswith(b"HTTP/1.1 200")


def test_a_refused_body_that_never_ends_is_cut_off(port):
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        sock.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nx")
        assert b"200" in sock.recv(65536)
        started = time.monotonic()
        try:
            while sock.recv(65536):
                continue
        except ConnectionResetError:
            print("reset, which is as good as closed")
        assert time.monotonic() - started < 10


def test_connections_over_the_cap_are_told_so():
    with serving(limits=Limits(connections=3)) as port:
        held = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        time.sleep(0.1)
        assert exchange(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").startswith(b"HTTP/1.1 503")
        for sock in held:
            sock.close()
        until(lambda: exchange(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").startswith(b"HTTP/1.1 200"))
