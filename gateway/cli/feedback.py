"""`tollhouse feedback`: what people and agents say about exchanges, decisions and sessions."""

from __future__ import annotations

import json
import math
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.asking import acting, call, data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.visible import visible

app = typer.Typer(help="Say, and see, how good an answer or a decision was.", no_args_is_help=True)

_COLUMNS = ("given_at", "who", "name", "score", "label", "comment", "exchange_id", "session")


@app.command()
def add(
    exchange: Annotated[str | None, typer.Option(help="The exchange it is about.")] = None,
    decision: Annotated[str | None, typer.Option(help="Or the decision, dec_….")] = None,
    session: Annotated[str | None, typer.Option(help="Or the session.")] = None,
    score: Annotated[float | None, typer.Option(help="A number; what it means is yours to say, by --name.")] = None,
    label: Annotated[str | None, typer.Option(help="A word: good, wrong, …")] = None,
    comment: Annotated[str | None, typer.Option(help="A text.")] = None,
    name: Annotated[str, typer.Option(help="What is scored.")] = "feedback",
    by: Annotated[str | None, typer.Option(help="Who says it. Default: your user name on this machine.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give feedback. It is on record when this returns.

    Example: tollhouse feedback add --decision dec_… --label wrong --comment "this payee is known"
    """
    if score is not None and not math.isfinite(score):
        raise typer.BadParameter("must be a finite number", param_hint="--score")
    about = {"exchange": exchange, "decision": decision, "session": session}
    said = {"score": score, "label": label, "comment": comment, "name": name}
    given = {key: value for key, value in {**about, **said}.items() if value is not None}
    body = {"by": acting(by), "feedback": given}
    done = call(data_folder(data), "POST", "/feedback", json=body)
    typer.echo(json.dumps(done) if as_json else done["id"])


@app.command("list")
def list_feedback(
    exchange: Annotated[str | None, typer.Option(help="Only about this exchange.")] = None,
    limit: Annotated[int, typer.Option(help="Rows at most.", min=1, max=1000)] = 100,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show feedback, newest first.

    Example: tollhouse feedback list
    """
    asked = {"limit": str(limit)} | ({"exchange": exchange} if exchange else {})
    found = call(data_folder(data), "GET", "/feedback", params=asked)["feedback"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("There is none.")
        return
    table = Table(*(name.removesuffix("_id").removesuffix("_at") for name in _COLUMNS))
    for each in found:
        table.add_row(*(Text(visible("" if each[name] is None else str(each[name])), overflow="fold") for name in _COLUMNS))
    Console().print(table)
