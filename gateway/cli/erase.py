"""`tollhouse erase`: makes content of a tenant, or of one user of it, unreadable for good."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from gateway.cli.asking import acting, call, data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.visible import visible

_WARNING = "A backup of data-keys.sqlite from before brings it back while its master key exists: delete it, or change the master key."
_NO_KEY = (
    "Names count as they are written ('tollhouse keys list' shows teams, agents and users); what was erased before is in the view erasures."
)


def erase(
    tenant: Annotated[
        str, typer.Option(help="team:<name>, or agent:<name> where keys name no team; <organisation>/<name> where they name one.")
    ],
    user: Annotated[str | None, typer.Option(help="Only this user's. Default: everybody's of the tenant.")] = None,
    why: Annotated[str, typer.Option(help="Why; written down.")] = "",
    by: Annotated[str | None, typer.Option(help="Who erases. Default: your user name on this machine.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: it cannot be taken back.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Drop the keys under which a tenant's content is encrypted. What was decided and what it cost stays on record. Exit code 1 when there
    was no key to drop.

    Example: tollhouse erase --tenant team:red --user ada
    """
    folder = data_folder(data)
    whose = f"of {visible(user)} in {visible(tenant)}" if user is not None else f"of all of {visible(tenant)}"
    if not yes:
        typer.confirm(f"The content {whose} cannot be read by anybody afterwards. Go on?", abort=True)
    body = {"tenant": tenant, "user": user, "by": acting(by), "why": why}
    done = call(folder, "POST", "/erase", json=body)
    if as_json:
        typer.echo(json.dumps(done))
    elif done["keys"]:
        typer.echo(f"{len(done['keys'])} keys dropped; the content {whose} is unreadable. Record {done['id']}.")
        typer.echo(_WARNING, err=True)
    if not done["keys"]:
        typer.echo(f"There is no key for the content {whose}, so none was dropped. {_NO_KEY} Record {done['id']}.", err=True)
        raise typer.Exit(1)
