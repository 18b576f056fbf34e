"""One worker process: the data plane on its own socket of the shared port, its own journal segment, its own eye on the policies (`chores`).

Started by the supervisor (`child`; by hand `python -m gateway.worker`). It ends when told to (SIGTERM: drains; a second one: at once) and
when the supervisor is gone, which it sees by the end of its standard input. It never touches DuckDB.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
import uvloop

from gateway import __version__, logs, prompt_folder
from gateway.app import DataPlane
from gateway.assembling import assemble
from gateway.chores import Chores
from gateway.clock import Clock, uuid7
from gateway.config import Settings
from gateway.cycles import look_rarely
from gateway.errors import FileProblems, StartError
from gateway.front import front
from gateway.installation import durability, load_policies, load_prompts, open_prompts, provider_secrets
from gateway.journal import Journal
from gateway.listening import bound
from gateway.policy_folder import Watcher
from gateway.trace.record import Booted
from gateway.trace.redact import Redactor
from gateway.trace.texts import Seen
from gateway.upstream.client import UpstreamClient

log = logging.getLogger("gateway.worker")

BACKLOG = 2048
GOODBYE_S = 2.0
"""For interrupted exchanges to write their records and tell their clients."""


class Worker:
    """Puts the parts together and takes them apart again."""

    def __init__(self, settings: Settings, *, run: str, slot: int) -> None:
        """Raises FileProblems or StartError when policies, keys or prices cannot be used."""
        self.settings = settings
        self._run, self._slot, self._boot = run, slot, uuid7().hex
        self._clock = Clock()
        self._policies = load_policies(settings)
        self._watcher = Watcher(Path(settings.policies), self._policies) if settings.policies else None
        self._prompts = load_prompts(settings)
        self._prompt_watcher = (
            prompt_folder.Watcher(Path(settings.prompts), settings.data_path, open_prompts(settings), self._prompts)
            if settings.prompts
            else None
        )
        self._stopping = 0
        self._seen = Seen()
        self.redactor = Redactor(provider_secrets(settings))

    async def serve(self) -> None:
        """Runs until told to stop."""
        settings = self.settings
        folder = settings.data_path / "journal"
        mode = durability(settings)
        self._journal = Journal(
            folder,
            run=self._run,
            slot=self._slot,
            boot=self._boot,
            durability=mode,
            first=self._booted,
            clean=self.redactor.data,
            max_total_bytes=settings.journal.max_bytes,
            max_segment_s=settings.segment_seconds,
        )
        upstream = UpstreamClient(settings.timeouts)
        parts = (self._policies, self._journal, upstream, self._clock, self._seen, self._prompts)
        gateway = assemble(settings, *parts, redactor=self.redactor)
        self.plane = DataPlane(gateway, slot=self._slot)
        chores = Chores(self.plane, self._watcher, self._prompt_watcher)
        await chores.announce()
        self._server = _Server(self._uvicorn())
        address = settings.listen_address
        tasks = chores.begin()
        self._listen_to_signals()
        look_rarely()
        try:
            await self._server.serve(sockets=[bound(address.host, address.port)])
        finally:
            for task in tasks:
                task.cancel()
            await self.plane.judging.close()
            await self.plane.gateway.mirrors.close()
            await upstream.close()
            await self.plane.turned_away.close()
            await self.plane.gateway.late_ends.write()
            await self._journal.close()

    def _booted(self) -> Booted:
        """Heads each segment."""
        self._seen.begin_anew()
        return Booted(run=self._run, slot=self._slot, boot=self._boot, at_us=self._clock.now_us(), version=__version__)

    def _uvicorn(self) -> uvicorn.Config:
        return uvicorn.Config(
            self.plane,
            http=front(self.settings.limits, self.settings.timeouts, self.plane.turned_away),
            ws="none",
            loop="uvloop",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=int(self.settings.timeouts.keep_alive),
            timeout_graceful_shutdown=2,
        )

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        if not sys.stdin.isatty():
            loop.add_reader(sys.stdin.fileno(), self._supervisor_spoke)

    def _supervisor_spoke(self) -> None:
        """The supervisor never writes: readable means that it is gone."""
        if not os.read(sys.stdin.fileno(), 1024):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._stop()

    def _stop(self) -> None:
        self._stopping += 1
        if self._stopping == 1:
            self._draining = asyncio.ensure_future(self._drain())
        else:
            self.plane.interrupt()
            self._server.should_exit = True

    async def _drain(self) -> None:
        """No new work; open exchanges get `drain` seconds, then an error and their record."""
        log.info("stopping: %d exchanges under way", self.plane.active)
        self.plane.drain()
        self._server.stop_listening()
        if not await self.plane.idle(self.settings.timeouts.drain):
            self.plane.interrupt()
            await self.plane.idle(GOODBYE_S)
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn without its own ideas about signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop_listening(self) -> None:
        for server in getattr(self, "servers", ()):
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()


def _more_files() -> None:
    """Each stream takes two descriptors; the soft limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.worker", description="one worker of the data plane; started by 'tollhouse up'"
    )
    parser.add_argument(
        "--settings", type=Path, required=True, help="resolved settings (JSON), written by the supervisor"
    )
    parser.add_argument("--run", required=True, help="id of this run of the gateway")
    parser.add_argument("--slot", type=int, required=True, help="which of the workers this is, from 0")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _more_files()
    settings = Settings.model_validate_json(given.settings.read_bytes())
    try:
        worker = Worker(settings, run=given.run, slot=given.slot)
    except (FileProblems, StartError) as e:
        sys.stderr.write(f"{e}\n")
        return 3
    logs.configure(worker.redactor, style=settings.log, process=f"worker {given.slot}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.serve())
    return 0


if __name__ == "__main__":
    sys.exit(run())
