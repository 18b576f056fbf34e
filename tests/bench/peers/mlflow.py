"""MLflow's AI gateway as it starts by itself, from a file of endpoints, without a tracking server; one worker."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.bench import processes, wire
from tests.bench.peers.installing import FromPypi
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

NAME = "mlflow"
PACKAGE = FromPypi(NAME, "mlflow[gateway]==3.17.2", "mlflow")


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    home = folder / NAME
    home.mkdir()
    (home / "gateway.yaml").write_text(yaml.safe_dump({"endpoints": [_endpoint(kind, provider_port) for kind in wire.KINDS]}))
    port, started = free_port(), time.monotonic()
    line = [str(PACKAGE.path()), "gateway", "start", "--config-path", str(home / "gateway.yaml"), "--port", str(port), "--workers", "1"]
    programs = f"{Path(line[0]).parent}:{os.environ['PATH']}"  # it starts gunicorn by name
    environment = {"PATH": programs, "HOME": str(home), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with processes.running(line, environment=environment, log=home / "log") as process:
        cold = await_port(port, started)
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, cold_start_s=cold)


def _endpoint(kind: str, provider: int) -> dict[str, object]:
    config = {"openai_api_key": "sk-bench-0000", "openai_api_base": f"http://127.0.0.1:{provider}/v1"}
    model = {"provider": "openai", "name": f"bench-{kind}", "config": config}
    return {"name": f"bench-{kind}", "endpoint_type": "llm/v1/chat", "model": model}
