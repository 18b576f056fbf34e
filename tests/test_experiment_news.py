"""People are told, where they ask for it, that an arm is out: once, with its reason and figures."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import httpx

from gateway.experiment_news import EXPERIMENTS
from gateway.key_source import KeySource
from gateway.news import News
from gateway.stores import Batch
from gateway.stores.duckdb import Ledger
from gateway.trace.prompt_rows import ExperimentRow
from gateway.trace.record import ExperimentChanged
from gateway.trace.segments import Segment
from gateway.webhook_settings import Webhook
from gateway.webhooks import Hook

AT = 1_790_000_000_000_000
JSON = Webhook(url="https://a.example/hook", secret=KeySource(env="S"), events=["experiment"])
SLACK = Webhook(url="https://b.example/hook", format="slack", events=["pending", "experiment"])
OTHER = Webhook(url="https://c.example/hook", format="slack", events=["budget"])


def test_that_an_arm_was_halted_is_told_once_to_who_wants_to_know(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.duckdb")
    why = "worse: success is 0.7 instead of 0.8 <!channel>"
    changes = [
        ExperimentRow("1", AT, "tone", "d", "e", "canary", "running", "rollout"),
        ExperimentRow("2", AT, "tone", "d", "e", "canary", "halted", "rollout", why, metric="success", difference=-0.1, sessions=200),
        ExperimentRow("3", AT - 2 * 3600 * 1_000_000, "old", "d", "e", "canary", "ended", "rollout"),
    ]
    records = [(at, ExperimentChanged(row)) for at, row in enumerate(changes)]
    ledger.apply([Batch(Segment("1" * 32, 0, "2" * 32, 0), records, 100, b"h" * 32)])
    got: list[httpx.Request] = []

    def receive(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(200)

    async def go() -> None:
        hooks = [Hook(str(each.url), b"secret" if each.secret else b"", each) for each in (JSON, SLACK, OTHER)]
        async with httpx.AsyncClient(transport=httpx.MockTransport(receive)) as client:
            news = News(EXPERIMENTS, ledger.fetch, hooks, client, lambda: AT + 1)
            await news.round()
            await news.round()

    asyncio.run(go())
    told = {request.url.host: json.loads(request.content) for request in got}
    assert (len(got), set(told)) == (2, {"a.example", "b.example"})
    assert told["a.example"]["event"] == "experiment.halted"
    figures = {name: told["a.example"]["experiment"][name] for name in ("experiment", "arm", "metric", "difference", "sessions", "why")}
    assert figures == {"experiment": "tone", "arm": "canary", "metric": "success", "difference": -0.1, "sessions": 200, "why": why}
    text = told["b.example"]["blocks"][0]["text"]
    assert (text["type"], text["text"]) == ("plain_text", f"Experiment tone: canary is halted by rollout. {why}")
    assert got[0].headers["x-tollhouse-delivery"] == "experiment:2"
