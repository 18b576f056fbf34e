"""`tollhouse approvals`: what waits for a person, and the person's word.

Over the running gateway's admin plane, as every other face does it. What models wrote is shown with its hostile characters escaped.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.asking import acting, call, data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.visible import visible

app = typer.Typer(help="List and decide the calls that wait for a person (rules with 'effect: ask').", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="ID", help="apr_…, as 'list' shows it.")]
By = Annotated[str | None, typer.Option(help="Who decides. Default: your user name on this machine.")]
Reason = Annotated[str, typer.Option(help="Why; the agent is told it with a denial.")]


class Scope(StrEnum):
    """Where an approval holds (`state.approvals.Scope`)."""

    once = "once"
    session = "session"
    agent = "agent"


class State(StrEnum):
    """Which are shown."""

    pending = "pending"
    approved = "approved"
    denied = "denied"
    expired = "expired"
    used = "used"
    all = "all"


ScopeOf = Annotated[Scope, typer.Option("--for", help="This call, or the same tool and values again there, without asking.")]

_COLUMNS = ("id", "state", "created_at", "agent", "user", "tool", "arguments", "rule")


@app.command("list")
def list_approvals(
    state: Annotated[State, typer.Option(help="What became of them.")] = State.pending,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show what waits for a decision, newest first.

    Example: tollhouse approvals list
    """
    found = call(data_folder(data), "GET", "/approvals", params={} if state is State.all else {"state": state.value})["approvals"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("Nothing waits for a decision." if state is State.pending else "There is none.")
        return
    table = Table(*(name.removesuffix("_at") for name in _COLUMNS))
    for each in found:
        table.add_row(*(Text(visible(str(each[name] or ""))[:200], overflow="fold") for name in _COLUMNS))
    Console().print(table)


@app.command()
def show(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """Show one approval whole.

    Example: tollhouse approvals show apr_…
    """
    _tell(call(data_folder(data), "GET", f"/approvals/{_safe(name)}"), as_json=as_json)


@app.command()
def approve(
    name: Name, by: By = None, reason: Reason = "", scope: ScopeOf = Scope.once, data: Data = None, as_json: AsJson = False
) -> None:
    """Let the call pass.

    Example: tollhouse approvals approve apr_… --reason "known payee" --for session
    """
    said = {"by": acting(by), "reason": reason, "scope": scope}
    _tell(call(data_folder(data), "POST", f"/approvals/{_safe(name)}/approve", content=_json(said)), as_json=as_json)


@app.command()
def deny(name: Name, by: By = None, reason: Reason = "", data: Data = None, as_json: AsJson = False) -> None:
    """Refuse the call, or take back an approval that was not used yet.

    Example: tollhouse approvals deny apr_… --reason "wrong account"
    """
    said = {"by": acting(by), "reason": reason}
    _tell(call(data_folder(data), "POST", f"/approvals/{_safe(name)}/deny", content=_json(said)), as_json=as_json)


@app.command()
def edit(
    name: Name,
    arguments: Annotated[str, typer.Argument(help="All arguments to deliver instead, as a JSON object. They are judged like any others.")],
    by: By = None,
    reason: Reason = "",
    scope: ScopeOf = Scope.once,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Approve the call with other arguments, in the place of all that it has.

    Example: tollhouse approvals edit apr_… '{"recipient": "X1", "amount": 20}'
    """
    try:
        given = msgspec.Raw(arguments.encode())
        msgspec.json.decode(given, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        raise typer.BadParameter(f"must be a JSON object: {error}", param_hint="ARGUMENTS") from error
    said = {"by": acting(by), "reason": reason, "scope": scope, "arguments": given}
    _tell(call(data_folder(data), "POST", f"/approvals/{_safe(name)}/approve", content=_json(said)), as_json=as_json)


def _json(said: dict[str, Any]) -> bytes:
    return msgspec.json.encode(said)


def _safe(name: str) -> str:
    if not name.startswith("apr_") or not name.isascii() or not name[4:].isalnum():
        raise typer.BadParameter(f"'{visible(name)}' is no approval's id; 'tollhouse approvals list' shows them", param_hint="ID")
    return name


def _tell(approval: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(approval))
        return
    for name, value in approval.items():
        if value not in (None, "", False):
            typer.echo(f"{name:12} {visible(str(value))}")
