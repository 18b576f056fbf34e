"""What a gateway keeps in memory while it serves for long: `python -m tests.bench.soak --help`.

Agents that never say the same twice: names of sessions, users, labels, models, tools, traces and clients are new in each request, in all
four dialects, whole and streamed, allowed, denied and held; some providers fail or break off, some clients leave early, some bodies are
large. A process that keeps something of each request grows with their number here. What is kept within a bound (`gateway/recent.py`, the
answer cache, DuckDB's buffers) fills up first, so that a run has to be long enough. At the end the book is asked whether it has every
exchange, and its chain is checked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx

from gateway.demo.stage import RunningGateway, settings_for
from gateway.rehearsal import RunningRehearsal
from tests.bench import processes, report

POLICY: Final = """policy: 1
id: bank
agents: ['*']
allow: [pay, look]
rules:
- {id: large, tools: [pay], when: args.amount > 400, effect: ask, message: Look closely.}
- {id: not-to-eve, tools: [pay], when: "args.to == 'Eve'", effect: deny, message: Eve is not paid.}
- {id: said-by-the-user, tools: [pay], when: "!from_user(args.to)", effect: deny, message: Nobody asked for that.}
limits:
- {id: payments, tools: [pay], sum: args.amount, per: session, max: 100000, window: 1h}
"""
SCRIPT: Final = """rehearsal: 1
scenes:
- {when: {user_contains: large}, turns: [{calls: [{name: pay, args: {to: Bob, amount: 500}}]}]}
- {when: {user_contains: Eve}, turns: [{calls: [{name: pay, args: {to: Eve, amount: 1}}]}]}
- {when: {user_contains: error}, turns: [{status: 500, error: not today}]}
- {when: {user_contains: cut}, turns: [{text: a text that is cut in the middle of all that it says, chunk: 4, cut_after: 600}]}
- {when: {user_contains: slow}, turns: [{text: a text that takes its time, chunk: 2, gap_ms: 10}]}
- {when: {user_contains: look}, turns: [{calls: [{name: look, args: {city: Bern}}, {name: look, args: {city: Basel}}]}]}
- turns: [{calls: [{name: pay, args: {to: Bob, amount: 1}}]}]
"""
TASKS: Final = ("large", "Eve", "error", "cut", "slow", "look", "look", "small", "small", "small")
KINDS: Final = ("chat", "chat", "responses", "messages", "gemini", "unknown field")
COUNTED: Final = ("session", "user", "tag:job")
ROWS: Final = 20


class Agents:
    """Several at once, each of which asks one question after the other, until the time is over."""

    def __init__(self, gateway: RunningGateway, seed: int) -> None:
        self._chance, self._url = random.Random(seed), gateway.url
        self.answered: Counter[str] = Counter()

    @property
    def requests(self) -> int:
        return sum(self.answered.values())

    async def run(self, connections: int, until: float) -> None:
        async with httpx.AsyncClient(base_url=self._url, trust_env=False) as client:
            await asyncio.gather(*(self._agent(client, until) for _ in range(connections)))

    async def _agent(self, kept: httpx.AsyncClient, until: float) -> None:
        while time.monotonic() < until:
            if self._chance.random() < 0.95:
                await self._ask(kept)
                continue
            async with httpx.AsyncClient(base_url=self._url, trust_env=False) as fresh:
                await self._ask(fresh)

    async def _ask(self, client: httpx.AsyncClient) -> None:
        path, headers, body = self._question()
        patience = 30.0 if self._chance.random() < 0.95 else self._chance.uniform(0.005, 0.2)
        try:
            async with client.stream("POST", path, json=body, headers=headers, timeout=patience) as answer:
                self.answered[str(answer.status_code)] += 1
                async for _ in answer.aiter_bytes():
                    if self._chance.random() < 0.01:
                        break
        except httpx.TransportError as error:
            self.answered[type(error).__name__] += 1

    def _question(self) -> tuple[str, dict[str, str], dict[str, Any]]:
        new, sure = uuid.uuid4().hex, self._chance.random
        headers = {"x-session-id": new, "x-tollhouse-tag-job": new, "user-agent": f"agent/{new}", "traceparent": f"00-{new}-{new[:16]}-01"}
        task = f"{self._chance.choice(TASKS)}: pay Bob {new} {new}@example.com"
        if sure() < 0.1:
            task += " " + " ".join(uuid.uuid4().hex for _ in range(self._chance.randrange(100, 3000)))
        return _asked(self._chance.choice(KINDS), task, new, headers, stream=sure() < 0.5)


def _asked(kind: str, task: str, new: str, headers: dict[str, str], *, stream: bool) -> tuple[str, dict[str, str], dict[str, Any]]:
    model, names = f"m-{new[:8]}", ("pay", "look", f"tool_{new}")
    said = [{"role": "user", "content": task}]
    if kind == "gemini":
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        asked = {"contents": [{"parts": [{"text": task}]}], "tools": [{"functionDeclarations": [{"name": name} for name in names]}]}
        return f"/v1beta/models/{model}:{method}", headers | {"x-goog-api-key": "any"}, asked
    body = {"model": model, "stream": stream}
    if kind == "messages":
        tools = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        asked = {"max_tokens": 100, "messages": said, "tools": tools, "metadata": {"user_id": new}}
        return "/v1/messages", headers | {"x-api-key": "any", "anthropic-version": "2023-06-01"}, body | asked
    headers |= {"authorization": "Bearer any"}
    if kind == "responses":
        tools = [{"type": "function", "name": name, "parameters": {"type": "object"}} for name in names]
        return "/v1/responses", headers, body | {"input": task, "tools": tools, "user": new}
    tools = [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in names]
    asked = {"messages": [{"role": "system", "content": f"You are {new}."}, *said], "tools": tools, "user": new}
    return "/v1/chat/completions", headers, body | asked | ({f"field_{new}": 1} if kind == "unknown field" else {})


# -- the run ----------------------------------------------------------------------------------------------


async def _soaked(gateway: RunningGateway, given: argparse.Namespace) -> tuple[Agents, list[dict[str, Any]]]:
    agents, began = Agents(gateway, given.seed), time.monotonic()
    seconds, rows = given.minutes * 60, list[dict[str, Any]]()
    asking = asyncio.create_task(agents.run(given.connections, began + seconds))
    for number in range(ROWS + 1):
        await asyncio.sleep(max(0.0, began + number * seconds / ROWS - time.monotonic()))
        kinds = gateway.processes()
        mib = {kind: round(processes.resident_mib(kinds[kind]), 1) for kind in ("worker", "book")}
        rows.append({"minutes": round((time.monotonic() - began) / 60, 2), "requests": agents.requests, **mib})
    await asking
    return agents, rows


def soak(given: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tollhouse-soak-") as made, RunningRehearsal(SCRIPT) as provider:
        folder = Path(made)
        (folder / "policies").mkdir()
        (folder / "policies" / "bank.yaml").write_text(POLICY)
        settings = settings_for(
            provider.base_url,
            policies="policies",
            budgets=[{"id": f"of-{nth}", "per": per, "of": "requests", "max": 10**9, "window": "1h"} for nth, per in enumerate(COUNTED)],
            approvals={"hold": 0.2, "hold_whole": 0.2},
            cache={"store": "memory", "ttl": "1h", "per": "all", "sampled": True},
        )
        with RunningGateway(folder, settings) as gateway:
            agents, rows = asyncio.run(_soaked(gateway, given))
            checked = gateway.tollhouse("verify").strip().splitlines()[-1]
            kept = gateway.sql("SELECT count(*) AS n FROM exchanges")[0]["n"]
    answered = sum(count for status, count in agents.answered.items() if status.isdigit())
    return {"rows": rows, "answered": dict(agents.answered), "chain": checked, "exchanges": kept, "missing": max(0, answered - kept)}


def _arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m tests.bench.soak", description=__doc__.splitlines()[0])
    asked.add_argument("--minutes", type=float, default=20, help="how long (default 20)")
    asked.add_argument("--connections", type=int, default=4, help="agents at once (default 4)")
    asked.add_argument("--seed", type=int, default=1, help="of what is asked (default 1)")
    asked.add_argument("--json", type=Path, help="write the figures there, too")
    return asked.parse_args()


def main() -> int:
    given = _arguments()
    machine = report.environment()
    found = {"machine": machine, **soak(given)}
    machine["load_after"] = round(os.getloadavg()[0], 2)
    report.write(report.machine(machine))
    report.write(report.table(("minutes", "requests", "worker MiB", "book MiB"), [tuple(row.values()) for row in found["rows"]]))
    report.write(f"answers: {found['answered']}\non record: {found['exchanges']}, missing: {found['missing']}\n{found['chain']}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    return 1 if found["missing"] or not found["chain"].startswith("SOUND") else 0


if __name__ == "__main__":
    sys.exit(main())
