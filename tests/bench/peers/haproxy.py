"""haproxy, passing on everything: the other floor for anything that stands in between."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import processes
from tests.bench.peers.installing import FromDebian
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

NAME = "haproxy"
PACKAGE = FromDebian(NAME)

CONFIGURATION = """
global
  nbthread 1
  maxconn {most}
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 300s
  http-reuse always
frontend agents
  bind 127.0.0.1:{port} backlog 4096
  default_backend provider
backend provider
  server provider 127.0.0.1:{provider}
"""


def _most() -> int:
    """Connections: each takes two files, and haproxy does not start where that is more than it may open."""
    return min(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100)


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    home = folder / NAME
    home.mkdir()
    port = free_port()
    (home / "haproxy.cfg").write_text(CONFIGURATION.format(provider=provider_port, port=port, most=_most()))
    started = time.monotonic()
    with processes.running([str(PACKAGE.path()), "-db", "-f", str(home / "haproxy.cfg")], log=home / "log") as process:
        cold = await_port(port, started)
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, cold_start_s=cold)
