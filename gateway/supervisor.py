"""Starts the book and the workers, keeps them running, and stops them in order.

The workers stop first (their streams drain), then the book (it applies what they wrote). Children that die are started again, with growing
pauses; the journal loses nothing by it. Children see the supervisor's own end on their standard input, so none of them is ever left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Any

from dotenv import dotenv_values

from gateway import clock, config
from gateway.config import Settings
from gateway.errors import FileProblems, StartError
from gateway.installation import (
    durability,
    load_policies,
    load_prompts,
    look_at_state,
    master_keys,
    open_keys,
    provider_keys,
)
from gateway.policy import PolicySet

READY_S = 30.0
"""How long children may take to become ready."""
BOOK_STOP_S = 30.0
MAX_PAUSE_S = 5.0
"""Longest pause before a child that keeps dying is started again."""
HEALTHY_S = 2.0
"""A child that lived this long starts the pauses anew."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Child:
    """One process of the gateway."""

    name: str
    command: Sequence[str]
    without: frozenset[str] = frozenset()
    """Variables of the environment that this process has no need to know."""
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    pause: float = 0.0
    due: float = 0.0

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in self.without}
        self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
            self.command, stdin=subprocess.PIPE, env=environment
        )
        self.started = time.monotonic()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        if self.process is not None and self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def wait(self, seconds: float) -> bool:
        """Whether it ended within `seconds`."""
        if self.process is None:
            return True
        try:
            self.process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True


@dataclass(slots=True)
class Supervisor:
    """One run of the gateway."""

    settings: Settings
    say: Say
    run_id: str = field(default_factory=lambda: clock.uuid7().hex)
    stopping: int = 0
    _children: list[Child] = field(default_factory=list)
    _held: list[socket.socket] = field(default_factory=list)
    _lock: IO[str] | None = None

    def run(self, ready: Callable[[Settings], None]) -> int:
        """Runs until a signal; calls `ready` once everything answers. Returns the exit code."""
        self._lock = _exclusive(self.settings.data_path)
        self._listen_to_signals()
        try:
            self.settings = self._reserve(self.settings)
            self._write_settings()
            self._start_all()
            if self._await_ready():
                self._write_run_file()
                ready(self.settings)
            while not self.stopping:
                time.sleep(0.1)
                self._revive()
        finally:
            self._stop_all()
        return 0

    def _reserve(self, settings: Settings) -> Settings:
        """Holds the shared port (bound, not listening: it receives nothing), so that workers may come and go; picks free ports for 0."""
        listen, admin = settings.listen_address, settings.admin_address
        with _bound(listen.host, listen.port, "listen", shared=False) as probe:
            port = probe.getsockname()[1]
        self._held.append(_bound(listen.host, port, "listen", shared=True))
        with _bound(admin.host, admin.port, "admin", shared=False) as probe:
            admin_port = probe.getsockname()[1]
        return settings.model_copy(update={"listen": f"{listen.host}:{port}", "admin": f"{admin.host}:{admin_port}"})

    def _start_all(self) -> None:
        data, admin = self.settings.data_path, self.settings.admin_address
        python = [sys.executable, "-m"]
        book = [
            *python,
            "gateway.book_process",
            "--data",
            str(data),
            "--host",
            admin.host,
            "--port",
            str(admin.port),
            "--settings",
            str(settings_file(data)),
            "--run",
            self.run_id,
            "--watch-stdin",
        ]
        keys = frozenset(up.key.env for up in self.settings.upstreams.values() if up.key is not None and up.key.env)
        self._children.append(Child("book", book, without=keys))
        for slot in range(self.settings.worker_count):
            worker = [
                *python,
                "gateway.worker",
                "--settings",
                str(settings_file(data)),
                "--run",
                self.run_id,
                "--slot",
                str(slot),
            ]
            self._children.append(Child(f"worker {slot}", worker))
        for child in self._children:
            child.start()

    def _await_ready(self) -> bool:
        """Waits until the book lives and a worker is ready. Raises StartError when a child ends instead."""
        deadline = time.monotonic() + READY_S
        waiting = [f"{self.settings.listen_address.url}/readyz", f"{self.settings.admin_address.url}/livez"]
        while waiting and not self.stopping:
            self._died_young()
            if time.monotonic() > deadline:
                raise StartError(
                    f"the gateway did not become ready within {READY_S:g} s (no answer from {waiting[0]}); see the messages above"
                )
            if _answers(waiting[0]):
                waiting.pop(0)
            else:
                time.sleep(0.02)
        return not self.stopping

    def _died_young(self) -> None:
        for child in self._children:
            if not child.running:
                raise StartError(f"the {child.name} process ended at start; its message is above")

    def _revive(self) -> None:
        """Starts children again that have died."""
        now = time.monotonic()
        for child in self._children:
            if child.running:
                continue
            if child.due == 0.0:
                code = child.process.returncode if child.process else None
                child.pause = 0.0 if now - child.started > HEALTHY_S else min(MAX_PAUSE_S, max(0.2, 2 * child.pause))
                child.due = now + child.pause
                self.say(
                    f"{child.name} ended ({_ending(code)}); starting it again{f' in {child.pause:.1f} s' if child.pause else ''}"
                )
            if now >= child.due:
                child.due = 0.0
                child.start()

    def _stop_all(self) -> None:
        workers = [child for child in self._children if child.name != "book"]
        book = [child for child in self._children if child.name == "book"]
        self._stop(workers, self.settings.timeouts.drain + 5)
        self._stop(book, BOOK_STOP_S)
        _run_file(self.settings.data_path).unlink(missing_ok=True)
        for sock in self._held:
            sock.close()

    def _stop(self, children: Sequence[Child], seconds: float) -> None:
        for child in children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + seconds
        hurried = False
        while any(child.running for child in children) and time.monotonic() < deadline:
            if self.stopping > 1 and not hurried:
                hurried = True
                for child in children:
                    child.signal(signal.SIGTERM)
            time.sleep(0.02)
        for child in children:
            if not child.wait(0):
                self.say(f"{child.name} did not stop in time and is killed; its records are safe")
                child.signal(signal.SIGKILL)
                child.wait(5)

    def _listen_to_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_stop)

    def _told_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping += 1

    def _write_settings(self) -> None:
        _write(settings_file(self.settings.data_path), self.settings.model_dump_json())

    def _write_run_file(self) -> None:
        listen, admin = self.settings.listen_address, self.settings.admin_address
        where = {"pid": os.getpid(), "run": self.run_id, "listen": listen.url, "admin": admin.url}
        _write(_run_file(self.settings.data_path), json.dumps(where))


def prepare(file: Path | None, flags: Mapping[str, Any]) -> tuple[Settings, PolicySet, list[str]]:
    """Settings and policies for a start, and what to warn of, or an exception that says why there can be none."""
    load_dotenv((file.parent if file else Path()) / ".env")
    settings = config.read(file, os.environ, flags)
    if not settings.upstreams:
        variables = " or ".join(variable for _, _, variable in config.PROVIDERS.values())
        raise StartError(
            f"there is no provider to talk to: set {variables}, or write a tollhouse.yaml ('tollhouse init')"
        )
    settings.data_path.mkdir(parents=True, exist_ok=True, mode=0o700)
    provider_keys(settings)
    master_keys(settings)
    warnings = look_at_state(settings)
    _refuse_open_door(settings)
    load_prompts(settings)
    return settings, load_policies(settings), warnings


def _refuse_open_door(settings: Settings) -> None:
    address = settings.listen_address
    if address.loopback:
        return
    keys = open_keys(settings)
    try:
        active = keys.any_active(clock.now_us())
    finally:
        keys.close()
    if not active or settings.keys == "optional":
        raise StartError(
            f"listening on {settings.listen} would let anyone on the network spend your provider keys. "
            "Make a key first ('tollhouse keys create --agent NAME') and leave 'keys' at auto or required, or listen on 127.0.0.1."
        )


def up(file: Path | None, flags: Mapping[str, Any], say: Say) -> int:
    """Starts the gateway and runs it until it is told to stop. Raises StartError or FileProblems instead of starting half."""
    settings, policies, warnings = prepare(file, flags)
    for warning in warnings:
        say(f"warning: {warning}")
    return Supervisor(settings, say).run(lambda resolved: _banner(resolved, policies, say))


def _banner(settings: Settings, policies: PolicySet, say: Say) -> None:
    url = settings.listen_address.url
    say(
        f"tollhouse is ready on {url}  (admin plane {settings.admin_address.url}, {settings.worker_count} workers, data {settings.data})"
    )
    if policies.observing:
        say(
            "NO POLICY: OBSERVING ONLY. Every tool call passes; every record says 'unevaluated'. Write policies with: tollhouse init"
        )
    else:
        say(f"policies {policies.hash[:12]} from {settings.policies}: {len(policies.policies)} in force")
    if settings.state_place is not None:
        say(f"state shared on {settings.state_place} (prefix '{settings.state_place.prefix}')")
    upstreams = ", ".join(f"{name} ({' '.join(up.dialects)})" for name, up in settings.upstreams.items())
    say(f"durability: {durability(settings)}; upstreams: {upstreams}")
    say(f"  export OPENAI_BASE_URL={url}/v1")
    say(f"  export ANTHROPIC_BASE_URL={url}")


def load_dotenv(path: Path) -> None:
    """Variables of a `.env` file become the environment's, never over what is set already."""
    if path.is_file():
        for name, value in dotenv_values(path).items():
            if value is not None:
                os.environ.setdefault(name, value)


def _exclusive(data: Path) -> IO[str]:
    """One gateway per data folder."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = (data / "gateway.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        lock.close()
        raise StartError(
            f"another gateway is running on {data}; stop it, or give this one another folder with --data"
        ) from e
    return lock


def _bound(host: str, port: int, what: str, *, shared: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError as e:
        sock.close()
        raise StartError(
            f"cannot use {host}:{port} as '{what}' address: {e.strerror}. Choose another with --{what} or in tollhouse.yaml"
        ) from e
    return sock


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own http URL
            return bool(response.status == 200)
    except urllib.error.HTTPError:
        return False
    except OSError:
        return False


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def settings_file(data: Path) -> Path:
    """What the gateway of a data folder was last started with."""
    return data / "settings.json"


def _run_file(data: Path) -> Path:
    return data / "run.json"


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.supervisor",
        description="runs the gateway; 'tollhouse up' is the same with more comfort",
    )
    parser.add_argument("--config", type=Path, help="tollhouse.yaml")
    parser.add_argument("--data", help="data folder, over the file's")
    given = parser.parse_args()
    try:
        return up(given.config, {"data": given.data}, lambda text: print(text, file=sys.stderr, flush=True))  # noqa: T201
    except (StartError, FileProblems) as e:
        print(e, file=sys.stderr)  # noqa: T201
        return 3


if __name__ == "__main__":
    sys.exit(main())
