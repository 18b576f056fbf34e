"""For how long one request keeps all others waiting: `python -m tests.bench.stalls --help`.

A real worker with a heartbeat inside: a timer of its event loop that is due each millisecond. Bodies that are hard to read are sent one
after the other; the longest time between two beats is what every other request and stream of that worker waited. `of it worked` is the
worker's own CPU time within that gap: the rest was taken by other programs, and by threads of it that had the interpreter.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
import uvloop

from gateway.config import Settings
from gateway.demo.stage import RunningGateway, settings_for
from gateway.settings_sources import read
from gateway.worker import Worker
from tests.bench import hostile, processes, report, wire
from tests.bench.peers import tollhouse
from tests.bench.peers.subject import await_port
from tests.ports import free_port

BEAT_S = 0.001
ASKED = "/bench/longest"
WANTED_MS = 20
MIB = 1024 * 1024


# -- the worker -------------------------------------------------------------------------------------------


class Heart:
    """The longest time between two beats, and the CPU time of the process in it, since it was last asked."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.longest = self.worked = 0.0
        self._last, self._used = time.perf_counter(), time.process_time()

    def beat(self) -> None:
        now, used = time.perf_counter(), time.process_time()
        if now - self._last > self.longest:
            self.longest, self.worked = now - self._last, used - self._used
        self._last, self._used = now, used
        asyncio.get_running_loop().call_later(BEAT_S, self.beat)

    def told(self) -> dict[str, float]:
        found = {"ms": self.longest * 1000, "worked_ms": self.worked * 1000}
        self._forget()
        return found


class Watched(Worker):
    """The worker as it is, with a heart, and a path that tells of it."""

    async def serve(self) -> None:
        self.heart = Heart()
        asyncio.get_running_loop().call_soon(self.heart.beat)
        await super().serve()

    def _uvicorn(self) -> uvicorn.Config:
        made = super()._uvicorn()
        made.app, made.interface = self._asked, "asgi3"
        return made

    async def _asked(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != ASKED:
            await self.plane(scope, receive, send)
            return
        told = json.dumps(self.heart.told()).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(told))]})
        await send({"type": "http.response.body", "body": told})


def serve(settings: Path) -> None:
    worker = Watched(Settings.model_validate_json(settings.read_bytes()), run="bench", slot=0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.serve())


@contextmanager
def watched(folder: Path, provider: int) -> Iterator[httpx.Client]:
    """A client of a running worker, with a key."""
    (folder / "policies").mkdir()
    (folder / "policies" / "bench.yaml").write_text(tollhouse.policy())
    port = free_port()
    made = settings_for(f"http://127.0.0.1:{provider}/v1", policies=str(folder / "policies"), listen=f"127.0.0.1:{port}")
    gateway = RunningGateway(folder, made)
    headers = {"authorization": f"Bearer {gateway.create_key('bench-agent')}", "content-type": "application/json"}
    settings = read(gateway.config, gateway.environment)
    (folder / "settings.json").write_text(settings.model_dump_json())
    line, started = processes.python("tests.bench.stalls", "--serve", str(folder / "settings.json")), time.monotonic()
    with processes.running(line, environment=gateway.environment, log=folder / "log"):
        await_port(port, started)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=300, trust_env=False) as client:
            yield client


# -- measuring --------------------------------------------------------------------------------------------


def measured(sizes: list[int], rounds: int) -> list[dict[str, Any]]:
    """One row for each size and shape: the shortest of the rounds' longest stalls, because other programs only ever lengthen them."""
    found = []
    with tempfile.TemporaryDirectory() as folder, processes.provider() as (provider, _), watched(Path(folder), provider) as client:
        client.post(wire.PATH, content=wire.body("plain", "2k")).raise_for_status()
        found.append({"mib": 0.0, "shape": "nothing asked", **_best([_idle(client) for _ in range(rounds)])})
        for size in sizes:
            for name, body in hostile.bodies(size):
                found.append({"mib": size / MIB, "shape": name, **_best([_once(client, body) for _ in range(rounds)])})
    return found


def _idle(client: httpx.Client) -> dict[str, Any]:
    client.get(ASKED)
    time.sleep(1)
    return {**client.get(ASKED).json(), "took_ms": 1000.0, "answer": "–"}


def _once(client: httpx.Client, body: bytes) -> dict[str, Any]:
    client.get(ASKED)
    began = time.perf_counter()
    answer = client.post(wire.PATH, content=body)
    took = (time.perf_counter() - began) * 1000
    time.sleep(0.2)  # what comes behind the answer belongs to it
    return {**client.get(ASKED).json(), "took_ms": took, "answer": _answered(answer)}


def _answered(answer: httpx.Response) -> str:
    code = answer.json().get("error", {}).get("code") if answer.status_code != 200 else ""
    return f"{answer.status_code} {code}".strip()


def _best(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return min(runs, key=lambda run: run["ms"])


def text(rows: list[dict[str, Any]]) -> str:
    head = ("MiB of", "shape", "longest stall ms", "of it worked", "answered after ms", "answer", "")
    shown = ("shape", "ms", "worked_ms", "took_ms", "answer")
    told = [(f"{row['mib']:g}", *map(row.get, shown), "" if row["ms"] <= WANTED_MS else "long") for row in rows]
    return report.table(head, told)


def main() -> int:
    described = "For how long one request keeps all others waiting. Linux."
    asked = argparse.ArgumentParser(prog="python -m tests.bench.stalls", description=described)
    asked.add_argument("--sizes", default="1,4,32", help="of bodies, in MiB (default 1,4,32)")
    asked.add_argument("--rounds", type=int, default=3, help="each body is sent so many times; the shortest stall counts (default 3)")
    asked.add_argument("--json", action="store_true", help="print JSON")
    asked.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.serve:
        serve(given.serve)
        return 0
    environment = report.environment()
    rows = measured([int(float(size) * MIB) for size in given.sizes.split(",")], given.rounds)
    found = {"environment": environment | {"load_after": round(os.getloadavg()[0], 2)}, "stalls": rows}
    report.write(json.dumps(found) if given.json else f"{report.machine(found['environment'])}\n\n{text(rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
