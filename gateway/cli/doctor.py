"""`tollhouse doctor`: whether this installation could serve, and what to do where it could not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gateway import examining
from gateway.cli.beside import AsJson, named_folder, settings_here
from gateway.config import Settings
from gateway.errors import StartError
from gateway.examining import Finding
from gateway.ledger_place import lake_place

_MARKS = {"ok": "ok     ", "warning": "WARNING", "error": "ERROR  "}


def doctor(
    file: Annotated[Path | None, typer.Option("--config", help="Settings file. Default: tollhouse.yaml, if there is one.")] = None,
    data: Annotated[Path | None, typer.Option(parser=named_folder, metavar="<path>", help="Data folder, over the file's.")] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no provider whether it is there, and nobody for credentials of the machine.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at settings, policies, keys, disk, clock, providers and packages, and say what to do. Exit code 0 when all is well or could be
    better, 1 when something keeps the gateway from serving.

    Example: tollhouse doctor --json
    """
    found = examine(file, data, offline=offline)
    if as_json:
        typer.echo(json.dumps([each._asdict() for each in found], ensure_ascii=False))
    else:
        _show(found)
    if any(each.level == "error" for each in found):
        raise typer.Exit(1)


def examine(file: Path | None, data: Path | None, *, offline: bool) -> list[Finding]:
    settings, found = examining.settings(lambda: settings_here(file, data))
    found = [*examining.versions(), *examining.startup_files(), *found]
    looks = [look for look in examining.LOOKS if not (offline and look in (examining.providers, examining.machine))]
    if settings is None:
        return found
    return [*found, *(finding for look in looks for finding in look(settings)), *([] if offline else catalogue(settings))]


def catalogue(found: Settings) -> Iterator[Finding]:
    """Whether that of a fleet's ledger is reached from here. While it is not, agents are served."""
    place = lake_place(found.ledger)
    if place is None or importlib.util.find_spec("duckdb_extension_postgres") is None:  # what is missing is told where it is looked for
        return
    from gateway.stores.lake_connecting import CatalogueAway, reach  # DuckDB

    try:
        reach(place)
    except (CatalogueAway, StartError) as error:
        do = "see that the server runs and is reached from here, with this database and user; records stay in the journal meanwhile"
        yield Finding("ledger", "warning", f"the catalogue cannot be used: {error}", do)
    else:
        yield Finding("ledger", "ok", "the catalogue answers")


def _show(found: list[Finding]) -> None:
    width = max(len(each.about) for each in found)
    for each in found:
        typer.echo(f"{_MARKS[each.level]}  {each.about.ljust(width)}  {each.said}")
        if each.do:
            typer.echo(f"{' ' * (width + 11)}→ {each.do}")
    counts = {level: sum(each.level == level for each in found) for level in ("error", "warning")}
    told = ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items())
    typer.echo(f"{told}." if any(counts.values()) else "All is well.")
