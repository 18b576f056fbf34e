"""TensorZero's gateway (Rust), with nothing recorded. Its program is a container image; the same gateway is built into its Python package,
which serves its HTTP interface from a thread of its own. Python does nothing there but start it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import StartError
from tests.bench import processes, wire
from tests.bench.peers.installing import FromPypi
from tests.bench.peers.subject import Subject, await_port

NAME = "tensorzero"
PACKAGE = FromPypi(NAME, "tensorzero==2026.6.0", "python")

_SERVE = """
import sys, threading, tensorzero
nothing = dict(clickhouse_url=None, postgres_url=None, valkey_url=None)
serving = tensorzero._start_http_gateway(config_file=sys.argv[1], async_setup=False, **nothing)
with open(sys.argv[2], "w") as told:
    told.write(serving.base_url + "\\n")
threading.Event().wait()
"""

_MODEL = """
[models.bench-{kind}]
routing = ["provider"]
[models.bench-{kind}.providers.provider]
type = "openai"
model_name = "bench-{kind}"
api_base = "http://127.0.0.1:{port}/v1"
api_key_location = "none"
"""


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    home = folder / NAME
    home.mkdir()
    models = "".join(_MODEL.format(kind=kind, port=provider_port) for kind in wire.KINDS)
    (home / "tensorzero.toml").write_text("[gateway]\nobservability.enabled = false\n" + models)
    line = [str(PACKAGE.path()), "-c", _SERVE, str(home / "tensorzero.toml"), str(home / "url")]
    started = time.monotonic()
    with processes.running(line, environment={"PATH": os.environ["PATH"], "HOME": str(home)}, log=home / "log") as process:
        url = _told(home / "url", started)
        port = int(url.split(":")[2].partition("/")[0])
        cold = await_port(port, started)
        path, prefix = "/openai/v1/chat/completions", "tensorzero::model_name::"
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, path=path, prefix=prefix, cold_start_s=cold)


def _told(file: Path, started: float) -> str:
    while time.monotonic() < started + 30:
        if file.exists() and (url := file.read_text()).endswith("\n"):
            return url.strip()
        time.sleep(0.005)
    raise StartError("it did not say where it listens within 30 s; look at its log in the bench's folder (--keep)")
