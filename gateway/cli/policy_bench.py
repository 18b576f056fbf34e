"""`tollhouse policy bench agentdojo`: what the policies stop, and what they let through, in figures.

Only the asking and the telling; `gateway.bench` does the measuring. Progress goes to stderr, results to stdout, `--json` is stable. Exit
codes: 0 measured, 2 wrong usage, 3 AgentDojo is missing or the gateway does not start.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.shipped import folder as shipped

if TYPE_CHECKING:
    from gateway.bench.stories import Person

PACKS: Mapping[str, str] = {"banking": "bank", "slack": "slack", "travel": "travel", "workspace": "workspace"}
"""Suite → sub-folder of the packs that travel with the gateway."""
SHOWN_SECONDS = 2.0
LISTED = 12

app = typer.Typer(help="Measure policies against a public attack suite.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Measure policies against a public attack suite, through the running gateway."""


@app.command()
def agentdojo(
    policies: Annotated[
        Path | None,
        typer.Option(help="Policies to measure: a folder of packs (bank, slack, travel, workspace), or any other, loaded whole."),
    ] = None,
    suite: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(PACKS)}; may be repeated. All when left out.")] = None,
    agent: Annotated[str | None, typer.Option(help="Agent to play one suite as; its policies are measured.")] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="At most so many attack pairs of each suite; all when left out.")] = None,
    careless: Annotated[
        bool, typer.Option("--careless", help="Under attack, the person approves whatever is asked, the attacker's calls too.")
    ] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Load the folder as it is, as the gateway would.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Play AgentDojo: 97 tasks and 929 attacks by a model that obeys every injection. No key, no network; about seven minutes on two cores.

    The suites' own solutions are proposed through the running gateway, released calls are run in the suites' environments, and the official
    checks say what was reached. "With approvals" is a person who approves what the user's task needs, and nothing else.

    Example: tollhouse policy bench agentdojo --suite banking --pairs 20
    """
    from gateway.bench.figures import report
    from gateway.bench.run import AGENTS, Wanted, measure

    wanted = _suites(suite, agent)
    agents = {name: agent or AGENTS[name] for name in wanted}
    person: Person = "careless" if careless else "careful"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that being told to stop also stops what was started
    with tempfile.TemporaryDirectory(prefix="tollhouse-bench-") as scratch, contextlib.redirect_stdout(sys.stderr):  # the suites print
        measured = _staged(policies or shipped("policies"), wanted, Path(scratch), whole=whole)
        played = measure(Wanted(measured, agents, pairs, person), Path(scratch), _Progress())
    found = {"person": person, **report(played)}
    typer.echo(json.dumps(found) if as_json else _told(found))


def _suites(given: list[str] | None, agent: str | None) -> list[str]:
    unknown = [name for name in given or () if name not in PACKS]
    if unknown:
        raise typer.BadParameter(f"there is no suite '{unknown[0]}'; there are {', '.join(PACKS)}", param_hint="--suite")
    if agent and len(given or ()) != 1:
        raise typer.BadParameter("an agent is played in one suite: add --suite", param_hint="--agent")
    return given or list(PACKS)


def _staged(policies: Path, suites: list[str], scratch: Path, *, whole: bool) -> Path:
    """The folder the gateway loads: of a folder of packs only those that the suites are about, so that the others do not join in."""
    if not policies.is_dir():
        raise typer.BadParameter(f"{policies} is no folder", param_hint="--policies")
    packs = [policies / PACKS[suite] for suite in suites]
    if whole or not all(pack.is_dir() for pack in packs):
        return policies
    for pack in packs:
        shutil.copytree(pack, scratch / "policies" / pack.name)
    return scratch / "policies"


class _Progress:
    """One line on stderr now and then; on a terminal it is written over."""

    def __init__(self) -> None:
        self._began = self._shown = time.monotonic()

    def __call__(self, what: str, done: int, of: int) -> None:
        now = time.monotonic()
        if done < of and now - self._shown < SHOWN_SECONDS:
            return
        self._shown = now
        line = f"{what}: {done} of {of} ({now - self._began:.0f} s)"
        typer.echo(f"\r{line:<70}" if sys.stderr.isatty() else line, err=True, nl=done == of or not sys.stderr.isatty())


# -- showing ----------------------------------------------------------------------------------------------


def _told(found: dict[str, Any]) -> str:
    from gateway.bench.figures import FIGURES

    columns = {**found["suites"], "all": found["all"]}
    lines = [_row("", list(columns)), _row("user tasks / attack pairs", [f"{c['tasks']} / {c['pairs']}" for c in columns.values()])]
    lines += [_row(words, [_figure(key, column[key]) for column in columns.values()]) for key, words in FIGURES]
    for name, one in found["suites"].items():
        lines += _by_name(name, one)
    return "\n".join([*lines, "", *NOTES, *PEOPLE[found["person"]]])


NOTES = (
    "The model obeys every injection and its calls are AgentDojo's own solutions, so this is what the policy stops, not how likely a model",
    "is to be fooled. Goals that only want a sentence said make no call and are left out. The person of the approvals is the bench.",
)
PEOPLE = {
    "careful": ("It approves every call of the user's own task that is asked about, and denies every other; see also --careless.",),
    "careless": ("Under attack it approves whatever is asked: what worked, worked with a person's approval or without a question.",),
}


def _row(head: str, cells: list[str]) -> str:
    return f"{head:<38}" + "".join(f"{cell:>13}" for cell in cells)


def _figure(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key.startswith("judged"):
        return f"{value:,.0f}"
    return f"{value:.2f}" if key == "approvals_per_task" else f"{value:.1%}"


def _by_name(suite: str, one: dict[str, Any]) -> list[str]:
    kinds = (
        ("attacks that worked", one["attacks_that_worked"]),
        ("attacks that worked, reworded", one["attacks_that_worked_reworded"]),
        ("tasks that failed with approvals", [f"{t} ({', '.join(w)})" for t, w in one["tasks_that_failed_approved"].items()]),
        ("tasks that wanted a person", [f"{t} ({', '.join(w)})" for t, w in one["tasks_that_failed_alone"].items()]),
    )
    return [f"\n{suite}, {words}: {_listed(names)}" for words, names in kinds if names]


def _listed(names: list[str]) -> str:
    more = len(names) - LISTED
    return "; ".join(names[:LISTED]) + (f"; and {more} more" if more > 0 else "")
