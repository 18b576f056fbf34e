"""People are told of prompts and tools that nobody deployed: once for each change, signed; never of what is old or no change."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import news
from gateway.config import KeySource, Webhook
from gateway.exchange import Finding
from gateway.prompt_news import PROMPTS
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.record import Ended, ExchangeRow
from gateway.trace.segments import Segment
from gateway.webhooks import Hook, signature

AT = 1_790_000_000_000_000
MINUTE = 60 * 1_000_000
JSON = Webhook(url="https://a.example/hook", secret=KeySource(env="S"), events=["prompt"])
SLACK = Webhook(url="https://b.example/hook", format="slack", events=["pending", "prompt"])
OTHER = Webhook(url="https://c.example/hook", format="slack", events=["budget"])
TOOL = Finding("pins", "tool_changed", "error", "tools.pay", "the declaration is not the approved one: 9f31", "refused")
TEMPLATE = Finding("prompts", "template_changed", "warn", "prompt", "the agent '<!channel>' comes with a template")
VARIES = Finding("prompts", "template_varies", "info", "prompt", "what it brings varies")
KEPT = Finding("prompts", "not_committed", "warn", "prompt.support", "is not what is committed")


class Scene:
    def __init__(self, folder: Path) -> None:
        self.ledger, self.now, self.answers = Ledger(folder / "ledger.duckdb"), AT, [200]
        self.got: list[httpx.Request] = []
        self.hooks = [Hook(str(each.url), b"secret" if each.secret else b"", each) for each in (JSON, SLACK, OTHER)]
        self._count = 0

    def exchange(self, *found: Finding, ago_us: int = MINUTE, agent: str = "bot") -> str:
        self._count += 1
        name = str(uuid.UUID(int=((AT - ago_us) // 1000) << 80 | 7 << 76 | 2 << 62 | self._count))
        row = ExchangeRow(name, AT - ago_us, "openai.chat", "openai", "chat", "/v1", agent, team="red", state="complete")
        batch = Batch(Segment("1" * 32, 0, "2" * 32, 0), [(self._count * 100, Ended(row, (), found))], self._count * 100 + 100, b"h" * 32)
        self.ledger.apply([batch])
        return name

    def receive(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return httpx.Response(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def rounds(self, count: int = 1, step_us: int = 1_000_000) -> list[httpx.Request]:
        async def go() -> None:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self.receive)) as client:
                told = news.News(PROMPTS, self.ledger.fetch, self.hooks, client, lambda: self.now)
                for _ in range(count):
                    await told.round()
                    self.now += step_us

        asyncio.run(go())
        return self.got


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    made = Scene(tmp_path)
    yield made
    made.ledger.close()


def bodies(scene: Scene, host: str) -> list[dict[str, Any]]:
    return [json.loads(request.content) for request in scene.got if request.url.host == host]


def test_each_change_is_told_once_with_where_it_was_first_seen(scene: Scene) -> None:
    first = scene.exchange(TOOL, ago_us=5 * MINUTE)
    for _ in range(3):
        scene.exchange(TOOL, VARIES)
    scene.exchange(KEPT)
    scene.rounds(3)
    told = {each["change"]["code"]: each["change"] for each in bodies(scene, "a.example")}
    assert len(bodies(scene, "a.example")) == len(told) == 2
    assert (told["tool_changed"]["exchange_id"], told["tool_changed"]["exchanges"], told["tool_changed"]["action"]) == (first, 4, "refused")
    assert (told["not_committed"]["path"], told["not_committed"]["team"]) == ("prompt.support", "red")
    assert {each["event"] for each in bodies(scene, "a.example")} == {"prompt.changed"}
    assert not bodies(scene, "c.example")
    one = scene.got[0]
    if one.url.host == "a.example":
        assert one.headers["x-tollhouse-signature"] == signature(b"secret", AT // 1_000_000, one.content)["x-tollhouse-signature"]


def test_what_goes_on_is_the_same_delivery_after_a_restart_and_that_of_another_agent_is_not(scene: Scene) -> None:
    scene.hooks = scene.hooks[:1]
    scene.exchange(TOOL, ago_us=5 * MINUTE)
    scene.rounds()
    scene.exchange(TOOL, ago_us=0)
    first, again = scene.rounds(2)
    assert first.headers["x-tollhouse-delivery"] == again.headers["x-tollhouse-delivery"]
    scene.got.clear()
    scene.exchange(TOOL, agent="other")
    deliveries = {request.headers["x-tollhouse-delivery"] for request in scene.rounds()}
    assert len(deliveries) == 2
    assert first.headers["x-tollhouse-delivery"] in deliveries


def test_names_that_callers_chose_are_plain_text_for_slack(scene: Scene) -> None:
    scene.exchange(TEMPLATE)
    scene.exchange(TOOL)
    scene.rounds()
    texts = [each["text"] for each in bodies(scene, "b.example")]
    assert sorted(texts) == ["A tool is not as it was approved, and was refused", "An agent's prompt changed and nobody deployed it"]
    assert {each["blocks"][0]["text"]["type"] for each in bodies(scene, "b.example")} == {"plain_text"}


def test_what_is_old_is_no_news(scene: Scene) -> None:
    scene.exchange(TOOL, ago_us=61 * MINUTE)
    assert scene.rounds() == []
