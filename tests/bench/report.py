"""The bench's report as text: the machine, what each subject took, the targets."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.processes import ROOT
from tests.bench.targets import BESIDE, BOUNDS, OURS, RIVALS, TARGETS, per_core, ratio, times


def environment() -> dict[str, Any]:
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("uvloop", "httptools", "uvicorn", "cel-expr-python", "duckdb")},
        "commit": _commit(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _commit() -> str:
    if shutil.which("git") is None:
        return "unknown"
    asked = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=ROOT, check=False)
    return asked.stdout.strip() or "unknown"


def write(text: str) -> None:
    sys.stdout.write(text + "\n")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [list(head), *([_shown(cell) for cell in row] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    shown = [_row(line, widths) for line in lines]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def _row(line: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))])


def _shown(cell: object) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)


def text(report: dict[str, Any]) -> str:
    parts = [machine(report["environment"]), *(_scenario(name, seen) for name, seen in report["scenarios"].items())]
    parts += [_standing(report), _per_core(report), *((_targets(report), _ratios(report)) if OURS in report["cold"] else ())]
    parts += ["measured: " + ", ".join(f"{name} ({source})" for name, source in report["peers"].items())]
    parts += ["\n".join(f"{name} is left out: {why}" for name, why in report["absent"].items())]
    return "\n\n".join(part for part in parts if part)


def machine(seen: dict[str, Any]) -> str:
    libraries = ", ".join(f"{name} {number}" for name, number in seen["libraries"].items())
    busy = f"load {seen['load_before']} before, {seen.get('load_after', '?')} after"
    return f"{seen['cores']} × {seen['cpu']}, Linux {seen['kernel']}, Python {seen['python']}, commit {seen['commit']}\n{libraries}\n{busy}"


def _scenario(name: str, seen: dict[str, Any]) -> str:
    head = (name, "CPU µs", "of it workers", "book", "per s", "p50 ms", "p99 ms", "client's CPU µs")
    rows = [_line(subject, figures) for subject, figures in seen.items() if "failed" not in figures]
    failed = [f"{subject} is left out: {figures['failed'][:200]}" for subject, figures in seen.items() if "failed" in figures]
    return "\n".join([table(head, rows), *failed])


def _line(subject: str, figures: dict[str, Any]) -> tuple[object, ...]:
    times = [figures[key] / 1000 if key in figures else None for key in ("p50_us", "p99_us")]
    return (subject, figures["cpu_us"], figures["workers_us"], figures.get("book_us"), figures["per_s"], *times, figures["client_us"])


def _standing(report: dict[str, Any]) -> str:
    head = ("standing", "cold start s", "idle MiB", "after all MiB", "streams held", "MiB with them", "KiB each")
    rows = []
    for name, cold in report["cold"].items():
        streams = report["held"].get(name, {})
        held = (streams.get("streams"), streams.get("mib"), streams.get("kib_each"))
        rows.append((name, cold["seconds"], sum(report["idle"][name].values()), sum(report["after"][name].values()), *held))
    failed = [f"{name} holds no streams: {each['failed'][:200]}" for name, each in report["held"].items() if "failed" in each]
    return "\n".join([table(head, rows), *failed])


def _per_core(report: dict[str, Any]) -> str:
    """What one core answers in a second, all processes counted, and how much more that is of ours than of each other's."""
    told = [name for name in BESIDE if name in report["scenarios"]]
    wanted = {rival.name: f"{rival.least:g}" for rival in RIVALS}
    head = ("requests/s per core", *told, *(f"ours to it, {name}" for name in told), "wanted")
    rows = []
    for subject in report["cold"]:
        beside = [None if subject == OURS else times(report, name, subject) for name in told]
        rows.append((subject, *(per_core(report, name, subject) for name in told), *beside, wanted.get(subject)))
    return table(head, rows) if told else ""


def _targets(report: dict[str, Any]) -> str:
    rows = []
    for target in TARGETS:
        found = target.measured(report)
        kept = "" if found is None else "kept" if found <= target.most else "missed"
        rows.append((f"{target.what} ({target.unit})", float(target.most), found, kept))
    return table(("target", "at most", "measured", ""), rows)


def _ratios(report: dict[str, Any]) -> str:
    rows = [(bound.scenario, ratio(report, bound.scenario), float(bound.most)) for bound in BOUNDS]
    return table(("workers' CPU in requests of a bare relay", "measured", "fails above"), rows)
