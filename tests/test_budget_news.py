"""People are told of a budget that is used up: once, signed, tried again; never of what is old or what they did not ask for."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway import news
from gateway.budget_news import BUDGETS
from gateway.key_source import KeySource
from gateway.verdict import Finding
from gateway.webhook_settings import Webhook
from gateway.webhooks import signature
from tests.news_scene import AT, MINUTE, NewsScene

JSON = Webhook(url="https://a.example/hook", secret=KeySource(env="S"), events=["pending", "budget"])
SLACK = Webhook(url="https://b.example/hook", format="slack", events=["budget"])
OTHER = Webhook(url="https://c.example/hook", format="slack", events=["pending"])


class Scene(NewsScene):
    def used_up(self, code: str = "soft_limit_reached", ago_us: int = MINUTE) -> str:
        return self.exchange(Finding("budget", code, "warn", "team-day", "money per team: <!channel> allows $1.00"), ago_us=ago_us)


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    made = Scene(tmp_path, BUDGETS, (JSON, SLACK, OTHER))
    yield made
    made.ledger.close()


def test_whoever_wants_to_know_is_told_once(scene: Scene) -> None:
    name = scene.used_up()
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
    scene.used_up()
    slack = next(request for request in scene.rounds() if request.url.host == "b.example")
    told = json.loads(slack.content)
    assert told["blocks"][0]["text"]["type"] == "plain_text"
    assert "<!channel>" not in told["text"]


def test_what_is_old_or_was_said_before_in_the_window_is_no_news(scene: Scene) -> None:
    scene.used_up(ago_us=61 * MINUTE)
    scene.used_up(code="soft_limit")
    assert scene.rounds() == []


def test_a_receiver_that_is_down_is_tried_again_and_then_given_up(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.hooks = scene.hooks[:1]
    scene.used_up()
    scene.answers = [503, 503, 200]
    assert len(scene.rounds(12, 10_000_000)) == 3
    scene.got.clear()
    scene.used_up(ago_us=0)
    scene.answers = [404]
    assert len(scene.rounds(5)) == 2  # the first one again: a new start knows of nothing
    assert "was not told: Budget team-day is used up: it answered 404" in caplog.text


def test_where_nobody_wants_to_know_nothing_is_asked(scene: Scene) -> None:
    def fetch(*_: Any) -> Any:
        raise AssertionError("the ledger was asked")

    asyncio.run(news.tell((BUDGETS,), fetch, scene.hooks[2:], lambda: AT))
