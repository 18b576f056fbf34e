"""Starts the book and the workers, keeps them running, and stops them in order.

At a start a process imports what the others need and forks them (`children`). The first looks whether everything can be used
(`preparing`), and nothing is changed before it says so: the book waits for it, the workers begin then. The workers stop first (their
streams drain), then the book (it applies what they wrote). Children that die are started again, with growing pauses; the journal loses
nothing by it. Children see the supervisor's own end on their standard input, so none of them is ever left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any

from gateway import clock
from gateway.children import POLL_S, Child, Nursery
from gateway.errors import FileProblems, Problem, StartError
from gateway.importing import imported
from gateway.listening import held
from gateway.nursery import GO, WAIT

if TYPE_CHECKING:  # imported while the nursery imports what the children need
    from gateway.addresses import Address
    from gateway.config import Settings

READY_S = 30.0
"""How long children may take to become ready."""
BOOK_STOP_S = 30.0
AGAIN_S = 0.5
"""Until children that are to end at once are told so again."""
MAX_PAUSE_S = 5.0
"""Longest pause before a child that keeps dying is started again."""
HEALTHY_S = 2.0
"""A child that lived this long starts the pauses anew."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Supervisor:
    """One run of the gateway."""

    settings: Settings
    say: Say
    nursery: Nursery
    run_id: str = field(default_factory=lambda: clock.uuid7().hex)
    stopping: int = 0
    _children: list[Child] = field(default_factory=list)
    _held: list[socket.socket] = field(default_factory=list)
    _lock: IO[str] | None = None

    def run(self) -> int:
        """Runs until a signal; says so once everything answers. Returns the exit code."""
        self._lock = _exclusive(self.settings.data_path)
        self._listen_to_signals()
        try:
            self.settings = self._reserve(self.settings)
            looking = Child("looking", ["gateway.preparing"], self.nursery)
            looking.start()
            self._start_book()
            self._look(looking)
            self._start_all()
            if self._await_ready():
                self._write_run_file()
                looking.tell(GO)
                self._said_by(looking)
                _tell_manager("READY=1")
            while not self.stopping:
                time.sleep(0.1)
                self._revive()
        finally:
            self._stop_all()
        return 0

    def _reserve(self, settings: Settings) -> Settings:
        """Holds both ports (bound, not listening: they receive nothing), so that workers and book may come and go and nobody else takes
        their place meanwhile; picks free ports for 0."""
        listen, admin = settings.listen_address, settings.admin_address
        port = self._hold(listen.host, listen.port, "listen")
        admin_port = self._hold(admin.host, admin.port, "admin")
        return settings.model_copy(update={"listen": f"{listen.host}:{port}", "admin": f"{admin.host}:{admin_port}"})

    def _hold(self, host: str, port: int, what: str) -> int:
        """The port held. Raises StartError when another program has it."""
        try:
            self._held.append(held(host, port))
        except OSError as e:
            raise StartError(
                f"cannot use {host}:{port} as '{what}' address: {e.strerror}. Choose another with --{what} or in tollhouse.yaml"
            ) from e
        return int(self._held[-1].getsockname()[1])

    def _start_book(self) -> None:
        """It has the most to import, and waits then."""
        data, admin = self.settings.data_path, self.settings.admin_address
        place = ["--data", str(data), "--host", admin.host, "--port", str(admin.port), "--settings", str(settings_file(data))]
        keys, pages = self._secret_names()
        book = ["gateway.book_process", *place, "--run", self.run_id, "--watch-stdin"]
        self._children.append(Child("book", book, self.nursery, without=keys - pages))
        self._children[-1].start(WAIT)

    def _start_all(self) -> None:
        """Everything may be used: the workers begin, and the book goes on."""
        if self.stopping:
            return
        self._write_settings()
        self._children[0].go()
        keys, pages = self._secret_names()
        without = self.settings.telemetry.secret_variables | (pages - keys)
        for slot in range(self.settings.worker_count):
            place = ["--settings", str(settings_file(self.settings.data_path)), "--run", self.run_id, "--slot", str(slot)]
            self._children.append(Child(f"worker {slot}", ["gateway.worker", *place], self.nursery, without=without))
            self._children[-1].start()

    def _secret_names(self) -> tuple[frozenset[str], frozenset[str]]:
        """Variables that hold the providers' keys, and those that hold the secrets of the pages' sign-in."""
        keys = (up.key.env for up in self.settings.upstreams.values() if up.key is not None)
        pages = (each.sign_in.secret.env for each in self.settings.issuers if each.sign_in and each.sign_in.secret)
        return frozenset(name for name in keys if name), frozenset(name for name in pages if name)

    def _look(self, looking: Child) -> None:
        """Waits for what `preparing` finds. Raises StartError or FileProblems when something is against a start."""
        looking.tell(self.settings.model_dump_json().encode() + b"\n")
        if self.settings.log == "json":
            self.say = imported("gateway.preparing").said_as_json(self.settings)
        found = self._said_by(looking)
        if "problems" in found:
            raise FileProblems([Problem(**each) for each in found["problems"]])
        if "refused" in found:
            raise StartError(found["refused"])
        if not found and not self.stopping:
            raise StartError("the process that looks whether everything can be used ended; its message is above")

    def _said_by(self, looking: Child) -> dict[str, Any]:
        """Says what it has to say, until it says what it found (nothing when it has ended)."""
        while line := looking.heard():
            found: dict[str, Any] = json.loads(line)
            if "say" not in found:
                return found
            self.say(found["say"])
        return {}

    def _await_ready(self) -> bool:
        """Waits until the book lives and a worker is ready. Raises StartError when a child ends instead."""
        deadline = time.monotonic() + READY_S
        waiting = [(self.settings.listen_address, "/readyz"), (self.settings.admin_address, "/livez")]
        while waiting and not self.stopping:
            self._died_young()
            if time.monotonic() > deadline:
                raise StartError(
                    f"the gateway did not become ready within {READY_S:g} s (no answer from {waiting[0][0].url}); see the messages above"
                )
            if _answers(*waiting[0]):
                waiting.pop(0)
            else:
                time.sleep(POLL_S)
        return not self.stopping

    def _died_young(self) -> None:
        for each in self._children:
            if not each.running:
                raise StartError(f"the {each.name} process ended at start; its message is above")

    def _revive(self) -> None:
        """Starts children again that have died."""
        now = time.monotonic()
        for each in self._children:
            if each.running:
                continue
            if each.due == 0.0:
                each.pause = 0.0 if now - each.started > HEALTHY_S else min(MAX_PAUSE_S, max(0.2, 2 * each.pause))
                each.due = now + each.pause
                self.say(
                    f"{each.name} ended ({_ending(each.code)}); starting it again{f' in {each.pause:.1f} s' if each.pause else ''}"
                )
            if now >= each.due:
                each.due = 0.0
                each.start()

    def _stop_all(self) -> None:
        _tell_manager("STOPPING=1")
        book, workers = self._children[:1], self._children[1:]
        self._stop(workers, self.settings.timeouts.drain + 5)
        self._stop(book, BOOK_STOP_S)
        _run_file(self.settings.data_path).unlink(missing_ok=True)
        for sock in self._held:
            sock.close()

    def _stop(self, children: Sequence[Child], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        told, when = 0, 0.0
        while any(each.running for each in children) and (now := time.monotonic()) < deadline:
            if told == 0 or (self.stopping > 1 and now >= when):  # two that come together are one to who gets them: it is told again
                told, when = told + 1, now + AGAIN_S
                for each in children:
                    each.signal(signal.SIGTERM)
            time.sleep(POLL_S)
        for each in children:
            if not each.wait(0):
                self.say(f"{each.name} did not stop in time and is killed; its records are safe")
                each.signal(signal.SIGKILL)
                each.wait(5)

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


def _tell_manager(state: str) -> None:
    """For who manages services and waits for it (systemd's `Type=notify`, sd_notify(3)); nothing where nobody does."""
    place = os.environ.get("NOTIFY_SOCKET", "")
    if place:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.connect(f"\0{place[1:]}" if place.startswith("@") else place)
            told.sendall(state.encode())


def read_settings(file: Path | None, flags: Mapping[str, Any]) -> Settings:
    """What a start goes by, and a folder for its data. Raises StartError or FileProblems."""
    sources = imported("gateway.settings_sources")
    load_dotenv((file.parent if file else Path()) / ".env")
    settings: Settings = sources.read(file, os.environ, flags)
    if not settings.upstreams:
        providers = imported("gateway.upstream_settings").PROVIDERS
        variables = " or ".join(variable for _, _, variable in providers.values())
        raise StartError(
            f"there is no provider to talk to: set {variables}, or write a tollhouse.yaml ('tollhouse init')"
        )
    _made(settings.data_path)
    return settings


def up(file: Path | None, flags: Mapping[str, Any], say: Say) -> int:
    """Starts the gateway and runs it until it is told to stop. Raises StartError or FileProblems instead of starting half."""
    with contextlib.closing(Nursery()) as nursery:
        return Supervisor(read_settings(file, flags), say, nursery).run()


def load_dotenv(path: Path) -> None:
    """Variables of a `.env` file become the environment's, never over what is set already."""
    if path.is_file():
        from dotenv import dotenv_values

        for name, value in dotenv_values(path).items():
            if value is not None:
                os.environ.setdefault(name, value)


def _made(data: Path) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as e:
        raise _unusable(data, e) from e


def _unusable(data: Path, error: OSError) -> StartError:
    why = "a file is there" if isinstance(error, FileExistsError) else error.strerror
    told = f"cannot use {data} as the data folder: {why}. See to its path and rights, or choose another with --data or in the settings"
    return StartError(told)


def _exclusive(data: Path) -> IO[str]:
    """One gateway per data folder."""
    _made(data)
    try:
        lock = (data / "gateway.lock").open("w")
    except OSError as e:
        raise _unusable(data, e) from e
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        lock.close()
        raise StartError(
            f"another gateway is running on {data}; stop it, or give this one another folder with --data"
        ) from e
    return lock


def _answers(address: Address, path: str) -> bool:
    """Whether a GET there is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nhost: {address.authority}\r\nconnection: close\r\n\r\n"
    try:
        with socket.create_connection((address.reached, address.port), timeout=2) as connection:
            connection.sendall(request.encode())
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
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
