"""`tollhouse budgets`: what was taken of each, for whom, and letting one begin at zero again."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.asking import acting, call, data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.visible import visible

app = typer.Typer(help="Show what was taken of budgets, and let one begin at zero again.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The budget's id, as 'tollhouse budgets list' shows it.")]


@app.command("list")
def list_budgets(data: Data = None, as_json: AsJson = False) -> None:
    """Show the budgets of the settings, and who is nearest to the end of each.

    Example: tollhouse budgets list
    """
    found = call(data_folder(data), "GET", "/budgets")["budgets"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("No budget is set; write one under 'budgets:' in the settings.")
        return
    rows = []
    for each in found:
        fullest = each["fullest"] or {"subject": "", "taken": "", "left": ""}
        rows.append({**each, "nearest": fullest["subject"], "taken": fullest["taken"], "left": fullest["left"]})
    _print(rows, ("id", "per", "of", "max", "window", "action", "subjects", "nearest", "taken", "left"))


@app.command()
def show(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """Show what each subject has taken of a budget, running requests at their worst case. The latest first.

    Example: tollhouse budgets show team-day
    """
    found = call(data_folder(data), "GET", f"/budgets/{quote(name, safe='')}")["budget"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"{found['id']}: {found['max']} {found['of']} per {found['per']}, window {found['window']}, {found['action']}")
    columns = ("subject", *(("session",) if found["window"] == "session" else ()), "taken", "left", "latest")
    _print(found["subjects"], columns)


@app.command()
def reset(
    name: Name,
    subject: Annotated[str | None, typer.Option(help="Whose, as 'tollhouse budgets show' names it.")] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's.")] = False,
    why: Annotated[str, typer.Option(help="Why; written down.")] = "",
    by: Annotated[str | None, typer.Option(help="Who does it. Default: your user name on this machine.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let a budget begin at zero again. Requests that are running still count when they end. In force at once; put on record.

    Example: tollhouse budgets reset team-day --subject red --why "agreed"
    """
    if (subject is None) is not everybody:
        typer.echo("Name one subject with --subject, or everybody with --all.", err=True)
        raise typer.Exit(2)
    body = {"subject": subject, "why": why, "by": acting(by)}
    done = call(data_folder(data), "POST", f"/budgets/{quote(name, safe='')}/reset", json=body)
    if as_json:
        typer.echo(json.dumps(done))
        return
    told = ", ".join(visible(each) or "(no name)" for each in done["subjects"]) or "nobody: nothing was counted"
    typer.echo(f"Budget {visible(done['budget'])} begins at zero for {told}.")


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    table = Table(*columns)
    for each in rows:
        table.add_row(*(Text(visible(str(each[name]))[:200], overflow="fold") for name in columns))
    Console().print(table)
