"""`tollhouse rehearse SCRIPT`: the rehearsal provider in the foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def rehearse(
    script: Annotated[Path, typer.Argument(help="YAML script of scenes and turns.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 8490,
    watch_stdin: Annotated[bool, typer.Option("--watch-stdin", help="Stop when standard input ends.")] = False,
) -> None:
    """Run a provider that plays a script, in all four dialects, without a model.

    Example: tollhouse rehearse script.yaml --port 8490
    """
    from gateway.rehearsal.process import serve

    serve(script, host, port, watch_stdin=watch_stdin)
