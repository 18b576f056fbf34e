"""The rehearsal in the foreground of a process, until a signal or the end of standard input."""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path

import uvicorn

from gateway.errors import StartError
from gateway.rehearsal.running import server_for
from gateway.rehearsal.script import load_file
from gateway.rehearsal.server import Rehearsal


def serve(script: Path, host: str, port: int, *, watch_stdin: bool = False) -> None:
    """Prints one line, `rehearsal http://host:port`, once it listens. Raises FileProblems, StartError."""
    rehearsal = Rehearsal(load_file(script))
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        raise StartError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port") from error
    server = server_for(rehearsal)
    if watch_stdin:
        threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    with listening:
        sys.stdout.write("rehearsal http://{}:{}\n".format(*listening.getsockname()[:2]))
        sys.stdout.flush()
        server.run(sockets=[listening])


def _stop_at_end_of_input(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
