"""Connections to providers: which are used again, which never, and to whom they lead. Real sockets, real TLS."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import itertools
import socket
import ssl
from contextlib import asynccontextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import GatewayError
from gateway.limit_settings import Timeouts
from gateway.upstream import pool
from gateway.upstream.client import UpstreamClient
from gateway.upstream.connection import READ_BUFFER, Connection

FAST = Timeouts(connect=1, first_byte=1, idle=1)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Provider:
    """Answers every request of a connection with what `answers` says, in turn; counts connections."""

    def __init__(self, *answers: bytes, behind: bytes = b"", leaves: bool = False) -> None:
        self.connections, self.bodies = 0, []
        self._answers, self._behind, self._leaves, self._asked = answers, behind, leaves, 0

    async def __call__(self, reader, writer):
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length")), 0)
                self.bodies.append(await reader.readexactly(length))
                writer.write(self._answers[min(self._asked, len(self._answers) - 1)])
                self._asked += 1
                if self._behind:
                    await asyncio.sleep(0.05)
                    writer.write(self._behind)
                if self._leaves:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def serving(provider, tls: ssl.SSLContext | None = None):
    server = await asyncio.start_server(provider, "127.0.0.1", 0, ssl=tls)
    async with server, UpstreamClient(FAST) as client:
        port = server.sockets[0].getsockname()[1]

        async def ask(body: bytes = b"{}", host: str = "127.0.0.1", headers: dict[str, str] | None = None) -> bytes:
            url = f"{'https' if tls else 'http'}://{host}:{port}/v1"
            async with client.send("POST", url, headers or {}, body) as answer:
                return await answer.read(1 << 30)

        yield ask


def asked(provider, times: int = 3, pause: float = 0.0, *bodies: bytes) -> list[bytes]:
    async def run():
        async with serving(provider) as ask:
            found = []
            for number in range(times):
                found.append(await ask(*(bodies[number : number + 1] or (b"{}",))))
                await asyncio.sleep(pause)
            return found

    return asyncio.run(run())


def test_a_connection_serves_one_request_after_the_other():
    provider = Provider(OK)
    assert asked(provider) == [b"{}"] * 3
    assert provider.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        OK + b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nunasked",
        OK + b"stray bytes",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n",
    ],
)
def test_a_connection_that_said_more_or_said_goodbye_is_not_used_again(answer):
    provider = Provider(answer)
    assert asked(provider) == [b"{}"] * 3
    assert provider.connections == 3


def test_what_comes_while_a_connection_lies_idle_answers_nobody():
    provider = Provider(OK, behind=OK.replace(b"{}", b"no"))
    assert asked(provider, 3, 0.1) == [b"{}"] * 3
    assert provider.connections == 3


def test_what_came_unasked_and_was_not_read_yet_answers_nobody():
    """The loop is kept busy while it arrives, and lends before it reads."""

    async def run():
        here, there = socket.socketpair()
        transport, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(lambda _: None), sock=here)
        assert connection.silent()
        there.send(OK)
        assert not connection.silent()
        transport.abort()
        there.close()

    asyncio.run(run())


def test_a_provider_that_closed_meanwhile_costs_a_new_connection_and_no_error():
    provider = Provider(OK, leaves=True)
    assert asked(provider, 3, 0.05) == [b"{}"] * 3
    assert provider.connections == 3


def test_requests_at_the_same_time_have_connections_of_their_own():
    provider = Provider(OK)

    async def run():
        async with serving(provider) as ask:
            await asyncio.gather(*(ask() for _ in range(5)))
            await asyncio.gather(*(ask() for _ in range(5)))

    asyncio.run(run())
    assert provider.connections == 5


def test_a_connection_that_nobody_wants_is_closed_in_time(monkeypatch):
    monkeypatch.setattr(pool, "KEPT_S", 0.05)
    provider = Provider(OK)
    assert asked(provider, 2, 0.2) == [b"{}"] * 2
    assert provider.connections == 2


def test_bodies_of_any_length_arrive_whole():
    provider, bodies = Provider(OK), (b"x" * 100, b"y" * 20_000, b"z" * 3_000_000)
    asked(provider, 3, 0.0, *bodies)
    assert provider.bodies == list(bodies)


def test_a_reader_that_takes_its_time_has_no_flood_in_memory():
    flood = b"f" * 8_000_000
    provider = Provider(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(flood) + flood)

    async def run():
        server = await asyncio.start_server(provider, "127.0.0.1", 0)
        async with server, UpstreamClient(FAST) as client:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            async with client.send("POST", url, {}, b"{}") as answer:
                sizes = []
                async for chunk in answer.chunks():
                    sizes.append(len(chunk))
                    await asyncio.sleep(0.01 if len(sizes) < 10 else 0)
                return sizes

    sizes = asyncio.run(run())
    assert sum(sizes) == len(flood)
    assert max(sizes) <= READ_BUFFER + 256 * 1024  # and what one read of the loop brings


@pytest.mark.parametrize("value", ["a\r\nx-other: b", "a\nb", "a\rb", "a\0b", "a\u20ac"])
def test_no_header_makes_another_header(value):
    provider = Provider(OK)

    async def run():
        async with serving(provider) as ask:
            await ask(headers={"x-request-id": value})

    with pytest.raises(GatewayError) as caught:
        asyncio.run(run())
    assert caught.value.code == "upstream_request"
    assert provider.bodies == []


def test_an_answer_that_breaks_off_gives_what_had_come_first():
    sent = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\nzz\r\n"

    async def run():
        server = await asyncio.start_server(Provider(sent), "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, UpstreamClient(FAST) as client, client.send("POST", url, {}, b"{}") as answer:
            chunks = answer.chunks()
            first = await anext(chunks)
            with pytest.raises(GatewayError) as caught:
                await anext(chunks)
            return first, caught.value.code

    assert asyncio.run(run()) == (b"one", "upstream_reset")


def test_a_name_without_an_address_is_unreachable():
    async def run():
        async with UpstreamClient(FAST) as client, client.send("POST", "http://no-such-host.invalid/", {}, b""):
            return

    with pytest.raises(GatewayError) as caught:
        asyncio.run(run())
    assert caught.value.code == "upstream_unreachable"


# -- any cut of an answer is the same answer

WHOLE = (
    b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\none\r\n5;ext=1\r\n, two\r\n0\r\nx-trailer: no\r\n\r\n"
)


@settings(deadline=None, max_examples=60)
@given(cuts=st.sets(st.integers(1, len(WHOLE) - 1)))
def test_any_cut_of_an_answer_is_the_same_answer(cuts):
    async def run():
        here, there = socket.socketpair()
        _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(lambda _: None), sock=here)
        asking = asyncio.ensure_future(connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"", 1))
        await asyncio.sleep(0)
        places = [0, *sorted(cuts), len(WHOLE)]
        for start, end in itertools.pairwise(places):
            connection.data_received(WHOLE[start:end])
        await asking
        body = b""
        while piece := await connection.piece(1):
            body += piece
        found = connection.status, connection.headers, body, connection.lie_idle(1)
        connection.close()
        there.close()
        return found

    headers = [("content-type", "application/json"), ("x-a", "1"), ("transfer-encoding", "chunked")]
    assert asyncio.run(run()) == (200, headers, b"one, two", True)


# -- TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """(a server's context, a client's that trusts it): a certificate for 127.0.0.1 that nobody else trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(days=1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    authority = x509.BasicConstraints(ca=True, path_length=0)
    certificate = builder.add_extension(names, critical=False).add_extension(authority, critical=True).sign(key, hashes.SHA256())
    folder = tmp_path_factory.mktemp("tls")
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "server.pem").write_bytes(pem + key.private_bytes(*form))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem")
    return server, ssl.create_default_context(cadata=pem.decode())


def over_tls(provider, context, host="127.0.0.1"):
    async def run():
        async with serving(provider, context) as ask:
            return [await ask(b"x" * 100_000, host) for _ in range(3)]

    return asyncio.run(run())


def test_a_certificate_that_nobody_vouches_for_gets_no_request(authority):
    provider = Provider(OK)
    with pytest.raises(GatewayError, match="certificate cannot be verified") as caught:
        over_tls(provider, authority[0])
    assert caught.value.code == "upstream_unreachable"
    assert provider.bodies == []


def test_a_certificate_for_another_name_gets_no_request(authority, monkeypatch):
    monkeypatch.setattr(pool, "_trust", lambda: authority[1])
    provider = Provider(OK)
    with pytest.raises(GatewayError, match="certificate cannot be verified"):
        over_tls(provider, authority[0], "localhost")
    assert provider.bodies == []


def test_a_trusted_provider_is_asked_over_one_connection(authority, monkeypatch):
    monkeypatch.setattr(pool, "_trust", lambda: authority[1])
    provider = Provider(OK)
    assert over_tls(provider, authority[0]) == [b"{}"] * 3
    assert provider.connections == 1
    assert provider.bodies == [b"x" * 100_000] * 3


def test_a_provider_without_tls_where_it_is_wanted_is_unreachable():
    provider = Provider(OK)

    async def run():
        server = await asyncio.start_server(provider, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with server, UpstreamClient(FAST) as client, client.send("POST", url, {}, b"{}"):
            return

    with pytest.raises(GatewayError) as caught:
        asyncio.run(run())
    assert caught.value.code in ("upstream_unreachable", "upstream_timeout")
