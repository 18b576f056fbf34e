"""How what the gateway costs grows as its work grows: `python -m tests.bench.curves --help`.

Each curve is one thing that grows while all else stays: CPU µs of the workers and of the book per request (per event, where streams grow).
Points of one curve are taken in turns, so that what else the machine does hits all alike; medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import measure, processes, report
from tests.bench.peers import tollhouse
from tests.bench.peers.subject import Subject

EVENTS_PER_S = 1000
"""Of all streams together, however many there are."""
HELD_S = 5.0
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


CURVES = {
    "conversation": Curve("a request's size", "KB", (1, 4, 16, 60, 120, 240, 400), "request", _conversation),
    "rules": Curve("guards, on a call", "guards", (1, 5, 20, 100, 500), "request", _rules),
    "workers": Curve("workers", "workers", (1, 2), "request", _workers),
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


def text(found: dict[str, dict[int, Figures]]) -> str:
    return "\n\n".join(_table(CURVES[name], points) for name, points in found.items())


def _table(curve: Curve, points: dict[int, Figures]) -> str:
    head = (curve.what, f"workers µs/{curve.per}", "book µs", "per s", "workers MiB", "workers' µs")
    most = max(figures["workers_us"] for figures in points.values()) or 1.0
    shown = ("workers_us", "book_us", "per_s", "workers_mib")
    rows = [
        (f"{point} {curve.unit}", *map(figures.get, shown), _bar(figures["workers_us"] / most)) for point, figures in points.items()
    ]
    return report.table(head, rows)


def _bar(share: float) -> str:
    return ("█" * max(1, round(share * BAR))).ljust(BAR)


def plot(found: dict[str, dict[int, Figures]], file: Path) -> None:
    """One picture of all curves. Raises ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(5 * len(found), 4), layout="constrained")
    for at, (name, points) in enumerate(found.items(), start=1):
        axes = picture.add_subplot(1, len(found), at)
        for role in ("workers_us", "book_us"):
            axes.plot(list(points), [figures[role] for figures in points.values()], marker="o", label=role.removesuffix("_us"))
        axes.set(title=CURVES[name].what, xlabel=CURVES[name].unit, ylabel=f"CPU µs per {CURVES[name].per}", ylim=(0, None))
        if len(points) > 2:
            axes.set_xscale("log")
        axes.legend()
    picture.savefig(file)


def arguments() -> argparse.Namespace:
    described = "Measure how the gateway's price grows with conversations, rules, workers and streams. Linux."
    asked = argparse.ArgumentParser(prog="python -m tests.bench.curves", description=described)
    asked.add_argument("curves", nargs="*", metavar="CURVE", help=f"which, of {', '.join(CURVES)} (default: all)")
    asked.add_argument("--rounds", type=int, default=3, help="medians are taken over so many (default 3)")
    asked.add_argument("--seconds", type=float, default=3.0, help="of each run (default 3)")
    asked.add_argument("--most", type=int, default=10_000, help="leave out points above this one (default 10000)")
    asked.add_argument("--json", metavar="FILE", help="write the figures there as JSON; - prints them instead of the tables")
    asked.add_argument("--plot", type=Path, metavar="FILE", help="draw them (.svg, .png, .pdf; needs matplotlib)")
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
