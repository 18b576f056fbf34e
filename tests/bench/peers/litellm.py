"""LiteLLM's proxy without a database, one worker."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.bench import processes, wire
from tests.bench.peers.installing import FromPypi
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

NAME = "litellm"
PACKAGE = FromPypi(NAME, "litellm[proxy]==1.106.2", "litellm")


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    home = folder / NAME
    home.mkdir()
    provider = {"api_base": f"http://127.0.0.1:{provider_port}/v1", "api_key": "sk-bench-0000"}
    models = [{"model_name": f"bench-{kind}", "litellm_params": {"model": f"openai/bench-{kind}", **provider}} for kind in wire.KINDS]
    key = f"sk-{secrets.token_hex(24)}"
    (home / "config.yaml").write_text(yaml.safe_dump({"model_list": models, "general_settings": {"master_key": key}}))
    port, started = free_port(), time.monotonic()
    line = [str(PACKAGE.path()), "--config", str(home / "config.yaml"), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    with processes.running(line, environment=environment, log=home / "log") as process:
        cold = await_port(port, started)
        headers = (f"authorization: Bearer {key}",)
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, headers=headers, cold_start_s=cold)
