"""The upstream client against real sockets that behave and misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress

import pytest

from gateway.errors import GatewayError
from gateway.limit_settings import Timeouts
from gateway.upstream.client import UpstreamClient
from tests.patience import PATIENCE_S

FAST = Timeouts(connect=0.5, first_byte=0.5, idle=0.5)


@asynccontextmanager
async def provider(answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]):
    """A server that runs `answer` for each connection; yields (url, received heads)."""
    heads: list[bytes] = []

    async def serve(reader, writer):
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/x", heads


def says(data: bytes, then: float = 0.0):
    async def answer(reader, writer):
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(then)

    return answer


def head(length: int | None, status: str = "200 OK", more: str = "") -> bytes:
    size = "" if length is None else f"content-length: {length}\r\n"
    return f"HTTP/1.1 {status}\r\ncontent-type: application/json; charset=UTF-8\r\n{size}{more}\r\n".encode()


def ask(answer, use=None, timeouts=FAST):
    """Runs one exchange; returns (result of use, request head)."""

    async def run():
        async with provider(answer) as (url, heads), UpstreamClient(timeouts) as client:
            async with client.send("POST",
                url, {"authorization": "Bearer k", "accept-encoding": "identity"}, b"{}"
            ) as upstream:
                found = await use(upstream) if use else upstream
            return found, heads[0] if heads else b""

    return asyncio.run(run())


def failure(answer, use=None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        ask(answer, use or (lambda upstream: upstream.read(1000)))
    return caught.value


def test_a_whole_answer_comes_with_its_status_and_headers():
    async def use(upstream):
        return (
            upstream.status,
            upstream.media_type,
            upstream.charset,
            upstream.headers["x-request-id"],
            await upstream.read(10),
        )

    found, sent = ask(says(head(2, more="X-Request-Id: r1\r\n") + b"{}"), use)
    assert found == (200, "application/json", "utf-8", "r1", b"{}")
    assert b"POST /v1/x HTTP/1.1" in sent
    assert b"Bearer k" in sent


def test_nothing_is_sent_that_was_not_asked_for():
    _, sent = ask(says(head(2) + b"{}"))
    names = {line.split(b":")[0].lower() for line in sent.split(b"\r\n")[1:] if line}
    assert names == {b"host", b"authorization", b"accept-encoding", b"content-length"}


def test_chunks_arrive_as_they_are_sent():
    async def answer(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two"):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")

    async def use(upstream):
        return [chunk async for chunk in upstream.chunks()]

    assert ask(answer, use)[0] == [b"one", b"two"]


def test_a_provider_nobody_reaches_is_unreachable():
    async def run():
        async with UpstreamClient(FAST) as client, client.send("POST", "http://127.0.0.1:1/", {}, b""):
            return

    with pytest.raises(GatewayError) as caught:
        asyncio.run(run())
    assert (caught.value.kind, caught.value.code) == ("upstream", "upstream_unreachable")


def test_a_provider_that_says_nothing_times_out():
    assert failure(says(b"", then=5)).code == "upstream_timeout"


def test_a_provider_that_falls_silent_in_its_answer_times_out():
    assert failure(says(head(100) + b"{", then=5)).kind == "upstream_timeout"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nconte", head(100) + b"{", b"nonsense\r\n\r\n"])
def test_a_connection_that_breaks_is_a_reset(sent):
    assert failure(says(sent)).code == "upstream_reset"


def test_a_truncated_chunk_is_a_reset():
    sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\nabc"
    assert failure(says(sent)).code == "upstream_reset"


def test_a_redirect_is_not_followed():
    assert (
        failure(says(head(0, "307 Temporary Redirect", "location: http://127.0.0.1:1/\r\n"))).code
        == "upstream_redirect"
    )


def test_a_compressed_answer_is_not_unpacked():
    assert failure(says(head(3, more="content-encoding: gzip\r\n") + b"abc")).code == "upstream_encoding"


def test_an_answer_over_the_limit_is_refused():
    assert failure(says(head(2000) + b"x" * 2000)).code == "answer_too_large"


def test_leaving_early_closes_the_connection():
    closed = asyncio.Event()

    async def answer(reader, writer):
        await reader.readexactly(2)
        writer.write(head(100) + b"{")
        await writer.drain()
        with suppress(ConnectionResetError):  # there was something unread
            assert await reader.read() == b""
        closed.set()

    async def run():
        async with provider(answer) as (url, _), UpstreamClient(FAST) as client:
            async with client.send("POST", url, {}, b"{}"):
                pass
            await asyncio.wait_for(closed.wait(), PATIENCE_S)

    asyncio.run(run())
