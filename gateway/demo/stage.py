"""The real gateway as processes in a folder of its own, beside a rehearsal provider: for the demo, for tests, for anyone's CI.

`RunningGateway` starts `python -m gateway.supervisor` and waits until it is ready; `with` stops it. It never inherits provider keys or
`TOLLHOUSE_*` settings of the surrounding environment: what runs is what the settings say.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import yaml

from gateway.errors import StartError

START_SECONDS = 60
"""A loaded machine starts Python slowly; a healthy one is ready within two seconds."""
STOP_SECONDS = 20
PROVIDER_KEY = "TOLLHOUSE_REHEARSAL_KEY"
"""The variable with the key the rehearsal provider is given: it wants one, as providers do, and any will do."""


def settings_for(provider_url: str, **more: Any) -> dict[str, Any]:
    """Settings of a one-worker gateway whose upstreams are all dialects of a rehearsal at `provider_url` (ending in /v1)."""
    upstream = {"base_url": provider_url, "key": {"env": PROVIDER_KEY}}
    return {
        "tollhouse": 1,
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "workers": 1,
        "upstreams": {
            "rehearsed-chat": {"dialect": ["openai.chat", "openai.responses"], **upstream},
            "rehearsed-messages": {"dialect": "anthropic.messages", **upstream},
            "rehearsed-gemini": {"dialect": "google.gemini", **upstream, "base_url": provider_url.removesuffix("/v1")},
        },
        **more,
    }


class RunningGateway:
    """`with RunningGateway(folder, settings) as gateway:`; `folder` gets the configuration, the data and the log."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.config = folder / "tollhouse.yaml"
        self.data = folder / ".tollhouse"
        self.log = folder / "gateway.log"
        self.url = self.admin = ""
        """Where agents and people connect; known once it runs, because port 0 in the settings takes a free one."""
        self.config.write_text(yaml.safe_dump(dict(settings), sort_keys=False))
        self.environment = _clean_environment() | {PROVIDER_KEY: "sk-rehearsal-0000", "TOLLHOUSE_DATA": str(self.data)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def pid(self) -> int:
        """The supervisor's; 0 before it runs."""
        return self._process.pid if self._process else 0

    def __enter__(self) -> RunningGateway:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", "gateway.supervisor", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        try:
            self._await_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if process.poll() is not None:
                raise StartError(
                    f"the gateway ended with code {process.returncode} before it was ready:\n{self.tail_of_log()}"
                )
            if time.monotonic() > deadline:
                raise StartError(f"the gateway was not ready after {START_SECONDS} s:\n{self.tail_of_log()}")
            time.sleep(0.05)

    def processes(self) -> dict[str, list[int]]:
        """Process ids of the gateway's processes by what they are: `worker`, `book`, `nursery` (Linux)."""
        found: dict[str, list[int]] = {"worker": [], "book": [], "nursery": []}
        for pid in _below(self.pid):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                for kind, pids in found.items():
                    pids += [pid] if f"gateway.{kind}".encode() in line else []
        return found

    def ready(self) -> bool:
        """Whether the gateway says where it runs (it does so last) and takes requests."""
        try:
            where = json.loads((self.data / "run.json").read_text())
            self.url, self.admin = where["listen"], where["admin"]
            return httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).status_code == 200
        except (FileNotFoundError, httpx.TransportError):
            return False

    def tail_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def stop(self) -> None:
        """Asks the gateway to end; one that does not is killed with all its processes."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def tollhouse(self, *arguments: str) -> str:
        """Runs the command line against this gateway and returns what it printed. Raises StartError when it fails."""
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "gateway.cli.main", *arguments],
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )
        if done.returncode:
            raise StartError(f"tollhouse {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def create_key(self, agent: str) -> str:
        made: dict[str, str] = json.loads(
            self.tollhouse("keys", "create", "--agent", agent, "--data", str(self.data), "--json")
        )
        return made["key"]

    def sql(self, query: str) -> list[dict[str, Any]]:
        """Rows of a read-only query, asked of the admin plane with the installation's token."""
        token = (self.data / "admin.token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        asked = {"sql": query, "limit": 1000}
        answer = httpx.post(f"{self.admin}/sql", headers=headers, json=asked, timeout=30, trust_env=False)
        if answer.status_code != 200:
            raise StartError(f"the book refused the query ({answer.status_code}): {answer.text}")
        table = answer.json()
        return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]

    def awaited(self, query: str, rows: int, seconds: float = 60) -> list[dict[str, Any]]:
        """As `sql`, once there are so many rows: the book follows the journal a moment later."""
        deadline = time.monotonic() + seconds
        while len(found := self.sql(query)) < rows:
            if time.monotonic() > deadline:
                raise StartError(f"the book has {len(found)} of {rows} rows after {seconds} s for: {query}")
            time.sleep(0.05)
        return found


def _below(pid: int) -> Iterator[int]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield int(child)
        with contextlib.suppress(OSError):  # it has ended meanwhile
            yield from _below(int(child))


def _clean_environment() -> dict[str, str]:
    secret = ("OPENAI_", "ANTHROPIC_", "GEMINI_", "GOOGLE_", "OTEL_", "TOLLHOUSE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(secret)}
