"""Every route of the admin plane × every role, against a table; and what doors do with credentials that have no one meaning."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import Response

from gateway import shipped
from gateway.approval_settings import Approvals
from gateway.config import Settings
from gateway.errors import GatewayError
from gateway.face.door import form_token
from gateway.face.page import House
from gateway.face.pages import DEEDS, PAGES
from gateway.face.rooms import Rooms
from gateway.moving_labels import Labels
from gateway.people.roles import ROLES, Person, Right
from gateway.privacy import rooms
from gateway.rollout.ruling import Rulings
from gateway.state.sqlite_approvals import SqliteApprovals
from gateway.web import admin, queries
from gateway.web.answers import json_answer
from gateway.web.approvals import ApprovalsDesk
from gateway.web.doors import ADMIN, Doors, Room, admin_token, person, said_by

NEEDS: dict[tuple[str, str], Right] = {
    ("GET", "/livez"): "public",
    ("GET", "/readyz"): "public",
    ("POST", "/sql"): "ask-sql",
    ("POST", "/snapshots"): "copy-book",
    ("GET", "/views"): "see-metadata",
    ("GET", "/tail"): "see-content",
    ("GET", "/queries"): "see-metadata",
    ("GET", "/queries/{name}"): "see-metadata",
    ("GET", "/approvals"): "see-approvals",
    ("GET", "/approvals/{id}"): "see-approvals",
    ("POST", "/approvals/{id}/{ruling}"): "decide-approvals",
    ("GET", "/keys"): "manage-keys",
    ("POST", "/keys"): "manage-keys",
    ("GET", "/keys/{id}"): "manage-keys",
    ("POST", "/keys/{id}/rotate"): "manage-keys",
    ("POST", "/keys/{id}/revoke"): "manage-keys",
    ("GET", "/people"): "manage-people",
    ("POST", "/people"): "manage-people",
    ("POST", "/people/{name}/roles"): "manage-people",
    ("POST", "/people/{name}/remove"): "manage-people",
    ("GET", "/teams"): "manage-people",
    ("POST", "/prompts/{name}/labels"): "edit-prompts",
    ("POST", "/experiments/{name}/halt"): "edit-prompts",
    ("POST", "/experiments/{name}/promote"): "edit-prompts",
    ("GET", "/exchanges/{id}"): "see-content",
    ("GET", "/export/{what}"): "export",
    ("POST", "/dataset"): "export",
    ("GET", "/budgets"): "see-metadata",
    ("GET", "/budgets/{id}"): "see-metadata",
    ("POST", "/budgets/{id}/reset"): "manage-costs",
    ("POST", "/erase"): "erase",
    ("POST", "/reprice"): "manage-costs",
    ("GET", "/feedback"): "see-content",
    ("POST", "/feedback"): "give-feedback",
    ("POST", "/feedback/own"): "speak-for-agents",
}
"""A route that is added is added here, with its right."""
BETWEEN_PROCESSES = {("POST", "/feedback/own")}
"""Asked by workers, not by people."""
PAGES_NEED: dict[str, Right] = {
    "/overview": "see-metadata",
    "/traces": "see-metadata",
    "/exchange/{subject}": "see-metadata",
    "/sessions": "see-metadata",
    "/sessions/{subject:path}": "see-metadata",
    "/agents": "see-metadata",
    "/agents/{subject:path}": "see-metadata",
    "/violations": "see-metadata",
    "/cost": "see-metadata",
    "/approvals": "see-approvals",
    "/policies": "see-metadata",
    "/policies/{subject:path}": "see-metadata",
    "/prompts": "see-metadata",
    "/prompts/compare": "see-metadata",
    "/prompts/drift": "see-metadata",
    "/experiments": "see-metadata",
    "/experiments/{subject}": "see-metadata",
    "/sql": "see-metadata",
    "/status": "see-metadata",
    "/people": "manage-people",
    "/account": "see-metadata",
}
"""A page that is added is added here, with its right. What on it takes more (texts, questions of one's own), its own tests say."""
DEEDS_NEED: dict[str, Right] = {
    "/sessions/resume": "manage-sessions",
    "/agents/switch": "manage-sessions",
    "/approvals/{subject}": "decide-approvals",
    "/experiments/{subject}/halt": "edit-prompts",
    "/experiments/{subject}/promote": "edit-prompts",
    "/account/password": "see-metadata",
    "/account/token": "see-metadata",
    "/account/token/end": "see-metadata",
    "/people/roles": "manage-people",
    "/account/end": "see-metadata",
    "/people/end": "manage-people",
    "/people/remove": "manage-people",
    "/people/invite": "manage-people",
}
"""A form that does something, likewise."""
NARROWS = {
    "/overview", "/traces", "/exchange/{subject}", "/sessions", "/sessions/{subject:path}", "/agents", "/agents/{subject:path}",
    "/violations", "/cost", "/approvals", "/sql", "/account", "/sessions/resume", "/approvals/{subject}", "/account/password",
    "/account/token", "/account/token/end", "/account/end",
}  # fmt: skip
"""What people who are bound to teams may enter: it shows no more than is theirs (`face/test_teams.py` walks over them)."""
ABOUT_EVERYBODY = {
    "/policies", "/policies/{subject:path}", "/prompts", "/prompts/compare", "/prompts/drift", "/experiments", "/experiments/{subject}",
    "/status", "/people", "/agents/switch", "/experiments/{subject}/halt", "/experiments/{subject}/promote", "/people/roles",
    "/people/end", "/people/remove", "/people/invite",
}  # fmt: skip
"""What is closed to them. A page or form that is added is in one of the two."""
ADMIN_TOKEN = "tha_" + "a" * 40


async def entered(request: Any) -> Response:
    return json_answer({"who": person(request).id})


async def unbarred(request: Any) -> Response:
    return json_answer({"who": None})


class Unasked:
    """A book to which no question comes through a closed door."""

    def fetch(self, *_: Any) -> Any:
        raise AssertionError("the book was asked")

    arrow = write = __call__ = fetch

    def of(self, teams: Any) -> Unasked:
        return self


@pytest.fixture
def registered(tmp_path: Path) -> Iterator[list[Room]]:
    """What a gateway registers, as it is registered; a book is not asked."""
    approvals = SqliteApprovals(tmp_path / "state.sqlite")
    people = ApprovalsDesk(approvals, Approvals(), lambda: 1)
    labels = Labels(None, tmp_path, None, Unasked().write, lambda: 1, lambda: "id")
    rulings = Rulings(None, labels, Unasked().write, lambda: 1, lambda: "id")
    yield [*admin.own_rooms(None, people, None), *rooms(Settings(), tmp_path, Unasked(), approvals, labels, rulings)]  # type: ignore[arg-type]
    approvals.close()


def ask(found: list[Room], method: str, path: str, headers: list[tuple[str, str]], doors: Doors | None = None) -> httpx.Response:
    """To these doors, with nothing but who came in behind them."""
    behind = [room._replace(endpoint=unbarred if room.right == "public" else entered) for room in found]
    app = Starlette(routes=(doors or Doors([admin_token(ADMIN_TOKEN), of_role])).routes(behind))

    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.request(method, re.sub(r"\{\w+\}", "x", path), headers=headers)

    return asyncio.run(go())


def of_role(token: str) -> Person | None:
    """`role` or `role@team` as a token."""
    role, at, team = token.partition("@")
    return Person(f"of {role}", role, frozenset({role}), frozenset({team}) if at else None) if role in ROLES else None  # type: ignore[arg-type]


def test_the_readme_tells_of_every_route():
    text = (Path(__file__).parents[2] / "traces" / "README.md").read_text()
    table = text.partition("## The admin plane")[2].partition("\n## ")[0]
    told = [cell for line in table.splitlines() if line.startswith("| `") for cell in re.findall(r"`([^`]*)`", line.partition(" | ")[0])]
    paths = {re.sub(r"\{[^}]*\}", "{}", each.removeprefix("GET ").removeprefix("POST ").partition("?")[0]) for each in told}
    known = {re.sub(r"\{[^}]*\}", "{}", path) for _, path in NEEDS.keys() - BETWEEN_PROCESSES}
    written_out = {"/approvals/{}/approve", "/approvals/{}/deny", "/promote", "/metrics"}
    assert paths - written_out == known - {"/approvals/{}/{}", "/experiments/{}/promote"}


def test_every_route_needs_the_right_in_the_table(registered: list[Room]) -> None:
    assert {(room.method, room.path): room.right for room in registered} == NEEDS


@pytest.mark.parametrize("role", ROLES)
def test_every_route_opens_to_the_roles_that_hold_its_right_and_to_no_other(registered: list[Room], role: str) -> None:
    for room in registered:
        answer = ask(registered, room.method, room.path, [("authorization", f"Bearer {role}")])
        opens = Person("p", "P", frozenset({role})).may(NEEDS[room.method, room.path])  # type: ignore[arg-type]
        assert answer.status_code == (200 if opens else 403), room.path
        if not opens:
            assert (answer.json()["error"]["code"], NEEDS[room.method, room.path] in answer.text) == ("forbidden", True)


def test_every_route_but_the_health_answers_is_closed_to_whoever_is_unknown(registered: list[Room]) -> None:
    for room in registered:
        for headers in ([], [("authorization", "Bearer nobody")], [("cookie", f"token={ADMIN_TOKEN}")], [("x-api-key", ADMIN_TOKEN)]):
            assert ask(registered, room.method, room.path, headers).status_code == (200 if room.right == "public" else 401), room.path


def test_every_route_that_does_not_narrow_to_teams_is_closed_to_people_who_are_bound_to_them(registered: list[Room]) -> None:
    for room in registered:
        answer = ask(registered, room.method, room.path, [("authorization", "Bearer admin@red")])
        assert answer.status_code == (200 if room.right == "public" or room.narrows else 403), room.path


def test_the_token_of_the_data_folder_is_an_admin(registered: list[Room]) -> None:
    for room in registered:
        answer = ask(registered, room.method, room.path, [("authorization", f"bearer  {ADMIN_TOKEN} ")])
        assert (answer.status_code, answer.json()["who"]) == (200, None if room.right == "public" else ADMIN.id)


@pytest.mark.parametrize("right", ["", "root", None, "see", "PUBLIC"])
def test_a_route_without_a_right_cannot_be_registered(right: Any) -> None:
    with pytest.raises(ValueError, match="/anything names no right"):
        Doors([]).routes([Room("GET", "/anything", entered, right)])
    with pytest.raises(TypeError):
        Room("GET", "/anything", entered)  # type: ignore[call-arg]


def test_a_route_cannot_be_registered_twice() -> None:
    with pytest.raises(ValueError, match="GET /one is registered twice"):
        Doors([]).routes([Room("GET", "/one", entered, "erase"), Room("GET", "/one", entered, "public")])


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer admin"), ("authorization", "Bearer admin")],
        [("authorization", "Bearer admin"), ("Authorization", "Bearer viewer-metadata")],
        [("authorization", "Bearer admin, Bearer viewer-metadata")],
        [("authorization", "Basic YWRtaW46")],
        [("authorization", "admin")],
        [("authorization", "Bearer")],
        [("authorization", "Bearer\tadmin")],
        [("authorization", "Bearer admin\x0b")],
        [("authorization", "Bearer Admin")],
        [("authorization", "Bearer%20admin")],
        [("authorization", "Bearer ' OR 1=1--")],
        [("authorization", "Bearer " + "x" * 100_000)],
        [("proxy-authorization", "Bearer admin")],
        [("x-authorization", "Bearer admin")],
        [("x-forwarded-user", "admin"), ("x-role", "admin"), ("x-remote-user", "admin")],
        [("cookie", "authorization=Bearer admin; role=admin")],
    ],
)
def test_what_is_no_token_sent_once_in_its_place_proves_nobody(headers: list[tuple[str, str]]) -> None:
    answer = ask([Room("GET", "/one", entered, "see-metadata")], "GET", "/one", headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")


def test_a_token_in_the_address_proves_nobody() -> None:
    for name in ("token", "access_token", "authorization", "key"):
        assert ask([Room("GET", "/one", entered, "see-metadata")], "GET", f"/one?{name}=admin", []).status_code == 401


def test_a_session_is_asked_only_where_no_authorization_is_sent() -> None:
    async def everybody(request: Any) -> Person:
        return Person("ada", "Ada", frozenset({"admin"}))

    found = [Room("GET", "/one", entered, "erase")]
    doors = Doors([of_role], [everybody])
    assert ask(found, "GET", "/one", [], doors).json() == {"who": "ada"}
    assert ask(found, "GET", "/one", [("authorization", "")], doors).status_code == 401
    assert ask(found, "GET", "/one", [("authorization", "Bearer nobody")], doors).status_code == 401
    assert ask(found, "GET", "/one", [("authorization", "Bearer viewer-content")], doors).status_code == 403


def test_what_cannot_be_told_closes_the_door() -> None:
    def down(token: str) -> Person | None:
        raise GatewayError("unavailable", "state_unavailable", "The store cannot be read. Try again shortly.")

    answer = ask([Room("GET", "/one", entered, "see-metadata")], "GET", "/one", [("authorization", "Bearer x")], Doors([down, of_role]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "state_unavailable")


def test_who_acts_is_the_person_and_with_a_shared_credential_what_they_say() -> None:
    async def by(request: Any) -> Response:
        return json_answer({"by": said_by(request, request.query_params.get("by", ""))})

    def says(token: str, said: str) -> str:
        app = Starlette(routes=Doors([admin_token(ADMIN_TOKEN), of_role]).routes([Room("GET", "/one", by, "see-metadata")]))

        async def go() -> str:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
                return (await client.get("/one", params={"by": said}, headers={"authorization": f"Bearer {token}"})).json()["by"]

        return asyncio.run(go())

    assert says(ADMIN_TOKEN, "Ada") == "Ada"
    assert says("approver", "") == says("approver", "approver") == says("approver", " of approver ") == "of approver"
    with pytest.raises(ValueError, match="'by' must be you"):
        says("approver", "Ada")
    with pytest.raises(ValueError, match="'by' must be who you are"):
        says(ADMIN_TOKEN, " ")


class Signed:
    """Whoever says a role in the cookie of a session has it; `role@team` is bound to the team."""

    def whose(self, token: str, now_us: int) -> tuple[Person, str] | None:
        who = of_role(token)
        return None if who is None else (who, token)


def enter(method: str, path: str, role: str) -> int:
    """What a page or a form of the face answers to this role, without what is behind it."""

    async def shown(*_: Any) -> dict[str, Any]:
        return {}

    async def done(*_: Any) -> str:
        return "/ui/account"

    unasked: Any = Unasked()
    house = House(
        fetch=unasked, status=unasked, subscribe=unasked, write=unasked, reader=unasked, approvals=unasked, sessions=unasked,
        limits=unasked, accounts=Signed(),  # type: ignore[arg-type]
        settings=Settings(), question=unasked, views=unasked, now_us=lambda: 1, new_id=lambda: "id",
    )  # fmt: skip
    behind = [dataclasses.replace(page, data=shown, rows="", text="", live=None) for page in PAGES]
    app = Starlette(routes=Rooms(house, behind, [dataclasses.replace(deed, do=done) for deed in DEEDS]).routes())
    headers = {"cookie": f"tollhouse-session={role}", "sec-fetch-site": "same-origin"}

    async def go() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            fields = {"csrf": form_token(role)} if method == "POST" else None
            return (await client.request(method, re.sub(r"\{[^}]+\}", "x", path), headers=headers, data=fields)).status_code

    return asyncio.run(go())


def test_every_page_and_form_of_the_face_needs_the_right_in_the_table() -> None:
    assert {page.path: page.right for page in PAGES} == PAGES_NEED
    assert {deed.path: deed.right for deed in DEEDS} == DEEDS_NEED
    assert {each.path for each in (*PAGES, *DEEDS) if each.narrows} == NARROWS
    assert {each.path for each in (*PAGES, *DEEDS) if not each.narrows} == ABOUT_EVERYBODY


@pytest.mark.parametrize("role", ROLES)
def test_every_page_and_form_opens_to_the_roles_that_hold_its_right_and_to_no_other(role: str) -> None:
    who = Person("p", "P", frozenset({role}))  # type: ignore[arg-type]
    for path, right in PAGES_NEED.items():
        assert enter("GET", f"/ui{path}.json", role) == (200 if who.may(right) else 403), path
        assert enter("GET", f"/ui{path}.json", f"{role}@red") == (200 if path in NARROWS and who.may(right) else 403), path
    for path, right in DEEDS_NEED.items():
        assert enter("POST", f"/ui{path}", role) == (303 if who.may(right) else 403), path
        assert enter("POST", f"/ui{path}", f"{role}@red") == (303 if path in NARROWS and who.may(right) else 403), path


def test_no_page_and_no_form_opens_to_whoever_is_unknown() -> None:
    assert {enter("GET", f"/ui{path}.json", "nobody") for path in PAGES_NEED} == {401}
    assert {enter("POST", f"/ui{path}", "nobody") for path in DEEDS_NEED} == {401}


CONTENT = re.compile(r"\b(arguments|body|input_preview|output_preview|error_message|comment|edited|variables|system)\b")
REASON = re.compile(r"\breason\b.*\bFROM calls\b", re.DOTALL)


def test_a_shipped_question_that_shows_what_was_said_says_so() -> None:
    found = queries.read_all()
    assert len(found) >= 25
    for query in found.values():
        code = re.sub(r"--.*", "", (shipped.folder("traces") / "queries" / f"{query.name}.sql").read_text())
        assert query.content == bool(CONTENT.search(code) or REASON.search(code)), query.name
