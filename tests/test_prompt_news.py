"""People are told of prompts and tools that nobody deployed: once for each change, signed; never of what is old or no change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.key_source import KeySource
from gateway.prompt_news import PROMPTS
from gateway.verdict import Finding
from gateway.webhook_settings import Webhook
from gateway.webhooks import signature
from tests.news_scene import AT, MINUTE, NewsScene

JSON = Webhook(url="https://a.example/hook", secret=KeySource(env="S"), events=["prompt"])
SLACK = Webhook(url="https://b.example/hook", format="slack", events=["pending", "prompt"])
OTHER = Webhook(url="https://c.example/hook", format="slack", events=["budget"])
TOOL = Finding("pins", "tool_changed", "error", "tools.pay", "the declaration is not the approved one: 9f31", "refused")
TEMPLATE = Finding("prompts", "template_changed", "warn", "prompt", "the agent '<!channel>' comes with a template")
VARIES = Finding("prompts", "template_varies", "info", "prompt", "what it brings varies")
KEPT = Finding("prompts", "not_committed", "warn", "prompt.support", "is not what is committed")


@pytest.fixture
def scene(tmp_path: Path) -> Any:
    made = NewsScene(tmp_path, PROMPTS, (JSON, SLACK, OTHER))
    yield made
    made.ledger.close()


def bodies(scene: NewsScene, host: str) -> list[dict[str, Any]]:
    return [json.loads(request.content) for request in scene.got if request.url.host == host]


def test_each_change_is_told_once_with_where_it_was_first_seen(scene: NewsScene) -> None:
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


def test_what_goes_on_is_the_same_delivery_after_a_restart_and_that_of_another_agent_is_not(scene: NewsScene) -> None:
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


def test_names_that_callers_chose_are_plain_text_for_slack(scene: NewsScene) -> None:
    scene.exchange(TEMPLATE)
    scene.exchange(TOOL)
    scene.rounds()
    texts = [each["text"] for each in bodies(scene, "b.example")]
    assert sorted(texts) == ["A tool is not as it was approved, and was refused", "An agent's prompt changed and nobody deployed it"]
    assert {each["blocks"][0]["text"]["type"] for each in bodies(scene, "b.example")} == {"plain_text"}


def test_what_is_old_is_no_news(scene: NewsScene) -> None:
    scene.exchange(TOOL, ago_us=61 * MINUTE)
    assert scene.rounds() == []
