"""`tollhouse rebuild`: a fresh ledger from the journal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.asking import data_folder
from gateway.cli.beside import AsJson, Data
from gateway.cli.visible import visible
from gateway.rebuilding import Progress as Read
from gateway.rebuilding import Rebuilt
from gateway.rebuilding import rebuild as build


def rebuild(
    data: Data = None,
    into: Annotated[Path | None, typer.Option("--into", help="an empty folder to build in; the present ledger stays in use")] = None,
    as_json: AsJson = False,
) -> None:
    """Build the ledger again from the journal.

    In place the gateway must be stopped, and the old files are kept in a folder beside the new ones. With --into it may run.
    Exit code 1: built, but a damaged segment could not be read to its end.

    Example: tollhouse rebuild --into copy
    """
    done = _with_progress(data_folder(data), into, quiet=as_json)
    if as_json:
        sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    else:
        _say(done)
    if done.damaged:
        raise typer.Exit(1)


def _with_progress(data: Path, into: Path | None, *, quiet: bool) -> Rebuilt:
    console = Console(stderr=True)
    columns = (BarColumn(), DownloadColumn(), TextColumn("{task.fields[records]} records"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task("", total=None, records=0)

        def tell(read: Read) -> None:
            bar.update(task, total=read.total_bytes, completed=read.read_bytes, records=read.records)

        return build(data, into, tell)


def _say(done: Rebuilt) -> None:
    typer.echo(f"{done.exchanges} exchanges from {done.records} records in {done.seconds} s, in {done.into}")
    if done.kept:
        typer.echo(f"the old ledger is in {done.kept}; delete it when you no longer want it")
    for segment, why in done.damaged.items():
        typer.echo(f"{visible(segment)} is damaged and was read up to there: {visible(why)}; see 'tollhouse verify'", err=True)
