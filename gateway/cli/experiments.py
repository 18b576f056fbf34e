"""`tollhouse experiments`: what runs, what it has come to, and ending it by hand.

What a file says is read from the folder of prompts, what it has come to from the book. Halting and promoting need the running gateway: both
are put on record.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.asking import acting, ask, call, data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.prompts import read_library
from gateway.cli.visible import visible
from gateway.documents import nearest
from gateway.errors import GatewayError, StartError
from gateway.prompt.experiment import CONTROL
from gateway.prompt.library import Library
from gateway.prompt.trial import Trial
from gateway.rollout import deciding, simulating, standing

app = typer.Typer(help="List and show experiments on prompts, what they came to, and halt or promote their arms.", no_args_is_help=True)

Folder = Annotated[Path | None, typer.Option("--prompts", help="Folder of prompts. Default: what tollhouse.yaml names.")]
Name = Annotated[str, typer.Argument(help="The experiment: its file's name without .yaml.")]
Arm = Annotated[str, typer.Argument(help="One arm. Default: all that run.")]
By = Annotated[str | None, typer.Option(help="Who does it. Default: your user name on this machine.")]
Why = Annotated[str, typer.Option(help="Why; written down.")]
MOST = 10_000


@app.command("list")
def list_experiments(prompts: Folder = None, data: Data = None, as_json: AsJson = False) -> None:
    """List experiments with their arms. What cannot be used is told with file, line and column.

    Example: tollhouse experiments list
    """
    library = read_library(prompts, data)
    rows = [{"experiment": each.name, **standing.told(each, time.time_ns() // 1000)} for each in library.trials.values()]
    if as_json:
        typer.echo(json.dumps(rows))
    elif rows:
        _print([{**row, "arms": _arms(row["arms"])} for row in rows], ("experiment", "prompt", "label", "state", "arms"))
    elif not library.unfit:
        typer.echo("There is no experiment; write one as experiments/<name>.yaml in the folder of prompts.")
    for problem in library.unfit:
        typer.echo("\n".join(visible(line) for line in str(problem).split("\n")), err=True)


@app.command()
def show(name: Name, prompts: Folder = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show an experiment: its arms, the looks the book has taken, what it decided and why.

    Example: tollhouse experiments show new-tone
    """
    trial = _trial(read_library(prompts, data), name)
    where = data_folder(data)
    looks, changes = (_rows(where, sql, standing.about(trial)) for sql in (standing.LOOKS, standing.CHANGES))
    told = {"experiment": name, **standing.told(trial, time.time_ns() // 1000), "edition": trial.judged, "looks": looks, "changes": changes}
    if as_json:
        typer.echo(json.dumps(told, default=str))
        return
    plan = trial.experiment.plan
    typer.echo(f"{name}: {plan.prompt}@{plan.label or '(the file as it stands)'}, {told['state']}, edition {trial.judged}")
    _print(told["arms"], ("arm", "version", "weight", "model", "state"))
    _print(looks, ("look", "arm", "metric", "control_mean", "arm_mean", "difference", "low", "high", "finding"))
    for each in changes:
        if each["state"] != "running":
            typer.echo(visible(f"{each['changed_at']}  {each['arm']} is {each['state']} by {each['who']}: {each['why']}"))
    if not looks:
        first = deciding.due(plan, 0)
        typer.echo(f"No look yet: the first is taken at {first} sessions. 'tollhouse experiments results {name}' shows what there is.")


@app.command()
def results(name: Name, prompts: Folder = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show what each arm came to until now, with intervals as a look taken now would have them. Nothing is decided by it.

    Example: tollhouse experiments results new-tone --json
    """
    trial = _trial(read_library(prompts, data), name)
    where = data_folder(data)

    def fetch(sql: str, params: Any) -> list[dict[str, Any]]:
        return _rows(where, sql, params)

    found = standing.results(fetch, trial, time.time_ns() // 1000)
    if as_json:
        typer.echo(json.dumps({"experiment": name, "edition": trial.judged, **found}))
        return
    drawn = ", ".join(f"{arm} {count}" for arm, count in sorted(found["sessions"].items())) or "none"
    typer.echo(f"{name}, edition {trial.judged}: sessions {drawn}; {found['looks']} of {trial.experiment.plan.looks} looks taken")
    _print(found["results"], ("arm", "metric", "sessions", "mean", "control", "difference", "low", "high", "finding"))


@app.command()
def halt(name: Name, arm: Arm = "", why: Why = "", by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Take an arm out: its sessions get what they would get without it, within a second. Put on record.

    Example: tollhouse experiments halt new-tone --why "too chatty"
    """
    _rule(name, "halt", arm, why, by, data, as_json=as_json)


@app.command()
def promote(name: Name, arm: Arm = "", why: Why = "", by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Move the experiment's label to an arm's version, and end the arm. Put on record.

    Example: tollhouse experiments promote new-tone canary
    """
    _rule(name, "promote", arm, why, by, data, as_json=as_json)


@app.command()
def simulate(
    sessions: Annotated[int, typer.Option(min=600, max=1_000_000, help="Of one experiment.")] = 10_000,
    weight: Annotated[float, typer.Option(min=0.01, max=0.99, help="Share of them that the canary gets.")] = 0.5,
    matters: Annotated[float, typer.Option(min=0, max=1, help="Smallest difference in success that matters.")] = 0.03,
    looks: Annotated[int, typer.Option(min=1, max=10, help="How often it is decided.")] = 5,
    risk: Annotated[float, typer.Option(min=0.001, max=0.5, help="That an arm which is no worse is halted.")] = 0.05,
    worse_by: Annotated[list[float] | None, typer.Option(help="How much worse the canary is; can be given again.")] = None,
    repetitions: Annotated[int, typer.Option(min=1, max=10_000, help="Experiments played for each difference.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed plays the same experiments.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Play experiments whose truth is known: how often is a worse canary halted, and an equal one not?

    Example: tollhouse experiments simulate --weight 0.1
    """
    setting = simulating.Setting(sessions, weight, matters, looks, risk)
    tallies = [simulating.tally(setting, each, repetitions, seed) for each in worse_by or (0.0, 0.02, 0.05)]
    rows = [_tally(each) for each in tallies]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    drawn = f"{sessions} sessions, {weight:.0%} to the canary"
    typer.echo(f"{repetitions} experiments each, of {drawn}; {looks} looks, risk {risk}, seed {seed}")
    _print(rows, ("worse_by", "halted", "promoted", "ended", "sessions", "of_canary"))


# -- what is asked about ----------------------------------------------------------------------------------

def _rows(data: Path, sql: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    answer = ask(data, sql, MOST, {name: str(value) for name, value in params.items()})
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def _trial(library: Library, name: str) -> Trial:
    """Raises StartError with what is wrong with the file, GatewayError where there is none."""
    if name in library.trials:
        return library.trials[name]
    if name in library.experiments:
        wrong = "\n".join(str(each) for each in library.unfit if each.file == library.experiments[name].file)
        raise StartError(f"the experiment '{name}' cannot be used:\n{wrong}")
    known = ", ".join(library.trials) or "none"
    said = f"there is no experiment '{name}'{nearest(name, library.trials) or '.'} There are: {known}"
    raise GatewayError("not_found", "unknown_experiment", said)


def _arms(arms: list[dict[str, Any]]) -> str:
    return ", ".join(f"{each['arm']} {each['weight']:g}" + ("" if each["state"] == "running" else f" ({each['state']})") for each in arms)


def _tally(tally: simulating.Tally) -> dict[str, Any]:
    shares = {outcome: f"{tally.share(outcome):.1%}" for outcome in ("halted", "promoted", "ended")}
    return {"worse_by": tally.worse_by, **shares, "sessions": tally.sessions, "of_canary": tally.sessions_of_canary}


def _rule(name: str, what: str, arm: str, why: str, by: str | None, data: Path | None, *, as_json: bool) -> None:
    if arm == CONTROL:
        raise typer.BadParameter("the control is what requests get anyway: name another arm", param_hint="ARM")
    body = {"arm": arm, "why": why, "by": acting(by)}
    done = call(data_folder(data), "POST", f"/experiments/{quote(name, safe='')}/{what}", json=body)
    if as_json:
        typer.echo(json.dumps(done))
    for each in () if as_json else done["changes"]:
        typer.echo(visible(f"{name}: {each['arm']} is {each['state']}"))


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if not rows:
        return
    table = Table(*columns)
    for each in rows:
        table.add_row(*(Text(visible(_cell(each[name])), overflow="fold") for name in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
