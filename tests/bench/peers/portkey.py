"""Portkey's gateway (Node). Under Node 20 this version answers 500 to every stream (`TypeError: immutable` in its log): left out there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import processes
from tests.bench.peers.installing import FromNpm
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

NAME = "portkey"
PACKAGE = FromNpm(NAME, "@portkey-ai/gateway", "1.15.2", "build/start-server.js")


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    port, started = free_port(), time.monotonic()
    line = ["node", str(PACKAGE.path()), "--headless", f"--port={port}"]
    environment = {"PATH": os.environ["PATH"], "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    headers = ("authorization: Bearer sk-bench-0000", "x-portkey-provider: openai", f"x-portkey-custom-host: http://127.0.0.1:{provider_port}/v1")
    with processes.running(line, environment=environment, log=folder / "portkey.log") as process:
        cold = await_port(port, started)
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, headers=headers, cold_start_s=cold)
