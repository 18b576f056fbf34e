"""`tollhouse coverage`: what was judged, what was not and why, which rules never fired, which tools no rule names.

Routes that nobody has asked are listed too: a gap that is not seen is the one that matters.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.answer_table import printed
from gateway.cli.asking import ask, data_folder
from gateway.cli.beside import Data
from gateway.dialects import DIALECTS
from gateway.stores import Answer
from gateway.web.queries import read_all

SECTIONS = {
    "coverage": ("Routes", "Nothing was asked in this time."),
    "coverage_reasons": ("Not evaluated, and why", "Everything that was asked was judged."),
    "rules_never_fired": ("Rules that never fired", "Every rule in force has fired, or none is."),
    "tools_without_rule": ("Tools that no rule names", "Every tool seen is named by a rule."),
}
"""Saved query → its heading, and what to say when it finds nothing."""


def coverage(
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="how far back")] = 30,
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Show what was judged, and what was not.

    Example: tollhouse coverage --days 7
    """
    folder, queries = data_folder(data), read_all()
    found = {name: _asked(folder, queries[name], days) for name in SECTIONS}
    unasked = [route for route in served() if route not in {_route(row) for row in _rows(found["coverage"])}]
    if as_json:
        told: dict[str, Any] = {name: _rows(answer) for name, answer in found.items()}
        sys.stdout.write(msgspec.json.encode({"days": days, **told, "never_asked": unasked}).decode() + "\n")
        return
    for name, answer in found.items():
        _print(*SECTIONS[name], answer)
    typer.echo(f"{typer.style('Routes nobody asked', bold=True)}\n{', '.join(unasked) or 'none'}\n")


def served() -> list[str]:
    """Every route there is, in the form in which the ledger lists it: without method and version."""
    forms = {_bare(form.split()[-1]) for dialect in DIALECTS.values() for form in dialect.SERVES}
    return sorted(forms)


def _bare(path: str) -> str:
    return re.sub(r"^(?:/(?:openai|anthropic|gemini|google))?(?:/v1beta|/v1alpha|/v1)*", "", path)


def _route(row: dict[str, Any]) -> str:
    return _bare(str(row["route"]))


def _asked(folder: Path, query: Any, days: int) -> Answer:
    params = {name: str(days) if name == "days" else value for name, value in query.params.items()}
    return ask(folder, query.sql, 10_000, params)


def _rows(answer: Answer) -> list[dict[str, Any]]:
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def _print(heading: str, empty: str, answer: Answer) -> None:
    typer.secho(heading, bold=True)
    if answer.rows:
        printed(answer)
    typer.echo("" if answer.rows else f"{empty}\n")
