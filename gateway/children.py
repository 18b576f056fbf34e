"""The supervisor's side of its processes: a nursery, and the children it forks (`nursery` says how).

A nursery that is gone is started again when a child is to begin; children that it had go on, and are watched without it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StartError
from gateway.nursery import GO, SIZE

PLAIN = frozenset({
    "PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE",
    "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONUNBUFFERED",
    "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONFAULTHANDLER", "PYTHONMALLOC", "PYTHONTRACEMALLOC", "LC_ALL", "LC_CTYPE",
    "LC_MESSAGES", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "OPENSSL_CONF",
    "OPENSSL_MODULES", "COVERAGE_PROCESS_START", "COVERAGE_FILE",
})
"""Variables that a nursery is started with: what an interpreter and its libraries look at once and for all, and no secret is ever in."""
ROOM = 1024
"""Characters that a child's line in `ps` may have."""
POLL_S = 0.02


class Nursery:
    """Starts at once, and imports while whoever made it goes on. Close it."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        """`modules`: what to import instead of what the gateway's processes need."""
        self._modules = modules
        self._ended: dict[int, int] = {}
        self._forked: set[int] = set()
        """Children of the nursery that lives now."""
        self._start()

    def _start(self) -> None:
        self._heard = b""
        self._connection, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name in PLAIN} | {"PYDANTIC_DISABLE_PLUGINS": "__all__"}
        line = f"{theirs.fileno()} {' '.join(self._modules)}"
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "gateway.nursery", line.ljust(ROOM)],
                stdin=subprocess.DEVNULL,
                env=environment,
                pass_fds=[theirs.fileno()],
            )

    def forked(self, command: Sequence[str], stdin: socket.socket) -> int:
        """The process id of a new child. Waits for the nursery's imports. Raises StartError."""
        if not self._lives():
            self._hear(0)
            self._connection.close()
            self._forked.clear()
            self._start()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            socket.send_fds(self._connection, [json.dumps(command).encode()], [stdin.fileno()])
            while self._lives():
                if began := self._hear(POLL_S):
                    self._forked.add(began)
                    return began
        raise StartError("the process that starts the others ended; its message is above")

    def code(self, pid: int) -> int | None:
        """A child's exit code once it has ended."""
        self._hear(0)
        if pid not in self._ended and (pid not in self._forked or not self._lives()):
            return _gone(pid)
        return self._ended.get(pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        self._connection.close()
        self._process.kill()  # it holds nothing, and may be importing
        self._process.wait()

    def _lives(self) -> bool:
        return self._process.poll() is None

    def _hear(self, seconds: float) -> int | None:
        """Notes what the nursery says within this time; returns the child that it says began."""
        if not select.select([self._connection], [], [], seconds)[0]:
            return None
        with contextlib.suppress(ConnectionResetError):
            self._heard += self._connection.recv(65_536)
        *lines, self._heard = self._heard.split(b"\n")
        began = None
        for word, pid, *code in (line.decode().split() for line in lines):
            if word == "began":
                began = int(pid)
                self._ended.pop(began, None)  # another had this number
            else:
                self._ended[int(pid)] = int(code[0])
        return began


def _gone(pid: int) -> int | None:
    """An exit code (-SIGKILL if nobody can know it) of a process whose parent is gone, if it has ended."""
    with contextlib.suppress(ChildProcessError):
        found, status = os.waitpid(pid, os.WNOHANG)  # orphans are ours where we are the first process of a container
        return os.waitstatus_to_exitcode(status) if found else None
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:  # not Linux
        return None
    except ProcessLookupError:
        return -signal.SIGKILL
    return -signal.SIGKILL if state == "Z" else None  # the first process of a container may not look after orphans


@dataclass(slots=True)
class Child:
    """One process of the gateway."""

    name: str
    command: Sequence[str]
    nursery: Nursery
    without: frozenset[str] = frozenset()
    """Variables of the environment that this process has no need to know."""
    code: int | None = None
    """Its exit code, once it has ended."""
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0
    connection: socket.socket | None = None
    """The other end of its standard input."""
    pid: int = 0
    _said: bytes = b""

    def start(self, *more: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in self.without}
        if self.connection is not None:
            self.connection.close()
        self.connection, theirs = socket.socketpair()
        with theirs:
            self.pid, self.code = self.nursery.forked([*self.command, *more], theirs), None
        text = json.dumps(environment).encode()
        self.tell(len(text).to_bytes(SIZE) + text)
        self.started = time.monotonic()

    def go(self) -> None:
        """For one that was started with `nursery.WAIT`."""
        self.tell(GO)

    def tell(self, text: bytes) -> None:
        if self.connection is not None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has ended, which is seen elsewhere
                self.connection.sendall(text)

    def heard(self) -> bytes:
        """The next line that it writes to its standard input; nothing when it has ended."""
        while b"\n" not in self._said and self.connection is not None:
            with contextlib.suppress(ConnectionResetError):
                if more := self.connection.recv(65_536):
                    self._said += more
                    continue
            return b""
        line, _, self._said = self._said.partition(b"\n")
        return line

    @property
    def running(self) -> bool:
        if self.pid and self.code is None:
            self.code = self.nursery.code(self.pid)
        return bool(self.pid) and self.code is None

    def signal(self, number: int) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        deadline = time.monotonic() + seconds
        while self.running and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return not self.running

