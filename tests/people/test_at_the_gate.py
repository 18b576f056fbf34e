"""Agents and people with tokens of an issuer, at the data plane and at the doors of the admin plane, with the issuer there and away."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from gateway.people.passes import Passes
from gateway.web.answers import json_answer
from gateway.web.doors import Doors, Room, admin_token, person

CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "go"}]}
ANSWER = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "gpt-5-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
}  # fmt: skip


def ask(gateway, token: str | None) -> httpx.Response:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=CHAT, headers=headers)


def test_an_agent_gets_in_with_a_token_of_its_issuer_and_is_on_record_as_it_says(start, provider, signer):
    gateway = start(issuers=[signer.issuer().model_dump()])
    provider.answer = provider.json(ANSWER)
    token = signer.token(team="red")
    assert [ask(gateway, token).status_code for _ in range(3)] == [200, 200, 200]
    row = gateway.ended(3)[0].exchange
    assert (row.agent, row.team, row.user, row.key_id[:9]) == ("client-1", "red", "ada", "jwt:corp:")
    assert len(signer.asked) == 1
    assert all(token.encode() not in head for head, _ in provider.received)


def test_with_an_issuer_of_agents_nobody_gets_in_without_a_key_or_a_token(start, provider, signer):
    gateway = start(issuers=[signer.issuer().model_dump()])
    forged = [signer.token(team="red")[:-6] + "AAAAAA", signer.token("another", {"kid": "RS256 key"}, "RS256", team="red")]
    refused = [None, *forged, signer.token(), "sk-somebody"]
    assert [ask(gateway, token).status_code for token in refused] == [401] * len(refused)
    assert provider.received == []


def test_a_token_that_proves_nobody_is_refused_also_where_keys_are_optional(start, provider, signer):
    gateway = start(issuers=[signer.issuer().model_dump()], keys="optional")
    provider.answer = provider.json(ANSWER)
    assert ask(gateway, signer.token(aud="other", team="red")).status_code == 401
    assert ask(gateway, None).status_code == 200


def test_keys_work_beside_tokens(start, provider, signer):
    gateway = start(issuers=[signer.issuer().model_dump()])
    provider.answer = provider.json(ANSWER)
    assert ask(gateway, gateway.plane.gateway.keys.create(agent="bot", now_us=1)).status_code == 200


def test_while_the_issuer_was_never_reached_an_agent_is_told_to_come_again(start, provider, signer):
    gateway = start(issuers=[signer.issuer().model_dump()])
    signer.close()
    answer = ask(gateway, signer.token(team="red"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "issuer_unavailable")
    assert provider.received == []


@pytest.mark.parametrize(
    ("groups", "status"), [(["ops"], 200), (["readers"], 403), (["deciders", "readers"], 403), (["others"], 401), ([], 401)]
)
def test_a_person_of_an_issuer_has_the_rights_of_their_groups(signer, groups, status):
    async def entered(request: Request) -> Response:
        return json_answer({"who": person(request).id})

    doors = Doors([admin_token("tha_" + "x" * 40), Passes([signer.issuer()]).person])
    app = Starlette(routes=doors.routes([Room("POST", "/erase", entered, "erase")]))

    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            return await client.post("/erase", headers={"authorization": f"Bearer {signer.token(groups=groups)}"})

    assert asyncio.run(go()).status_code == status


def test_tokens_that_are_held_are_bounded_in_number(signer, monkeypatch):
    monkeypatch.setattr("gateway.people.passes.MOST_HELD", 3)
    passes = Passes([signer.issuer()])
    tokens = [signer.token(team=f"team{n}") for n in range(8)]
    assert [passes.agent(token).team for token in tokens * 2] == [f"team{n}" for n in range(8)] * 2
    assert sum(passes.at_hand(token) for token in tokens) <= 3
