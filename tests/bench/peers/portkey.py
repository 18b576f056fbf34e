"""Portkey's gateway (Node). `npm install @portkey-ai/gateway` somewhere, and
TOLLHOUSE_BENCH_PORTKEY=<there>/node_modules/@portkey-ai/gateway."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import processes
from tests.bench.peers.subject import Subject, await_port, free_port

NAME = "portkey"


def _program() -> Path | None:
    folder = os.environ.get("TOLLHOUSE_BENCH_PORTKEY", "")
    program = Path(folder) / "build" / "start-server.js"
    return program if folder and program.exists() else None


def absent() -> str | None:
    if not shutil.which("node"):
        return "no 'node' on the PATH"
    return None if _program() else "TOLLHOUSE_BENCH_PORTKEY names no folder with build/start-server.js; npm install @portkey-ai/gateway"


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    port, started = free_port(), time.monotonic()
    line = ["node", str(_program()), "--headless", f"--port={port}"]
    environment = {"PATH": os.environ["PATH"], "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    headers = ("authorization: Bearer sk-bench-0000", "x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{provider_port}/v1")
    with processes.running(line, environment=environment, log=folder / "portkey.log") as process:
        cold = await_port(port, started)
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, headers=headers, cold_start_s=cold)
