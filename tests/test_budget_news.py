"""People are told of a budget that is used up: once, signed, tried again; never of what is old or what they did not ask for."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway import news
from gateway.budget_news import BUDGETS
from gateway.config import KeySource, Webhook
from gateway.exchange import Finding
from gateway.news import News
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.record import Ended, ExchangeRow
from gateway.trace.segments import Segment
from gateway.webhooks import Hook, signature

AT = 1_790_000_000_000_000
MINUTE = 60 * 1_000_000
JSON = Webhook(url="https://a.example/hook", secret=KeySource(env="S"), events=["pending", "budget"])
SLACK = Webhook(url="https://b.example/hook", format="slack", events=["budget"])
OTHER = Webhook(url="https://c.example/hook", format="slack", events=["pending"])


class Scene:
    def __init__(self, folder: Path) -> None:
        self.ledger, self.now, self.answers = Ledger(folder / "ledger.duckdb"), AT, [200]
        self.got: list[httpx.Request] = []
        self.hooks = [Hook(str(each.url), b"secret" if each.secret else b"", each) for each in (JSON, SLACK, OTHER)]
        self._count = 0

    def exchange(self, code: str = "soft_limit_reached", ago_us: int = MINUTE) -> str:
        self._count += 1
        name = str(uuid.UUID(int=((AT - ago_us) // 1000) << 80 | 7 << 76 | 2 << 62 | self._count))
        found = (Finding("budget", code, "warn", "team-day", "money per team: <!channel> allows $1.00"),)
        row = ExchangeRow(name, AT - ago_us, "openai.chat", "openai", "chat", "/v1", "bot", team="red", state="complete")
        batch = Batch(Segment("1" * 32, 0, "2" * 32, 0), [(self._count * 100, Ended(row, (), found))], self._count * 100 + 100, b"h" * 32)
        self.ledger.apply([batch])
        return name

    def receive(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        return httpx.Response(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def rounds(self, count: int = 1, step_us: int = 1_000_000) -> list[httpx.Request]:
        async def go() -> None:
            async with httpx.AsyncClient(transport=httpx.MockTransport(self.receive)) as client:
                told = News(BUDGETS, self.ledger.fetch, self.hooks, client, lambda: self.now)
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


def test_whoever_wants_to_know_is_told_once(scene: Scene) -> None:
    name = scene.exchange()
    got = scene.rounds(3)
    assert sorted(request.url.host for request in got) == ["a.example", "b.example"]
    plain = next(request for request in got if request.url.host == "a.example")
    body = json.loads(plain.content)
    assert (body["event"], body["budget"]["budget"], body["budget"]["team"], body["budget"]["exchange_id"]) == (
        "budget.used_up", "team-day", "red", name,
    )  # fmt: skip
    assert plain.headers["x-tollhouse-delivery"] == f"budget:team-day:{name}"
    signed = signature(b"secret", AT // 1_000_000, plain.content)
    assert plain.headers["x-tollhouse-signature"] == signed["x-tollhouse-signature"]


def test_names_that_callers_chose_are_plain_text_for_slack(scene: Scene) -> None:
    scene.exchange()
    slack = next(request for request in scene.rounds() if request.url.host == "b.example")
    told = json.loads(slack.content)
    assert told["blocks"][0]["text"]["type"] == "plain_text"
    assert "<!channel>" not in told["text"]


def test_what_is_old_or_was_said_before_in_the_window_is_no_news(scene: Scene) -> None:
    scene.exchange(ago_us=61 * MINUTE)
    scene.exchange(code="soft_limit")
    assert scene.rounds() == []


def test_a_receiver_that_is_down_is_tried_again_and_then_given_up(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.hooks = scene.hooks[:1]
    scene.exchange()
    scene.answers = [503, 503, 200]
    assert len(scene.rounds(12, 10_000_000)) == 3
    scene.got.clear()
    scene.exchange(ago_us=0)
    scene.answers = [404]
    assert len(scene.rounds(5)) == 2  # the first one again: a new start knows of nothing
    assert "was not told: Budget team-day is used up: it answered 404" in caplog.text


def test_where_nobody_wants_to_know_nothing_is_asked(scene: Scene) -> None:
    def fetch(*_: Any) -> Any:
        raise AssertionError("the ledger was asked")

    asyncio.run(news.tell((BUDGETS,), fetch, scene.hooks[2:], lambda: AT))
