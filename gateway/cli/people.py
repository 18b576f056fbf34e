"""`tollhouse people`: who may use the admin plane and its pages, with which roles, bound to which teams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import clock
from gateway.cli.beside import AsJson, Data, settings_beside, settings_there, user_name
from gateway.cli.keys import By, Why, refused, wrong_options
from gateway.cli.visible import visible
from gateway.config import Settings
from gateway.installation import open_people, with_our_state
from gateway.issuing import (
    DAY_US,
    PersonWish,
    add_person,
    bound_teams,
    change_person,
    held_roles,
    known_person,
    moment_of,
    named_person,
    remove_person,
    shown_person,
    unknown_person,
)
from gateway.people.roles import ROLES
from gateway.standing import addresses
from gateway.state.people import Invitation, People
from gateway.supervisor import settings_file

app = typer.Typer(help="Add people to the admin plane, show and change what they may do, remove them.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Who it is, as it is written down: a name or an address.")]
Roles = Annotated[list[str], typer.Option("--role", help=f"One of {', '.join(ROLES)}. Repeatable.")]
TEAM = "They see this and nothing else: a team (of keys that name no organisation), organisation/team, or organisation/*. Repeatable."
Teams = Annotated[list[str] | None, typer.Option("--team", help=TEAM)]
INVITED_DAYS = 3


@app.command()
def add(
    name: Name,
    role: Roles,
    team: Teams = None,
    expires_days: Annotated[float | None, typer.Option(help="They are let in for this many days.", min=0)] = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let somebody in by token. It is shown once; only a keyed hash of it is stored. 'invite' lets them set a password as well.

    Example: tollhouse people add ada --role approver --team payments
    """
    with wrong_options(), refused():
        wish = PersonWish(name, role, team, expires_days)
        new, token = add_person(open_people(with_our_state(settings_beside(data))), wish, clock.now_us(), by or user_name())
    if as_json:
        typer.echo(json.dumps({"token": token, "person": new.id, "roles": list(new.roles), "teams": new.teams}))
        return
    typer.echo(token)
    typer.echo("Give it to them: it is not shown again. It is sent as 'Authorization: Bearer' to the admin plane.", err=True)


@app.command()
def invite(
    name: Annotated[str, typer.Argument(help="Whose account it is; left out, whoever comes chooses a name.")] = "",
    role: Annotated[list[str] | None, typer.Option("--role", help=f"One of {', '.join(ROLES)}. Repeatable.")] = None,
    team: Teams = None,
    by: By = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Print the address at which somebody sets a password for the pages, once, within three days. Who is here already keeps their roles.

    Example: tollhouse people invite bob --role viewer-content
    """
    settings, now = with_our_state(settings_beside(data)), clock.now_us()
    with wrong_options():
        wanted, held, bound = named_person(name) if name else "", held_roles(role) if role else (), bound_teams(team)
    people = open_people(settings)
    before = people.named(wanted) if wanted else None
    here = before is not None and before.active(now)
    if here and (role or team):
        raise typer.BadParameter(f"'{wanted}' keeps the roles they have; 'tollhouse people roles' changes them", param_hint="--role")
    if not here and not role:
        raise typer.BadParameter("name at least one for somebody who is not here yet", param_hint="--role")
    ends = now + INVITED_DAYS * DAY_US
    invitation = Invitation(held, ends, bound, wanted, by or user_name())
    address = f"{_pages(settings)}/ui/begin?token={people.invite(invitation, now)}"
    if as_json:
        typer.echo(json.dumps({"address": address, "person": wanted or None, "roles": list(invitation.roles), "expires": moment_of(ends)}))
        return
    typer.echo(address)
    typer.echo("Send it to them: it is good once, for three days, and is not shown again.", err=True)


@app.command()
def token(name: Name, end: Annotated[bool, typer.Option("--end", help="End it, and make none.")] = False, by: By = None, data: Data = None,
          as_json: AsJson = False) -> None:  # fmt: skip
    """Make a token in the place of somebody's, or end it. Their password stays.

    Example: tollhouse people token ada
    """
    people, who, now = _store(data), by or user_name(), clock.now_us()
    wanted = known_person(people, name)
    made = None if end else people.renew_token(wanted, now, who)
    with refused():
        if made is None and not (end and people.end_token(wanted, now, who)):
            raise unknown_person(name)
    if as_json:
        typer.echo(json.dumps({"person": wanted, "token": made}))
        return
    typer.echo(made or f"{visible(wanted)} has no token any more.")


@app.command("list")
def list_people(data: Data = None, as_json: AsJson = False) -> None:
    """Show everybody, those who were removed included; never a token.

    Example: tollhouse people list --json
    """
    now = clock.now_us()
    plain = [shown_person(each, now) for each in _store(data).every()]
    if as_json:
        typer.echo(json.dumps(plain))
        return
    if not plain:
        typer.echo("There is nobody yet; 'tollhouse people add NAME --role ROLE' adds somebody.")
        return
    table = Table("person", "roles", "teams", "token", "password", "created", "state")
    for each in plain:
        has = (each["last4"] or "none", "yes" if each["password"] else "none")
        told = (each["person"], ", ".join(each["roles"]), _told(each["teams"]), *has, each["created"], each["state"])
        table.add_row(*(Text(visible(text), overflow="fold") for text in told))
    Console().print(table)


@app.command()
def roles(name: Name, role: Roles, team: Teams = None, by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Put these roles and teams in the place of what somebody has; without --team they see all. In force with their next request.

    Example: tollhouse people roles ada --role viewer-metadata
    """
    with wrong_options(), refused():
        told = change_person(_store(data), name, role, team, clock.now_us(), by or user_name())
    words = f"{visible(told['person'])} has {', '.join(told['roles'])}; teams: {visible(_told(told['teams']))}."
    typer.echo(json.dumps(told) if as_json else words)


@app.command()
def remove(name: Name, why: Why = "", by: By = None, data: Data = None, as_json: AsJson = False) -> None:
    """Let somebody in no longer, by token or password. In force with their next request.

    Example: tollhouse people remove ada --why left
    """
    with refused():
        told = remove_person(_store(data), name, clock.now_us(), by or user_name(), why)
    typer.echo(json.dumps(told) if as_json else f"{visible(told['person'])} is removed.")


def _pages(settings: Settings) -> str:
    """Where people reach the pages: as the gateway that runs on the folder was told, else as the settings say."""
    try:
        url = Settings.model_validate_json(settings_file(settings.data_path).read_bytes()).face.url
    except (OSError, ValueError):
        url = None
    where = addresses(settings.data_path)
    return settings.face.url or url or (str(where["admin"]) if where else settings.admin_address.url)


def _store(data: Path | None) -> People:
    return open_people(with_our_state(settings_there(data)))


def _told(teams: Sequence[str] | None) -> str:
    return "all" if teams is None else ", ".join(teams)
