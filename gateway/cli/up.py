"""`tollhouse up`: runs the gateway in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gateway.supervisor import up as run

FILE = "tollhouse.yaml"
"""`settings_sources.DEFAULT_FILE`, without waiting for what the settings need."""


def up(
    config: Annotated[
        Path | None, typer.Option(help=f"Settings file. Default: {FILE} in this folder, if there is one.")
    ] = None,
    listen: Annotated[str | None, typer.Option(help="Where agents connect, host:port.")] = None,
    admin: Annotated[str | None, typer.Option(help="Admin plane (SQL, tail, health), host:port.")] = None,
    data: Annotated[str | None, typer.Option(help="Folder for journal, ledger and state.")] = None,
    policies: Annotated[str | None, typer.Option(help="Folder with policy files.")] = None,
    workers: Annotated[int | None, typer.Option(help="Worker processes. Default: one per core.", min=1)] = None,
) -> None:
    """Start the gateway: the book and the workers. Without a settings file it proxies every provider whose key is set.

    Example: tollhouse up --config tollhouse.yaml
    """
    file = config or (Path(FILE) if Path(FILE).is_file() else None)
    flags = {"listen": listen, "admin": admin, "data": data, "policies": policies, "workers": workers}
    raise typer.Exit(run(file, flags, _say))


def _say(text: str) -> None:
    from rich.console import Console  # when the first child is on its way

    style = "bold yellow" if text.startswith("NO POLICY") else None
    Console(stderr=True, highlight=False).print(text, style=style, soft_wrap=True, markup=False)
