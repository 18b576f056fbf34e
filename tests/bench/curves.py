"""How what the gateway costs grows as its work grows: `python -m tests.bench.curves --help`.

Each curve is one thing that grows while all else stays: CPU µs of the workers and of the book per request (per event, where streams grow).
Points of one curve are taken in turns, so that what else the machine does hits all alike; medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import measure, plots, processes, report
from tests.bench.peers import tollhouse
from tests.bench.peers.subject import Subject

EVENTS_PER_S = 1000
"""Of all streams together, however many there are."""
HELD_S = 5.0
MORE = 4000
"""Exchanges applied to a ledger that is there, to see what each costs the book."""
AT_ONCE = 1_000_000
"""More are made by copying these (`ledger_times.py`)."""
Figures = dict[str, float]


class Curve(NamedTuple):
    what: str
    unit: str
    points: tuple[int, ...]
    per: str
    point: Callable[[Path, int, int, float], Any]
    """(folder, provider's port, point, seconds of a run) → a context in which `() -> Figures` measures once."""


def _once(subject: Subject, kind: str, size: str, seconds: float) -> Callable[[], Figures]:
    scenario = measure.Scenario(kind, kind, size, connections=8)
    return lambda: measure.once(subject, scenario, seconds)


@contextmanager
def _conversation(folder: Path, port: int, kilobytes: int, seconds: float) -> Iterator[Callable[[], Figures]]:
    with tollhouse.running(folder, port) as subject:
        yield _once(subject, "plain", f"{kilobytes}k", seconds)


@contextmanager
def _rules(folder: Path, port: int, guards: int, seconds: float) -> Iterator[Callable[[], Figures]]:
    with tollhouse.running(folder, port, guards=guards) as subject:
        yield _once(subject, "tool", "2k", seconds)


@contextmanager
def _workers(folder: Path, port: int, workers: int, seconds: float) -> Iterator[Callable[[], Figures]]:
    with tollhouse.running(folder, port, workers=workers) as subject:
        yield _once(subject, "plain", "2k", seconds)


@contextmanager
def _streams(folder: Path, port: int, streams: int, _: float) -> Iterator[Callable[[], Figures]]:
    with tollhouse.running(folder, port, workers=2) as subject:
        yield lambda: _ticking(subject, streams)


def _ticking(subject: Subject, streams: int) -> Figures:
    """CPU per event while so many streams say `EVENTS_PER_S` events a second together, and what they take of memory."""
    roles = subject.processes()
    with measure.holding(subject, streams, f"tick{streams * 1000 // EVENTS_PER_S}") as stands:
        if stands < streams:
            raise RuntimeError(f"{stands} of {streams} streams stand after two minutes")
        before = {role: processes.cpu_seconds(pids) for role, pids in roles.items()}
        time.sleep(HELD_S)
        used = {f"{role}_us": (processes.cpu_seconds(pids) - before[role]) / HELD_S / EVENTS_PER_S * 1e6 for role, pids in roles.items()}
        return used | {"workers_mib": processes.resident_mib(roles["workers"])}


@contextmanager
def _ledger(folder: Path, _: int, rows: int, __: float) -> Iterator[Callable[[], Figures]]:
    """A ledger is made once for all rounds; what is measured makes it a little larger each time."""
    yield lambda: _beside(folder.parent / f"ledger-of-{rows}", rows)


def _beside(data: Path, rows: int) -> Figures:
    if rows == 0:
        shutil.rmtree(data, ignore_errors=True)
    made = (data / "ledger.duckdb").exists()
    line = ["--keep", str(data), "--exchanges", str(min(rows or MORE, AT_ONCE)), "--times", str(1 if made else max(1, rows // AT_ONCE))]
    line += ["--more", str(MORE if rows else 0), "--json"]
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("ledger.py")), *line], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: a target is missed, which is not what is asked here
        raise RuntimeError(f"ledger.py failed: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    taken = sorted(seen["ms"] for seen in found["standing"][-1]["queries"].values())
    applied = found["more" if rows else "intake"]
    return {"book_us": 1e6 / applied["per_cpu_s"], "query_ms": statistics.median(taken), "slowest_ms": taken[-1]}


CURVES = {
    "conversation": Curve("a request's size", "KB", (1, 4, 16, 60, 120, 240, 400), "request", _conversation),
    "rules": Curve("guards, on a call", "guards", (1, 5, 20, 100, 500), "request", _rules),
    "workers": Curve("workers", "workers", (1, 2), "request", _workers),
    "ledger": Curve("exchanges in the ledger", "exchanges", (0, 10_000, 100_000, 1_000_000, 10_000_000), "exchange", _ledger),
    "streams": Curve("streams open at once", "streams", (1, 10, 100, 1000, 10_000), "event", _streams),
}


def measured(name: str, folder: Path, port: int, rounds: int, seconds: float, most: int) -> dict[int, Figures]:
    """{point: medians}."""
    curve = CURVES[name]
    points = [point for point in curve.points if point <= most]
    runs: dict[int, list[Figures]] = {point: [] for point in points}
    for number in range(rounds):
        for point in points:
            say(f"{name}: {point} {curve.unit}, round {number + 1} of {rounds}")
            with curve.point(_empty(folder / f"{name}-{point}-{number}"), port, point, seconds) as once:
                once()  # what is only done once is not what a request costs
                runs[point].append(once())
    return {point: _medians(each) for point, each in runs.items()}


def _empty(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _medians(runs: Sequence[Figures]) -> Figures:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0] if all(name in run for run in runs)}


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


# -- showing ----------------------------------------------------------------------------------------------


BAR = 40
SHOWN = {
    "workers_us": "workers µs",
    "book_us": "book µs",
    "per_s": "per s",
    "workers_mib": "workers MiB",
    "query_ms": "saved queries ms",
    "slowest_ms": "slowest of them",
}


def text(found: dict[str, dict[int, Figures]]) -> str:
    return "\n\n".join(_table(CURVES[name], points) for name, points in found.items())


def _table(curve: Curve, points: dict[int, Figures]) -> str:
    """With a bar for the first figure of the curve."""
    kept = [key for key in SHOWN if any(key in figures for figures in points.values())]
    most = max((figures[kept[0]] for figures in points.values()), default=0.0) or 1.0
    head = (f"{curve.what} (per {curve.per})", *(SHOWN[key] for key in kept), SHOWN[kept[0]])
    rows = [
        (f"{point} {curve.unit}", *map(figures.get, kept), _bar(figures[kept[0]] / most)) for point, figures in points.items()
    ]
    return report.table(head, rows)


def _bar(share: float) -> str:
    return ("█" * max(1, round(share * BAR))).ljust(BAR)


def plot(found: dict[str, dict[int, Figures]], file: Path) -> None:
    """One picture of all curves, as SVG."""
    panels = []
    for name, points in found.items():
        curve = CURVES[name]
        drawn = [key for key in ("workers_us", "book_us") if any(key in figures for figures in points.values())]
        lines = {SHOWN[key]: [(point, figures[key]) for point, figures in points.items()] for key in drawn}
        panels.append(plots.Panel(curve.what, curve.unit, f"CPU µs per {curve.per}", lines))
    file.write_text(plots.svg(panels))


def arguments() -> argparse.Namespace:
    described = "Measure how the gateway's price grows with conversations, rules, workers, streams and the ledger. Linux."
    asked = argparse.ArgumentParser(prog="python -m tests.bench.curves", description=described)
    asked.add_argument("curves", nargs="*", metavar="CURVE", help=f"which, of {', '.join(CURVES)} (default: all)")
    asked.add_argument("--rounds", type=int, default=3, help="medians are taken over so many (default 3)")
    asked.add_argument("--seconds", type=float, default=3.0, help="of each run (default 3)")
    asked.add_argument("--most", type=int, default=10_000, help="leave out points above this one (default 10000; a ledger: 10000000)")
    asked.add_argument("--json", metavar="FILE", help="write the figures there as JSON; - prints them instead of the tables")
    asked.add_argument("--plot", type=Path, metavar="FILE", help="draw them there, as SVG")
    given = asked.parse_args()
    if unknown := set(given.curves) - set(CURVES):
        asked.error(f"no such curve: {', '.join(sorted(unknown))}; there are {', '.join(CURVES)}")
    return given


def main() -> None:
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever ends the bench ends what it started
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, _ = stack.enter_context(processes.provider())
        wanted = given.curves or list(CURVES)
        found = {name: measured(name, folder, port, given.rounds, given.seconds, given.most) for name in wanted}
    if given.json and given.json != "-":
        Path(given.json).write_text(json.dumps(found, indent=1))
    if given.plot:
        plot(found, given.plot)
    report.write(json.dumps(found) if given.json == "-" else text(found))


if __name__ == "__main__":
    main()
