"""Keys and people of a running gateway of two workers: let in, bound, put out, and all of it on record."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from gateway import clock
from gateway.config import Settings
from gateway.demo.stage import RunningGateway, settings_for
from gateway.installation import open_keys, open_people
from gateway.rehearsal import RunningRehearsal
from gateway.scope import KeyScope

SCRIPT = """rehearsal: 1
scenes:
- {turns: [{text: done, usage: {input: 100, output: 100}}]}
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory) -> Iterator[RunningGateway]:
    folder = tmp_path_factory.mktemp("keys")
    with RunningRehearsal(SCRIPT) as provider, RunningGateway(folder, settings_for(provider.base_url, workers=2)) as running:
        yield running


def made(gateway: RunningGateway, *arguments: str) -> dict:
    return json.loads(gateway.tollhouse(*arguments, "--json"))


def ask(gateway: RunningGateway, key: str, model: str = "m") -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 100}
    with httpx.Client(timeout=60, trust_env=False) as client:  # a connection of its own: the kernel spreads them over the workers
        return client.post(f"{gateway.base_url}/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}).status_code


def person(gateway: RunningGateway, token: str) -> httpx.Client:
    return httpx.Client(base_url=gateway.admin, headers={"authorization": f"Bearer {token}"}, timeout=60, trust_env=False)


def test_a_key_is_rotated_and_revoked_in_all_workers_within_a_second_and_that_is_on_record(gateway):
    keys = open_keys(Settings(data=str(gateway.data)))
    token = keys.create(agent="bot", now_us=clock.now_us(), scope=KeyScope(models=("m*",)), by="ada")
    old = {"key": token, "id": token.split("_")[1]}
    assert {ask(gateway, old["key"]) for _ in range(8)} == {200}
    assert ask(gateway, old["key"], "other") == 400
    new = made(gateway, "keys", "rotate", old["id"], "--keep-old", "1h", "--why", "yearly")
    assert {ask(gateway, key) for key in (old["key"], new["key"]) for _ in range(4)} == {200}
    keys.revoke(old["id"], clock.now_us(), by="ada", why="leaked")
    time.sleep(1.0)
    assert {ask(gateway, old["key"]) for _ in range(12)} == {401}
    assert ask(gateway, new["key"]) == 200
    rows = gateway.awaited(f"SELECT what, why, who FROM access_changes WHERE family = '{old['id']}'", 4)
    assert sorted((row["what"], row["why"]) for row in rows) == [
        ("created", ""), ("ends", "yearly"), ("revoked", "leaked"), ("rotated", "yearly"),
    ]  # fmt: skip
    assert all(row["who"] for row in rows)


def test_people_do_and_see_what_their_roles_and_teams_let_them_until_they_are_removed(gateway):
    stored, people = open_keys(Settings(data=str(gateway.data))), open_people(Settings(data=str(gateway.data)))
    keys = {team: stored.create(agent=f"{team}-bot", now_us=clock.now_us(), team=team) for team in ("red", "blue")}
    assert {ask(gateway, key) for key in keys.values()} == {200}
    rows = gateway.awaited("SELECT id, team FROM exchanges WHERE team IN ('red', 'blue') AND state = 'complete'", 2)
    exchange = {row["team"]: row["id"] for row in rows}
    token = made(gateway, "people", "add", "ada", "--role", "viewer-content", "--team", "red")["token"]
    with person(gateway, token) as ada:
        found = ada.post("/sql", json={"sql": "SELECT DISTINCT team FROM exchanges"}).json()["rows"]
        assert found == [["red"]]
        assert ada.get(f"/exchanges/{exchange['red']}").status_code == 200
        foreign, missing = ada.get(f"/exchanges/{exchange['blue']}"), ada.get("/exchanges/00000000-0000-7000-8000-000000000000")
        assert (foreign.status_code, foreign.text) == (404, missing.text)
        assert [ada.get(path).status_code for path in ("/budgets", "/export/messages")] == [403, 403]
        assert ada.post("/erase", json={"tenant": "team:blue"}).status_code == 403
        people.change("ada", ("viewer-metadata",), None, clock.now_us())
        assert ada.get(f"/exchanges/{exchange['red']}").status_code == 403
        people.remove("ada", clock.now_us(), why="left")
        assert ada.get("/queries").status_code == 401
    (row,) = gateway.awaited("SELECT who, subject FROM content_reads WHERE who = 'ada'", 1)
    assert row["subject"] == exchange["red"]
    (row,) = gateway.awaited("SELECT person FROM people WHERE removed_at IS NOT NULL", 1)
    assert row["person"] == "ada"
    gateway.awaited("SELECT sql FROM questions WHERE who = 'ada'", 1)
