"""A prompt that nobody deployed is a finding on the record of the exchange that first had it, also where other workers share the store."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from gateway.clock import now_us
from gateway.errors import GatewayError
from gateway.installation import open_keys, open_prompts
from gateway.prompt.library import Move
from gateway.prompt.pins import FILE
from gateway.state.prompts import MOST_MET

CHAT = {"id": "a", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}]}  # fmt: skip
PROMPT = "---\nmodel: m\n---\n"


class House:
    """Gateways that share a data folder, as workers do, and a folder of prompts in a repository."""

    def __init__(self, start, provider, folder, count=1, state="sqlite") -> None:
        provider.answer = provider.json(CHAT)
        self.folder = folder / "prompts"
        self.folder.mkdir()
        self.put("Be kind.")
        git(self.folder, "init", "-q")
        self.commit()
        self.begin = lambda: start(None, data=str(folder / "data"), prompts=str(self.folder), state=state)
        self.workers = [self.begin() for _ in range(count)]
        self.key = open_keys(self.workers[0].settings).create(agent="coder", now_us=now_us())

    def put(self, text: str) -> None:
        (self.folder / "support.md").write_text(PROMPT + text)

    def commit(self) -> None:
        git(self.folder, "add", ".")
        git(self.folder, "-c", "user.name=ann", "-c", "user.email=ann@example.com", "commit", "-qm", "x")

    def ask(self, system: str = "", *, at: int = 0, key: str | None = "", **named) -> None:
        said = [{"role": "system", "content": system}] if system else []
        body = {"messages": [*said, {"role": "user", "content": "hi"}], **({"prompt": named} if named else {"model": "m"})}
        headers = {"authorization": f"Bearer {key or self.key}"} if key is not None else {}
        with self.workers[at].client(headers=headers) as client:
            answer = client.post("/v1/chat/completions", json=body)
        assert answer.status_code == 200, answer.text

    def findings(self, count: int) -> list[tuple[str, str]]:
        """Of all exchanges by now; the journal is one for all."""
        ended = self.workers[0].ended(count)
        return [(each.code, each.severity) for one in ended for each in one.findings if each.validator == "prompts"]


def git(folder, *command: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    subprocess.run(("git", *command), cwd=folder, check=True, env=environment)


@pytest.fixture(params=["sqlite", "redis"])
def house(request, start, provider, tmp_path):
    state = "sqlite" if request.param == "sqlite" else request.getfixturevalue("redis_server").url()
    return lambda count=1: House(start, provider, tmp_path, count, state)


CHANGED = ("template_changed", "warn")


def test_another_template_is_told_once_whichever_worker_sees_it(house):
    house = house(2)
    house.ask("Be kind. Today is 2026-11-21.")
    house.ask("Be kind. Today is 2026-11-22.", at=1)
    assert house.findings(2) == []
    for at in (0, 1, 0):
        house.ask("Be blunt.", at=at)
    house.ask("Be kind. Today is 2026-11-23.", at=1)
    assert house.findings(6) == [CHANGED]


def test_an_agents_own_prompt_after_a_kept_one_is_a_change_and_the_kept_one_is_none(house):
    house = house()
    for name in ("support", "support"):
        house.ask(name=name)
    assert house.findings(2) == []
    house.ask("Be blunt.")
    assert house.findings(3) == [CHANGED]


def test_an_approved_template_is_deployed_and_nobody_in_particular_has_no_before(house):
    house = house()
    house.ask("Be kind.")
    house.ask("Be blunt.")
    [row] = [each for each in house.workers[0].ended(2) if each.findings]
    pins = {"agents": {"other": {"on_change": "finding", "templates": [row.exchange.template_hash]}}}
    (house.folder / FILE).write_text(json.dumps(pins))
    house.workers.append(house.begin())
    other = open_keys(house.workers[0].settings).create(agent="other", now_us=now_us())
    house.ask("Be kind.", at=1, key=other)
    house.ask("Be blunt.", at=1, key=other)
    assert house.findings(4) == [CHANGED]


def test_a_kept_prompt_that_nobody_committed_is_told_until_a_label_is_moved_to_it(house):
    house = house()
    house.put("Be blunt.")
    house.workers.append(house.begin())
    for _ in range(2):
        house.ask(at=1, name="support")
    assert house.findings(2) == [("not_committed", "warn")]
    house.put("Be quick.")
    house.workers.append(house.begin())
    prompts = open_prompts(house.workers[0].settings)
    version = house.workers[2].plane.gateway.prompts.heads["support"].version
    prompts.move("support", "production", Move(version), {})
    house.workers.append(house.begin())
    house.ask(at=3, name="support")
    assert house.findings(3) == [("not_committed", "warn")]


def test_an_agent_whose_prompts_vary_is_told_of_once_more_and_then_no_more(house):
    house = house()
    prompts = open_prompts(house.workers[0].settings)
    for number in range(MOST_MET - 1):
        prompts.met("agent:coder", f"{number:064}", now_us())
    for word in ("one", "two", "three"):
        house.ask(f"Say {word}.")
    assert house.findings(3) == [("template_varies", "info")]


def test_a_store_that_cannot_be_asked_keeps_no_request_waiting(house, monkeypatch):
    house = house()
    house.ask("Be kind.")
    prompts = house.workers[0].plane.gateway.prompt_store
    met = prompts.met

    def down(*_):
        raise GatewayError("unavailable", "state_unavailable", "The state store cannot be used.")

    monkeypatch.setattr(prompts, "met", down)
    house.ask("Be blunt.")
    assert house.findings(2) == []
    monkeypatch.setattr(prompts, "met", met)
    house.ask("Be blunt.")
    assert house.findings(3) == [CHANGED]
