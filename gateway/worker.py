"""One worker process: the data plane on its own socket of the shared port, its own journal segment, its own eye on the policies.

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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
import uvloop

from gateway import __version__, logs, minutes, prices, prompt_folder
from gateway.app import DataPlane
from gateway.clock import Clock, uuid7
from gateway.config import Settings
from gateway.cycles import look_rarely
from gateway.errors import FileProblems, GatewayError, JournalUnavailable, StartError
from gateway.front import front
from gateway.installation import (
    address_key,
    default_looks,
    durability,
    how_to_ask,
    load_policies,
    load_prompts,
    open_access_log,
    open_approvals,
    open_belongings,
    open_cache,
    open_issued,
    open_keys,
    open_limits,
    open_prompts,
    open_sessions,
    open_vault,
    provider_keys,
    provider_secrets,
    state_problem,
)
from gateway.journal import Journal
from gateway.listening import bound
from gateway.policy import PolicySet
from gateway.policy_folder import Watcher
from gateway.prompt.library import EMPTY as NO_PROMPTS
from gateway.prompt.library import Library
from gateway.trace.loaded import kept_rows, policy_row
from gateway.trace.pens import everything
from gateway.trace.record import Booted, PolicyLoaded, PromptsLoaded
from gateway.trace.redact import Redactor
from gateway.trace.scribe import Scribe
from gateway.trace.texts import Seen
from gateway.upstream.client import UpstreamClient
from gateway.upstream.routing import Routes
from gateway.visit import Gateway
from gateway.waiting import WaitingRoom

if TYPE_CHECKING:  # a library for signatures that only an installation with issuers needs
    from gateway.people.passes import Passes

log = logging.getLogger("gateway.worker")

POLICY_POLL_S = 0.5
JOURNAL_RETRY_S = 1.0
MINUTES_S = 0.5
EXPIRE_EVERY = 20
"""Rounds of the minutes between two looks for approvals that have expired."""
PROMPTS_A_RECORD = 32
"""Each may have 1 MiB; a record may have 64."""
BACKLOG = 2048
GOODBYE_S = 2.0
"""For interrupted exchanges to write their records and tell their clients."""


def assemble(
    settings: Settings,
    policies: PolicySet,
    journal: Journal,
    upstream: UpstreamClient,
    clock: Clock,
    seen: Seen | None = None,
    prompts: Library = NO_PROMPTS,
    *,
    redactor: Redactor | None = None,
) -> Gateway:
    """A gateway of these parts and what the settings say of the rest."""
    provided = provider_keys(settings)
    redactor = redactor or Redactor(provider_secrets(settings))
    approvals, vault = open_approvals(settings), open_vault(settings)
    return Gateway(
        settings=settings,
        policies=policies,
        routes=Routes(settings, provided),
        prices=prices.load(settings.prices),
        journal=journal,
        upstream=upstream,
        keys=open_keys(settings),
        belongings=open_belongings(settings),
        approvals=approvals,
        waiting=WaitingRoom(approvals.decided, settings.approvals.held),
        limits=open_limits(settings),
        issued=open_issued(settings),
        sessions=open_sessions(settings),
        prompt_store=open_prompts(settings),
        scribe=Scribe(address_key(settings), redactor, seen, detect=everything, vault=vault),
        redactor=redactor,
        prompts=prompts,
        looks=default_looks(settings),
        clock=clock,
        ask=how_to_ask(settings),
        passes=_passes(settings),
        state_problem=state_problem(settings),
        cache=open_cache(settings, vault),
    )


def _passes(settings: Settings) -> Passes | None:
    if not settings.issuers:
        return None
    from gateway.people.passes import Passes

    return Passes(settings.issuers)


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
        await self._announce(self.plane.gateway.policies)
        await self._announce_prompts(self._prompts)
        self._server = _Server(self._uvicorn())
        address = settings.listen_address
        chores = (self._watch_policies(), self._watch_prompts(), self._heal_journal(), self._write_minutes())
        tasks = [asyncio.create_task(chore) for chore in chores]
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

    async def _announce(self, policies: PolicySet) -> None:
        row = policy_row(policies, self._clock.now_us())
        try:
            await self._journal.append(PolicyLoaded(row))
        except JournalUnavailable as e:
            log.error("the policy version %s could not be recorded yet: %s", policies.hash[:12], e)  # noqa: TRY400 - no traceback wanted

    async def _announce_prompts(self, prompts: Library) -> None:
        if not prompts.heads:
            return
        try:
            rows = kept_rows(prompts, self._clock.now_us())
            await self._journal.append(*(PromptsLoaded(rows[at : at + PROMPTS_A_RECORD]) for at in range(0, len(rows), PROMPTS_A_RECORD)))
        except JournalUnavailable as e:
            log.error("the prompts %s could not be recorded yet: %s", prompts.hash[:12], e)  # noqa: TRY400 - no traceback wanted

    async def _watch_policies(self) -> None:
        """Puts a changed policy in force between two requests; keeps the last good one, loudly, when the change cannot be used."""
        while self._watcher is not None:
            await asyncio.sleep(POLICY_POLL_S)
            change = await asyncio.to_thread(self._watcher.poll)
            if change is None:
                continue
            self.plane.policy_problems = change.problems
            if change.policies is None:
                log.error(
                    "policies not changed, the last good version %s stays in force:\n%s",
                    self._hash(),
                    _lines(change.problems),
                )
                continue
            if change.policies.hash != self.plane.gateway.policies.hash:
                await self._announce(change.policies)
            self.plane.gateway = replace(self.plane.gateway, policies=change.policies)
            log.info("policies %s in force", self._hash())

    async def _watch_prompts(self) -> None:
        """Serves changed prompts from the next request on; keeps the last good version, loudly, of one that cannot be used."""
        while self._prompt_watcher is not None:
            await asyncio.sleep(POLICY_POLL_S)
            change = await asyncio.to_thread(self._prompt_watcher.poll)
            if change is None:
                continue
            self.plane.prompt_problems = change.problems
            if change.problems:
                log.error("prompts that cannot be used keep their last good version:\n%s", _lines(change.problems))
            if change.prompts is not None:
                await self._announce_prompts(change.prompts)
                self.plane.gateway = replace(self.plane.gateway, prompts=change.prompts)
                log.info("prompts %s served", change.prompts.hash[:12])

    async def _heal_journal(self) -> None:
        """Tries a journal that could not be written again: while it is broken the worker is not ready, so no request would try it. Writes
        what it had refused. Closes segments that are old even when nobody asks anything."""
        while True:
            await asyncio.sleep(JOURNAL_RETRY_S)
            if not self._journal.healthy:
                await self._announce(self.plane.gateway.policies)
                await self._announce_prompts(self.plane.gateway.prompts)
            await self._journal.turn_over()
            await self.plane.gateway.late_ends.write()

    async def _write_minutes(self) -> None:
        """One worker records what people decided, and ends what nobody decided in time."""
        approvals, access, round_number = self.plane.gateway.approvals, open_access_log(self.settings), 0
        while self._slot == 0:
            try:
                if round_number % EXPIRE_EVERY == 0:
                    await asyncio.to_thread(approvals.expire, self._clock.now_us())
                await minutes.write(approvals, self._journal.append, self.plane.gateway.scribe)
                await minutes.write_sessions(self.plane.gateway.sessions, self._journal.append)
                await minutes.write_access(access, self._journal.append)
            except (GatewayError, JournalUnavailable) as e:
                log.error("what people decided and changed could not be recorded yet: %s", e)  # noqa: TRY400 - no traceback wanted
            round_number += 1
            await asyncio.sleep(MINUTES_S)

    def _hash(self) -> str:
        return self.plane.gateway.policies.hash[:12]

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


def _lines(problems: tuple[object, ...]) -> str:
    return "\n".join(str(problem) for problem in problems)


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
