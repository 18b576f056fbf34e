"""`tollhouse encryption`: master keys are made and changed."""

from __future__ import annotations

import base64
import json
import secrets
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.beside import AsJson, named_folder, settings_here
from gateway.errors import StartError
from gateway.installation import open_vault
from gateway.sealing import KEY, CannotOpen
from gateway.settings_sources import DEFAULT_FILE

app = typer.Typer(help="Make and change the master keys that protect encrypted content.", no_args_is_help=True)


@app.command()
def key() -> None:
    """Print a new master key: 32 random bytes in base64. Keep it where the settings' encryption.keys says, apart from the data.

    Example: tollhouse encryption key >> master-keys
    """
    typer.echo(base64.b64encode(secrets.token_bytes(KEY)).decode())


@app.command()
def rewrap(
    config: Annotated[Path | None, typer.Option(help=f"Settings file. Default: {DEFAULT_FILE} in this folder.")] = None,
    data: Annotated[
        Path | None, typer.Option(parser=named_folder, metavar="<path>", help="Data folder. Default: the settings file's.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Wrap every data key by the first master key. After that the others can be deleted; backups they protected are unreadable then.

    Example: tollhouse encryption rewrap
    """
    vault = open_vault(settings_here(config, data))
    if vault is None:
        raise StartError("the settings name no 'encryption:'; add it, with the new master key as the first line of what 'keys' names")
    try:
        wrapped = vault.rewrap()
    except CannotOpen as error:
        raise StartError(f"nothing opens {error}; add the master key that wrapped it as a further line") from error
    told = f"{wrapped} data keys wrapped anew; the master keys after the first are needed no longer."
    typer.echo(json.dumps({"wrapped": wrapped}) if as_json else told)
