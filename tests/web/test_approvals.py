"""Approvals on the admin plane: what is asked is shown, what a person says is taken strictly and once."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from gateway.approval_settings import Approvals
from gateway.people.roles import Person
from gateway.state.approvals import Approval, Bindings
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.web.answers import MAX_BODY
from gateway.web.approvals import ApprovalsDesk
from gateway.web.doors import ADMIN, Doors, Endpoint, Room


async def _admin(_: Request) -> Person:
    return ADMIN


def behind_doors(*rooms: tuple[str, str, Endpoint]) -> list[Route]:
    """For whoever holds the admin token."""
    return Doors([], [_admin]).routes(Room(method, path, endpoint, "erase") for method, path, endpoint in rooms)


NOW = 1_790_000_000_000_000
HOUR = 3600 * 1_000_000


@pytest.fixture
def store(tmp_path):
    store = SqliteApprovals(tmp_path / "state.sqlite")
    bound = {"agent": "a", "session": "s", "tool": "pay", "arguments": '{"n":1}', "policy": "p", "rule": "r", "message": "why"}
    for number in (1, 2):
        digests = Bindings(f"o{number}", "s", "a")
        store.ask(Approval(f"apr_{number}", NOW, NOW + HOUR, digests, decision="dec_1", exchange="x", user="Eve", **bound), 9)
    yield store
    store.close()


@pytest.fixture
def send(store):
    desk = ApprovalsDesk(store, Approvals(expires=60, remember=600), lambda: NOW + 1_000_000)
    routes = [("GET", "/approvals", desk.listed), ("GET", "/approvals/{id}", desk.one)]
    app = Starlette(routes=behind_doors(*routes, ("POST", "/approvals/{id}/{ruling}", desk.ruled)))

    def go(method: str, path: str, body: object = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
                return await client.request(method, path, content=body if isinstance(body, bytes) else json.dumps(body))

        return asyncio.run(ask())

    return go


def test_lists_are_whole_by_state_and_without_digests(send):
    listed = send("GET", "/approvals?state=pending").json()["approvals"]
    assert [each["id"] for each in listed] == ["apr_2", "apr_1"]
    assert listed[0]["created_at"] == "2026-09-21T14:13:20Z"
    assert listed[0]["arguments"] == '{"n":1}'
    assert "bindings" not in listed[0]
    assert send("GET", "/approvals?state=used").json() == {"approvals": []}
    assert len(send("GET", "/approvals").json()["approvals"]) == 2
    assert [each["id"] for each in send("GET", "/approvals?limit=1").json()["approvals"]] == ["apr_2"]
    for wrong in ("state=maybe", "limit=0", "limit=1001", "limit=x", "limit=-1"):
        assert send("GET", f"/approvals?{wrong}").status_code == 400


def test_one_is_found_by_its_id(send):
    assert send("GET", "/approvals/apr_1").json()["tool"] == "pay"
    assert send("GET", "/approvals/apr_9").status_code == 404


@pytest.mark.parametrize(("scope", "seconds"), [("once", 60), ("session", 600), ("agent", 600)])
def test_an_approval_says_who_why_how_far_and_until_when(send, store, scope, seconds):
    told = send("POST", "/approvals/apr_1/approve", {"by": " Ann ", "reason": "known", "scope": scope}).json()
    assert (told["state"], told["decided_by"], told["reason"], told["scope"]) == ("approved", "Ann", "known", scope)
    found = store.find("apr_1")
    assert (found.decided_us, found.expires_us) == (NOW + 1_000_000, NOW + (1 + seconds) * 1_000_000)


def test_a_denial_is_written_down(send, store):
    assert send("POST", "/approvals/apr_1/deny", {"by": "Ann"}).json()["state"] == "denied"
    assert store.find("apr_1").decided_by == "Ann"


def test_changed_arguments_are_kept_to_the_letter(send, store):
    assert send("POST", "/approvals/apr_1/approve", b'{"by": "Ann", "arguments": {"n": 1.0e1}}').status_code == 200
    assert store.find("apr_1").edited == '{"n": 1.0e1}'


def test_what_is_decided_cannot_be_decided_again(send):
    assert send("POST", "/approvals/apr_1/deny", {"by": "Ann"}).status_code == 200
    again = send("POST", "/approvals/apr_1/approve", {"by": "Bob"})
    assert (again.status_code, again.json()["error"]["code"]) == (409, "not_pending")
    assert send("POST", "/approvals/apr_9/deny", {"by": "Ann"}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b'{"by": 1}', {"by": ""}, {"by": "  "}, {"by": "x" * 121}, {"by": "a\nb"}, {"by": "a\u202eb"},
        {"by": "a", "reason": "x" * 1001}, {"by": "a", "reason": "x\x1b[2J"}, {"by": "a", "scope": "world"}, {"by": "a", "other": 1},
        {"by": "a", "arguments": "text"}, {"by": "a", "arguments": [1]}, b'{"by": "a", "arguments": {"n": 1, "n": 2}}',
        b'{"by": "a", "arguments": {"n": 1e999}}', b'{"by": "a"} {"by": "b"}', b'{"by": "a", "by": "b"}', b"\xff",
    ],
)  # fmt: skip
def test_a_decision_that_cannot_be_read_in_one_way_decides_nothing(send, store, body):
    assert send("POST", "/approvals/apr_1/approve", body).status_code == 400
    assert store.find("apr_1").state == "pending"


@pytest.mark.parametrize("more", [{"scope": "agent"}, {"arguments": {}}])
def test_a_denial_reaches_no_further_than_the_call(send, store, more):
    assert send("POST", "/approvals/apr_1/deny", {"by": "a", **more}).status_code == 400
    assert store.find("apr_1").state == "pending"


def test_other_words_and_long_bodies_are_refused(send):
    assert send("POST", "/approvals/apr_1/perhaps", {"by": "a"}).status_code == 404
    assert send("POST", "/approvals/apr_1/deny", b" " * (MAX_BODY + 1)).status_code == 413


def test_a_store_that_cannot_be_used_is_said_to_be(send, store):
    store._db.execute("DROP TABLE approvals")
    for method, path in [("GET", "/approvals"), ("GET", "/approvals/apr_1"), ("POST", "/approvals/apr_1/deny")]:
        assert send(method, path, {"by": "a"}).status_code == 503
