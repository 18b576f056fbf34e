"""nginx, passing on everything: the floor for anything that stands in between."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import processes
from tests.bench.peers.installing import FromDebian
from tests.bench.peers.subject import Subject, await_port
from tests.ports import free_port

NAME = "nginx"
PACKAGE = FromDebian(NAME)

CONFIGURATION = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  keepalive_requests 100000000; client_max_body_size 32m; client_body_buffer_size 128k;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 1024; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }} }}
}}
"""


@contextmanager
def running(folder: Path, provider_port: int) -> Iterator[Subject]:
    home = folder / NAME
    home.mkdir()
    port = free_port()
    (home / "nginx.conf").write_text(CONFIGURATION.format(folder=home, provider=provider_port, port=port))
    started = time.monotonic()
    with processes.running([str(PACKAGE.path()), "-c", str(home / "nginx.conf"), "-p", str(home)], log=home / "log") as process:
        cold = await_port(port, started)
        yield Subject(NAME, port, lambda: {"workers": processes.tree(process.pid)}, cold_start_s=cold)
