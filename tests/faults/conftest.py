"""A gateway under load, and what its clients saw of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from tests.patience import PATIENCE_S, until

POLICY = "policy: 1\nid: p\nagents: ['*']\nallow: [get_*]\n"
SCRIPT = """
rehearsal: 1
scenes:
- model: calls
  turns:
  - {text: "Looking it up.", calls: [{name: get_weather, args: {city: Paris}}, {name: delete_all, args: {path: /}}], chunk: 5, gap_ms: 2}
- model: slow
  turns:
  - {text: "An answer that takes its time.", chunk: 6, delay_ms: 5000, gap_ms: 300}
- turns:
  - {text: "A plain answer with some words in it.", chunk: 6, gap_ms: 2}
"""
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("get_weather", "delete_all")]


class Load:
    """Clients that ask without pause and remember every exchange of which they got an answer's head."""

    def __init__(self, url: str, clients: int = 4, words: int = 3) -> None:
        self.asked = 0
        self.answered: set[str] = set()
        self.finished: set[str] = set()
        self.called: set[str] = set()
        self.refused: list[str] = []
        """Codes of 503 answers."""
        self.cut = 0
        """Requests without an answer."""
        self._url, self._words = url, words
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _run(self, number: int) -> None:
        choose = random.Random(number)
        with httpx.Client(timeout=20, trust_env=False) as client:
            while not self._stop.is_set():
                with self._lock:
                    self.asked += 1
                try:
                    self._ask(client, choose)
                except httpx.HTTPError:
                    with self._lock:
                        self.cut += 1
                    time.sleep(0.02)

    def _ask(self, client: httpx.Client, choose: random.Random) -> None:
        body: dict[str, Any] = {"model": choose.choice(["calls", "plain"]), "stream": choose.random() < 0.7, "tools": TOOLS}
        body["messages"] = [{"role": "user", "content": f"question {choose.random()} " * self._words}]
        with client.stream("POST", f"{self._url}/v1/chat/completions", json=body) as answer:
            if answer.status_code == 503:
                self.refused.append(httpx.Response(503, content=answer.read()).json()["error"]["code"])
                time.sleep(0.02)
                return
            exchange = answer.headers["x-gateway-trace-id"]
            self.answered.add(exchange)
            seen = b""
            for piece in answer.iter_raw():
                seen += piece
                if b'"get_weather"' in seen:
                    self.called.add(exchange)
            assert b'"delete_all"' not in seen
            if answer.status_code == 200 and b'"error"' not in seen:
                self.finished.add(exchange)


def settled(gateway: RunningGateway, wanted: set[str], seconds: float = 240, ended: set[str] | None = None) -> dict[str, str]:
    """id -> state of all exchanges, once all wanted are there and those of `ended` (None: all) have ended; a busy machine takes time."""
    rows: dict[str, str] = {}

    def missing() -> set[str]:
        rows.clear()
        rows.update({row["id"]: row["state"] for row in every(gateway, "select id, state from exchanges")})
        under_way = {one for one, state in rows.items() if state == "open"}
        return wanted - rows.keys() | under_way & (rows.keys() if ended is None else ended)

    until(lambda: not missing(), seconds=seconds, what=lambda: {one: rows.get(one, "not there") for one in missing()})
    return rows


def every(gateway: RunningGateway, query: str) -> list[dict[str, str]]:
    """All rows of a query with an `id`, page by page."""
    rows: list[dict[str, str]] = []
    while page := gateway.sql(f"{query} order by id limit 1000 offset {len(rows)}"):
        rows += page
    return rows


class Kit:
    """What the tests of this folder share."""

    Load, settled, every = Load, staticmethod(settled), staticmethod(every)


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


@pytest.fixture
def gateway_in(tmp_path: Path) -> Iterator[Callable[..., RunningGateway]]:
    """Makes gateways (not started) in a folder, in front of a provider that plays `SCRIPT`."""
    with RunningRehearsal(SCRIPT) as provider:

        def made(folder: Path = tmp_path, **more: Any) -> RunningGateway:
            (folder / "policies").mkdir(exist_ok=True)
            (folder / "policies" / "p.yaml").write_text(POLICY)
            return RunningGateway(folder, settings_for(provider.base_url, policies="policies", **{"workers": 2, **more}))

        yield made
