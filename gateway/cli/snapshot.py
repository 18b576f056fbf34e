"""`tollhouse snapshot`: a copy of the book that any tool may open, made by the running gateway or, without one, from the ledger's file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.asking import data_folder, make_snapshot
from gateway.cli.beside import Data


def snapshot(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="put it here instead of <data>/snapshots; for --parquet a folder")] = None,
    since: Annotated[str | None, typer.Option("--since", help="only exchanges and calls from this time on (UTC)")] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="a folder with a Parquet file for each table and view")] = False,
    data: Data = None,
) -> None:
    """Copy the book into a file that other tools can open.

    Example: tollhouse snapshot --since 2026-11-01 --out november.duckdb
    """
    if out is not None and out.exists() and (parquet or out.is_dir()):
        raise typer.BadParameter(f"{out} exists; name a place where nothing is yet")
    made = make_snapshot(data_folder(data), since, parquet=parquet)
    if out is not None:
        made = _moved(made, out)
    typer.echo(str(made))


def _moved(made: Path, out: Path) -> Path:
    """Whole or not at all, also from one file system to another. A file stays where it was made, too: it may be the latest one."""
    unfinished = out.with_name(f".{out.name}.part")
    if made.is_dir():
        shutil.copytree(made, unfinished)
        shutil.rmtree(made)
    else:
        shutil.copyfile(made, unfinished)
        unfinished.chmod(0o600)
    return unfinished.replace(out)
