"""Processes of the bench: what they cost, as the kernel counts it, and starting and ending them.

CPU time is user and system of a process and of its ended children, in the kernel's ticks (10 ms): a measurement lasts seconds, so that a
tick is less than a hundredth. Linux only, because of /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_TICK: Final = 1 / os.sysconf("SC_CLK_TCK")
ROOT: Final = Path(__file__).resolve().parents[2]
LOAD_S: Final = 150.0
"""What a run of the load may take beyond its own time: connecting, and waiting for a first answer."""


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for each in found:
        try:
            found += [int(child) for task in Path(f"/proc/{each}/task").iterdir() for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def cpu_seconds(pids: Sequence[int]) -> float:
    return sum(_cpu(pid) for pid in pids)


def _cpu(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(field) for field in fields[11:15]) * _TICK


def resident_mib(pids: Sequence[int]) -> float:
    """Resident memory; what processes share is counted in each."""
    return sum(_resident(pid) for pid in pids) / 1024


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def settled(pids: Sequence[int], most: float = 30.0) -> None:
    """Waits until they have no more work of their own: what is written behind the answers belongs to the answers' price."""
    deadline, before = time.monotonic() + most, cpu_seconds(pids)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        now = cpu_seconds(pids)
        if now - before <= 3 * _TICK:
            return
        before = now


def python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


@contextmanager
def running(
    line: Sequence[str], *, environment: Mapping[str, str] | None = None, log: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process that is told to end, and killed when it does not, as the block ends; what it has started ends with it. Its output goes to
    `log`, or can be read."""
    output = log.open("w") if log else subprocess.PIPE
    errors = subprocess.STDOUT if log else None
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=output, stderr=errors, text=True, env=environment, cwd=ROOT)
    try:
        yield process
    finally:
        below = {pid: started(pid) for pid in tree(process.pid)[1:]}
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid, when in below.items():
            if when and started(pid) == when:  # not another that got its number meanwhile
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def started(pid: int) -> str:
    """When, in the kernel's ticks; empty for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if fields[0] == "Z" else fields[19]


@contextmanager
def provider() -> Iterator[tuple[int, int]]:
    """(port, process id) of a running provider."""
    with running(python("tests.bench.provider")) as process:
        yield int(process.stdout.readline()), process.pid  # type: ignore[union-attr]


def line_within(process: subprocess.Popen[str], seconds: float) -> str:
    """The first line that it says. Raises RuntimeError when there is none in time."""
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    line = process.stdout.readline() if ready and process.stdout else ""
    if not line:
        raise RuntimeError(f"'{' '.join(map(str, process.args[1:4]))} …' said nothing in {seconds:g} s")  # type: ignore[index,misc]
    return line


def load(port: int, *, headers: Sequence[str] = (), **options: object) -> dict[str, Any]:
    """What one run of the load saw. Raises RuntimeError when an answer was not the provider's, subprocess.SubprocessError for a run that
    does not end."""
    line, bound = load_line(port, headers, options), float(str(options.get("seconds", 3))) + LOAD_S
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, check=True, timeout=bound)
    figures: dict[str, Any] = json.loads(done.stdout)
    if figures["failures"] or not (figures["requests"] or figures["events"]):
        seen = f"{figures['requests']} answers were the provider's, {figures['failures']} were not"
        raise RuntimeError(f"{seen}; the first of these: {figures['first_failure'] or 'none came in time'}")
    return figures


def load_line(port: int, headers: Sequence[str], options: Mapping[str, object]) -> list[str]:
    told = [word for name, value in options.items() for word in ([f"--{name}"] if value is True else [f"--{name}", str(value)])]
    return python("tests.bench.load", "--port", str(port), *told, *(word for line in headers for word in ("--header", line)))
