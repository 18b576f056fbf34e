"""A real Redis server, or Valkey."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from gateway.clock import uuid7
from tests.patience import PATIENCE_S, until
from tests.ports import free_port


class RedisServer:
    """A real server that writes nothing to the disk; it can be killed and started again on its port."""

    def __init__(self, folder: Path, *more: str) -> None:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            pytest.skip("no redis-server and no valkey-server on this machine: apt install redis-server")
        self.port = free_port()
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)]
        self._command = [program, *where, "--save", "", "--appendonly", "no", "--loglevel", "warning"]
        self.start(*more)

    def start(self, *more: str) -> None:
        self.process = subprocess.Popen([*self._command, *more], stdout=subprocess.DEVNULL)
        until(lambda: self._listens() or self.process.poll() is not None, what="the Redis server starts")
        assert self.process.poll() is None, "the Redis server ended"

    def _listens(self) -> bool:
        """It answers, and has read its file."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 5) as probe:
                probe.sendall(b"PING\r\n")
                answer = probe.recv(100)
                return bool(answer) and not answer.startswith(b"-LOADING")
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def url(self, prefix: str | None = None) -> str:
        """State of its own for each prefix."""
        return f"redis://127.0.0.1:{self.port}/0?prefix={prefix or uuid7().hex}"
