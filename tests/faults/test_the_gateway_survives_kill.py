"""kill -9 on a worker, on the book, on both, at random moments under load: no answered request is without its record, none has two.

`TOLLHOUSE_KILLS` sets the number of moments (default 50).
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import httpx

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal

KILLS = int(os.environ.get("TOLLHOUSE_KILLS", "50"))
POLICY = "policy: 1\nid: p\nagents: ['*']\nallow: [get_*]\n"
SCRIPT = """
rehearsal: 1
scenes:
- model: calls
  turns:
  - {text: "Looking it up.", calls: [{name: get_weather, args: {city: Paris}}, {name: delete_all, args: {path: /}}], chunk: 5, gap_ms: 2}
- turns:
  - {text: "A plain answer with some words in it.", chunk: 6, gap_ms: 2}
"""
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("get_weather", "delete_all")]


class Load:
    """Clients that ask without pause and remember every exchange of which they got an answer's head."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self.answered: set[str] = set()
        self.finished: set[str] = set()
        self.called: set[str] = set()
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self, number: int) -> None:
        choose = random.Random(number)
        while not self._stop.is_set():
            try:
                self._ask(choose)
            except httpx.HTTPError:
                time.sleep(0.02)

    def _ask(self, choose: random.Random) -> None:
        body = {"model": choose.choice(["calls", "plain"]), "stream": choose.random() < 0.7, "tools": TOOLS}
        body["messages"] = [{"role": "user", "content": f"question {choose.random()}"}]
        with httpx.stream("POST", f"{self._url}/v1/chat/completions", json=body, timeout=20, trust_env=False) as answer:
            exchange = answer.headers["x-gateway-trace-id"]
            self.answered.add(exchange)
            seen = b""
            for piece in answer.iter_raw():
                seen += piece
                if b'"get_weather"' in seen:
                    self.called.add(exchange)
            assert b'"delete_all"' not in seen
            if answer.status_code == 200:
                self.finished.add(exchange)


def children(pid: int) -> dict[str, list[int]]:
    """Process ids of the gateway's children: `book` and `worker`."""
    found: dict[str, list[int]] = {"book": [], "worker": []}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:
            continue
        for kind in found:
            if f"gateway.{kind}".encode() in command:
                found[kind].append(int(child))
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def test_no_answered_request_is_without_its_record_and_none_has_two(tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "p.yaml").write_text(POLICY)
    choose = random.Random(20261121)
    with RunningRehearsal(SCRIPT) as provider:
        settings = settings_for(provider.base_url, policies="policies", workers=2)
        with RunningGateway(tmp_path, settings) as gateway:
            supervisor = json.loads((gateway.data / "run.json").read_text())["pid"]
            load = Load(gateway.url)
            for _ in range(KILLS):
                while not gateway.ready() or not children(supervisor)["book"]:
                    time.sleep(0.05)
                time.sleep(choose.uniform(0.0, 1.0))
                alive = children(supervisor)
                victims = {
                    "worker": alive["worker"][:1],
                    "book": alive["book"],
                    "both": alive["worker"] + alive["book"],
                }[choose.choice(["worker", "book", "both"])]
                kill(victims)
            load.stop()
        with RunningGateway(tmp_path, settings) as gateway:
            rows = settled(gateway, load.answered)
            twice = gateway.sql("select count(*) - count(distinct id) as n from exchanges")
            decisions = gateway.sql("select count(*) as n, count(distinct id) as d from calls")
            released = "select distinct exchange_id as id from calls where name = 'get_weather' and released"
            called = {row["id"] for row in every(gateway, released)}
    print(f"{KILLS} kills: {len(load.answered)} answered, {len(load.finished)} finished, {len(rows)} on record")
    assert len(load.finished) > KILLS, "the load did not get through, so nothing was tested"
    assert not load.answered - rows.keys()
    assert twice[0]["n"] == 0
    assert decisions[0]["n"] == decisions[0]["d"]
    assert not load.called - called
    assert {rows[exchange] for exchange in load.finished} <= {"complete", "denied"}
    assert "open" not in rows.values()


def settled(gateway: RunningGateway, wanted: set[str], seconds: float = 30) -> dict[str, str]:
    """id -> state of all exchanges, once the book has read the whole journal."""
    deadline = time.monotonic() + seconds
    while True:
        rows = {row["id"]: row["state"] for row in every(gateway, "select id, state from exchanges")}
        if time.monotonic() > deadline or not (wanted - rows.keys() or "open" in rows.values()):
            return rows
        time.sleep(0.2)


def every(gateway: RunningGateway, query: str) -> list[dict[str, str]]:
    """All rows of a query with an `id`, page by page."""
    rows: list[dict[str, str]] = []
    while page := gateway.sql(f"{query} order by id limit 1000 offset {len(rows)}"):
        rows += page
    return rows
