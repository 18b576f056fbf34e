"""One request and its answer as an application sees them, on a real server."""

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
from gateway.turn import GONE, HIGH_WATER
from tests.patience import PATIENCE_S, until

ASK = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"


@contextmanager
def serving(app):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    protocol = front(Limits(), Timeouts(header=2, body=2))
    server = uvicorn.Server(uvicorn.Config(app, http=protocol, lifespan="off", ws="none", log_config=None, timeout_keep_alive=1))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
    thread.start()
    try:
        until(lambda: server.started)
        yield sock.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
    assert not thread.is_alive()


def hear(port: int, sent: bytes, until: bytes = b"\0") -> bytes:
    """What comes back until the server closes, or until `until` has come."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        sock.sendall(sent)
        found = b""
        while until not in found and (piece := sock.recv(65536)):
            found += piece
        return found


def says(status: int, headers: list[tuple[bytes, bytes]], *pieces: bytes):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def test_an_answer_without_a_length_leaves_in_chunks():
    with serving(says(200, [], b"one", b"", b"two")) as port:
        head, _, body = hear(port, ASK, b"0\r\n\r\n").partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_a_head_does_not_wait_for_a_body_that_is_long_in_coming():
    heard = threading.Event()

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.to_thread(heard.wait, PATIENCE_S)

    with serving(app) as port:
        assert b"transfer-encoding: chunked" in hear(port, ASK, b"\r\n\r\n")
        assert not heard.is_set()
        heard.set()


def test_an_answer_with_a_length_leaves_as_it_is():
    with serving(says(201, [(b"Content-Length", b"6")], b"one", b"two")) as port:
        head, _, body = hear(port, ASK, b"onetwo").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    assert b"transfer-encoding" not in head
    assert body == b"onetwo"


@pytest.mark.parametrize("length", [b"5", b"7"])
def test_an_answer_that_is_not_as_long_as_it_says_is_cut_off(length):
    with serving(says(200, [(b"content-length", length)], b"one", b"two")) as port:
        assert b"onetwo\r\n" not in hear(port, ASK)  # and the server closes


@pytest.mark.parametrize("value", [b"a\r\nx-other: b", b"a\nb", b"a\0b"])
def test_no_value_of_a_header_makes_another(value):
    with serving(says(200, [(b"x-a", value)], b"one")) as port:
        assert hear(port, ASK) == b""


def test_an_answer_to_head_has_no_body_and_the_next_one_follows():
    with serving(says(200, [(b"content-length", b"3")], b"one")) as port:
        said = hear(port, b"HEAD /x HTTP/1.1\r\nhost: a\r\n\r\n" + ASK, b"one")
    assert said.count(b"HTTP/1.1 200") == 2
    assert said.count(b"one") == 1


async def fails(scope, receive, send):
    raise ValueError("no")


async def is_silent(scope, receive, send):
    await receive()


async def stops_halfway(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})


@pytest.mark.parametrize("app", [fails, is_silent])
def test_an_application_that_says_nothing_is_a_500_and_the_end(app):
    with serving(app) as port:
        said = hear(port, ASK)
    assert said.startswith(b"HTTP/1.1 500 ")
    assert b"connection: close" in said


def test_an_answer_that_stops_halfway_does_not_look_whole():
    with serving(stops_halfway) as port:
        said = hear(port, ASK)
    assert said.endswith(b"half\r\n")


def test_an_application_out_of_order_is_told_so():
    told: list[str] = []

    async def app(scope, receive, send):
        for message in ({"type": "http.response.body"}, {"type": "http.response.push"}):
            try:
                await send(message)
            except RuntimeError as error:
                told.append(str(error))
        await says(200, [], b"x")(scope, receive, send)
        try:
            await send({"type": "http.response.body"})
        except RuntimeError as error:
            told.append(str(error))

    with serving(app) as port:
        hear(port, ASK, b"0\r\n\r\n")
        until(lambda: len(told) >= 3, what=lambda: told)
    assert len(told) == 3


def test_a_client_that_leaves_is_told_to_who_asked_and_to_who_waits():
    told: list[str] = []
    asked = threading.Event()

    async def app(scope, receive, send):
        await receive()
        scope["extensions"][GONE](lambda: told.append("called"))
        asked.set()
        told.append((await receive())["type"])
        scope["extensions"][GONE](lambda: told.append("called at once"))

    with serving(app) as port:
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(ASK)
            assert asked.wait(PATIENCE_S)
        until(lambda: len(told) >= 3, what=lambda: told)
    assert told == ["called", "http.disconnect", "called at once"]


def test_nobody_is_told_of_a_client_that_leaves_after_its_answer():
    told: list[str] = []

    async def app(scope, receive, send):
        await receive()
        scope["extensions"][GONE](lambda: told.append("called"))
        await says(200, [(b"content-length", b"1")], b"x")(scope, lambda: asyncio.sleep(0), send)

    with serving(app) as port:
        assert hear(port, ASK, b"x").endswith(b"x")
        time.sleep(0.1)
    assert told == []


def test_a_long_body_comes_in_pieces_that_fit_and_nothing_is_lost():
    sizes: list[int] = []

    async def app(scope, receive, send):
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
            await asyncio.sleep(0.002)
        await says(200, [(b"content-length", b"1")], b"x")(scope, lambda: asyncio.sleep(0), send)

    body = b"b" * 5_000_000
    with serving(app) as port:
        hear(port, b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body, b"\r\n\r\nx")
    assert sum(sizes) == len(body)
    assert max(sizes) <= HIGH_WATER + 256 * 1024  # and what one read of the loop brings


def test_a_client_that_is_to_be_told_to_go_on_is_told_once_the_body_is_wanted():
    async def app(scope, receive, send):
        refused = scope["path"] == "/refused"
        await says(200, [(b"content-length", b"1")], b"x")(scope, receive if not refused else lambda: asyncio.sleep(0), send)

    head = b"POST %b HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"
    with serving(app) as port:
        assert hear(port, head % b"/wanted" + b"{}").startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200")
        assert b"100 Continue" not in hear(port, head % b"/refused")


def test_a_client_that_reads_nothing_is_waited_for():
    sent = 0

    async def app(scope, receive, send):
        nonlocal sent
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            sent += 65536

    with serving(app) as port, socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(ASK)
        until(lambda: sent)
        time.sleep(0.5)
        assert sent < 32_000_000


def test_a_connection_that_asks_nothing_more_is_closed_in_time():
    with serving(says(200, [(b"content-length", b"1")], b"x")) as port:
        start = time.monotonic()
        assert hear(port, ASK).endswith(b"x")
        assert 0.8 < time.monotonic() - start < 10


def test_a_head_whose_body_does_not_come_leaves_alone():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await receive()
        while (await receive())["type"] != "http.disconnect":
            continue

    with serving(app) as port:
        assert hear(port, ASK, b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
