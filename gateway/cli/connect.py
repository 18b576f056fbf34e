"""`tollhouse connect`: the environment that points a client at this gateway.

Standard output holds nothing but shell lines, so that `eval "$(tollhouse connect openai)"` works; notes go to standard error. `--write`
puts the same into the file that the client reads, `--undo` takes it out again.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.cli.beside import settings_here
from gateway.cli.connect_clients import CLIENTS
from gateway.cli.connect_files import Blocks, Values, put, take_back
from gateway.documents import nearest
from gateway.settings_sources import DEFAULT_FILE

NO_KEY = "no-key-needed"
"""For SDKs that refuse to start without a key; a gateway that requires keys refuses it."""

WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104  compared with, never bound to


def connect(
    client: Annotated[str, typer.Argument(help="A client's name, or 'list'.")] = "list",
    url: Annotated[str | None, typer.Option(help="The gateway's root. Default: the settings' listen address.")] = None,
    key: Annotated[str | None, typer.Option(help="A key made by 'tollhouse keys create'.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the settings into the file that the client reads.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take out what --write wrote.")] = False,
    project: Annotated[Path, typer.Option("--project", help="The project's folder, for clients that read their settings there.")] = Path(),
) -> None:
    """Print the shell lines that point a client at this gateway, or write them where the client reads them.

    Example: eval "$(tollhouse connect openai --key th_…)", or: tollhouse connect claude-code --key th_… --write
    """
    if client == "list":
        _show_clients()
        return
    if client not in CLIENTS:
        said = f"'{client}' is not known{nearest(client, CLIENTS)}; 'tollhouse connect list' shows all"
        raise typer.BadParameter(said, param_hint="CLIENT")
    if write and undo:
        raise typer.BadParameter("give --write or --undo, not both")
    file = _file(client, project)
    if undo:
        _undo(client, file)
        return
    root = _root(url) if url is not None else listening()
    if write:
        _refuse_own(file)
        written = put(file, content(client, root, _usable(key)))
        done = "wrote" if written else "nothing to change in"
        typer.echo(f"{done} {file}; 'tollhouse connect {client} --undo' takes it out again", err=True)
        return
    for line in lines(client, root, _usable(key)):
        typer.echo(line)
    if key is None:
        typer.echo(f"No --key: '{NO_KEY}' is set, which a gateway that requires keys refuses.", err=True)
    if CLIENTS[client].note:
        typer.echo(CLIENTS[client].note, err=True)


def content(client: str, root: str, key: str) -> Blocks | Values:
    """What is written for a client: its own form, else its variables as lines of a `.env` file."""
    made = CLIENTS[client].content
    if made is not None:
        return made(root, key)
    return Blocks("", "\n".join(line.removeprefix("export ") for line in lines(client, root, key)))


def _file(client: str, project: Path) -> Path:
    named = CLIENTS[client].file or ".env"
    if named.startswith("~"):
        return Path(named).expanduser()
    if not project.is_dir():
        raise typer.BadParameter(f"there is no folder {project}", param_hint="--project")
    return project / named


def _refuse_own(file: Path) -> None:
    """The gateway reads the `.env` beside its settings, and would send an agent's key to the provider."""
    if file.name == ".env" and ((file.parent / DEFAULT_FILE).is_file() or (file.parent / ".tollhouse").is_dir()):
        said = f"a gateway reads {file} itself, for its providers' keys; name the agent's folder, or leave --write out to see the lines"
        raise typer.BadParameter(said, param_hint="--project")


def _undo(client: str, file: Path) -> None:
    made = CLIENTS[client].content
    left = take_back(file, blocks=made is None or isinstance(made("", ""), Blocks))
    typer.echo(f"taken out of {file}", err=True)
    if left:
        typer.echo(f"left as they are, because they were changed since: {', '.join(left)}", err=True)


def lines(client: str, root: str, key: str) -> list[str]:
    """POSIX shell lines; values are quoted, so whatever they hold is data to the shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in variables_of(client, root, key).items()]


def variables_of(client: str, root: str, key: str) -> dict[str, str]:
    variables = CLIENTS[client].variables
    return {name: value.replace("{url}", root, 1) if value != "{key}" else key for name, value in variables.items()}


def listening() -> str:
    """Where this machine reaches the gateway of the settings file, or of the defaults."""
    host, _, port = settings_here().listen.rpartition(":")
    return f"http://{WILDCARDS.get(host, host)}:{port}"


def _root(url: str) -> str:
    if not url.startswith(("http://", "https://")) or not url.isprintable() or " " in url:
        raise typer.BadParameter("give the gateway's root, like http://127.0.0.1:8484", param_hint="--url")
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


def _usable(key: str | None) -> str:
    if key is None:
        return NO_KEY
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise typer.BadParameter("give the whole key as 'tollhouse keys create' printed it", param_hint="--key")
    return key


def _show_clients() -> None:
    table = Table("client", "what", "variables")
    for name, client in CLIENTS.items():
        table.add_row(name, client.what, "\n".join(client.variables))
    Console().print(table)
