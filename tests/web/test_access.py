"""Keys, people and teams over the admin plane: what is made proves what it says, each change is on record, a secret is seen once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from gateway import clock
from gateway.config import Settings
from gateway.installation import open_access_log, open_keys, open_people
from gateway.people.roles import Person
from gateway.web.access import AccessDesk
from gateway.web.doors import ADMIN, Doors, Room, admin_token

TOKEN = "tha_" + "a" * 40
ADA = Person("ada", "Ada", frozenset({"admin"}))


class House:
    """The desk behind its doors: the shared token, and Ada with one of her own."""

    def __init__(self, folder: Path, state: str | None) -> None:
        self.settings = Settings.model_validate({"data": str(folder)} | ({"state": state} if state else {}))
        self.keys, self.people = open_keys(self.settings), open_people(self.settings)
        desk = AccessDesk(self.keys, self.people, clock.now_us)
        rooms = [
            Room("GET", "/keys", desk.keys, "manage-keys"),
            Room("POST", "/keys", desk.create, "manage-keys"),
            Room("GET", "/keys/{id}", desk.key, "manage-keys"),
            Room("POST", "/keys/{id}/rotate", desk.rotate, "manage-keys"),
            Room("POST", "/keys/{id}/revoke", desk.revoke, "manage-keys"),
            Room("GET", "/people", desk.people, "manage-people"),
            Room("POST", "/people", desk.add, "manage-people"),
            Room("POST", "/people/{name}/roles", desk.roles, "manage-people"),
            Room("POST", "/people/{name}/remove", desk.remove, "manage-people"),
            Room("GET", "/teams", desk.teams, "manage-people"),
        ]
        bearers = [admin_token(TOKEN), lambda token: ADA if token == "ada" else None]
        self._app = Starlette(routes=Doors(bearers).routes(rooms))

    def ask(self, method: str, path: str, body: Any = None, token: str = "ada") -> httpx.Response:
        async def go() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://127.0.0.1") as client:
                return await client.request(method, path, json=body, headers={"authorization": f"Bearer {token}"})

        return asyncio.run(go())

    def recorded(self) -> list[tuple[str, str, str, str]]:
        rows = open_access_log(self.settings).unrecorded(100)
        return [(row.kind, row.what, row.who, row.why) for row in rows]


@pytest.fixture(params=["sqlite", "redis"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path, request.getfixturevalue("redis_server").url() if request.param == "redis" else None)


def test_a_key_is_made_rotated_and_revoked_and_each_step_is_on_record(house: House) -> None:
    wish = {"agent": "bot", "team": "red", "org": "acme", "labels": {"project": "x"}, "models": ["m*"], "store": "metadata"}
    made = house.ask("POST", "/keys", wish | {"expires_days": 2})
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = house.keys.find(made.json()["key"], clock.now_us())
    assert key is not None
    assert (key.agent, key.team, key.org, key.labels) == ("bot", "red", "acme", {"project": "x"})
    assert (key.scope.models, key.store) == (("m*",), "metadata")
    turned = house.ask("POST", f"/keys/{key.id}/rotate", {"keep_old_s": 60, "why": "monthly"}).json()
    assert turned["replaces"] == key.id
    new = house.keys.find(turned["key"], clock.now_us())
    assert new is not None
    assert (new.agent, new.org, new.line) == ("bot", "acme", key.line)
    shown = house.ask("GET", f"/keys/{new.id}").json()["key"]
    assert (shown["live_beside"], shown["state"], shown["org"]) == ([key.id], "active", "acme")
    assert house.ask("POST", f"/keys/{key.id}/revoke", {"why": "lost"}).json() == {"id": key.id, "state": "revoked"}
    assert house.keys.find(made.json()["key"], clock.now_us()) is None
    listed = house.ask("GET", "/keys")
    assert [each["state"] for each in listed.json()["keys"]] == ["revoked", "active"]
    for secret in (made.json()["key"], turned["key"]):
        assert secret.rpartition("_")[2] not in listed.text
    assert house.recorded() == [
        ("key", "created", "ada", ""), ("key", "rotated", "ada", "monthly"), ("key", "ends", "ada", "monthly"),
        ("key", "revoked", "ada", "lost"),
    ]  # fmt: skip


def test_somebody_is_added_given_other_roles_and_removed_and_each_step_is_on_record(house: House) -> None:
    made = house.ask("POST", "/people", {"person": "bob", "roles": ["viewer-metadata"], "teams": ["red"]})
    assert made.status_code == 201
    token = made.json()["token"]
    found = house.people.find(token, clock.now_us())
    assert found is not None
    assert (found.roles, found.teams) == (("viewer-metadata",), ("red",))
    changed = house.ask("POST", "/people/bob/roles", {"roles": ["approver", "viewer-metadata"]}).json()
    assert changed == {"person": "bob", "roles": ["viewer-metadata", "approver"], "teams": None}
    assert house.ask("POST", "/people", {"person": "bob", "roles": ["admin"]}).json()["error"]["code"] == "person_exists"
    assert house.ask("POST", "/people/bob/remove", {"why": "left"}).json() == {"person": "bob", "state": "removed"}
    assert house.people.find(token, clock.now_us()) is None
    listed = house.ask("GET", "/people")
    assert [(each["person"], each["state"]) for each in listed.json()["people"]] == [("bob", "removed")]
    assert token.rpartition("_")[2] not in listed.text
    assert house.recorded() == [("person", "created", "ada", ""), ("person", "roles", "ada", ""), ("person", "removed", "ada", "left")]


def test_a_team_is_there_when_a_live_key_or_somebody_names_it(house: House) -> None:
    for agent, team, org in (("bot", "red", "acme"), ("bee", "red", None), ("old", "gone", "acme")):
        made = house.ask("POST", "/keys", {"agent": agent, "team": team, "org": org}).json()
    house.ask("POST", f"/keys/{made['id']}/revoke", {})
    house.ask("POST", "/people", {"person": "bob", "roles": ["approver"], "teams": ["blue", "red"]})
    house.ask("POST", "/people", {"person": "eve", "roles": ["approver"], "teams": ["acme/*"]})
    assert house.ask("GET", "/teams").json()["teams"] == [
        {"team": "blue", "org": None, "agents": [], "keys": 0, "people": ["bob"]},
        {"team": "red", "org": None, "agents": ["bee"], "keys": 1, "people": ["bob"]},
        {"team": "acme/*", "org": "acme", "agents": ["bot"], "keys": 1, "people": ["eve"]},
        {"team": "acme/red", "org": "acme", "agents": ["bot"], "keys": 1, "people": ["eve"]},
    ]


WRONG = [
    ("/keys", {}, "agent"),
    ("/keys", {"agent": "a b"}, "'agent'"),
    ("/keys", {"agent": "a", "team": " red"}, "'team'"),
    ("/keys", {"agent": "a", "org": "x\u202ey"}, "'org'"),
    ("/keys", {"agent": "a", "org": "acme/payments"}, "'org': leave out / and *"),
    ("/keys", {"agent": "a", "team": "*"}, "'team': leave out *"),
    ("/people", {"person": "ann", "roles": ["admin"], "teams": ["*"]}, "organisation/* for all of one"),
    ("/keys", {"agent": "a", "dialects": ["smtp"]}, "'dialect'"),
    ("/keys", {"agent": "a", "models": [""]}, "'models'"),
    ("/keys", {"agent": "a", "labels": {"": "x"}}, "'labels'"),
    ("/keys", {"agent": "a", "expires_days": -1}, "'expires_days'"),
    ("/keys", {"agent": "a", "expires_days": 1e300}, "'expires_days'"),
    ("/keys", {"agent": "a", "store": "all"}, "store"),
    ("/keys", {"agent": "a", "nobody": 1}, "nobody"),
    ("/keys", {"agent": "a", "by": "bob"}, "'by' must be you"),
    ("/keys/x/rotate", {"keep_old_s": -1}, "'keep_old_s'"),
    ("/keys/x/revoke", {"why": "a\nb"}, "'why'"),
    ("/people", {"person": "admin.token", "roles": ["admin"]}, "'person'"),
    ("/people", {"person": "bob", "roles": []}, "'role'"),
    ("/people", {"person": "bob", "roles": ["root"]}, "'role'"),
    ("/people", {"person": "bob", "roles": ["admin"], "teams": [" x"]}, "'team'"),
    ("/people/bob/roles", {"roles": ["root"]}, "'role'"),
]


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_what_cannot_be_had_is_refused_with_the_field_and_changes_nothing(house: House) -> None:
    for path, body, said in WRONG:
        answer = house.ask("POST", path, body)
        assert answer.status_code == 400, (path, body, answer.text)
        assert said in answer.json()["error"]["message"], (path, body)
    for path in ("/keys/x/rotate", "/keys/x/revoke", "/people/x/remove"):
        assert house.ask("POST", path, {}).status_code == 404, path
    assert house.ask("POST", "/people/x/roles", {"roles": ["admin"]}).status_code == 404
    assert house.ask("GET", "/keys/x").status_code == 404
    assert house.recorded() == []


@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_whoever_holds_the_shared_token_says_who_they_are(house: House) -> None:
    assert ADMIN.shared
    assert house.ask("POST", "/keys", {"agent": "bot"}, token=TOKEN).status_code == 400
    assert house.ask("POST", "/keys", {"agent": "bot", "by": "Grace"}, token=TOKEN).status_code == 201
    assert house.recorded() == [("key", "created", "Grace", "")]
