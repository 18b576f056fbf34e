"""`tollhouse snapshot`: a copy of the book that any tool may open, made by the running gateway or, without one, from the ledger's file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.asking import data_folder, make_snapshot
from gateway.cli.beside import AsJson, Data
from gateway.cli.placing import writable
from gateway.cli.since import moment


def snapshot(
    out: Annotated[Path | None, typer.Option("--out", "-o", help="put it here instead of <data>/snapshots; for --parquet a folder")] = None,
    since: Annotated[str | None, typer.Option("--since", help="only exchanges and calls since: 2026-11-01, or 24h, 7d ago")] = None,
    parquet: Annotated[bool, typer.Option("--parquet", help="a folder with a Parquet file for each table and view")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Copy the book into a file that other tools can open.

    Example: tollhouse snapshot --since 2026-11-01 --out november.duckdb
    """
    if out is not None:
        _look_at(out, parquet=parquet)
    made = make_snapshot(data_folder(data), moment(since) if since else None, parquet=parquet)
    if out is not None:
        made = _moved(made, out)
    typer.echo(json.dumps({"path": str(made)}) if as_json else str(made))


def _look_at(out: Path, *, parquet: bool) -> None:
    """What is there already is replaced where it is an earlier snapshot. Raises typer.BadParameter."""
    if out.exists() and (parquet or out.is_dir() or not _is_ledger(out)):
        raise typer.BadParameter(f"{out} exists; name a place where nothing is yet, or an earlier snapshot", param_hint="--out")
    writable(out)


def _is_ledger(file: Path) -> bool:
    """Whether DuckDB wrote it."""
    with file.open("rb") as opened:
        return opened.read(12)[8:] == b"DUCK"


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
