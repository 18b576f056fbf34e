"""Rows F1, F2 and F8: requests that servers read differently, ask for more than they say, or never end; on raw sockets.

A request that has not exactly one reading is answered 400 and its connection closed; it gets one answer, and what stands behind it on the
connection reaches nobody. Beside the rows, a strict reader of HTTP/1.1 framing of the test's own says what a changed request may mean.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.trace.record import Ended
from tests.patience import until

PATH = b"/v1/chat/completions"
HOST = b"host: 127.0.0.1\r\n"


def saying(word: str) -> bytes:
    """A request's body by which the provider knows it again."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": word}]}).encode()


BODY = saying("first")


def post(*fields: bytes, body: bytes = BODY, host: bytes = HOST, length: bool = True, line: bytes = b"") -> bytes:
    """One request; `fields` are whole header lines."""
    sized = b"content-length: %d\r\n" % len(body) if length else b""
    start = line or b"POST %b HTTP/1.1\r\n" % PATH
    return start + host + b"".join(fields) + sized + b"\r\n" + body


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


SMUGGLED = post(body=saying("smuggled"))
CHUNKED = b"transfer-encoding: chunked\r\n"
CHUNKS = chunked(BODY)


class Said(NamedTuple):
    statuses: list[int]
    data: bytes
    closed: bool


@contextmanager
def line_to(gateway: Any, wait: float = 20.0) -> Iterator[socket.socket]:
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=wait) as sock:
        yield sock


def hear(sock: socket.socket) -> Said:
    """Everything until the gateway closes, or is silent for as long as the line waits."""
    found, closed = b"", True
    try:
        while piece := sock.recv(65536):
            found += piece
    except TimeoutError:
        closed = False
    except ConnectionResetError:
        closed = True
    return Said([int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", found)], found, closed)


def talk(gateway: Any, *pieces: bytes, wait: float = 20.0) -> Said:
    with line_to(gateway, wait) as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
        except ConnectionError:
            return hear(sock)
        return hear(sock)


def heard_by(provider: Any) -> list[str]:
    """What the provider was asked, by the words of `saying`."""
    return [json.loads(body)["messages"][0]["content"] for _, body in provider.received]


@pytest.fixture
def served(house: Any, kit: Any) -> Any:
    """A gateway whose provider answers every request."""
    house.provider.answer = house.provider.json(kit.chat.whole(finish="stop"))
    return house


def rest(*fields: bytes, body: bytes = BODY, line: bytes = b"") -> bytes:
    """A request whose body's length is what `fields` say."""
    return post(*fields, body=body, length=False, line=line)


TWICE: dict[str, bytes] = {
    "a length and chunks": post(CHUNKED, body=CHUNKS),
    "chunks and a length": rest(b"content-length: 3\r\n", CHUNKED, body=CHUNKS),
    "two lengths": post(b"content-length: 4\r\n"),
    "the same length twice": post(b"content-length: %d\r\n" % len(BODY)),
    "a list of lengths": rest(b"content-length: %d, %d\r\n" % (len(BODY), len(BODY))),
    "a length with a sign": rest(b"content-length: +%d\r\n" % len(BODY)),
    "a negative length": rest(b"content-length: -1\r\n"),
    "a hexadecimal length": rest(b"content-length: 0x10\r\n"),
    "a length in two words": rest(b"content-length: 1 2\r\n"),
    "a length with an underscore": rest(b"content-length: 1_0\r\n"),
    "an empty length": rest(b"content-length:\r\n"),
    "a length beyond all numbers": rest(b"content-length: %d\r\n" % 2**80),
    "chunked twice": rest(b"transfer-encoding: chunked, chunked\r\n", body=CHUNKS),
    "chunked on two lines": rest(CHUNKED, CHUNKED, body=CHUNKS),
    "compressed and chunked": rest(b"transfer-encoding: gzip, chunked\r\n", body=CHUNKS),
    "compressed and chunked on two lines": rest(b"transfer-encoding: gzip\r\n", CHUNKED, body=CHUNKS),
    "chunked and compressed": rest(b"transfer-encoding: chunked, gzip\r\n", body=CHUNKS),
    "a coding called identity": rest(b"transfer-encoding: identity\r\n", body=CHUNKS),
    "identity, then chunked": rest(b"transfer-encoding: identity, chunked\r\n", body=CHUNKS),
    "an empty coding": rest(b"transfer-encoding:\r\n", body=CHUNKS),
    "an unknown coding": rest(b"transfer-encoding: xchunked\r\n", body=CHUNKS),
    "chunked with a parameter": rest(b"transfer-encoding: chunked;q=1\r\n", body=CHUNKS),
    "chunked behind a vertical tab": rest(b"transfer-encoding: \x0bchunked\r\n", body=CHUNKS),
    "chunked in quotes": rest(b'transfer-encoding: "chunked"\r\n', body=CHUNKS),
    "chunked on a folded line": rest(b"transfer-encoding:\r\n chunked\r\n", body=CHUNKS),
    "chunked before HTTP/1.1": post(CHUNKED, body=CHUNKS, length=False, line=b"POST %b HTTP/1.0\r\n" % PATH),
    "a folded line": post(b"x-a: 1\r\n 2\r\n"),
    "a folded first line": post(host=b" x-a: 1\r\n" + HOST),
    "line feeds alone": post().replace(b"\r\n", b"\n"),
    "one line feed alone": post(b"x-a: 1\n"),
    "a carriage return alone": post(b"x-a: 1\rx-b: 2\r\n"),
    "a space before a colon": post(b"x-a : 1\r\n"),
    "a space before the colon of the coding": post(b"transfer-encoding : chunked\r\n", body=CHUNKS),
    "a tab before a colon": post(b"x-a\t: 1\r\n"),
    "a line without a colon": post(b"xa\r\n"),
    "a header without a name": post(b": 1\r\n"),
    "NUL in a value": post(b"x-a: a\0b\r\n"),
    "NUL in a name": post(b"x\0a: b\r\n"),
    "a control character in a value": post(b"x-a: a\x01b\r\n"),
    "a letter beyond ASCII in a name": post(b"x\xe4: 1\r\n"),
    "no host": post(host=b""),
    "two hosts": post(HOST),
    "two different hosts": post(b"host: evil.example\r\n"),
    "an empty host": post(host=b"host:\r\n"),
    "a host with a path": post(host=b"host: 127.0.0.1/v1?x=\r\n"),
    "a host with a user": post(host=b"host: me@127.0.0.1\r\n"),
    "a list of hosts": post(host=b"host: 127.0.0.1, evil.example\r\n"),
    "a host with a space": post(host=b"host: 127.0.0.1 evil.example\r\n"),
    "a fragment": post(line=b"POST %b#x HTTP/1.1\r\n" % PATH),
    "a space in the target": post(line=b"POST %b x HTTP/1.1\r\n" % PATH),
    "a letter beyond ASCII in the target": post(line=b"POST %b\xe4 HTTP/1.1\r\n" % PATH),
    "no version": post(line=b"POST %b\r\n" % PATH),
    "version 0.9": post(line=b"POST %b HTTP/0.9\r\n" % PATH),
    "version 1.2": post(line=b"POST %b HTTP/1.2\r\n" % PATH),
    "version 2.0": post(line=b"POST %b HTTP/2.0\r\n" % PATH),
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another method": post(line=b"SMUGGLE %b HTTP/1.1\r\n" % PATH),
    "a method in lower case": post(line=b"post %b HTTP/1.1\r\n" % PATH),
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n",
    "a chunk longer than all memory": rest(CHUNKED, body=b"f" * 17 + b"\r\n" + BODY),
    "a chunk's size with a prefix": rest(CHUNKED, body=b"0x%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a negative chunk": rest(CHUNKED, body=b"-1\r\n" + BODY),
    "a chunk's size and a space": rest(CHUNKED, body=b"%x \r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a chunk longer than it says": rest(CHUNKED, body=b"%x\r\n%bXX\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a chunk's line that ends early": rest(CHUNKED, body=b"%x\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a chunk's extension that ends early": rest(CHUNKED, body=b"%x;a\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "a length in a trailer": rest(CHUNKED, body=chunked(BODY, end=b"0\r\ncontent-length: 5\r\n\r\n")),
    "an empty chunk's size": rest(CHUNKED, body=b"\r\n" + CHUNKS),
}
"""F1: what has not one reading, complete as one of its readers would have it."""


@pytest.mark.parametrize("what", TWICE)
def test_a_request_of_two_readings_gets_one_400_and_nothing_behind_it_is_served(served: Any, kit: Any, what: str) -> None:
    said = talk(served.gateway, TWICE[what] + SMUGGLED + SMUGGLED)
    assert (said.statuses, said.closed) == ([400], True), said.data
    assert b"connection: close" in said.data.lower()
    assert served.provider.received == []
    assert [r for r in served.gateway.of(Ended) if r.exchange.state not in ("client_gone", "rejected")] == []
    served.stays_well(kit.chat)


FINE: dict[str, bytes] = {
    "an ordinary request": post(),
    "a body in chunks": rest(CHUNKED, body=chunked(BODY[:7], BODY[7:])),
    "a chunk's extension": rest(CHUNKED, body=b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "chunked in capitals": rest(b"Transfer-Encoding:\tCHUNKED\r\n", body=CHUNKS),
    "an empty line before": b"\r\n" + post(),
    "a host with a port": post(host=b"Host: LOCALHOST:8484\r\n"),
    "a host in brackets": post(host=b"host: [::1]:8484\r\n"),
    "a value beyond ASCII": post(b"x-title: caf\xc3\xa9\r\n"),
    "HTTP/1.0": post(line=b"POST %b HTTP/1.0\r\n" % PATH),
}


@pytest.mark.parametrize("what", FINE)
def test_what_has_one_reading_is_served(served: Any, what: str) -> None:
    said = talk(served.gateway, FINE[what] + LAST)
    assert (said.statuses, said.closed) == ([200] if what == "HTTP/1.0" else [200, 200], True), said.data
    assert heard_by(served.provider) == ["first"]


# One reading, as a strict reader has it

_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*")
_START = re.compile(rb"[A-Z]+ (/[\x21-\x22\x24-\x7e]*) HTTP/1\.[01]")


def bodies(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(target, body) of each request on a connection, until one of them has not one reading. What ends lines may stand before it."""
    while b"\r\n\r\n" in (data := data.lstrip(b"\r\n")):
        head, _, data = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        start, fields = _START.fullmatch(lines[0]), [_HEADER.fullmatch(line) for line in lines[1:]]
        if start is None or not all(fields):
            return
        named = [(field[1].lower(), field[2]) for field in fields if field]
        body = _framed(named, data)
        if body is None or [name for name, _ in named].count(b"host") != 1:
            return
        yield start[1], body[0]
        data = body[1]


def _framed(named: list[tuple[bytes, bytes]], data: bytes) -> tuple[bytes, bytes] | None:
    """(body, what follows), or None."""
    lengths = [value for name, value in named if name == b"content-length"]
    codings = [value.lower() for name, value in named if name == b"transfer-encoding"]
    if codings:
        return _unchunked(data) if codings == [b"chunked"] and not lengths else None
    if not lengths:
        return b"", data
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0]) or int(lengths[0]) > len(data):
        return None
    return data[: int(lengths[0])], data[int(lengths[0]) :]


def _unchunked(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while found := re.match(rb"([0-9a-fA-F]+)(;[^\r\n]*)?\r\n", data):
        size, data = int(found[1], 16), data[found.end() :]
        if size == 0:
            end = re.match(rb"([^\r\n]+\r\n)*\r\n", data)
            return (body, data[end.end() :]) if end else None
        if data[size : size + 2] != b"\r\n":
            return None
        body, data = body + data[:size], data[size + 2 :]
    return None


INSIDE = (
    post(b"x-a: 1\r\n", body=post(body=saying("inside"))),
    rest(b"x-a: 1\r\n", CHUNKED, body=chunked(post(body=saying("inside")))),
    post(body=post(body=saying("inside")), line=b"GET /livez HTTP/1.1\r\n"),
    rest(CHUNKED, body=chunked(post(body=saying("inside"))), line=b"POST /nowhere HTTP/1.1\r\n"),
    rest(CHUNKED, body=chunked(b"x", end=b"0\r\nx-trailer: 1\r\n\r\n")) + post(body=saying("behind")),
)
"""Requests in whose body another one stands, which only a wrong reading finds."""
LAST = b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
_PIECES = [
    *(bytes([c]) for c in b"\r\n\t \0\x0b\x0c\x7f\x80\xff:;,0a#\"%"),
    *(b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n ", b"content-length: 0\r\n", b"content-length: 5\r\n", CHUNKED, b"0\r\n\r\n", b"chunked,"),
    *(b"\r\ntransfer-encoding: chunked", b"transfer-encoding : chunked\r\n", b"\r\ncontent-length: 3", b"HTTP/1.1", b"host: x\r\n"),
]


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """A request with a few bytes put in, taken out or put in another's place."""
    data = draw(st.sampled_from(INSIDE))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.integers(0, 3))
        data = data[:at] + draw(st.sampled_from([b"", *_PIECES])) + data[at + gone :]
    return data


QUICK = {"header": 0.3, "body_idle": 0.3, "body": 0.6}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=changed())
def test_a_changed_request_is_read_as_a_strict_reader_reads_it_or_refused(brief: Any, data: bytes) -> None:
    brief.provider.received.clear()
    data += post(body=saying("next")) + LAST
    meant = list(bodies(data))
    to_ask = iter([body for target, body in meant if target.partition(b"?")[0] == PATH])
    said = talk(brief.gateway, data)
    brief.provider.heard_all()
    assert all(body in to_ask for _, body in brief.provider.received), said.data  # in this order
    assert len(said.statuses) <= len(meant) + 1
    assert said.closed, said.data


@pytest.fixture
def brief(start: Any, provider: Any, readers: Any, caplog: Any, kit: Any) -> Any:
    """A gateway that waits for nobody."""
    house = kit.house(start, provider, readers, caplog, timeouts=QUICK)
    provider.answer = provider.json(kit.chat.whole(finish="stop"))
    return house


# F2, F8: what comes behind, and what never ends


@pytest.mark.parametrize(
    "trailer", [b"authorization: Bearer evil", b"x-forwarded-for: 10.0.0.1", b"x-agent-id: admin", b"x-session-id: other", b"host: evil"]
)
def test_what_stands_in_a_trailer_is_nobody_s_identity(served: Any, trailer: bytes) -> None:
    said = talk(served.gateway, rest(CHUNKED, b"x-session-id: mine\r\n", body=chunked(BODY, end=b"0\r\n%b\r\n\r\n" % trailer)) + LAST)
    assert said.statuses == [200, 200], said.data
    row = served.gateway.ended()[0].exchange
    assert (row.agent, row.session, row.state) == ("anonymous", "mine", "complete")
    assert trailer.partition(b": ")[2] not in served.provider.received[0][0]


def test_a_trailer_is_no_key_where_a_key_is_required(served: Any) -> None:
    key = made_key(served.gateway)
    said = talk(served.gateway, rest(CHUNKED, body=chunked(BODY, end=b"0\r\nauthorization: Bearer %b\r\n\r\n" % key.encode())) + LAST)
    assert said.statuses == [401, 200]
    assert served.provider.received == []


def made_key(gateway: Any, agent: str = "bot") -> str:
    return str(gateway.plane.gateway.keys.create(agent=agent, now_us=int(time.time() * 1e6)))


MEBIBYTE = b"x" * 1024 * 1024
START = b"POST %b HTTP/1.1\r\n%b" % (PATH, HOST)
ENDLESS: dict[str, tuple[bytes, bytes, int]] = {
    "a header's value": (START + b"x-a: ", MEBIBYTE, 431),
    "a header's name": (START, MEBIBYTE, 431),
    "headers": (START, b"a: b\r\n" * 20_000, 431),
    "a target": (b"POST /", MEBIBYTE, 414),
    "a query": (b"POST %b?" % PATH, MEBIBYTE, 414),
    "a method": (b"", MEBIBYTE, 400),
    "empty lines": (b"", b"\r\n" * 500_000, 431),
    "a trailer's value": (START + CHUNKED + b"\r\n0\r\nx-a: ", MEBIBYTE, 431),
    "trailers": (START + CHUNKED + b"\r\n0\r\n", b"a: b\r\n" * 100_000, 431),
    "a chunk's extension": (START + CHUNKED + b"\r\n1;", MEBIBYTE, 431),
    "a body that says its length": (START + b"content-length: 99999999999\r\n\r\n", MEBIBYTE, 413),
    "a body in chunks": (START + CHUNKED + b"\r\n", b"%x\r\n%b\r\n" % (len(MEBIBYTE), MEBIBYTE), 413),
}
"""F8: a beginning, what then comes again and again, and the answer."""


def memory() -> int:
    """Bytes of this process, which is gateway, provider and client in one, at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("what", ENDLESS)
def test_what_never_ends_is_refused_and_not_kept(served: Any, kit: Any, what: str) -> None:
    first, again, status = ENDLESS[what]
    before = memory()
    said = talk(served.gateway, first, *[again] * 150, wait=3.0)
    assert said.statuses in ([status], []), said.data  # a reset may overtake the answer
    assert memory() - before < 96 * 1024 * 1024
    assert served.provider.received == []
    served.stays_well(kit.chat)


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([b"x-long: " + b"a" * 70_000 + b"\r\n"], 431),
        ([b"x-%d: 1\r\n" % n for n in range(5_000)], 431),
        ([b"x-%d: 1\r\n" % n for n in range(101)], 431),
        ([b"cookie: " + b"a" * 8_000 + b"\r\n"] * 5, 431),
        ([b"expect: 200-ok\r\n"], 417),
        ([b"expect: 100-continue, 100-continue\r\n"], 417),
    ],
)
def test_headers_out_of_bounds_are_refused_and_the_connection_closed(served: Any, fields: list[bytes], status: int) -> None:
    said = talk(served.gateway, post(*fields) + SMUGGLED)
    assert (said.statuses, said.closed) == ([status], True)
    assert served.provider.received == []


def test_a_target_out_of_bounds_is_refused_and_the_connection_closed(served: Any) -> None:
    said = talk(served.gateway, post(line=b"POST /v1?%b HTTP/1.1\r\n" % (b"a" * 65_536)) + SMUGGLED)
    assert (said.statuses, said.closed) == ([414], True)


@pytest.mark.parametrize("path", [PATH, b"/nowhere"])
def test_nothing_is_read_behind_a_request_that_wanted_to_be_told_to_go_on(served: Any, path: bytes) -> None:
    """A client that was refused may send its next request where another one would send the body."""
    said = talk(served.gateway, post(b"expect: 100-continue\r\n", line=b"POST %b HTTP/1.1\r\n" % path) + SMUGGLED)
    assert said.statuses == ([100, 200] if path == PATH else [404])
    assert said.closed
    assert heard_by(served.provider) == ["first"][: len(said.statuses) - 1]


def test_a_request_behind_an_upgrade_is_not_read(served: Any) -> None:
    upgrade = b"GET %b HTTP/1.1\r\n%bconnection: upgrade\r\nupgrade: websocket\r\n\r\n" % (PATH, HOST)
    said = talk(served.gateway, upgrade + SMUGGLED)
    assert (said.statuses, said.closed) == ([426], True)
    assert served.provider.received == []


# One answer each


def slow(kit: Any, *, streaming: bool) -> Any:
    """The provider takes its time, so that something else arrives meanwhile."""

    async def answer(reader: Any, writer: Any, body: bytes) -> None:
        whole, pieces = kit.chat.whole(finish="stop"), [*kit.chat.opening(), *kit.chat.closing("stop")]
        media = b"text/event-stream" if streaming else b"application/json"
        data = pieces if streaming else [whole]
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (media, sum(map(len, data)))
        for piece in (head, *data):
            await asyncio.sleep(0.3)
            writer.write(piece)
            await writer.drain()

    return answer


@pytest.mark.parametrize("behind", [b"\0nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"a" * 700_000, b"GET / HTTP/1.1\r\nx: " + b"a" * 700_000])
@pytest.mark.parametrize("streaming", [False, True])
def test_an_answer_under_way_is_not_mixed_with_the_refusal_of_what_comes_behind(
    served: Any, kit: Any, behind: bytes, streaming: bool
) -> None:
    served.provider.answer = slow(kit, streaming=streaming)
    asked = dump_request(kit, streaming)
    with line_to(served.gateway) as sock:
        sock.sendall(post(body=asked))
        until(lambda: served.provider.received)
        time.sleep(0.4 * streaming)
        sock.sendall(behind)
        said = hear(sock)
    assert (said.statuses, said.closed) == ([200], True), said.data
    assert said.data.rstrip().endswith(b"0" if streaming else b"}"), said.data
    assert served.gateway.ended()[0].exchange.state == "complete"


def dump_request(kit: Any, streaming: bool) -> bytes:
    return json.dumps(kit.chat.request(streaming)).encode()


def test_a_body_that_breaks_off_into_nonsense_gets_one_answer(served: Any) -> None:
    said = talk(served.gateway, rest(CHUNKED, body=b"1\r\n{\r\nnonsense\r\n"))
    assert (said.statuses, said.closed) == ([400], True)
    assert served.gateway.ended()[0].exchange.state == "client_gone"


def test_a_refused_body_that_turns_into_nonsense_gets_no_second_answer(served: Any) -> None:
    with line_to(served.gateway) as sock:
        sock.sendall(rest(CHUNKED, body=b"1\r\nx\r\n", line=b"POST /nowhere HTTP/1.1\r\n"))
        sock.recv(1, socket.MSG_PEEK)  # the refusal is there
        sock.sendall(b"nonsense\r\n")
        said = hear(sock)
    assert (said.statuses, said.closed) == ([404], True)


def test_pipelined_requests_are_answered_in_order(served: Any) -> None:
    said = talk(served.gateway, *(post(body=saying(str(n))) for n in range(5)), LAST)
    assert said.statuses == [200] * 6
    assert heard_by(served.provider) == list("01234")


def test_a_flood_of_pipelined_requests_is_not_kept(served: Any, kit: Any) -> None:
    served.provider.answer = slow(kit, streaming=False)
    before = memory()
    said = talk(served.gateway, post(), *[LAST.replace(b"close", b"keep-alive") * 10_000] * 20)
    assert said.statuses[:1] in ([200], [])
    assert len(said.statuses) < 50
    assert memory() - before < 64 * 1024 * 1024


def test_a_client_that_leaves_pipelined_requests_is_on_record_and_its_provider_left(served: Any) -> None:
    served.provider.answer = served.provider.silent()
    with line_to(served.gateway) as sock:
        sock.sendall(post())
        until(lambda: served.provider.received)
        sock.sendall(SMUGGLED)
        time.sleep(0.2)
    assert served.gateway.ended()[0].exchange.state == "client_gone"


def test_half_a_head_behind_an_answer_is_not_waited_for(brief: Any, kit: Any) -> None:
    brief.provider.answer = slow(kit, streaming=False)
    with line_to(brief.gateway) as sock:
        sock.sendall(post())
        until(lambda: brief.provider.received)
        sock.sendall(b"GET /livez HTTP/1.1\r\nhost: 127")
        start = time.monotonic()
        said = hear(sock)
    assert (said.statuses, said.closed) == ([200, 408], True)
    assert time.monotonic() - start < 10


def test_a_trailer_that_drips_is_not_waited_for(brief: Any) -> None:
    """The last chunk has come, but not the end of the request: nobody is asked, and the client is told so in time."""
    with line_to(brief.gateway) as sock:
        sock.sendall(rest(CHUNKED, body=chunked(BODY, end=b"0\r\n")))
        for number in range(20):
            try:
                sock.sendall(b"x-%d: 1\r\n" % number)
            except ConnectionError:
                break
            time.sleep(0.05)
        said = hear(sock)
    assert said.statuses[:1] == [408]
    assert said.closed
    assert brief.provider.received == []
    assert brief.gateway.ended()[0].exchange.error_code == "body_timeout"


@pytest.mark.parametrize("size", [1, 7, 100])
def test_a_request_in_small_pieces_is_the_same_request(served: Any, size: int) -> None:
    data = rest(CHUNKED, body=chunked(BODY[:9], BODY[9:], end=b"0\r\nx-a: 1\r\n\r\n")) + LAST
    said = talk(served.gateway, *(data[at : at + size] for at in range(0, len(data), size)))
    assert said.statuses == [200, 200]
    assert heard_by(served.provider) == ["first"]


def test_a_client_that_reads_nothing_is_left_and_so_is_the_provider(
    start: Any, provider: Any, readers: Any, caplog: Any, kit: Any
) -> None:
    house = kit.house(start, provider, readers, caplog, timeouts={"write": 0.5})
    piece, left = b"".join([kit.chat.chunk({"content": "x" * 1000})] * 50), []

    async def endless(reader: Any, writer: Any, body: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + b"".join(kit.chat.opening()))
        try:
            while True:
                writer.write(piece)
                await writer.drain()
        except ConnectionError:
            left.append(time.monotonic())

    provider.answer = endless
    before = memory()
    with line_to(house.gateway) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        sock.sendall(post(body=dump_request(kit, True)))
        row = house.gateway.ended()[0].exchange
    assert row.state == "client_gone"
    until(lambda: left, what="the provider is left")
    assert memory() - before < 64 * 1024 * 1024
