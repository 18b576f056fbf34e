"""Measuring subjects: rounds that are interleaved, so that what else the machine does hits all alike, and medians over the rounds."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench import processes, wire
from tests.bench.peers.subject import Subject

Figures = dict[str, float]
Say = Callable[[str], None]


FAILS = (RuntimeError, OSError, subprocess.SubprocessError)
"""What a subject does that fails; nothing of it is told, and the others go on."""
STAND_S = 120
"""For all streams of one subject to be open."""
START_S = 30
WARM_UP_S = 0.3
"""What is only done for the first of many like requests is not what a request costs."""


@dataclass(frozen=True)
class Scenario:
    """A kind of traffic; a stream's price is told per event, everything else's per request."""

    name: str
    kind: str
    size: str = "2k"
    connections: int = 32

    @property
    def streams(self) -> bool:
        return self.kind in ("burst", "paced")


SCENARIOS = (
    Scenario("2 KB", "plain"),
    Scenario("60 KB", "plain", "60k"),
    Scenario("tool call", "tool"),
    Scenario("one at a time", "plain", connections=1),
    Scenario("stream, burst", "burst", connections=16),
    Scenario("stream, paced", "paced", connections=100),
)


def once(subject: Subject, scenario: Scenario, seconds: float) -> Figures:
    """One run: requests per second, times, and CPU µs per request or event of each group of processes."""
    roles = subject.processes()
    before = {role: processes.cpu_seconds(pids) for role, pids in roles.items()}
    options = {**_asked(subject), "kind": scenario.kind, "size": scenario.size, "connections": scenario.connections, "seconds": seconds}
    seen = processes.load(subject.port, headers=subject.headers, **options)
    if len(roles) > 1:
        processes.settled(subject.everyone)
    used = {role: processes.cpu_seconds(pids) - before[role] for role, pids in roles.items()}
    units = seen["events"] if scenario.streams else seen["requests"]
    figures = {f"{role}_us": spent / units * 1e6 for role, spent in used.items()} | {"cpu_us": sum(used.values()) / units * 1e6}
    figures |= {name: seen[name] for name in ("p50_us", "p99_us") if seen[name] is not None}
    return figures | {"per_s": units / seen["seconds"], "client_us": seen["own_cpu_s"] / units * 1e6}


def _asked(subject: Subject) -> dict[str, str]:
    return {"path": subject.path} | ({"prefix": subject.prefix} if subject.prefix else {})


def in_rounds(subjects: Sequence[Subject], scenarios: Iterable[Scenario], rounds: int, seconds: float, say: Say) -> dict[str, Any]:
    """{scenario: {subject: medians of the rounds}}. A subject that fails a scenario is left out of it, and said so."""
    found: dict[str, Any] = {}
    for scenario in scenarios:
        runs: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
        failed: dict[str, str] = {}
        for number in range(rounds + 1):
            say(f"{scenario.name}: round {number} of {rounds}" if number else f"{scenario.name}: warming up")
            for subject in subjects:
                if subject.name not in failed:
                    _run(subject, scenario, seconds if number else WARM_UP_S, runs if number else {subject.name: []}, failed)
        found[scenario.name] = {name: _medians(each) for name, each in runs.items() if each and name not in failed}
        found[scenario.name] |= {name: {"failed": why} for name, why in failed.items()}
    return found


def _run(subject: Subject, scenario: Scenario, seconds: float, runs: dict[str, list[Figures]], failed: dict[str, str]) -> None:
    try:
        runs[subject.name].append(once(subject, scenario, seconds))
    except FAILS as error:
        failed[subject.name] = str(error)


def _medians(runs: Sequence[Figures]) -> Figures:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0] if all(name in run for run in runs)}


@contextmanager
def holding(subject: Subject, streams: int, kind: str = "held") -> Any:
    """Yields how many stand, after `STAND_S` at the latest for those that are open and as long again for their first pieces. Raises
    RuntimeError or subprocess.SubprocessError."""
    options = {**_asked(subject), "kind": kind, "hold": True, "connections": streams, "seconds": STAND_S}
    with processes.running(processes.load_line(subject.port, subject.headers, options)) as process:
        yield int(processes.line_within(process, 2 * STAND_S + START_S))
        process.stdin.close()  # type: ignore[union-attr]
        process.wait(30)


def held_or_why(subject: Subject, streams: int) -> dict[str, Any]:
    """As `held`; of a subject that fails or takes none, why: the others' figures are not lost with it."""
    try:
        found = held(subject, streams)
    except FAILS as error:
        return {"failed": str(error)}
    return found if found["streams"] else {"failed": f"none of {streams} streams began within {STAND_S} s"}


def held(subject: Subject, streams: int) -> Figures:
    """What it takes to hold so many open streams that say nothing: memory of the processes that answer, and CPU while they stand."""
    workers = subject.processes()["workers"]
    before, start = processes.resident_mib(workers), time.monotonic()
    with holding(subject, streams) as stands:
        took = time.monotonic() - start
        used = processes.cpu_seconds(workers)
        time.sleep(2)
        figures = {"streams": float(stands), "mib": processes.resident_mib(workers), "before_mib": before, "standing_s": took}
        figures["idle_cpu_share"] = (processes.cpu_seconds(workers) - used) / 2
    return figures | {"kib_each": (figures["mib"] - before) * 1024 / max(1, stands)}


def memory(subject: Subject) -> Figures:
    return {f"{role}_mib": processes.resident_mib(pids) for role, pids in subject.processes().items()}


def direct(port: int, pid: int) -> Subject:
    """The provider itself: what the load and the provider can do when nothing stands between them."""
    return Subject("direct", port, lambda: {"workers": [pid]}, path=wire.PATH)
