"""What the gateway costs: `python -m tests.bench --help`.

A provider that answers at once, a client that asks at once, and between them, in turns: the gateway (20 guards, five of which ask who
said a value; journal synced before each answer; the book applying), a bare relay, nginx and other gateways where they are installed.
`direct` in the tables is the client at the provider itself: the bench's own limit. `--install` gets the others.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gateway.errors import StartError
from tests.bench import measure, processes, report
from tests.bench.peers import OUT_OF_REACH, PEERS, absent
from tests.bench.targets import regressions

SHORT = ("2 KB", "tool call", "stream, burst", "one at a time")


def arguments() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what the gateway costs, beside others. Linux.")
    named = f"which, of {', '.join(PEERS)} (default: all that are installed)"
    asked.add_argument("--peers", default=",".join([*PEERS, *OUT_OF_REACH]), help=named)
    asked.add_argument("--install", metavar="PEERS", help="get these, or all, into a cache of their own (TOLLHOUSE_BENCH_PEERS), and end")
    asked.add_argument("--scenarios", default="", help=f"which, of {', '.join(s.name for s in measure.SCENARIOS)}; separated by ';'")
    asked.add_argument("--rounds", type=int, default=3, help="medians are taken over so many (default 3)")
    asked.add_argument("--seconds", type=float, default=3.0, help="of each run (default 3)")
    asked.add_argument("--held", type=int, default=1000, help="streams held open at once; 0 = none (default 1000)")
    asked.add_argument("--json", metavar="FILE", help="write the figures there as JSON; - prints them instead of the tables")
    asked.add_argument("--keep", metavar="FOLDER", help="run there and keep what the subjects wrote (default: a folder that is deleted)")
    asked.add_argument("--short", action="store_true", help="under a minute, gateway and relay only; fails on gross regressions")
    given = asked.parse_args()
    given.install = _packaged() if given.install == "all" else given.install.split(",") if given.install else []
    if unknown := {*given.peers.split(","), *given.install} - {*PEERS, *OUT_OF_REACH}:
        asked.error(f"no such peer: {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return _shortened(given) if given.short else given


def _packaged() -> list[str]:
    return [name for name, peer in PEERS.items() if peer.PACKAGE]


def installed(names: list[str]) -> int:
    """Exit code 1 where one cannot be had; the others are got all the same."""
    missing = 0
    for name in names:
        package = PEERS[name].PACKAGE if name in PEERS else None
        try:
            if package and not package.path():
                say(f"getting {name}: {package.source}")
                package.install()
        except StartError as error:
            say(f"{name}: {error}")
        if reason := absent(name):
            missing += 1
            say(f"{name} cannot be had here: {reason}")
        else:
            say(f"{name} is here")
    return int(missing > 0)


def _shortened(given: argparse.Namespace) -> argparse.Namespace:
    given.peers, given.scenarios, given.rounds, given.seconds, given.held = "tollhouse,relay", ";".join(SHORT), 2, 1.0, 100
    return given


def measured(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {"environment": report.environment()}
    found |= {group: {} for group in ("absent", "peers", "cold", "idle", "held", "after")}
    with ExitStack() as stack:
        port, pid = stack.enter_context(processes.provider())
        subjects = []
        for name in given.peers.split(","):
            reason = absent(name)
            if reason:
                found["absent"][name] = reason
                continue
            say(f"starting {name}")
            found["peers"][name] = PEERS[name].PACKAGE.source if PEERS[name].PACKAGE else "of this commit"
            try:
                subjects.append(stack.enter_context(PEERS[name].running(folder, port)))
            except (*measure.FAILS, StartError) as error:
                found["absent"][name] = str(error)
        for subject in subjects:
            found["cold"][subject.name] = {"seconds": subject.cold_start_s}
            found["idle"][subject.name] = measure.memory(subject)
        _under_load(given, found, [*subjects, measure.direct(port, pid)])
    return found


def _under_load(given: argparse.Namespace, found: dict[str, Any], subjects: list[Any]) -> None:
    wanted = given.scenarios.split(";") if given.scenarios else [scenario.name for scenario in measure.SCENARIOS]
    scenarios = [scenario for scenario in measure.SCENARIOS if scenario.name in wanted]
    found["scenarios"] = measure.in_rounds(subjects, scenarios, given.rounds, given.seconds, say)
    for subject in subjects[:-1]:
        found["after"][subject.name] = measure.memory(subject)
        if given.held:
            say(f"{given.held} streams held by {subject.name}")
            found["held"][subject.name] = measure.held_or_why(subject, given.held)
    found["environment"]["load_after"] = round(os.getloadavg()[0], 2)


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main() -> int:
    given = arguments()
    if given.install:
        return installed(given.install)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever ends the bench ends what it started
    with ExitStack() as stack:
        folder = Path(given.keep) if given.keep else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        found = measured(given, folder.absolute())
    if given.json and given.json != "-":
        Path(given.json).write_text(json.dumps(found, indent=1))
    report.write(json.dumps(found) if given.json == "-" else report.text(found))
    wrong = regressions(found) if given.short else []
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
