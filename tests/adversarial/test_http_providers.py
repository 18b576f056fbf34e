"""Rows F4, F6 and F7: the provider as the attacker, and the address that leads to it.

What it answers is read in one way or not at all (502); no status, header or framing of its reaches a client in a form that ends one answer
and begins another; its key goes to it and to nobody else, whatever it does with it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import time
import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from gateway.addresses import is_loopback
from gateway.upstream_settings import Upstream
from tests.patience import PATIENCE_S

KEY = b"sk-canary-provider-key-1234"
JSON = b"content-type: application/json\r\n"


def said(data: bytes, *, stay: bool = False) -> Any:
    """Exactly these bytes, and then nothing more."""

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        try:
            for at in range(0, len(data), 1 << 20):
                writer.write(data[at : at + (1 << 20)])
                await writer.drain()
            if stay:
                await reader.read()
        except ConnectionError:
            return
        writer.close()

    return answer


def answered(body: bytes, *fields: bytes, status: bytes = b"200 OK", media: bytes = JSON, length: bool = True) -> bytes:
    """It says that the connection ends with it, as it does in `said`: the next request may come before that end does."""
    sized = b"content-length: %d\r\n" % len(body) if length else b""
    return b"HTTP/1.1 %b\r\n%b%b%bconnection: close\r\n\r\n%b" % (status, media, b"".join(fields), sized, body)


def in_chunks(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


CHUNKED = b"transfer-encoding: chunked\r\n"
GOOD = json.dumps(
    {
        "id": "r1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Look."}, "finish_reason": "stop"}],
    }
).encode()
CALL = GOOD.replace(
    b'"content": "Look."',
    b'"content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "delete_file", "arguments": "{}"}}]',
)
FLOOD = b"x" * 30_000_000


def rest(body: bytes, *fields: bytes) -> bytes:
    """An answer whose body's length is what `fields` say."""
    return answered(body, *fields, length=False)


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no head": GOOD,
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-ty",
    "another protocol": b"220 mail.example ESMTP\r\n",
    "a status beyond all": answered(GOOD, status=b"999 X"),
    "a status that nobody knows": answered(GOOD, status=b"600 X"),
    "a status of two digits": answered(GOOD, status=b"99 X"),
    "a status that begins with nothing": answered(GOOD, status=b"099 X"),
    "a status of four digits": answered(GOOD, status=b"2000 X"),
    "a negative status": answered(GOOD, status=b"-200 X"),
    "a switch of protocols": answered(GOOD, status=b"101 X"),
    "a switch of protocols that is meant": answered(GOOD, b"connection: upgrade\r\nupgrade: x\r\n", status=b"101 X"),
    "no content, and content": answered(CALL, status=b"204 X"),
    "a reset form": answered(GOOD, status=b"205 X"),
    "a part": answered(GOOD, b"content-range: bytes 0-9/10\r\n", status=b"206 X"),
    "many statuses": answered(GOOD, status=b"207 X"),
    "not modified": answered(GOOD, status=b"304 X"),
    "a redirect to another host": answered(b"", b"location: http://127.0.0.1:1/v1\r\n", status=b"307 X"),
    "a redirect without a place": answered(b"", status=b"302 X"),
    "a shorter length": rest(GOOD, b"content-length: 5\r\n"),
    "a longer length": rest(GOOD, b"content-length: 5000\r\n"),
    "two lengths": answered(GOOD, b"content-length: 5\r\n"),
    "a negative length": rest(GOOD, b"content-length: -5\r\n"),
    "a length and chunks": answered(in_chunks(GOOD), CHUNKED),
    "a chunk of no size": rest(b"zz\r\n" + GOOD, CHUNKED),
    "a chunk longer than all memory": rest(b"f" * 17 + b"\r\n" + GOOD, CHUNKED),
    "a chunk that is cut off": rest(b"ffff\r\n" + GOOD, CHUNKED),
    "chunks without an end": rest(in_chunks(GOOD, end=b""), CHUNKED),
    "a chunk's extension without end": rest(b"1;" + FLOOD, CHUNKED),
    "a trailer without end": rest(in_chunks(GOOD, end=b"0\r\nx: " + FLOOD), CHUNKED),
    "compressed in transfer": rest(GOOD, b"transfer-encoding: gzip\r\n"),
    "compressed in transfer, then chunked": rest(in_chunks(gzip.compress(GOOD)), b"transfer-encoding: gzip, chunked\r\n"),
    "compressed": answered(gzip.compress(GOOD), b"content-encoding: gzip\r\n"),
    "compressed twice": answered(gzip.compress(gzip.compress(GOOD)), b"content-encoding: gzip, gzip\r\n"),
    "compressed on two lines": answered(gzip.compress(GOOD), b"content-encoding: identity\r\ncontent-encoding: gzip\r\n"),
    "compressed another way": answered(zlib.compress(GOOD), b"content-encoding: br\r\n"),
    "compressed, it says": answered(GOOD, b"content-encoding: deflate\r\n"),
    "two types": answered(GOOD, b"content-type: text/event-stream\r\n"),
    "no type": answered(GOOD, media=b""),
    "a type that is none": answered(GOOD, media=b"content-type: ;;;=\r\n"),
    "a page": answered(b"<html>", media=b"content-type: text/html\r\n"),
    "lines of JSON": answered(GOOD, media=b"content-type: application/x-ndjson\r\n"),
    "another character set": answered(GOOD.decode().encode("utf-16"), media=b"content-type: application/json; charset=utf-16\r\n"),
    "a character set in disguise": answered(GOOD, media=b"content-type: application/json; charset*=utf-8''utf-7\r\n"),
    "a head without end": b"HTTP/1.1 200 OK\r\nx-a: " + FLOOD,
    "headers without end": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 3_000_000,
    "a reason without end": b"HTTP/1.1 200 " + FLOOD,
    "a header of 100 KB": answered(GOOD, b"x-a: " + b"a" * 100_000 + b"\r\n"),
    "5,000 headers": answered(GOOD, *(b"x-%d: 1\r\n" % n for n in range(5_000))),
    "NUL in a header": answered(GOOD, b"x-request-id: a\0b\r\n"),
    "a carriage return in a header": answered(GOOD, b"x-request-id: a\rb\r\n"),
    "a space before a colon": answered(GOOD, b"x-request-id : a\r\n"),
    "a header's name that is none": answered(GOOD, b"openai-(a): b\r\n"),
    "a header's name beyond ASCII": answered(GOOD, b"openai-\xff: b\r\n"),
}
"""Answers of no one meaning."""


def memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("what", BROKEN)
def test_an_answer_of_no_one_meaning_is_an_error_of_the_gateway_s(house: Any, kit: Any, what: str) -> None:
    house.provider.answer = said(BROKEN[what])
    before = memory()
    answer = house.ask(kit.chat, False)
    assert answer.status_code == 502, answer.content
    assert answer.json()["error"]["message"]
    assert b"delete_file" not in answer.content
    assert set(answer.headers) <= {"date", "server", "content-type", "content-length", "x-gateway-trace-id"}
    ended, calls = house.closing(answer)
    assert ended.exchange.state in ("incomplete", "upstream_reset")
    assert calls == []
    assert memory() - before < 64 * 1024 * 1024
    assert len(house.provider.received) == 1
    house.stays_well(kit.chat)


@pytest.mark.parametrize("status", [200, 201, 202, 203, 400, 401, 403, 404, 408, 409, 413, 418, 422, 429, 451, 499, 500, 503, 529, 599])
def test_a_status_that_ends_a_request_is_passed_on(house: Any, kit: Any, status: int) -> None:
    error = json.dumps({"error": {"message": "no"}}).encode()
    house.provider.answer = said(answered(GOOD if status < 400 else error, status=b"%d X" % status))
    answer = house.ask(kit.chat, False)
    assert answer.status_code == status
    assert house.closing(answer)[0].exchange.upstream_status == status


def test_the_key_does_not_follow_a_redirect(house: Any, kit: Any) -> None:
    heard: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(1000))
        writer.close()

    async def listen() -> tuple[Any, int]:
        server = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
        return server, server.sockets[0].getsockname()[1]

    loop = house.provider._loop
    server, port = asyncio.run_coroutine_threadsafe(listen(), loop).result(PATIENCE_S)
    for status in (300, 301, 302, 303, 305, 307, 308):
        for place in (f"http://127.0.0.1:{port}/v1/chat/completions", f"//127.0.0.1:{port}/", "/v1/other"):
            house.provider.answer = said(answered(GOOD, b"location: %b\r\n" % place.encode(), status=b"%d X" % status))
            house.provider.received.clear()
            answer = house.ask(kit.chat, False)
            assert answer.status_code == 502
            assert house.closing(answer)[0].exchange.error_code == "upstream_redirect"
            assert "location" not in answer.headers
            assert len(house.provider.received) == 1
    loop.call_soon_threadsafe(server.close)
    assert heard == []


def test_hints_before_an_answer_are_not_passed_on_and_not_kept(house: Any, kit: Any) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\nx-request-id: hint\r\n\r\n"
    house.provider.answer = said(hint * 20_000 + answered(GOOD))
    before = memory()
    answer = house.ask(kit.chat, False)
    assert answer.status_code == 200
    assert "x-request-id" not in answer.headers
    assert memory() - before < 48 * 1024 * 1024


def test_hints_without_an_answer_come_to_a_time_out(start: Any, provider: Any, readers: Any, caplog: Any, kit: Any) -> None:
    async def hints(reader: Any, writer: Any, body: bytes) -> None:
        try:
            while not reader.at_eof():
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            writer.close()

    house = kit.house(start, provider, readers, caplog, timeouts={"connect": 0.5, "first_byte": 0.5})
    provider.answer = hints
    answer = house.ask(kit.chat, False)
    assert answer.status_code == 504
    assert house.closing(answer)[0].exchange.state == "upstream_timeout"


def test_a_second_answer_behind_the_first_is_nobody_s(house: Any, kit: Any) -> None:
    """A provider that says more than it was asked does not answer the next request with it, which may be another caller's."""

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        word = json.loads(body)["messages"][0]["content"].encode()
        writer.write(answered(GOOD.replace(b"Look.", word)))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(answered(GOOD.replace(b"Look.", b"unasked")) * 2)
        await writer.drain()

    house.provider.answer = answer
    for number in range(10):
        got = house.ask(kit.chat, False, messages=[{"role": "user", "content": f"word {number}"}])
        if got.status_code == 200:
            assert got.json()["choices"][0]["message"]["content"] == f"word {number}"
        time.sleep(0.1)  # what is unasked arrives while the connection lies idle
    assert len(house.provider.received) == 10


# F7: what a provider says of its key, and what it puts into headers

ECHO = b'{"error": {"message": "Incorrect API key provided: %b. Find yours at x.example.", "type": "auth", "code": "invalid_api_key"}}' % KEY


def cuts(data: bytes, secret: bytes = KEY) -> list[list[bytes]]:
    """The data in two pieces, cut at every place inside the secret."""
    at = data.index(secret)
    return [[data[: at + n], data[at + n :]] for n in range(1, len(secret))]


def nowhere(house: Any, data: bytes) -> None:
    kept = b"".join(path.read_bytes() for path in house.gateway.settings.data_path.rglob("*") if path.is_file())
    assert KEY not in data
    assert KEY not in kept
    assert b"[REDACTED:provider_key]" in data


@pytest.mark.parametrize("observing", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_that_names_the_key_does_not_pass_it_on(
    start: Any, provider: Any, readers: Any, caplog: Any, kit: Any, stream: bool, observing: bool
) -> None:
    house = kit.house(start, provider, readers, caplog, observing=observing)
    for pieces in cuts(ECHO)[::6]:
        provider.answer = said(answered(in_chunks(*pieces), CHUNKED, status=b"401 X", length=False))
        answer = house.ask(kit.chat, stream)
        assert answer.status_code == 401
        nowhere(house, answer.content)


def in_pieces(pieces: list[bytes]) -> Any:
    """An event stream, each piece in a packet of its own."""

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.005)
        writer.close()

    return answer


@pytest.mark.parametrize("observing", [False, True])
@pytest.mark.parametrize("how", ["error", "words", "raw", "comment"])
def test_a_stream_that_names_the_key_does_not_pass_it_on(
    start: Any, provider: Any, readers: Any, caplog: Any, kit: Any, how: str, observing: bool
) -> None:
    wire, house = kit.chat, kit.house(start, provider, readers, caplog, observing=observing)
    inner = {
        "error": b"data: %b\n\n" % ECHO,
        "words": wire.chunk({"content": f"it is {KEY.decode()}."}),
        "raw": b"data: no JSON\n\ndata: %b and then\n\n" % KEY,
        "comment": b": %b\n\n" % KEY,
    }[how]
    for first, second in cuts(inner)[::5]:
        provider.answer = in_pieces([b"".join(wire.opening()) + first, second + b"".join(wire.closing("stop"))])
        answer = house.ask(wire, True)
        assert KEY not in answer.content
        if observing or how in ("error", "words"):
            nowhere(house, answer.content)


def test_a_header_that_names_the_key_does_not_pass_it_on(house: Any, kit: Any) -> None:
    fields = [b"%b: a %b b\r\n" % (name, KEY) for name in (b"x-request-id", b"openai-organization", b"x-ratelimit-reset", b"retry-after", b"set-cookie", b"www-authenticate")]
    for stream in (False, True):
        upstream = kit.chat.opening() + kit.chat.closing("stop")
        body, media = (b"".join(upstream), b"content-type: text/event-stream\r\n") if stream else (GOOD, JSON)
        house.provider.answer = said(answered(body, *fields, media=media))
        answer = house.ask(kit.chat, stream)
        assert answer.status_code == 200
        assert answer.headers["x-request-id"] == "a [REDACTED:provider_key] b"
        assert KEY.decode() not in str(answer.headers)
        assert "set-cookie" not in answer.headers
        assert "www-authenticate" not in answer.headers


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=st.binary(max_size=40).map(lambda b: b.translate(None, b"\r\n\0")))
def test_no_value_of_a_provider_s_header_makes_another_header(house: Any, kit: Any, value: bytes) -> None:
    house.provider.answer = said(answered(GOOD, b"x-request-id: %b\r\n" % value, b"openai-version: %b\r\n" % value))
    answer = house.ask(kit.chat, False)
    assert answer.status_code in (200, 502)
    allowed = {"date", "server", "content-type", "content-length", "x-gateway-trace-id", "x-request-id", "openai-version"}
    assert set(answer.headers) <= allowed
    assert all(c >= " " and c != "\x7f" for text in answer.headers.values() for c in text)


@pytest.mark.parametrize("name", ["a\r\nset-cookie: b", "a\nb: c", "a\0b", "\u202ea", "x" * 10_000, "%0d%0aset-cookie:b"])
def test_the_name_of_a_tool_makes_no_header(house: Any, kit: Any, name: str) -> None:
    """Neither as the model proposes it, nor as the client declares it or a field."""
    for wire in (kit.chat, kit.messages):
        for stream in (False, True):
            upstream = kit.proposed(wire, stream, kit.call(name, "{}"))
            house.provider.answer = house.provider.sse(*upstream) if stream else house.provider.json(upstream)
            for more in ({}, {name: 1}, {"model": name}):
                answer = house.ask(wire, stream, **more)
                assert set(answer.headers) <= HEADERS
                assert all(text.isprintable() for text in answer.headers.values())
                house.closing(answer)


HEADERS = {
    "date", "server", "content-type", "content-length", "transfer-encoding", "cache-control", "x-gateway-trace-id", "x-gateway-decision",
    "x-should-retry", "retry-after",
}  # fmt: skip


# F6: the address in the settings

LOCAL = ["http://localhost:1", "http://127.0.0.1", "http://127.9.9.9:80/v1", "http://[::1]:8080", "HTTP://LOCALHOST"]
ELSEWHERE = [
    "http://169.254.169.254/latest", "http://2130706433", "http://0x7f.1", "http://0177.0.0.1", "http://127.1", "http://127.0.0.1.evil.example",
    "http://localhost.evil.example", "http://localhost.", "http://[::ffff:10.0.0.1]", "http://[::ffff:169.254.169.254]", "http://0.0.0.0", "http://[::]",
    "http://10.0.0.1", "http://127.0.0.1%2eevil.example", "http://xn--localhost-x", "http://①②⑦.⓪.⓪.①", "http://metadata.google.internal",
]  # fmt: skip
NO_ADDRESS = [
    "http://me@127.0.0.1", "http://127.0.0.1:80@evil.example", "http://127.0.0.1\\@evil.example", "http://127.0.0.1#@evil.example", "http://127.0.0.1?x",
    "file:///etc/passwd", "ftp://127.0.0.1", "//127.0.0.1", "127.0.0.1", "http://", "http:/127.0.0.1", "gopher://127.0.0.1", "unix:///run/x",
]  # fmt: skip


@pytest.mark.parametrize("url", ELSEWHERE)
def test_a_key_does_not_travel_in_clear_text_to_what_is_not_plainly_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match=r"clear text|must"):
        Upstream(dialect="openai.chat", base_url=url)


@pytest.mark.parametrize("url", NO_ADDRESS)
def test_what_could_be_two_addresses_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="must"):
        Upstream(dialect="openai.chat", base_url=url, allow_http=True)


@pytest.mark.parametrize("url", LOCAL)
def test_this_machine_is_called_as_it_was_judged(url: str) -> None:
    assert is_loopback(URL(Upstream(dialect="openai.chat", base_url=url).base_url, encoded=True).host or "")


@given(st.text("ht:/@.#?\\%127.01localhostev[]: \t\n0x", min_size=1, max_size=30).map("http://{}".format))
def test_whatever_passes_as_this_machine_leads_to_it(url: str) -> None:
    try:
        accepted = Upstream(dialect="openai.chat", base_url=url)
        called = URL(accepted.base_url + "/chat/completions", encoded=True)
    except ValueError:
        return
    assert is_loopback(called.host or ""), url


# Whatever a provider says


def known(wire: Any, kit: Any) -> list[bytes]:
    """Answers that propose a denied call, in every framing."""
    calls = kit.call("delete_file", '{"path": "/srv/a"}'), kit.call(*kit.good[:1], id="c2")
    whole, frames = wire.whole(*calls), wire.frames(*calls)
    events = b"content-type: text/event-stream\r\n"
    return [
        answered(whole),
        rest(in_chunks(whole[:50], whole[50:]), CHUNKED),
        answered(whole, b"connection: close\r\n", length=False),
        answered(b"".join(frames), media=events),
        answered(in_chunks(*frames), CHUNKED, media=events, length=False),
        answered(b"".join(frames), b"connection: close\r\n", media=events, length=False),
        answered(ECHO, status=b"429 X"),
    ]


_PIECES = [
    *(bytes([c]) for c in b"\r\n\t \0\x0b\x7f\x80\xff:;,0{}[]\"\\"),
    *(b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n ", b"HTTP/1.1 200 OK\r\n\r\n", b"content-length: 0\r\n", b"content-length: 5\r\n", CHUNKED),
    *(b"0\r\n\r\n", b"data: ", b"data: [DONE]\n\n", b"event: x\n", b"HTTP/1.1 100 X\r\n\r\n", b"content-encoding: gzip\r\n", b"204", b"101", b"999"),
]


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[float, int, bytes]]:
    """(where, how many bytes go, what comes)."""
    one = st.tuples(st.floats(0, 1), st.integers(0, 4), st.sampled_from([b"", *_PIECES]))
    return draw(st.lists(one, max_size=3))


def changed(data: bytes, what: list[tuple[float, int, bytes]]) -> bytes:
    for place, gone, piece in what:
        at = int(place * len(data))
        data = data[:at] + piece + data[at + gone :]
    return data


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 6), what=changes(), stream=st.booleans(), end=st.booleans())
def test_whatever_a_provider_says_the_client_gets_one_answer_and_no_denied_call(
    brief: Any, kit: Any, wire: Any, which: int, what: list[tuple[float, int, bytes]], stream: bool, end: bool
) -> None:
    brief.provider.answer = said(changed(known(wire, kit)[which], what), stay=not end)
    answer = brief.ask(wire, stream)
    assert answer.status_code in (200, 201, 202, 203, 204) or answer.status_code >= 400
    assert set(answer.headers) <= HEADERS
    ended, calls = brief.closing(answer)
    assert ended.exchange.state != "client_gone"
    assert not any(call.released and call.name == "delete_file" for call in calls)
    assert b"/srv/a" not in answer.content.replace(b"\\/", b"/") or answer.status_code >= 400
    assert KEY not in answer.content
    brief.no_faults()


@pytest.fixture
def brief(start: Any, provider: Any, readers: Any, caplog: Any, kit: Any) -> Any:
    """A gateway that waits for no provider."""
    return kit.house(start, provider, readers, caplog, timeouts={"connect": 0.5, "first_byte": 0.5, "idle": 0.3})
