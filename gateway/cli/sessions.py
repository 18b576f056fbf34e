"""`tollhouse sessions`: sessions that a denial has stopped, and agents that a person has paused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import clock
from gateway.cli.beside import AsJson, Data, settings_beside, settings_there, user_name
from gateway.cli.visible import visible
from gateway.installation import open_sessions, with_our_state
from gateway.people import bound
from gateway.state.sessions import EVERY_SESSION, Session, Sessions

app = typer.Typer(help="List stopped sessions and paused agents; pause and resume.", no_args_is_help=True)

_COLUMNS = ("session", "agent", "team", "user", "stopped", "denials", "policy", "rule", "decision", "by", "why")


@app.command("list")
def list_sessions(data: Data = None, as_json: AsJson = False) -> None:
    """Show the sessions that are stopped and the agents that are paused (they name no session), newest first.

    Example: tollhouse sessions list
    """
    found = [_plain(each) for each in _store(data).every()]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("No session is stopped.")
        return
    table = Table(*_COLUMNS)
    for each in found:
        told = each | {"team": bound.shown(each["org"], each["team"])}
        table.add_row(*(Text(visible(str(told[name] or ""))[:200], overflow="fold") for name in _COLUMNS))
    Console().print(table)


@app.command()
def pause(
    agent: Annotated[str, typer.Argument(help="The agent, as its key names it; 'anonymous' is whoever comes without a key.")],
    why: Annotated[str, typer.Option(help="For the book, and for whoever runs the agent.")],
    by: Annotated[str | None, typer.Option(help="Who pauses it, for the book. Default: the name you are logged in with.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Refuse everything that comes under an agent's name, from the next request on, until it is resumed.

    Example: tollhouse sessions pause bank-bot --why "it loops"
    """
    who = by or user_name()
    if not open_sessions(with_our_state(settings_beside(data))).pause(agent, by=who, why=why, at_us=clock.now_us()):
        typer.echo(f"'{visible(agent)}' is paused already. 'tollhouse sessions list' shows by whom.", err=True)
        raise typer.Exit(1)
    told = {"agent": agent, "state": "paused", "by": who, "why": why}
    typer.echo(json.dumps(told) if as_json else f"Agent {visible(agent)} is paused.")


@app.command()
def resume(
    session: Annotated[
        str, typer.Argument(help="The session, as 'tollhouse sessions list' shows it; none: the agent of --agent, which is paused.")
    ] = EVERY_SESSION,
    agent: Annotated[str | None, typer.Option(help="Whose session, where several agents have one of this name.")] = None,
    team: Annotated[
        str | None, typer.Option(help="The team of the agent's key (acme/payments where it names an organisation), where that does.")
    ] = None,
    user: Annotated[str | None, typer.Option(help="The user of the agent's key, where that does.")] = None,
    by: Annotated[str | None, typer.Option(help="Who resumes it, for the book. Default: the name you are logged in with.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let the session's requests pass again. Its denials are counted anew. In force with the next request.

    Example: tollhouse sessions resume ses_… --by ann
    """
    if not session and agent is None:
        raise typer.BadParameter("name the session, or with --agent the agent that is paused")
    store = _store(data)
    wanted = {"agent": agent, "team": team, "user": user}
    found = [each for each in store.every() if each.session == session and _is(each, wanted)]
    if len(found) > 1:
        owners = ", ".join(sorted(map(_owner, found)))
        typer.echo(f"Several callers have a stopped session '{visible(session)}': {visible(owners)}.", err=True)
        typer.echo("Name one: --agent, --team, --user; an empty one is of a key that names none.", err=True)
        raise typer.Exit(1)
    who = by or user_name()
    if not found or not store.resume(found[0].owner, session, by=who, at_us=clock.now_us()):
        which = f"No such session is stopped: '{visible(session)}'." if session else f"The agent '{visible(agent or '')}' is not paused."
        typer.echo(f"{which} 'tollhouse sessions list' shows all.", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps({"agent": found[0].agent, "session": session or None, "state": "resumed", "by": who}))
        return
    whose = visible(found[0].agent)
    typer.echo(f"Session {visible(session)} of {whose} goes on." if session else f"Agent {whose} goes on.")


def _is(of: Session, wanted: Mapping[str, str | None]) -> bool:
    found = {"agent": of.agent, "team": bound.shown(of.org, of.team), "user": of.user or ""}
    return all(value in (None, found[name]) for name, value in wanted.items())


def _owner(of: Session) -> str:
    return f"{of.agent} (team {bound.shown(of.org, of.team) or 'none'}, user {of.user or 'none'})"


def _store(data: Path | None) -> Sessions:
    return open_sessions(with_our_state(settings_there(data)))


def _plain(of: Session) -> dict[str, Any]:
    at = datetime.fromtimestamp(of.changed_us / 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    columns = ("session", "agent", "org", "team", "user", "denials", "policy", "rule", "decision", "exchange", "why")
    named = {name: getattr(of, name) for name in columns}
    return named | {"stopped": at, "by": of.changed_by}
