"""The doors of the admin plane, on a real socket: whatever a request looks like, it gets behind one only with a token that has the right."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from gateway.front import front
from gateway.limit_settings import Limits, Timeouts
from gateway.people.roles import ROLES, Person
from gateway.web import admin
from gateway.web.answers import json_answer
from gateway.web.doors import Doors, Room, person
from tests.patience import PATIENCE_S

BEHIND = b"BEHIND THE DOOR OF "
PATHS = ("/exchanges/{id}", "/erase", "/export/{what}")


class Unasked:
    """A book and approvals that nobody gets to; whether it is ready, everybody may know."""

    def status(self) -> admin.Status:
        return admin.Status(ready=True, lag_bytes=0, records=0, ledger="v")

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was asked")


def room(method: str, path: str, right: str) -> Room:
    async def entered(request: Request) -> Response:
        return json_answer({"told": f"{BEHIND.decode()}{path} {person(request).id}"})

    return Room(method, path, entered, right)  # type: ignore[arg-type]


def of_token(token: str) -> Person | None:
    role = token.removeprefix("token-of-")
    return Person(role, role, frozenset({role})) if token.startswith("token-of-") and role in ROLES else None  # type: ignore[arg-type]


class Plane:
    """Three rooms behind the real front."""

    def __init__(self) -> None:
        from gateway.approval_settings import Approvals
        from gateway.web.approvals import ApprovalsDesk

        rooms = [room("GET", PATHS[0], "see-content"), room("POST", PATHS[1], "erase"), room("GET", PATHS[2], "export")]
        people = ApprovalsDesk(Unasked(), Approvals(), lambda: 1)  # type: ignore[arg-type]
        app = admin.create(Unasked(), Doors([of_token]), ["127.0.0.1"], people, rooms)  # type: ignore[arg-type]
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app, http=front(Limits(), Timeouts()), ws="none", log_config=None, lifespan="off", proxy_headers=False, server_header=False
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._server.serve([self._socket])), daemon=True)
        self._thread.start()

    def send(self, data: bytes) -> bytes:
        """All that comes back on a connection of its own, until it is closed, or until nothing more comes where a request was not whole."""
        found = bytearray()
        with socket.create_connection(("127.0.0.1", self.port), 10) as line, contextlib.suppress(TimeoutError, ConnectionError):
            line.sendall(data)
            if not data.endswith(b"\r\n\r\n") or b"chunked" in data:
                line.settimeout(1.0)
            while piece := line.recv(65536):
                found += piece
        return bytes(found)

    def ask(self, target: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
        lines = [method + b" " + target + b" HTTP/1.1", b"host: 127.0.0.1", b"connection: close", *headers]
        return self.send(b"\r\n".join(lines) + b"\r\n\r\n")

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_S)


@pytest.fixture(scope="module")
def plane() -> Iterator[Plane]:
    plane = Plane()
    yield plane
    plane.close()


GOOD = b"authorization: Bearer token-of-admin"
LOW = b"authorization: Bearer token-of-viewer-metadata"


def test_the_right_token_gets_in_and_a_lesser_one_does_not(plane: Plane) -> None:
    assert BEHIND in plane.ask(b"/exchanges/x", GOOD)
    assert BEHIND in plane.ask(b"/erase", GOOD, b"content-length: 0", method=b"POST")
    assert plane.ask(b"/exchanges/x", LOW).startswith(b"HTTP/1.1 403")
    assert plane.ask(b"/exchanges/x").startswith(b"HTTP/1.1 401")


ODD = [
    [GOOD, GOOD],
    [GOOD, LOW],
    [LOW, GOOD],
    [b"Authorization: Bearer token-of-admin", b"authorization: Bearer nobody"],
    [GOOD + b", Bearer token-of-viewer-metadata"],
    [b"authorization:"],
    [b"authorization: Bearer"],
    [b"authorization: bearer:token-of-admin"],
    [b"authorization: Basic dG9rZW4tb2YtYWRtaW4="],
    [b"authorization: Digest username=token-of-admin"],
    [b"authorization: token-of-admin"],
    [b"authorization: Bearer token-of-ADMIN"],
    [b"authorization: Bearer TOKEN-OF-ADMIN"],
    [b"authorization: Bearer token-of-admin\x00"],
    [b"authorization: Bearer token-of-admin\xa0"],
    [b"authorization: Bearer token%2Dof%2Dadmin"],
    [b"authorization: Bearer \"token-of-admin\""],
    [b"authorization: Bearer token-of-admin;q=1"],
    [b"authorization: Bearer token-of-\xc3\xa1dmin"],
    [b"authorization: Bearer ' OR 1=1--"],
    [b"authorization: Bearer " + b"A" * 20_000],
    [b"authorization : Bearer token-of-admin"],
    [b"authorization\t: Bearer token-of-admin"],
    [b" authorization: Bearer token-of-admin"],
    [b"authorization: Bearer", b" token-of-admin"],
    [b"x-authorization: Bearer token-of-admin"],
    [b"proxy-authorization: Bearer token-of-admin"],
    [b"authorization_: Bearer token-of-admin"],
    [b"http_authorization: Bearer token-of-admin"],
    [b"x-api-key: token-of-admin"],
    [b"cookie: token=token-of-admin; authorization=Bearer token-of-admin"],
    [b"x-forwarded-user: admin", b"x-remote-user: admin", b"x-forwarded-for: 127.0.0.1", b"x-role: admin"],
    [b"x-forwarded-authorization: Bearer token-of-admin", b"forwarded: for=127.0.0.1;user=admin"],
    [b"connection: authorization", LOW],
    [b"transfer-encoding: chunked", b"trailer: authorization", LOW],
]


@pytest.mark.parametrize("headers", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("path", [b"/exchanges/x", b"/export/calls"])
def test_no_odd_way_to_say_who_one_is_opens_a_door(plane: Plane, headers: list[bytes], path: bytes) -> None:
    answer = plane.ask(path, *headers)
    assert BEHIND not in answer
    assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 5")), answer[:200]
    assert answer or b"chunked" in b"".join(headers)


TRICKS = [
    b"/exchanges/x?authorization=Bearer%20token-of-admin", b"/exchanges/x?token=token-of-admin&access_token=token-of-admin",
    b"/livez/../exchanges/x", b"/livez/%2e%2e/exchanges/x", b"/livez/..%2fexchanges/x", b"/livez;/../exchanges/x", b"/livez/..;/exchanges/x",
    b"//exchanges/x", b"/./exchanges/x", b"/exchanges//x", b"/%65xchanges/x", b"/exchanges/x%00", b"/exchanges%2fx", b"/EXCHANGES/x",
    b"/exchanges/x/", b"/exchanges/x;.css", b"/exchanges/x%20", b"/exchanges\\x", b"/livez#/exchanges/x", b"/readyz?/exchanges/x",
    b"http://127.0.0.1/exchanges/x", b"http://evil.example/exchanges/x", b"http://x@127.0.0.1/exchanges/x", b"*", b"/exchanges/x HTTP/0.9",
    b"/livez%20HTTP/1.1%0d%0aauthorization:%20Bearer%20token-of-admin", b"/exchanges/\xff", b"/exchanges/%ff", b"/export/calls/../../erase",
]  # fmt: skip
METHODS = [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"get", b"PROPFIND"]
OVERRIDES = [
    b"x-original-url: /exchanges/x", b"x-rewrite-url: /exchanges/x", b"x-http-method-override: POST", b"x-method-override: GET",
    b"x-forwarded-prefix: /livez", b"x-original-host: evil", b"x-forwarded-host: 127.0.0.1", b"x-accel-redirect: /exchanges/x",
]  # fmt: skip


@pytest.mark.parametrize("who", [b"x-nobody: 1", LOW], ids=["nobody", "viewer-metadata"])
def test_no_path_or_method_leads_around_a_door(plane: Plane, who: bytes) -> None:
    for target, method in [*itertools.product(TRICKS, METHODS[:3]), *itertools.product([b"/exchanges/x", b"/erase"], METHODS)]:
        answer = plane.ask(target, who, b"content-length: 0", method=method)
        assert BEHIND not in answer, (method, target)
        assert not answer.startswith(b"HTTP/1.1 5"), (method, target, answer[:200])


@pytest.mark.parametrize("override", OVERRIDES)
def test_no_header_for_proxies_turns_one_request_into_another(plane: Plane, override: bytes) -> None:
    for target in (b"/livez", b"/readyz", b"/exchanges/x", b"/erase", b"/"):
        assert BEHIND not in plane.ask(target, LOW, override)


def test_a_spelling_of_a_path_that_is_not_the_listed_one_is_not_served_to_anybody(plane: Plane) -> None:
    """Also not to an admin: what one door reads as another's path would be a way around."""
    for target in TRICKS:
        answer = plane.ask(target, GOOD)
        served = target.startswith(b"/exchanges/x?") or target in (b"/exchanges/x;.css", b"/readyz?/exchanges/x", b"/exchanges\\x")
        assert served or BEHIND not in answer or b"/exchanges/{id}" in answer, target


def test_a_second_request_on_the_line_has_to_say_for_itself_who_asks(plane: Plane) -> None:
    first = b"GET /exchanges/x HTTP/1.1\r\nhost: 127.0.0.1\r\n" + GOOD + b"\r\n\r\n"
    second = b"GET /export/calls HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n"
    answer = plane.send(first + second)
    assert answer.count(BEHIND) == 1
    assert b"HTTP/1.1 401" in answer


def test_a_body_that_looks_like_a_request_is_a_body(plane: Plane) -> None:
    inner = b"GET /exchanges/x HTTP/1.1\r\nhost: 127.0.0.1\r\n" + GOOD + b"\r\n\r\n"
    for framing in (b"content-length: %d" % len(inner), b"content-length: 0\r\ntransfer-encoding: chunked", b"transfer-encoding: xchunked"):
        assert BEHIND not in plane.send(b"POST /erase HTTP/1.1\r\nhost: 127.0.0.1\r\n" + LOW + b"\r\n" + framing + b"\r\n\r\n" + inner)


def test_no_bytes_in_a_token_prove_somebody_or_break_anything(plane: Plane) -> None:
    @given(st.binary(max_size=60))
    def tried(token: bytes) -> None:
        answer = plane.ask(b"/exchanges/x", b"authorization: Bearer " + token.replace(b"\r", b"").replace(b"\n", b""))
        assert BEHIND not in answer
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))

    tried()


def test_unknown_ended_and_foreign_tokens_are_answered_alike(plane: Plane) -> None:
    tokens = [b"nobody", b"thp_00000000_" + b"0" * 43, b"th_00000000_" + b"0" * 43, b"tha_" + b"0" * 43, b"a.b.c", b"token-of-root"]
    answers = {plane.ask(b"/exchanges/x", b"authorization: Bearer " + token).partition(b"\r\n\r\n")[2] for token in tokens}
    assert len(answers) == 1
